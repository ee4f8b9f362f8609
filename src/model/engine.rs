//! What is known of the Docker Engine.

use std::fmt;
use std::time::Duration;

/// The essentials of `/info`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineInfo {
    pub id: String,
    pub version: String,
    pub containers_running: u32,
    /// Whether containers outlive their engine.
    pub live_restore: Option<bool>,
    /// Whether each container is in a scope of systemd.
    pub scopes: Option<bool>,
}

/// Why one probe of an engine did not prove that it works. Reads after "engine: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeFault {
    #[error("{socket} refuses connections")]
    Refused { socket: String },
    #[error("{socket} does not exist")]
    NoSocket { socket: String },
    #[error("no permission to open {socket} (is user swarm-agent in group docker?)")]
    Permission { socket: String },
    #[error("the connection was closed before an answer came")]
    Closed,
    #[error("no answer to /_ping within {}", humantime::format_duration(*.0))]
    PingTimeout(Duration),
    #[error("/_ping answers, /info does not within {} (containerd hung?)", humantime::format_duration(*.0))]
    InfoTimeout(Duration),
    #[error("containerd is gone")]
    ContainerdGone,
    #[error("{path} answered {status}")]
    Status { path: &'static str, status: u16 },
    #[error("the answer to {path} is not what an engine says: {what}")]
    Garbled { path: &'static str, what: String },
    #[error("not connected, and the unit's state is unknown: a connection could start a stopped engine")]
    NotConnected,
    #[error("{0}")]
    Io(String),
}

impl ProbeFault {
    /// What [`Self::kind`] can be.
    pub const KINDS: [&'static str; 11] = [
        "refused",
        "no_socket",
        "permission",
        "closed",
        "ping_timeout",
        "info_timeout",
        "containerd_gone",
        "status",
        "garbled",
        "not_connected",
        "io",
    ];

    /// A word for metrics and journal fields.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::NoSocket { .. } => "no_socket",
            Self::Permission { .. } => "permission",
            Self::Closed => "closed",
            Self::PingTimeout(_) => "ping_timeout",
            Self::InfoTimeout(_) => "info_timeout",
            Self::ContainerdGone => "containerd_gone",
            Self::Status { .. } => "status",
            Self::Garbled { .. } => "garbled",
            Self::NotConnected => "not_connected",
            Self::Io(_) => "io",
        }
    }
}

/// The gate's word on the engine: what `STATUS=` says, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineHealth {
    /// Nothing is known yet: the agent has just started.
    Undecided,
    /// systemd knows no such unit: Docker is not installed.
    Absent,
    Masked,
    /// Stopped, by an administrator or at boot. Left alone, and never connected to.
    Stopped,
    Stopping,
    Starting,
    Failed,
    /// A restart job runs; the entry stays for `engine.grace`.
    Restarting,
    /// Active, and `good` of the `need` probes in a row have succeeded.
    Proving {
        good: u32,
        need: u32,
    },
    Healthy(EngineInfo),
    /// Active, and the last `bad` probes in a row have failed; at `limit` it counts as not working.
    Faulty {
        fault: ProbeFault,
        bad: u32,
        limit: u32,
    },
    /// Our own plumbing is broken; nothing is known of the engine.
    Unknown(String),
}

impl EngineHealth {
    /// What [`Self::name`] can be.
    pub const NAMES: [&'static str; 12] = [
        "undecided",
        "absent",
        "masked",
        "stopped",
        "stopping",
        "starting",
        "failed",
        "restarting",
        "proving",
        "healthy",
        "faulty",
        "unknown",
    ];

    /// A word for journal fields, metrics and tests.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Undecided => "undecided",
            Self::Absent => "absent",
            Self::Masked => "masked",
            Self::Stopped => "stopped",
            Self::Stopping => "stopping",
            Self::Starting => "starting",
            Self::Failed => "failed",
            Self::Restarting => "restarting",
            Self::Proving { .. } => "proving",
            Self::Healthy(_) => "healthy",
            Self::Faulty { .. } => "faulty",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// Reads after "engine ".
impl fmt::Display for EngineHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undecided => f.write_str("not looked at yet"),
            Self::Proving { good, need } => write!(f, "being proved ({good} of {need} probes)"),
            Self::Healthy(info) => {
                let plural = if info.containers_running == 1 { "" } else { "s" };
                write!(f, "{} healthy, {} container{plural}", info.version, info.containers_running)
            }
            Self::Faulty { fault, bad, limit } if bad < limit => write!(f, "in doubt ({bad} of {limit}): {fault}"),
            Self::Faulty { fault, .. } => write!(f, "not working: {fault}"),
            Self::Unknown(why) => write!(f, "unknown: {why}"),
            Self::Absent => f.write_str("absent (systemd knows no such unit)"),
            other => f.write_str(other.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::iter::successors;

    /// Every variant once. A new one does not compile until it has its place in the chain.
    fn next_fault(fault: &ProbeFault) -> Option<ProbeFault> {
        use ProbeFault as Fault;
        let (socket, path) = (String::new, "/info");
        Some(match fault {
            Fault::Refused { .. } => Fault::NoSocket { socket: socket() },
            Fault::NoSocket { .. } => Fault::Permission { socket: socket() },
            Fault::Permission { .. } => Fault::Closed,
            Fault::Closed => Fault::PingTimeout(Duration::ZERO),
            Fault::PingTimeout(_) => Fault::InfoTimeout(Duration::ZERO),
            Fault::InfoTimeout(_) => Fault::ContainerdGone,
            Fault::ContainerdGone => Fault::Status { path, status: 500 },
            Fault::Status { .. } => Fault::Garbled { path, what: String::new() },
            Fault::Garbled { .. } => Fault::NotConnected,
            Fault::NotConnected => Fault::Io(String::new()),
            Fault::Io(_) => return None,
        })
    }

    fn next_health(health: &EngineHealth) -> Option<EngineHealth> {
        use EngineHealth as Health;
        let info =
            || EngineInfo { id: String::new(), version: String::new(), containers_running: 0, ..EngineInfo::default() };
        Some(match health {
            Health::Undecided => Health::Absent,
            Health::Absent => Health::Masked,
            Health::Masked => Health::Stopped,
            Health::Stopped => Health::Stopping,
            Health::Stopping => Health::Starting,
            Health::Starting => Health::Failed,
            Health::Failed => Health::Restarting,
            Health::Restarting => Health::Proving { good: 0, need: 2 },
            Health::Proving { .. } => Health::Healthy(info()),
            Health::Healthy(_) => Health::Faulty { fault: ProbeFault::Closed, bad: 1, limit: 3 },
            Health::Faulty { .. } => Health::Unknown(String::new()),
            Health::Unknown(_) => return None,
        })
    }

    #[test]
    fn the_lists_of_words_have_every_variant_once() {
        let kinds = successors(Some(ProbeFault::Refused { socket: String::new() }), next_fault);
        assert_eq!(kinds.map(|fault| fault.kind()).collect::<Vec<_>>(), ProbeFault::KINDS);
        let names = successors(Some(EngineHealth::Undecided), next_health);
        assert_eq!(names.map(|health| health.name()).collect::<Vec<_>>(), EngineHealth::NAMES);
    }
}
