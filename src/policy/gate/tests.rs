use super::*;
use proptest::prelude::*;

const SETTINGS: GateSettings = GateSettings {
    healthy_after: 2,
    unhealthy_after: 3,
    grace: Duration::from_secs(10),
    probe_interval: Duration::from_secs(30),
};

fn at(seconds: u64) -> Moment {
    Moment::after_origin(Duration::from_secs(seconds))
}

fn unit(active: &str, job: Option<(u32, JobKind)>) -> Input {
    loaded("loaded", active, job)
}

fn loaded(load: &str, active: &str, job: Option<(u32, JobKind)>) -> Input {
    Input::Unit(UnitView::Known(UnitState {
        load: load.into(),
        active: active.into(),
        sub: String::new(),
        job: job.map(|(id, kind)| Job { id, kind }),
    }))
}

fn good() -> Input {
    Input::Probe(Ok(EngineInfo {
        id: "ID".into(),
        version: "20.10.24".into(),
        containers_running: 3,
        ..EngineInfo::default()
    }))
}

fn bad() -> Input {
    Input::Probe(Err(ProbeFault::PingTimeout(Duration::from_secs(5))))
}

/// Runs the inputs, each at its second, and gives the last state.
fn run(inputs: impl IntoIterator<Item = (u64, Input)>) -> Gate {
    inputs.into_iter().fold(Gate::new(SETTINGS), |gate, (second, input)| gate.step(input, at(second)))
}

fn healthy() -> Gate {
    run([(0, unit("active", None)), (0, good()), (1, good())])
}

#[test]
fn opens_after_two_good_probes_a_second_apart() {
    let gate = run([(5, unit("active", None))]);
    assert_eq!((gate.verdict(), gate.probe_at()), (Verdict::Undecided, Some(at(5))));
    let gate = gate.step(good(), at(5));
    assert_eq!((gate.verdict(), gate.probe_at()), (Verdict::Undecided, Some(at(6))));
    assert_eq!(gate.health(), EngineHealth::Proving { good: 1, need: 2 });
    let gate = gate.step(good(), at(6));
    assert_eq!((gate.verdict(), gate.probe_at()), (Verdict::Open, Some(at(36))));
    assert_eq!(gate.health().to_string(), "20.10.24 healthy, 3 containers");
}

#[test]
fn an_engine_that_has_just_started_is_left_alone_until_it_accepts() {
    let gate = run([(1, unit("inactive", None)), (2, unit("activating", None)), (5, unit("active", None))]);
    assert_eq!((gate.verdict(), gate.probe_at()), (Verdict::Closed, Some(at(5) + SETTLE)));
    // one that ran before we looked accepts already
    assert_eq!(run([(5, unit("active", None))]).probe_at(), Some(at(5)));
}

#[test]
fn closes_after_three_bad_probes_in_a_row_asked_quickly() {
    let gate = healthy().step(bad(), at(31));
    assert_eq!((gate.verdict(), gate.probe_at()), (Verdict::Open, Some(at(33))));
    let gate = gate.step(bad(), at(33)).step(good(), at(35)).step(bad(), at(65)).step(bad(), at(67));
    assert_eq!(gate.verdict(), Verdict::Open, "a good probe in between starts the count anew");
    let gate = gate.step(bad(), at(69));
    assert_eq!(gate.verdict(), Verdict::Closed);
    let gate = gate.step(good(), at(71));
    assert_eq!((gate.verdict(), gate.probe_at()), (Verdict::Closed, Some(at(72))), "one good probe is no proof");
    assert_eq!(gate.step(good(), at(72)).verdict(), Verdict::Open);
}

#[test]
fn an_engine_that_never_answers_is_decided_too() {
    let gate = run([(0, unit("active", None)), (0, bad()), (1, bad()), (2, bad())]);
    assert_eq!((gate.verdict(), gate.probe_at()), (Verdict::Closed, Some(at(4))));
}

