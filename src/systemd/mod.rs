//! systemd: its manager over D-Bus, and the notify socket.

pub mod bus;
mod calls;
mod fault;
pub mod manager;
pub mod notify;
pub mod sockets;

pub use fault::ManagerError;

use crate::model::{UnitState, UnitView};

/// A unit whose state can be looked at and followed.
#[async_trait::async_trait]
pub trait UnitSource: Send + Sync {
    /// The state as it is now, asked of the manager.
    async fn look(&self) -> UnitView;

    /// Follows the unit until the connection to the manager breaks; returns why it ended.
    async fn follow(&self, observe: &mut (dyn FnMut(Observation) + Send)) -> String;
}

/// What a follower hears, at least every 5 s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// The state after a change, or after a while without one.
    State(UnitState),
    /// Nothing happened.
    Quiet,
}
