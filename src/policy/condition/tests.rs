use super::*;
use crate::model::{EngineInfo, Job};
use ActiveState::{Activating, Active, Deactivating, Failed, Inactive, Reloading};
use LoadState::{Loaded, Masked, NotFound};
use std::time::Duration;

fn unit(load: LoadState, active: ActiveState, job: Option<JobKind>) -> UnitState {
    UnitState { load, active, sub: String::new(), job: job.map(|kind| Job { id: 7, kind }) }
}

const LIMIT: u32 = 3;

fn well() -> EngineHealth {
    EngineHealth::Healthy(EngineInfo {
        id: String::new(),
        version: String::new(),
        containers_running: 0,
        ..EngineInfo::default()
    })
}

fn faulty(fault: &ProbeFault, bad: u32) -> EngineHealth {
    EngineHealth::Faulty { fault: fault.clone(), bad, limit: LIMIT }
}

/// With probes that are all well, as if one could be made.
fn by_unit(unit: UnitState) -> Condition {
    let unit = UnitView::Known(unit);
    diagnose(&Signs { unit: &unit, health: &well(), runtime: None, starved: false })
}

#[test]
fn the_unit_tells_unless_it_is_active() {
    for (load, active, job, expected) in [
        (Loaded, Active, None, Condition::Working),
        (Loaded, Reloading, None, Condition::Working),
        (Loaded, Active, Some(JobKind::Other), Condition::Working),
        (Loaded, Inactive, None, Condition::Stopped),
        (LoadState::Other, Inactive, None, Condition::Stopped),
        (NotFound, Inactive, None, Condition::Absent),
        (Masked, Inactive, None, Condition::Masked),
        (Masked, Failed, None, Condition::Masked),
        (Loaded, Failed, None, Condition::Failed),
        // between two automatic restarts
        (Loaded, Activating, None, Condition::Starting),
        (Loaded, Activating, Some(JobKind::Start), Condition::Starting),
        (Loaded, Inactive, Some(JobKind::Start), Condition::Starting),
        (Loaded, Failed, Some(JobKind::Start), Condition::Starting),
        // the dead moment of a restart
        (Loaded, Inactive, Some(JobKind::Restart), Condition::Starting),
        (Loaded, Deactivating, Some(JobKind::Restart), Condition::Starting),
        (Loaded, Active, Some(JobKind::Restart), Condition::Starting),
        (Loaded, Active, Some(JobKind::Stop), Condition::Stopping),
        (Loaded, Deactivating, Some(JobKind::Stop), Condition::Stopping),
        (Loaded, Deactivating, None, Condition::Stopping),
        (Loaded, Failed, Some(JobKind::Other), Condition::CannotTell),
        (Loaded, ActiveState::Other, None, Condition::CannotTell),
    ] {
        assert_eq!(by_unit(unit(load, active, job)), expected, "{load:?} {active:?} {job:?}");
    }
}

#[test]
fn probes_tell_of_an_active_unit_once_they_are_sure() {
    let second = Duration::from_secs(1);
    let socket = String::new;
    for (fault, sure) in [
        (ProbeFault::Refused { socket: socket() }, Condition::SocketFault),
        (ProbeFault::NoSocket { socket: socket() }, Condition::SocketFault),
        (ProbeFault::PingTimeout(second), Condition::Hung),
        (ProbeFault::InfoTimeout(second), Condition::RuntimeHung),
        (ProbeFault::ContainerdGone, Condition::RuntimeGone),
        (ProbeFault::Closed, Condition::Broken),
        (ProbeFault::Status { path: "/info", status: 500 }, Condition::Broken),
        (ProbeFault::Garbled { path: "/info", what: String::new() }, Condition::Broken),
        (ProbeFault::Io(String::new()), Condition::Broken),
    ] {
        let view = UnitView::Known(unit(Loaded, Active, None));
        let (doubt, certainty) = (faulty(&fault, LIMIT - 1), faulty(&fault, LIMIT));
        let signs = Signs { unit: &view, health: &certainty, runtime: None, starved: false };
        assert_eq!(diagnose(&signs), sure, "{fault}");
        assert_eq!(diagnose(&Signs { health: &doubt, ..signs }), Condition::Doubtful, "{fault}");
        // a slow machine explains slowness, and nothing else
        let starved = match sure {
            Condition::Hung | Condition::RuntimeHung => Condition::Starved,
            other => other,
        };
        assert_eq!(diagnose(&Signs { starved: true, ..signs }), starved, "{fault}");
    }
}

#[test]
fn our_own_troubles_are_no_statement_about_the_engine() {
    let active = UnitView::Known(unit(Loaded, Active, None));
    let blind = UnitView::Unknown("the bus is gone".to_owned());
    let timeout = ProbeFault::PingTimeout(Duration::from_secs(1));
    for (view, health) in [
        (&active, faulty(&ProbeFault::Permission { socket: String::new() }, LIMIT)),
        (&active, faulty(&ProbeFault::NotConnected, LIMIT)),
        (&active, EngineHealth::Unknown("no permission".to_owned())),
        (&blind, faulty(&timeout, LIMIT)),
        (&blind, well()),
    ] {
        let signs = Signs { unit: view, health: &health, runtime: None, starved: false };
        assert_eq!(diagnose(&signs), Condition::CannotTell, "{health}");
    }
}

#[test]
fn containerd_is_named_when_it_is_down() {
    let view = UnitView::Known(unit(Loaded, Active, None));
    let hangs = ProbeFault::InfoTimeout(Duration::from_secs(1));
    for (active, job, expected) in [
        (Failed, None, Condition::RuntimeGone),
        (Inactive, None, Condition::RuntimeGone),
        (Active, None, Condition::RuntimeHung),
        (Failed, Some(JobKind::Start), Condition::RuntimeHung),
    ] {
        let runtime = unit(Loaded, active, job);
        let signs = Signs { unit: &view, health: &faulty(&hangs, LIMIT), runtime: Some(&runtime), starved: false };
        assert_eq!(diagnose(&signs), expected, "{active:?} {job:?}");
        // later engines answer everything while containerd is stopped
        let well = diagnose(&Signs { health: &well(), ..signs });
        let expected = if expected == Condition::RuntimeGone { expected } else { Condition::Working };
        assert_eq!(well, expected, "{active:?} {job:?}");
    }
}

#[test]
fn an_engine_that_was_not_probed_yet_is_being_proved() {
    let view = UnitView::Known(unit(Loaded, Active, None));
    for health in [EngineHealth::Proving { good: 1, need: 2 }, EngineHealth::Failed, EngineHealth::Restarting] {
        let signs = Signs { unit: &view, health: &health, runtime: None, starved: true };
        assert_eq!(diagnose(&signs), Condition::Proving, "{health}");
    }
}
