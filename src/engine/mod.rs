//! The Docker Engine behind its unix socket.

mod docker;
mod inspect;
pub mod shims;
mod socket;

pub use docker::DockerEngine;
pub use inspect::Inspector;
pub use socket::socket_access;

use crate::model::{EngineInfo, ProbeFault};

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
