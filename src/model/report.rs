//! What `GET /status` on the agent's local socket answers, and `swarm-agent status --json` prints.
//!
//! Fields are added in a later version, never changed or removed while [`SCHEMA`] stays the same; a reader ignores the
//! fields that it does not know. Times are [`Stamp`]s, durations are seconds.

use serde::{Deserialize, Serialize};

/// The version of this schema.
pub const SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub schema: u32,
    pub state: Overall,
    /// One line: what systemd shows as the unit's status.
    pub summary: String,
    /// What somebody should look at; empty if the state is `healthy`.
    pub problems: Vec<String>,
    pub agent: AgentReport,
    pub node: NodeReport,
    pub registration: RegistrationReport,
    pub engine: EngineReport,
    pub supervision: SupervisionReport,
    pub systemd: SystemdReport,
    /// Null if the node is not drained.
    pub drain: Option<DrainReport>,
    /// The agent's own discovery server; null if there is none.
    pub embedded_server: Option<EmbeddedReport>,
    pub configuration: ConfigurationReport,
}

/// All of it in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overall {
    /// Registered, and nothing is wrong.
    Healthy,
    /// Registered, and something is wrong.
    Degraded,
    NotRegistered,
}

/// A moment of the past.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamp {
    /// RFC 3339, UTC.
    pub at: String,
    /// How long it lies back; counted by a clock that nobody sets where the agent saw the moment itself.
    pub seconds_ago: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentReport {
    pub version: String,
    pub pid: u32,
    pub started: Stamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeReport {
    pub hostname: String,
    /// `discovery.advertise` as it is configured.
    pub advertise: String,
    /// What that comes to at the moment; null while there is none.
    pub address: Option<String>,
    /// Why there is no address.
    pub why: Option<String>,
    /// What was found at the address: `proved`, `unproven`, `unreachable`, `unasked`, `foreign`; null before anybody asked.
    pub reach: Option<String>,
    /// The same in words.
    pub reach_text: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegistrationReport {
    /// `absent`, `resumed`, `joining`, `present`, `unconfirmed` (the last beat failed), `leaving`.
    pub state: String,
    /// There is an entry whose lease has not ended, as far as the agent knows.
    pub registered: bool,
    /// The discovery service, without its secrets.
    pub server: String,
    /// The entry's address; null before there was one.
    pub address: Option<String>,
    /// A former address whose entry is still in.
    pub replaces: Option<String>,
    /// Why there is to be no entry although the engine works.
    pub why: Option<String>,
    /// Since when the entry is in, as far as this process knows.
    pub since: Option<Stamp>,
    pub lease: Option<LeaseReport>,
    pub heartbeat_seconds: f64,
    pub ttl_seconds: f64,
    /// Until the next request to the discovery service; null if none is due.
    pub next_in_seconds: Option<f64>,
    /// The last request that failed, also if later ones did not.
    pub last_error: Option<ErrorReport>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LeaseReport {
    /// When the last heartbeat that was accepted was sent.
    pub renewed: Stamp,
    /// Until the entry expires if no further beat gets through.
    pub left_seconds: f64,
    /// Beats fail, and less than a third of the ttl is left.
    pub at_risk: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorReport {
    pub when: Stamp,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineReport {
    pub unit: String,
    /// `undecided`, `absent`, `masked`, `stopped`, `stopping`, `starting`, `failed`, `restarting`, `proving`, `healthy`,
    /// `faulty`, `unknown`.
    pub state: String,
    /// Why, in words.
    pub text: String,
    /// Null while the engine is not `healthy`.
    pub version: Option<String>,
    pub id: Option<String>,
    pub containers_running: Option<u32>,
}

/// What the supervisor of the engine makes of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SupervisionReport {
    /// `enforce`, `dry-run` or `off`
    pub mode: String,
    /// `unseen`, `absent`, `masked`, `stopped`, `stopping`, `starting`, `failed`, `proving`, `working`, `doubtful`,
    /// `socket_fault`, `hung`, `starved`, `runtime_hung`, `runtime_gone`, `runtime_stopped`, `broken`, `cannot_tell`.
    pub condition: String,
    /// The same in words.
    pub text: String,
    pub detail: Option<String>,
    /// The agent restarts the engine, or containerd, at the moment.
    pub restarting: bool,
    /// Why an engine that needs a restart gets none; null if it needs none.
    pub refused: Option<RefusalReport>,
    /// Restarts that `supervision.window` counts now.
    pub restarts_in_window: usize,
    /// How many there may be.
    pub restarts_budget: usize,
    /// The last one of this process.
    pub last_restart: Option<RestartReport>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefusalReport {
    /// `off`, `runtime`, `young`, `cooldown`, `budget`, `containers_at_risk`.
    pub guard: String,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestartReport {
    /// When it came to its end.
    pub when: Stamp,
    /// What it was to end.
    pub condition: String,
    pub recovered: bool,
    pub outcome: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SystemdReport {
    /// Whether the engine's unit can be looked at over D-Bus.
    pub connected: bool,
    /// Why it can't.
    pub why: Option<String>,
    /// The unit as systemd has it, such as `active (running)`; null while it can't be told.
    pub unit_state: Option<String>,
    /// A job queued or running on the unit.
    pub unit_job: Option<String>,
    pub watchdog: WatchdogReport,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchdogReport {
    /// systemd's limit; null if it set none.
    pub timeout_seconds: Option<f64>,
    /// Until the task that turned longest ago counts as stuck, and systemd is pinged no more.
    pub margin_seconds: f64,
    /// Tasks that are stuck.
    pub stuck: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrainReport {
    pub since: Stamp,
    /// RFC 3339, UTC; null: until somebody ends it.
    pub until: Option<String>,
    pub reason: Option<String>,
    pub by: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmbeddedReport {
    pub serving: bool,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigurationReport {
    /// When what is in force was read.
    pub loaded: Stamp,
    /// What was wrong with the configuration at the last reload, with its place; the old settings stay.
    pub errors: Vec<String>,
    /// Keys that were changed and need a restart of the service.
    pub at_restart: Vec<String>,
}

/// What `POST /drain` and `POST /undrain` answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrainOutcome {
    /// What holds now; null: the node is not drained.
    pub drain: Option<DrainReport>,
    /// Why it would not survive a restart of the agent; null if it would.
    pub not_kept: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_report_is_this_schema() -> Result<(), serde_json::Error> {
        let page = include_str!("../../docs/status.md");
        let example = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
        let report: Report = serde_json::from_str(example)?;
        assert_eq!(report.schema, SCHEMA);
        // no field is missing there, and none is there that is not in a report
        assert_eq!(serde_json::to_value(&report)?, serde_json::from_str::<serde_json::Value>(example)?);
        Ok(())
    }
}
