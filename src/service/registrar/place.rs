//! A place in a discovery service.

use crate::discovery::{Backend, BackendError, Release};
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
    /// The boot that it is from, if that is over.
    pub earlier_boot: Option<String>,
}

impl Place {
    /// Whether both are one entry.
    pub(super) fn is_that_of(&self, other: &Self) -> bool {
        self.site.url == other.site.url && self.address == other.address
    }

    /// One attempt to take it out; what another node than ours has put there stays.
    pub(super) async fn release(&self, node: Option<&str>) -> Result<(), BackendError> {
        self.site.backend.deregister(&Release { address: &self.address, hold: self.hold.as_ref(), node }).await
    }

    pub(super) fn held(&self) -> HeldEntry {
        HeldEntry {
            url: self.site.url.clone(),
            address: self.address.clone(),
            hold: self.hold.clone(),
            earlier_boot: self.earlier_boot.clone(),
        }
    }
}
