use super::*;
use crate::model::{EngineInfo, Job, UnitLimits};
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
    diagnose(&Signs {
        unit: &unit,
        health: &well(),
        runtime: None,
        runtime_stopped: false,
        stopped: false,
        starved: false,
    })
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
        let signs = Signs {
            unit: &view,
            health: &certainty,
            runtime: None,
            runtime_stopped: false,
            stopped: false,
            starved: false,
        };
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
        let signs = Signs {
            unit: view,
            health: &health,
            runtime: None,
            runtime_stopped: false,
            stopped: false,
            starved: false,
        };
        assert_eq!(diagnose(&signs), Condition::CannotTell, "{health}");
    }
}

#[test]
fn containerd_is_named_when_it_is_down() {
    let view = UnitView::Known(unit(Loaded, Active, None));
    let hangs = ProbeFault::InfoTimeout(Duration::from_secs(1));
    for (active, job, expected) in [
        (Failed, None, Condition::RuntimeGone),
        (Inactive, None, Condition::RuntimeStopped),
        (Active, None, Condition::RuntimeHung),
        (Failed, Some(JobKind::Start), Condition::RuntimeHung),
    ] {
        let runtime = unit(Loaded, active, job);
        let signs = Signs {
            unit: &view,
            health: &faulty(&hangs, LIMIT),
            runtime: Some(&runtime),
            runtime_stopped: false,
            stopped: false,
            starved: false,
        };
        assert_eq!(diagnose(&signs), expected, "{active:?} {job:?}");
        // later engines answer everything while containerd is stopped
        let well = diagnose(&Signs { health: &well(), ..signs });
        let expected = if expected == Condition::RuntimeHung { Condition::Working } else { expected };
        assert_eq!(well, expected, "{active:?} {job:?}");
        // it was stopped while it hung
        let stopped = diagnose(&Signs { runtime_stopped: true, ..signs });
        assert_ne!(stopped, Condition::RuntimeGone, "{active:?} {job:?}");
    }
    let lost = faulty(&ProbeFault::ContainerdGone, LIMIT);
    for (active, job, expected) in [
        (Active, None, Condition::RuntimeGone),
        (Inactive, None, Condition::RuntimeStopped),
        (Inactive, Some(JobKind::Start), Condition::Doubtful),
    ] {
        let runtime = unit(Loaded, active, job);
        let runtime = Some(&runtime);
        let signs =
            Signs { unit: &view, health: &lost, runtime, runtime_stopped: false, stopped: false, starved: false };
        assert_eq!(diagnose(&signs), expected, "{active:?} {job:?}");
    }
}

#[test]
fn an_engine_that_was_not_probed_yet_is_being_proved() {
    let view = UnitView::Known(unit(Loaded, Active, None));
    for health in [EngineHealth::Proving { good: 1, need: 2 }, EngineHealth::Failed, EngineHealth::Restarting] {
        let signs = Signs {
            unit: &view,
            health: &health,
            runtime: None,
            runtime_stopped: false,
            stopped: false,
            starved: true,
        };
        assert_eq!(diagnose(&signs), Condition::Proving, "{health}");
    }
}

/// The times of a run: main process started, unit active, unit no longer active, main process gone.
fn failed_report(times: [u64; 4], restart: &str, restarts: u32) -> UnitReport {
    let [main_start, active_enter, active_exit, main_exit] = times;
    UnitReport {
        name: String::new(),
        description: String::new(),
        state: UnitState { load: LoadState::Loaded, active: ActiveState::Failed, sub: String::new(), job: None },
        load_word: String::new(),
        active_word: String::new(),
        since: None,
        file_state: String::new(),
        result: String::new(),
        status_text: String::new(),
        main_pid: None,
        restarts,
        drop_ins: Vec::new(),
        needs_daemon_reload: false,
        limits: UnitLimits { start_burst: 3, ..UnitLimits::default() },
        environment: Vec::new(),
        cpu_affinity: Vec::new(),
        invocation: Vec::new(),
        triggered_by: Vec::new(),
        run: UnitRun {
            inactive_exit: main_start.saturating_sub(5),
            main_start,
            main_exit,
            active_enter,
            active_exit,
            restart: restart.to_owned(),
        },
    }
}

#[test]
fn a_stop_that_ended_with_a_kill_is_a_stop() {
    for (times, restart, restarts, stopped, what) in [
        ([10, 20, 90, 100], "no", 0, true, "it hung, and was killed after its time to stop"),
        ([10, 20, 100, 90], "no", 0, false, "it crashed"),
        ([10, 20, 100, 90], "on-failure", 3, false, "it crashed again and again, until the limit"),
        ([10, 20, 100, 90], "always", 0, true, "it crashed, and the restart was called off"),
        ([50, 20, 40, 60], "no", 0, false, "this start of it failed; the run before was stopped"),
        ([50, 20, 40, 60], "always", 3, false, "the same, until the limit"),
        ([10, 0, 0, 20], "no", 0, false, "it was never active"),
        ([0, 0, 0, 0], "no", 0, false, "it never ran"),
    ] {
        assert_eq!(was_stopped(&failed_report(times, restart, restarts)), stopped, "{what}");
    }
    let report = failed_report([10, 20, 90, 100], "always", 0);
    // the stop of a restart, whose start failed before there was a process
    let mut restarted = failed_report([10, 20, 90, 100], "always", 3);
    restarted.run.inactive_exit = 110;
    assert!(!was_stopped(&restarted));
    let limit = UnitReport { result: "start-limit-hit".to_owned(), ..report.clone() };
    assert!(was_stopped(&report) && !was_stopped(&limit), "restarted once too often");
    let active = UnitState { active: ActiveState::Active, ..report.state.clone() };
    assert!(!was_stopped(&UnitReport { state: active, ..report.clone() }));
    let view = UnitView::Known(report.state);
    let signs = Signs {
        unit: &view,
        health: &EngineHealth::Failed,
        runtime: None,
        runtime_stopped: false,
        stopped: true,
        starved: false,
    };
    assert_eq!(diagnose(&signs), Condition::Stopped);
    assert_eq!(diagnose(&Signs { stopped: false, ..signs }), Condition::Failed);
}
