//! What is the matter with the engine, from everything that is known of it.
//!
//! The unit comes first: what is not active is never probed. A statement about the engine needs proof; where our own
//! permissions or the bus are at fault, nothing is said about it.

use crate::model::{ActiveState, Condition, EngineHealth, JobKind, LoadState, ProbeFault, UnitState, UnitView};

/// What is known of the engine at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Signs<'a> {
    pub unit: &'a UnitView,
    /// What the gate makes of the unit and of its probes.
    pub health: &'a EngineHealth,
    /// containerd.service, where there is one of its own.
    pub runtime: Option<&'a UnitState>,
    /// Programs of this machine wait for CPU, memory or disks.
    pub starved: bool,
}

pub fn diagnose(signs: &Signs<'_>) -> Condition {
    match signs.unit {
        UnitView::Unknown(_) => Condition::CannotTell,
        UnitView::Known(unit) => diagnose_unit(unit).unwrap_or_else(|| of_probes(signs)),
    }
}

/// Nothing if the unit is active and stays so: then probes tell.
pub fn diagnose_unit(unit: &UnitState) -> Option<Condition> {
    match (unit.job.map(|job| job.kind), unit.active) {
        (Some(JobKind::Stop), _) | (None, ActiveState::Deactivating) => Some(Condition::Stopping),
        // a restart passes through every state
        (Some(JobKind::Start | JobKind::Restart), _) | (_, ActiveState::Activating) => Some(Condition::Starting),
        (_, ActiveState::Active | ActiveState::Reloading) => None,
        (_, ActiveState::Failed) if unit.load == LoadState::Masked => Some(Condition::Masked),
        (None, ActiveState::Failed) => Some(Condition::Failed),
        (None, ActiveState::Inactive) => Some(match unit.load {
            LoadState::NotFound => Condition::Absent,
            LoadState::Masked => Condition::Masked,
            LoadState::Loaded | LoadState::Other => Condition::Stopped,
        }),
        // a job or a state that this version does not know
        (Some(JobKind::Other), _) | (None, ActiveState::Other) => Some(Condition::CannotTell),
    }
}

/// The gate sees a change of the unit a moment later than whoever looks at it: what does not fit together proves nothing.
fn of_probes(signs: &Signs<'_>) -> Condition {
    match signs.health {
        EngineHealth::Healthy(_) if signs.runtime.is_some_and(is_down) => Condition::RuntimeGone,
        EngineHealth::Healthy(_) => Condition::Working,
        EngineHealth::Faulty { bad, limit, .. } if bad < limit => Condition::Doubtful,
        EngineHealth::Faulty { fault, .. } => of_fault(fault, signs),
        EngineHealth::Unknown(_) => Condition::CannotTell,
        EngineHealth::Undecided
        | EngineHealth::Absent
        | EngineHealth::Masked
        | EngineHealth::Stopped
        | EngineHealth::Stopping
        | EngineHealth::Starting
        | EngineHealth::Failed
        | EngineHealth::Restarting
        | EngineHealth::Proving { .. } => Condition::Proving,
    }
}

fn of_fault(fault: &ProbeFault, signs: &Signs<'_>) -> Condition {
    match fault {
        ProbeFault::Refused { .. } | ProbeFault::NoSocket { .. } => Condition::SocketFault,
        ProbeFault::ContainerdGone => Condition::RuntimeGone,
        ProbeFault::PingTimeout(_) | ProbeFault::InfoTimeout(_) if signs.starved => Condition::Starved,
        ProbeFault::PingTimeout(_) => Condition::Hung,
        ProbeFault::InfoTimeout(_) if signs.runtime.is_some_and(is_down) => Condition::RuntimeGone,
        ProbeFault::InfoTimeout(_) => Condition::RuntimeHung,
        ProbeFault::Closed | ProbeFault::Status { .. } | ProbeFault::Garbled { .. } | ProbeFault::Io(_) => {
            Condition::Broken
        }
        ProbeFault::Permission { .. } | ProbeFault::NotConnected => Condition::CannotTell,
    }
}

/// Not while systemd starts it.
fn is_down(runtime: &UnitState) -> bool {
    runtime.job.is_none() && matches!(runtime.active, ActiveState::Failed | ActiveState::Inactive)
}

#[cfg(test)]
mod tests;
