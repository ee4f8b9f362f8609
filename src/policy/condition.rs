//! What is the matter with the engine, from everything that is known of it.
//!
//! The unit comes first: what is not active is never probed. A statement about the engine needs proof; where our own
//! permissions or the bus are at fault, nothing is said about it.

use crate::model::{
    ActiveState, Condition, EngineHealth, JobKind, LoadState, ProbeFault, UnitReport, UnitRun, UnitState, UnitView,
};

/// What is known of the engine at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Signs<'a> {
    pub unit: &'a UnitView,
    /// What the gate makes of the unit and of its probes.
    pub health: &'a EngineHealth,
    /// containerd.service, where there is one of its own.
    pub runtime: Option<&'a UnitState>,
    /// Somebody stopped containerd, although that ended badly.
    pub runtime_stopped: bool,
    /// Somebody stopped the engine, although that ended badly.
    pub stopped: bool,
    /// Programs of this machine wait for CPU, memory or disks.
    pub starved: bool,
}

pub fn diagnose(signs: &Signs<'_>) -> Condition {
    match signs.unit {
        UnitView::Unknown(_) => Condition::CannotTell,
        UnitView::Known(unit) => match diagnose_unit(unit) {
            Some(Condition::Failed) if signs.stopped => Condition::Stopped,
            Some(condition) => condition,
            None => of_probes(signs),
        },
    }
}

/// Whether a unit that is failed was stopped by somebody: a stop of a service that hangs ends with a kill, and systemd calls
/// that a failure.
///
/// A service that fails by itself loses its main process first, and its unit stops being active for that; with a stop it
/// is the other way round. And systemd starts one that failed by itself anew, until its limit is reached, if it is told
/// to: where it did not, somebody has stopped it meanwhile.
pub fn was_stopped(report: &UnitReport) -> bool {
    // somebody restarted it more often than systemd allows: nobody wanted it down
    if report.state.active != ActiveState::Failed || report.result == "start-limit-hit" {
        return false;
    }
    let UnitRun { inactive_exit, main_start, main_exit, active_enter, active_exit, restart } = &report.run;
    // no later start has failed
    let last_run = *main_start > 0 && inactive_exit <= main_start;
    let stopped_first =
        last_run && main_start <= active_enter && active_enter <= active_exit && active_exit < main_exit;
    let given_up = report.limits.start_burst == 0 || report.restarts + 1 >= report.limits.start_burst;
    stopped_first || (!matches!(restart.as_str(), "" | "no") && !given_up)
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
        EngineHealth::Healthy(_) if signs.runtime.is_some_and(is_down) => without_runtime(signs),
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
        // systemd is at it
        ProbeFault::ContainerdGone if signs.runtime.is_some_and(|runtime| runtime.job.is_some()) => Condition::Doubtful,
        ProbeFault::ContainerdGone => without_runtime(signs),
        ProbeFault::PingTimeout(_) | ProbeFault::InfoTimeout(_) if signs.starved => Condition::Starved,
        ProbeFault::PingTimeout(_) => Condition::Hung,
        ProbeFault::InfoTimeout(_) if signs.runtime.is_some_and(is_down) => without_runtime(signs),
        ProbeFault::InfoTimeout(_) => Condition::RuntimeHung,
        ProbeFault::Closed | ProbeFault::Status { .. } | ProbeFault::Garbled { .. } | ProbeFault::Io(_) => {
            Condition::Broken
        }
        ProbeFault::Permission { .. } | ProbeFault::NotConnected => Condition::CannotTell,
    }
}

fn without_runtime(signs: &Signs<'_>) -> Condition {
    let inactive = signs.runtime.is_some_and(|runtime| runtime.active == ActiveState::Inactive);
    if inactive || signs.runtime_stopped { Condition::RuntimeStopped } else { Condition::RuntimeGone }
}

/// Not while systemd starts it.
fn is_down(runtime: &UnitState) -> bool {
    runtime.job.is_none() && matches!(runtime.active, ActiveState::Failed | ActiveState::Inactive)
}

#[cfg(test)]
mod tests;