#[test]
fn a_unit_that_does_not_run_closes_at_once_and_is_never_probed() {
    use JobKind::{Start, Stop};
    for (input, health) in [
        (unit("active", Some((7, Stop))), EngineHealth::Stopping),
        (unit("deactivating", Some((7, Stop))), EngineHealth::Stopping),
        (unit("deactivating", None), EngineHealth::Stopping),
        (unit("inactive", None), EngineHealth::Stopped),
        (loaded("masked", "inactive", None), EngineHealth::Masked),
        (loaded("not-found", "inactive", None), EngineHealth::Absent),
        (unit("failed", None), EngineHealth::Failed),
        (unit("activating", None), EngineHealth::Starting),
        (unit("activating", Some((7, JobKind::Other))), EngineHealth::Starting),
    ] {
        let gate = healthy().step(input, at(9));
        assert_eq!((gate.verdict(), gate.probe_at(), gate.health()), (Verdict::Closed, None, health));
    }
    let gate = run([(0, unit("inactive", None)), (1, unit("activating", Some((3, Start))))]);
    assert_eq!((gate.verdict(), gate.health()), (Verdict::Closed, EngineHealth::Starting));
}

#[test]
fn reloading_is_running() {
    let gate = healthy().step(unit("reloading", Some((8, JobKind::Other))), at(9));
    assert_eq!((gate.verdict(), gate.probe_at()), (Verdict::Open, Some(at(31))));
}

#[test]
fn a_restart_keeps_the_entry_while_it_is_quick() {
    use JobKind::{Restart, Start};
    let gate = healthy()
        .step(unit("active", Some((7, Restart))), at(10))
        .step(unit("deactivating", Some((7, Restart))), at(10))
        .step(unit("inactive", Some((7, Start))), at(11))
        .step(unit("activating", Some((7, Start))), at(11));
    assert_eq!((gate.verdict(), gate.probe_at()), (Verdict::Open, None));
    assert_eq!(gate.health(), EngineHealth::Restarting);
    let gate = gate.step(unit("active", None), at(12));
    assert_eq!((gate.verdict(), gate.probe_at()), (Verdict::Open, Some(at(12) + SETTLE)));
    let gate = gate.step(good(), at(12));
    assert_eq!((gate.verdict(), gate.grace_ends()), (Verdict::Open, None));
    assert_eq!(gate.step(Input::Tick, at(60)).verdict(), Verdict::Open);
}

#[test]
fn a_restart_that_is_seen_late_is_still_a_restart() {
    let gate = healthy().step(unit("activating", Some((7, JobKind::Start))), at(10));
    assert_eq!((gate.verdict(), gate.grace_ends()), (Verdict::Open, Some(at(20))));
}

#[test]
fn the_grace_of_a_restart_ends() {
    let restarting = || healthy().step(unit("deactivating", Some((7, JobKind::Restart))), at(10));
    assert_eq!(restarting().step(Input::Tick, at(19)).verdict(), Verdict::Open);
    assert_eq!(restarting().step(Input::Tick, at(20)).verdict(), Verdict::Closed);
    let up = restarting().step(unit("active", None), at(12)).step(bad(), at(17));
    assert_eq!(up.grace_ends(), Some(at(20)), "being active again proves nothing");
    assert_eq!(up.step(Input::Tick, at(20)).verdict(), Verdict::Closed);
}

#[test]
fn restarts_without_proof_in_between_share_one_grace() {
    let gate = healthy()
        .step(unit("deactivating", Some((7, JobKind::Restart))), at(10))
        .step(unit("active", None), at(14))
        .step(unit("deactivating", Some((8, JobKind::Restart))), at(15));
    assert_eq!(gate.grace_ends(), Some(at(20)));
}

#[test]
fn a_restart_that_fails_leaves_at_once() {
    let gate =
        healthy().step(unit("deactivating", Some((7, JobKind::Restart))), at(10)).step(unit("failed", None), at(11));
    assert_eq!((gate.verdict(), gate.health()), (Verdict::Closed, EngineHealth::Failed));
}

