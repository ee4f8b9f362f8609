//! What the supervisor of the engine sees, may do, and says no to.

use super::Moment;
use std::fmt;
use std::time::Duration;

/// What is the matter with the engine: one row of the table of observations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Nothing was seen yet.
    Unseen,
    Absent,
    Masked,
    /// By an administrator, or never started.
    Stopped,
    Stopping,
    Starting,
    /// The unit is failed: systemd has given up.
    Failed,
    /// The unit is active, and no probe has come back yet.
    Proving,
    Working,
    /// Bad probes, fewer than it takes to be sure.
    Doubtful,
    /// The unit is active and its socket is missing or refuses.
    SocketFault,
    /// No answer to `/_ping`.
    Hung,
    /// No answer, on a machine whose CPU, memory or disks are short.
    Starved,
    /// `/_ping` answers and `/info` does not: containerd hangs.
    RuntimeHung,
    /// containerd has failed, was stopped, or the engine has lost it.
    RuntimeGone,
    /// It answers what an engine does not answer.
    Broken,
    /// Our own permissions, or the bus: nothing is said about the engine.
    CannotTell,
}

/// The unit that a repair restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Culprit {
    /// docker.service
    Engine,
    /// containerd.service
    Runtime,
}

/// What a restart is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Repair {
    pub culprit: Culprit,
    pub condition: Condition,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SupervisionMode {
    #[default]
    Enforce,
    /// Decides and counts, and does nothing.
    DryRun,
    Off,
}

/// The containers that a restart of the engine could end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Risk {
    /// Running ones; not known counts as some.
    pub containers: Option<usize>,
    /// Whether containers outlive their engine; not known counts as no.
    pub live_restore: Option<bool>,
}

/// Why an engine that needs a repair gets none now, in the order of the guards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// `supervision.mode = "off"`
    Off,
    /// containerd is to blame, and its repair is not wanted.
    RuntimeIsNotOurs,
    /// The unit has become active a short while ago.
    Young {
        until: Moment,
    },
    Cooldown {
        until: Moment,
    },
    /// All restarts of the window are used up.
    Budget {
        until: Moment,
    },
    ContainersAtRisk(Risk),
}

/// A restart that was decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    pub at: Moment,
    /// It was only counted.
    pub dry: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SupervisionSettings {
    pub mode: SupervisionMode,
    /// Restarts in any `window`.
    pub budget: usize,
    pub window: Duration,
    /// Between a start and a restart, and between two restarts; doubles with each restart in the window.
    pub cooldown: Duration,
    /// Restart although containers may die.
    pub despite_containers: bool,
    /// Restart containerd.service when it is to blame.
    pub runtime: bool,
}

impl Condition {
    pub const ALL: [Self; 17] = [
        Self::Unseen,
        Self::Absent,
        Self::Masked,
        Self::Stopped,
        Self::Stopping,
        Self::Starting,
        Self::Failed,
        Self::Proving,
        Self::Working,
        Self::Doubtful,
        Self::SocketFault,
        Self::Hung,
        Self::Starved,
        Self::RuntimeHung,
        Self::RuntimeGone,
        Self::Broken,
        Self::CannotTell,
    ];

    /// A word for journal fields, metrics and tests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unseen => "unseen",
            Self::Absent => "absent",
            Self::Masked => "masked",
            Self::Stopped => "stopped",
            Self::Stopping => "stopping",
            Self::Starting => "starting",
            Self::Failed => "failed",
            Self::Proving => "proving",
            Self::Working => "working",
            Self::Doubtful => "doubtful",
            Self::SocketFault => "socket_fault",
            Self::Hung => "hung",
            Self::Starved => "starved",
            Self::RuntimeHung => "runtime_hung",
            Self::RuntimeGone => "runtime_gone",
            Self::Broken => "broken",
            Self::CannotTell => "cannot_tell",
        }
    }

    /// The unit whose restart could help. Everything else is reported and left alone.
    pub fn culprit(self) -> Option<Culprit> {
        match self {
            Self::Failed | Self::Hung => Some(Culprit::Engine),
            Self::RuntimeHung | Self::RuntimeGone => Some(Culprit::Runtime),
            _ => None,
        }
    }

    /// Whether the engine's unit is active.
    pub fn is_up(self) -> bool {
        match self {
            Self::Proving
            | Self::Working
            | Self::Doubtful
            | Self::SocketFault
            | Self::Hung
            | Self::Starved
            | Self::RuntimeHung
            | Self::RuntimeGone
            | Self::Broken => true,
            Self::Unseen
            | Self::Absent
            | Self::Masked
            | Self::Stopped
            | Self::Stopping
            | Self::Starting
            | Self::Failed
            | Self::CannotTell => false,
        }
    }
}

impl Risk {
    /// What is not known counts as a risk.
    pub fn is_there(self) -> bool {
        self.containers != Some(0) && self.live_restore != Some(true)
    }
}

impl Refusal {
    /// A word for journal fields, metrics and tests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::RuntimeIsNotOurs => "runtime",
            Self::Young { .. } => "young",
            Self::Cooldown { .. } => "cooldown",
            Self::Budget { .. } => "budget",
            Self::ContainersAtRisk(_) => "containers_at_risk",
        }
    }

    /// When it ends by itself.
    pub fn until(self) -> Option<Moment> {
        match self {
            Self::Young { until } | Self::Cooldown { until } | Self::Budget { until } => Some(until),
            Self::Off | Self::RuntimeIsNotOurs | Self::ContainersAtRisk(_) => None,
        }
    }
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Engine => "the engine",
            Self::Runtime => "containerd",
        })
    }
}
