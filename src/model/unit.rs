//! What systemd says about a unit, in types.

use std::fmt;

/// What is known of the engine's unit: its state, or why it can't be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitView {
    Known(UnitState),
    /// Our own plumbing (bus gone, no answer, access denied): never a statement about the engine.
    Unknown(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitState {
    pub load: LoadState,
    pub active: ActiveState,
    /// systemd's finer state, such as `running` or `auto-restart`; for people.
    pub sub: String,
    pub job: Option<Job>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadState {
    Loaded,
    Masked,
    NotFound,
    /// `error`, `bad-setting`, `stub`, `merged`, or one that a later systemd invents.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActiveState {
    Active,
    Reloading,
    Inactive,
    Failed,
    Activating,
    Deactivating,
    /// One that a later systemd invents (`maintenance`, `refreshing`).
    Other,
}

/// A job queued or running on the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    pub id: u32,
    pub kind: JobKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    Start,
    Stop,
    /// `restart` and `try-restart`. systemd turns such a job into `start` once the stop is done.
    Restart,
    /// `reload`, `verify-active`, `nop`.
    Other,
}

impl From<&str> for LoadState {
    fn from(text: &str) -> Self {
        match text {
            "loaded" => Self::Loaded,
            "masked" => Self::Masked,
            "not-found" => Self::NotFound,
            _ => Self::Other,
        }
    }
}

impl From<&str> for ActiveState {
    fn from(text: &str) -> Self {
        match text {
            "active" => Self::Active,
            "reloading" => Self::Reloading,
            "inactive" => Self::Inactive,
            "failed" => Self::Failed,
            "activating" => Self::Activating,
            "deactivating" => Self::Deactivating,
            _ => Self::Other,
        }
    }
}

impl From<&str> for JobKind {
    fn from(text: &str) -> Self {
        match text {
            "start" => Self::Start,
            "stop" => Self::Stop,
            "restart" | "try-restart" => Self::Restart,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Other => "another job",
        })
    }
}

impl fmt::Display for ActiveState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Reloading => "reloading",
            Self::Inactive => "inactive",
            Self::Failed => "failed",
            Self::Activating => "activating",
            Self::Deactivating => "deactivating",
            Self::Other => "in a state this version does not know",
        })
    }
}
