//! The long-running tasks of the agent, one file each.
//!
//! ```text
//! supervisor ─ watch<UnitView> ─▶ prober ─ watch<Outlook> ───────┬──────────────┐
//! locator ─ watch<AddressState> ────────────────┬────────────────┤              │
//!                                               └─▶ verifier ─ watch<Reach> ─▶ registrar ─▶ Backend
//!                                                                   │           └ watch<Standing>
//!                                                                   ▼                 ▼
//! every task ─ Beat ─▶ watchdog ─▶ WATCHDOG=1                     status ─▶ STATUS=
//! ```
//! The verifier and the status see the outlook too. So does the repairer, with the unit: it restarts an engine that needs it,
//! and what it makes of it (`watch<Supervised>`) is for the status alone.
//!
//! Each channel has one writer; no task holds a sender that points upstream. `watcher`, `errands`, `publisher` and `runner`
//! are no tasks of the agent: they are `swarm-agent watch`, in one loop.

pub mod api;
pub mod beat;
pub mod clock;
pub mod credentials;
pub mod drainer;
pub mod embedded;
pub mod engine_restart;
pub mod errands;
pub mod exposer;
pub mod identity;
pub mod locator;
pub mod lossless;
pub mod marker;
pub mod prober;
pub mod publisher;
pub mod readings;
pub mod registrar;
pub mod repairer;
pub mod reporter;
pub mod runner;
pub mod status;
pub mod supervisor;
pub mod verifier;
pub mod watchdog;
pub mod watcher;

#[cfg(test)]
mod tests;

use crate::model::EngineHealth;
use crate::policy::gate::Verdict;
use std::time::Duration;

/// Every loop turns at least this often, whether or not there is work. All do so at the same moments, multiples of this
/// since the start: a process that sleeps is woken once for all of them. A power of two of milliseconds, which tokio's
/// wheel of timers reaches without a wake-up half way.
pub const TICK: Duration = Duration::from_millis(4096);

/// What the prober tells of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    pub verdict: Verdict,
    pub health: EngineHealth,
}

impl Outlook {
    pub fn undecided() -> Self {
        Self { verdict: Verdict::Undecided, health: EngineHealth::Undecided }
    }
}
