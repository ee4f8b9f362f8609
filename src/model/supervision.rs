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
    /// containerd has failed, or the engine has lost it.
    RuntimeGone,
    /// containerd was stopped by somebody.
    RuntimeStopped,
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

/// `restart`, or the other word of a setting about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MayRestart(pub bool);

impl MayRestart {
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "restart" => Some(Self(true)),
            "refuse" | "report" => Some(Self(false)),
            _ => None,
        }
    }
}

/// The ids of running containers, as they are seen without the engine. None of what can't be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sighting {
    /// Those that systemd has a scope for.
    pub scopes: Option<Vec<String>>,
    /// Those that have a shim.
    pub shims: Option<Vec<String>>,
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

/// What the supervisor of the engine makes of it; for whoever looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervised {
    pub mode: SupervisionMode,
    pub condition: Condition,
    /// What else is to be known of the condition.
    pub detail: Option<String>,
    pub doing: Doing,
    /// Why nothing is done about an engine that needs it, in words.
    pub refused: Option<(Refusal, String)>,
    /// Restarts in the window, of the budget.
    pub restarts: (usize, usize),
    /// The end of the last repair of this process.
    pub last: Option<Repaired>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    Nothing,
    /// Containers are counted.
    Assessing,
    Restarting(Culprit),
}

/// How a restart came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    pub at: Moment,
    pub repair: Repair,
    pub works: bool,
    /// In words.
    pub outcome: String,
}

impl Supervised {
    pub fn nothing() -> Self {
        Self {
            mode: SupervisionMode::Off,
            condition: Condition::Unseen,
            detail: None,
            doing: Doing::Nothing,
            refused: None,
            restarts: (0, 0),
            last: None,
        }
    }
}

impl SupervisionMode {
    /// A word for settings, journal fields and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::DryRun => "dry-run",
            Self::Off => "off",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Enforce, Self::DryRun, Self::Off].into_iter().find(|mode| mode.name() == name)
    }
}

impl Condition {
    pub const ALL: [Self; 18] = [
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
        Self::RuntimeStopped,
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
            Self::RuntimeStopped => "runtime_stopped",
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
            | Self::RuntimeStopped
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
    /// What [`Self::name`] can be.
    pub const NAMES: [&'static str; 6] = ["off", "runtime", "young", "cooldown", "budget", "containers_at_risk"];

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

/// Reads after "the engine's unit: ".
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unseen => "not looked at yet",
            Self::Absent => "systemd knows no such unit",
            Self::Masked => "it is masked",
            Self::Stopped => "it is stopped",
            Self::Stopping => "it is being stopped",
            Self::Starting => "it is being started",
            Self::Failed => "it has failed, and systemd has given up on it",
            Self::Proving => "it is active, and the engine is being proved",
            Self::Working => "it works",
            Self::Doubtful => "the engine did not answer as it should; that may pass",
            Self::SocketFault => "it is active, but nobody listens on the engine's socket",
            Self::Hung => "the engine hangs: it is active and does not answer /_ping",
            Self::Starved => "the engine does not answer, and this machine is starved",
            Self::RuntimeHung => "containerd hangs: the engine answers /_ping and not /info",
            Self::RuntimeGone => "containerd is gone: the engine runs without its runtime",
            Self::RuntimeStopped => "containerd is stopped: the engine runs without its runtime",
            Self::Broken => "the engine answers what an engine does not answer",
            Self::CannotTell => "nothing can be told of it",
        })
    }
}

/// Reads after "not restarted: ".
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("supervision.mode is \"off\""),
            Self::RuntimeIsNotOurs => f.write_str(
                "containerd is to blame, and supervision.containerd is \"report\"; a restart of the engine would not help",
            ),
            Self::Young { .. } => f.write_str("its unit has not been active for supervision.cooldown yet"),
            Self::Cooldown { .. } => f.write_str("the last restart is too short a while ago"),
            Self::Budget { .. } => f.write_str("all restarts of supervision.window are used up"),
            Self::ContainersAtRisk(risk) => write!(f, "{risk}"),
        }
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.containers {
            Some(1) => f.write_str("1 container would die")?,
            Some(count) => write!(f, "{count} containers would die")?,
            None => f.write_str("containers could die: how many run is not known")?,
        }
        f.write_str(match self.live_restore {
            Some(true) => " if live-restore were off",
            Some(false) => " (live-restore is off)",
            None => " (whether live-restore is on is not known)",
        })
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
