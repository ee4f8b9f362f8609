//! A place in a discovery service.

use crate::discovery::Backend;
use crate::model::{HeldEntry, NodeAddress};
use std::sync::Arc;

/// An address in a cluster.
#[derive(Clone)]
pub struct Place {
    pub backend: Arc<dyn Backend>,
    pub address: NodeAddress,
    /// The server as logs name it.
    pub server: String,
    /// The whole URL, for the state directory.
    pub url: String,
}

impl Place {
    pub(super) fn held(&self) -> HeldEntry {
        HeldEntry { url: self.url.clone(), address: self.address.clone() }
    }
}
