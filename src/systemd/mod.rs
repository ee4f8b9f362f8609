//! systemd: its manager over D-Bus, and the notify socket.

pub mod bus;
mod calls;
mod fault;
pub mod manager;
pub mod notify;
pub mod sockets;

pub use fault::ManagerError;

use crate::model::{UnitState, UnitView};
use tokio::time::Instant;

/// A unit whose state can be looked at and followed.
#[async_trait::async_trait]
pub trait UnitSource: Send + Sync {
    /// The state as it is now, asked of the manager.
    async fn look(&self) -> UnitView;

    /// The state of another unit, over the same connection.
    async fn look_at(&self, unit: &str) -> UnitView;

    /// Follows the unit until the connection to the manager breaks; returns why it ended. `observe` hears of what
    /// happens, and says until when it needs to hear nothing if nothing does.
    async fn follow(&self, observe: &mut (dyn FnMut(Observation) -> Instant + Send)) -> String;
}

/// What a follower hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// The state after a change, or after a while without one.
    State(UnitState),
    /// Nothing happened.
    Quiet,
}
