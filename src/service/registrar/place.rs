//! A place in a discovery service.

use crate::discovery::Backend;
use crate::model::{HeldEntry, Hold, NodeAddress};
use std::sync::Arc;

/// A cluster at a discovery service.
#[derive(Clone)]
pub struct Site {
    pub backend: Arc<dyn Backend>,
    /// The server as logs name it.
    pub server: String,
    /// The whole URL, for the state directory.
    pub url: String,
}

/// An entry in a discovery service.
#[derive(Clone)]
pub struct Place {
    pub site: Site,
    pub address: NodeAddress,
    /// What the backend gave for it.
    pub hold: Option<Hold>,
}

impl Place {
    /// Whether both are one entry.
    pub(super) fn is_that_of(&self, other: &Self) -> bool {
        self.site.url == other.site.url && self.address == other.address
    }

    pub(super) fn held(&self) -> HeldEntry {
        HeldEntry { url: self.site.url.clone(), address: self.address.clone(), hold: self.hold.clone() }
    }
}
