//! All that an operator asks about a service unit, as `systemctl show` would tell it.

use super::UnitState;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitReport {
    pub name: String,
    pub description: String,
    pub state: UnitState,
    /// systemd's own words; [`UnitState`] knows those that decide something.
    pub load_word: String,
    pub active_word: String,
    /// Since when it is in this state, after the epoch; none if it never changed since the boot.
    pub since: Option<Duration>,
    /// `enabled`, `disabled`, `masked`, …; empty where there is no unit file.
    pub file_state: String,
    /// How its last run ended.
    pub result: String,
    /// A word of the service itself.
    pub status_text: String,
    pub main_pid: Option<u32>,
    /// Automatic restarts by systemd.
    pub restarts: u32,
    pub drop_ins: Vec<String>,
    pub needs_daemon_reload: bool,
    pub limits: UnitLimits,
    /// `NAME=value`, with what it says of secrets: mask it before it is shown.
    pub environment: Vec<String>,
    /// Bit n of byte m is CPU 8m+n; empty for all of them.
    pub cpu_affinity: Vec<u8>,
    /// Changes with every start.
    pub invocation: Vec<u8>,
    /// The units that start this one, such as its socket.
    pub triggered_by: Vec<String>,
    pub run: UnitRun,
}

/// The last run of a service, in microseconds of the machine's monotonic clock; 0 is never.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnitRun {
    /// When it last began to start.
    pub inactive_exit: u64,
    /// When its main process began.
    pub main_start: u64,
    pub main_exit: u64,
    /// When the unit became active, and when it stopped being so.
    pub active_enter: u64,
    pub active_exit: u64,
    /// When systemd starts it anew by itself: `no`, `always`, `on-failure`, …
    pub restart: String,
}

/// None stands for no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnitLimits {
    pub start_burst: u32,
    pub start_interval: Option<Duration>,
    pub watchdog: Option<Duration>,
    pub start: Option<Duration>,
    pub stop: Option<Duration>,
}

impl UnitReport {
    /// The socket unit that starts it at a connection.
    pub fn socket(&self) -> Option<&str> {
        self.triggered_by.iter().find(|unit| unit.ends_with(".socket")).map(String::as_str)
    }
}

/// How a job of systemd ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobResult {
    Done,
    Failed,
    Timeout,
    Canceled,
    Dependency,
    Skipped,
    /// One that this version does not know.
    Other(String),
}

impl From<&str> for JobResult {
    fn from(text: &str) -> Self {
        match text {
            "done" => Self::Done,
            "failed" => Self::Failed,
            "timeout" => Self::Timeout,
            "canceled" => Self::Canceled,
            "dependency" => Self::Dependency,
            "skipped" => Self::Skipped,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl std::fmt::Display for JobResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::Dependency => "dependency",
            Self::Skipped => "skipped",
            Self::Other(word) => word,
        })
    }
}
