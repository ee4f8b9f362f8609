//! systemd: its manager over D-Bus, and the notify socket.

pub mod bus;
pub mod notify;

use crate::model::UnitView;
use tokio::sync::watch;

/// A unit whose state can be looked at and followed.
#[async_trait::async_trait]
pub trait UnitSource: Send + Sync {
    /// The state as it is now, asked of the manager.
    async fn look(&self) -> UnitView;

    /// Follows the unit until the connection to the manager breaks, publishing every state; returns why it
    /// ended. `beat` is called at least every 5 s while it follows.
    async fn follow(&self, states: &watch::Sender<UnitView>, beat: &(dyn Fn() + Sync)) -> String;
}
