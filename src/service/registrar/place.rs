//! A place in a discovery service.

use crate::discovery::Backend;
use crate::model::{HeldEntry, NodeAddress};
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
}

impl Place {
    pub(super) fn held(&self) -> HeldEntry {
        HeldEntry { url: self.site.url.clone(), address: self.address.clone() }
    }
}
