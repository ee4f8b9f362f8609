//! The host's network interfaces, and word of their changes.

mod kernel;

pub use kernel::KernelNetwork;

use crate::model::NetworkView;
use std::io;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error("the list of interfaces can't be read: {0}")]
    Interfaces(#[source] io::Error),
    #[error("the list of interfaces did not come within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    #[error("changes can't be listened to: {0}")]
    Listen(#[source] io::Error),
}

#[async_trait::async_trait]
pub trait Network: Send {
    /// One look, within a timeout.
    async fn look(&self) -> Result<NetworkView, NetworkError>;

    /// Returns when something changed since the first call of this or since it last returned. Cancel-safe.
    async fn changed(&mut self) -> Result<(), NetworkError>;
}