#[test]
fn a_crash_that_systemd_restarts_is_no_grace() {
    let gate =
        healthy().step(unit("activating", None), at(10)).step(unit("activating", Some((9, JobKind::Restart))), at(12));
    assert_eq!((gate.verdict(), gate.health()), (Verdict::Closed, EngineHealth::Starting));
}

#[test]
fn a_broken_bus_says_nothing_about_the_engine() {
    let blind = || Input::Unit(UnitView::Unknown("the bus is gone".into()));
    let gate = healthy().step(blind(), at(10)).step(good(), at(31));
    assert_eq!(
        (gate.verdict(), gate.health().name()),
        (Verdict::Open, "healthy"),
        "an open connection still proves it"
    );
    let gate = Gate::new(SETTINGS).step(blind(), at(0));
    assert_eq!((gate.verdict(), gate.probe_at()), (Verdict::Undecided, None));
    assert_eq!(gate.health(), EngineHealth::Unknown("the bus is gone".into()));
}

#[test]
fn our_own_permissions_are_not_called_the_engines_fault() {
    let denied = || Input::Probe(Err(ProbeFault::Permission { socket: "/run/docker.sock".into() }));
    let gate = run([(0, unit("active", None)), (0, denied()), (1, denied()), (2, denied())]);
    assert_eq!((gate.verdict(), gate.health().name()), (Verdict::Closed, "unknown"));
}

#[test]
fn without_any_proof_the_entry_does_not_stay_for_ever() {
    let not_connected = || Input::Probe(Err(ProbeFault::NotConnected));
    let gate = healthy().step(Input::Unit(UnitView::Unknown("the bus is gone".into())), at(10));
    let gate = gate.step(not_connected(), at(31)).step(not_connected(), at(33)).step(not_connected(), at(35));
    assert_eq!((gate.verdict(), gate.health()), (Verdict::Closed, EngineHealth::Unknown("the bus is gone".into())));
}

fn any_input() -> impl Strategy<Value = Input> {
    let active =
        prop::sample::select(vec!["active", "reloading", "inactive", "failed", "activating", "deactivating", "?"]);
    let kind = prop::sample::select(vec![JobKind::Start, JobKind::Stop, JobKind::Restart, JobKind::Other]);
    prop_oneof![
        4 => (active, prop::option::of((0_u32..3, kind))).prop_map(|(active, job)| unit(active, job)),
        1 => Just(Input::Unit(UnitView::Unknown("bus".into()))),
        3 => any::<bool>().prop_map(|is_good| if is_good { good() } else { bad() }),
        1 => Just(Input::Tick),
    ]
}

proptest! {
    /// Whatever happens in whatever order: a unit that was last seen not running is never probed (a
    /// connection could start it), and is advertised only inside the grace of a restart.
    #[test]
    fn never_probes_or_advertises_a_unit_that_is_down(inputs in prop::collection::vec((0_u64..5, any_input()), 1..60)) {
        let (mut gate, mut now, mut running, mut proved_at) = (Gate::new(SETTINGS), 0, false, None);
        for (pause, input) in inputs {
            now += pause;
            match &input {
                Input::Unit(UnitView::Known(unit)) => {
                    let stop = unit.job.is_some_and(|job| job.kind == JobKind::Stop);
                    running = matches!(unit.active, ActiveState::Active | ActiveState::Reloading) && !stop;
                }
                Input::Probe(Ok(_)) if running => proved_at = Some(now),
                _ => {}
            }
            let was_running = running;
            gate = gate.step(input, at(now)).step(Input::Tick, at(now));
            prop_assert!(was_running || gate.probe_at().is_none());
            if gate.verdict() == Verdict::Open {
                prop_assert!(proved_at.is_some());
                if !running {
                    prop_assert!(gate.grace_ends().is_some_and(|end| end > at(now) && end <= at(now + 10)));
                }
            }
        }
    }
}
