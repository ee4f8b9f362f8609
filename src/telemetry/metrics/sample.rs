//! What is read from the running agent at a scrape.

use std::time::Duration;

/// The agent at one moment. Times of day are Unix times in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub version: &'static str,
    /// When the process started; the same at every scrape of one process.
    pub started_at: f64,

    /// Whether our entry is in the discovery service, as far as we know.
    pub registered: bool,
    /// Until the entry expires; none while there is none.
    pub lease_left: Option<Duration>,
    pub ttl: Duration,
    pub heartbeat: Duration,
    /// The last heartbeat that was accepted.
    pub last_renewal_at: Option<f64>,
    pub lease_at_risk: bool,

    /// One of [`crate::model::EngineHealth::NAMES`].
    pub engine_state: &'static str,
    /// What the supervisor makes of it: one of the names of [`crate::model::Condition`].
    pub engine_condition: &'static str,
    /// Why an engine that needs a restart gets none: one of the names of [`crate::model::Refusal`].
    pub repair_refused: Option<&'static str>,
    /// How many restarts of the budget are used up, and the budget.
    pub repairs_in_window: (usize, usize),
    /// None while the engine does not answer.
    pub containers_running: Option<u32>,
    /// One of [`crate::model::Finding::NAMES`]; none before the address was asked, and where nobody asks.
    pub advertised: Option<&'static str>,
    pub dbus_connected: bool,

    /// Until the loop that turned longest ago counts as stuck.
    pub watchdog_margin: Duration,
    /// systemd's limit, if it set one.
    pub watchdog_timeout: Option<Duration>,

    /// Whether the configuration was valid when it was read last.
    pub config_valid: bool,
    /// When the settings in force were read.
    pub config_loaded_at: f64,

    pub drained: bool,
    pub drain_ends_at: Option<f64>,
    /// Whether the agent's own discovery server can't serve.
    pub hosting_failed: bool,

    /// Entries lost since the start because journald was slow.
    pub log_dropped: u64,
    /// Entries held back since the start because too many of their kind came.
    pub log_held: u64,
}
