//! The Docker Engine behind its unix socket, and behind the address that is advertised.

mod advertised;
mod docker;
mod inspect;
pub mod shims;
mod socket;
mod tls;

pub use advertised::TcpDoor;
pub use docker::DockerEngine;
pub use inspect::Inspector;
pub use socket::socket_access;

use crate::model::{Answer, EngineInfo, NodeAddress, ProbeFault, ReachFault};

const AGENT: &str = concat!("swarm-agent/", env!("CARGO_PKG_VERSION"));

/// An engine that can be asked whether it works.
#[async_trait::async_trait]
pub trait Engine: Send {
    /// Whether a probe can be sent without connecting. To connect is to risk starting an engine that
    /// somebody stopped (socket activation), so the caller looks at the unit first.
    fn connected(&mut self) -> bool;

    /// One probe: `/_ping`, then `/info`, within the timeout that the engine was made with. Connects if
    /// need be, and only if `may_connect`.
    async fn probe(&mut self, may_connect: bool) -> Result<EngineInfo, ProbeFault>;
}

/// Where other hosts reach an engine.
#[async_trait::async_trait]
pub trait Door: Send + Sync {
    /// Asks once who is there, within a timeout.
    async fn knock(&self, address: &NodeAddress) -> Result<Answer, ReachFault>;
}
