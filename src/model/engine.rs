//! What is known of the Docker Engine.

use std::fmt;
use std::time::Duration;

/// The essentials of `/info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    pub id: String,
    pub version: String,
    pub containers_running: u32,
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
    pub fn kind(&self) -> &'static str {
        "x"
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
