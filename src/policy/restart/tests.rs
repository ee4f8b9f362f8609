mod diagram;

use super::*;
use proptest::prelude::*;

const SETTINGS: SupervisionSettings = SupervisionSettings {
    mode: SupervisionMode::Enforce,
    budget: 3,
    window: Duration::from_secs(3600),
    cooldown: Duration::from_secs(60),
    despite_containers: false,
    runtime: false,
};
const NO_RISK: Risk = Risk { containers: Some(0), live_restore: None };
const FAILED: Repair = Repair { culprit: Culprit::Engine, condition: Condition::Failed };
const HUNG: Repair = Repair { culprit: Culprit::Engine, condition: Condition::Hung };

fn at(seconds: u64) -> Moment {
    Moment::after_origin(Duration::from_secs(seconds))
}

/// A supervision, and what it did at the last step.
struct Scene {
    state: Supervision,
    now: u64,
}

impl Scene {
    fn new(settings: SupervisionSettings) -> Self {
        Self { state: Supervision::new(settings, Vec::new(), at(0)), now: 0 }
    }

    fn give(&mut self, input: Input) -> Option<Act> {
        let (state, act) = self.state.clone().step(input, at(self.now));
        self.state = state;
        act
    }

    fn see(&mut self, condition: Condition) -> Option<Act> {
        self.give(Input::Condition(condition))
    }

    fn later(&mut self, seconds: u64) -> Option<Act> {
        self.now += seconds;
        self.give(Input::Tick)
    }

    /// A failed engine gets its restart, which does not help.
    fn vain_restart(&mut self) {
        assert_eq!(self.see(Condition::Failed), Some(Act::Assess), "at {}", self.now);
        assert_eq!(self.give(Input::Risk(NO_RISK)), Some(Act::Restart(FAILED)));
        assert_eq!(self.give(Input::Ended), None);
    }
}

/// What becomes of each condition, in an engine that has run for long and has no containers.
#[test]
fn every_condition_has_its_answer() {
    for condition in Condition::ALL {
        for runtime in [false, true] {
            let mut scene = Scene::new(SupervisionSettings { runtime, ..SETTINGS });
            scene.see(Condition::Working);
            scene.now += 1000;
            let first = scene.see(condition);
            let repair = |culprit| Repair { culprit, condition };
            let expected = match (condition, runtime) {
                (Condition::Failed | Condition::Hung, _) => Some(repair(Culprit::Engine)),
                (Condition::RuntimeHung | Condition::RuntimeGone, true) => Some(repair(Culprit::Runtime)),
                (Condition::RuntimeHung | Condition::RuntimeGone, false) => {
                    let refusal = Act::Refuse(repair(Culprit::Runtime), Refusal::RuntimeIsNotOurs);
                    assert_eq!(first, Some(refusal));
                    None
                }
                _ => {
                    assert_eq!(first, None, "{condition:?}");
                    None
                }
            };
            if let Some(repair) = expected {
                assert_eq!(first, Some(Act::Assess), "{condition:?}");
                assert_eq!(scene.give(Input::Risk(NO_RISK)), Some(Act::Restart(repair)), "{condition:?}");
            } else {
                assert_eq!(scene.give(Input::Risk(NO_RISK)), None, "{condition:?}");
                assert_eq!(scene.later(100_000), None, "{condition:?}");
            }
        }
    }
}

#[test]
fn the_mode_is_the_first_guard_and_is_said_once() {
    let mut scene = Scene::new(SupervisionSettings { mode: SupervisionMode::Off, ..SETTINGS });
    assert_eq!(scene.see(Condition::Failed), Some(Act::Refuse(FAILED, Refusal::Off)));
    assert_eq!(scene.later(10_000), None);
    assert_eq!(scene.state.refusal(), Some((FAILED, Refusal::Off)));
    // another fault is another story
    scene.see(Condition::Proving);
    scene.now += 100;
    assert_eq!(scene.see(Condition::Hung), Some(Act::Refuse(HUNG, Refusal::Off)));
    // and an engine that worked in between as well
    scene.see(Condition::Working);
    assert_eq!(scene.state.refusal(), None);
    assert_eq!(scene.see(Condition::Hung), Some(Act::Refuse(HUNG, Refusal::Off)));
    assert_eq!(scene.give(Input::Settings(SETTINGS)), Some(Act::Assess));
}

#[test]
fn dry_run_decides_and_counts_and_does_nothing() {
    let mut scene = Scene::new(SupervisionSettings { mode: SupervisionMode::DryRun, ..SETTINGS });
    for gap in [0, 60, 120] {
        if gap > 0 {
            assert_eq!(scene.later(gap - 1), None);
            assert_eq!(scene.later(1), Some(Act::Assess));
        } else {
            assert_eq!(scene.see(Condition::Failed), Some(Act::Assess));
        }
        assert_eq!(scene.give(Input::Risk(NO_RISK)), Some(Act::Would(FAILED)));
        if gap < 120 {
            let cooldown = scene.give(Input::Tick);
            assert!(matches!(cooldown, Some(Act::Refuse(FAILED, Refusal::Cooldown { .. }))), "{cooldown:?}");
        }
    }
    assert!(matches!(scene.later(0), Some(Act::GiveUp { .. })));
    assert!(scene.state.history().iter().all(|attempt| attempt.dry));
    // what was only counted does not hold up what is done
    assert_eq!(scene.give(Input::Settings(SETTINGS)), Some(Act::Assess));
}

#[test]
fn an_engine_that_has_just_come_up_is_given_time() {
    let mut scene = Scene::new(SETTINGS);
    scene.see(Condition::Proving);
    scene.now += 10;
    scene.see(Condition::Doubtful);
    assert_eq!(scene.see(Condition::Hung), Some(Act::Refuse(HUNG, Refusal::Young { until: at(60) })));
    assert_eq!(scene.state.wake_at(), Some(at(60)));
    assert_eq!(scene.later(49), None);
    assert_eq!(scene.later(1), Some(Act::Assess));
    // a failed one is not up
    let mut scene = Scene::new(SETTINGS);
    scene.see(Condition::Proving);
    assert_eq!(scene.see(Condition::Failed), Some(Act::Assess));
}

#[test]
fn restarts_are_spaced_twice_as_wide_each_time_until_all_are_used_up() {
    let mut scene = Scene::new(SETTINGS);
    scene.vain_restart();
    let refused = |until| Some(Act::Refuse(FAILED, Refusal::Cooldown { until: at(until) }));
    assert_eq!(scene.see(Condition::Failed), refused(60));
    assert_eq!(scene.later(59), None);
    scene.now += 1;
    scene.vain_restart();
    assert_eq!(scene.see(Condition::Failed), refused(60 + 120));
    scene.now += 120;
    scene.vain_restart();
    let until = at(180 + 3600);
    assert_eq!(scene.see(Condition::Failed), Some(Act::GiveUp { repair: FAILED, until }));
    assert_eq!(scene.state.given_up_until(), Some(until));
    assert_eq!(scene.state.wake_at(), Some(until));
    // one word is enough, also if it comes up in between
    assert_eq!(scene.later(1000), None);
    assert_eq!(scene.see(Condition::Working), None);
    assert_eq!(scene.see(Condition::Failed), None);
    assert_eq!(scene.later(2599), None);
    // then by itself, with the whole budget
    assert_eq!(scene.later(1), Some(Act::Assess));
    assert_eq!(scene.state.given_up_until(), None);
    assert_eq!(scene.give(Input::Risk(NO_RISK)), Some(Act::Restart(FAILED)));
}

#[test]
fn an_operator_gives_the_budget_back() {
    let mut scene = Scene::new(SupervisionSettings { budget: 1, ..SETTINGS });
    scene.vain_restart();
    assert!(matches!(scene.see(Condition::Failed), Some(Act::GiveUp { .. })));
    assert_eq!(scene.give(Input::Reset), Some(Act::Assess));
    assert!(scene.state.history().is_empty());
    // not under the hands of one that is under way
    assert_eq!(scene.give(Input::Risk(NO_RISK)), Some(Act::Restart(FAILED)));
    assert_eq!(scene.give(Input::Reset), None);
}

#[test]
fn containers_that_would_die_are_looked_at_again_and_again_and_told_once() {
    let risk = |containers, live_restore| Risk { containers, live_restore };
    for (risk, refused) in [
        (risk(Some(2), Some(false)), true),
        (risk(Some(2), None), true),
        (risk(None, None), true),
        (risk(None, Some(false)), true),
        (risk(Some(2), Some(true)), false),
        (risk(None, Some(true)), false),
        (risk(Some(0), Some(false)), false),
        (risk(Some(0), None), false),
    ] {
        let mut scene = Scene::new(SETTINGS);
        scene.see(Condition::Failed);
        let act = scene.give(Input::Risk(risk));
        if !refused {
            assert_eq!(act, Some(Act::Restart(FAILED)), "{risk:?}");
            continue;
        }
        assert_eq!(act, Some(Act::Refuse(FAILED, Refusal::ContainersAtRisk(risk))), "{risk:?}");
        assert_eq!(scene.later(59), None);
        assert_eq!(scene.later(1), Some(Act::Assess));
        assert_eq!(scene.give(Input::Risk(risk)), None, "it was said");
        assert_eq!(scene.later(60), Some(Act::Assess));
        assert_eq!(scene.give(Input::Risk(NO_RISK)), Some(Act::Restart(FAILED)), "they have ended");
    }
    let mut scene = Scene::new(SupervisionSettings { despite_containers: true, ..SETTINGS });
    scene.see(Condition::Failed);
    assert_eq!(scene.give(Input::Risk(risk(None, None))), Some(Act::Restart(FAILED)));
}

#[test]
fn an_engine_that_recovers_while_its_containers_are_counted_is_left_alone() {
    let mut scene = Scene::new(SETTINGS);
    assert_eq!(scene.see(Condition::Failed), Some(Act::Assess));
    assert_eq!(scene.see(Condition::Starting), None);
    assert_eq!(scene.give(Input::Risk(NO_RISK)), None);
    assert!(scene.state.history().is_empty());
}

#[test]
fn while_a_restart_is_under_way_nothing_else_is_done() {
    let mut scene = Scene::new(SETTINGS);
    scene.see(Condition::Failed);
    scene.give(Input::Risk(NO_RISK));
    for condition in Condition::ALL {
        assert_eq!(scene.see(condition), None, "{condition:?}");
        assert_eq!(scene.give(Input::Risk(NO_RISK)), None);
        assert_eq!(scene.later(10_000), None);
    }
    // the fault that it was to end says nothing about the time after it
    scene.see(Condition::Failed);
    assert_eq!(scene.give(Input::Ended), None);
    assert_eq!(scene.state.condition(), Condition::Unseen);
}

#[test]
fn what_earlier_processes_did_counts() {
    let done = |seconds| Attempt { at: at(seconds), dry: false };
    // out of order, and one from a clock that was wrong
    let state = Supervision::new(SETTINGS, vec![done(5000), done(100), done(9_999_999)], at(5010));
    assert_eq!(state.history(), [done(100), done(5000), done(5010)]);
    let (_, act) = state.step(Input::Condition(Condition::Failed), at(5010));
    assert_eq!(act, Some(Act::Refuse(FAILED, Refusal::Cooldown { until: at(5010 + 120) })));
}

fn any_condition() -> impl Strategy<Value = Condition> {
    prop::sample::select(Condition::ALL.to_vec())
}

fn any_risk() -> impl Strategy<Value = Risk> {
    (prop::option::of(0..3_usize), prop::option::of(any::<bool>()))
        .prop_map(|(containers, live_restore)| Risk { containers, live_restore })
}

fn any_settings() -> impl Strategy<Value = SupervisionSettings> {
    let modes = [SupervisionMode::Enforce, SupervisionMode::DryRun, SupervisionMode::Off];
    let flags = (any::<bool>(), any::<bool>());
    (prop::sample::select(modes.to_vec()), 0..5_usize, 0..5000_u64, 0..200_u64, flags).prop_map(
        |(mode, budget, window, cooldown, (despite_containers, runtime))| SupervisionSettings {
            mode,
            budget,
            window: Duration::from_secs(window),
            cooldown: Duration::from_secs(cooldown),
            despite_containers,
            runtime,
        },
    )
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        6 => any_condition().prop_map(Input::Condition),
        // what most often leads to something
        4 => prop::sample::select(vec![Condition::Failed, Condition::Hung]).prop_map(Input::Condition),
        6 => prop_oneof![Just(NO_RISK), any_risk()].prop_map(Input::Risk),
        3 => Just(Input::Ended),
        2 => Just(Input::Tick),
    ]
}

/// Moments go back as well as forth.
fn any_inputs() -> impl Strategy<Value = Vec<(i64, Input)>> {
    prop::collection::vec((prop_oneof![0..200_i64, -5000..5000_i64], any_input()), 1..200)
}

proptest! {
    /// For any input: never more restarts than the budget in any window, never less than the cooldown between two, and
    /// never one of a unit whose last known condition does not ask for it.
    #[test]
    fn no_input_makes_it_do_too_much(
        settings in any_settings(),
        kept in prop::collection::vec((0..10_000_u64, any::<bool>()), 0..6),
        inputs in any_inputs(),
    ) {
        let kept = kept.into_iter().map(|(seconds, dry)| Attempt { at: at(seconds), dry }).collect();
        let mut now = 10_000_i64;
        let mut state = Supervision::new(settings, kept, at(10_000));
        let mut condition = Condition::Unseen;
        // by a clock that never goes back, as the machine's
        let mut latest = now;
        let mut restarts = Vec::new();
        for (step, input) in inputs {
            now = (now + step).max(0);
            latest = latest.max(now);
            if let Input::Condition(seen) = input {
                condition = seen;
            }
            let in_time = state.clone().step(input, at(latest as u64));
            let (next, act) = state.step(input, at(now as u64));
            prop_assert_eq!((&next, act), (&in_time.0, in_time.1), "a time that goes back changes nothing");
            state = next;
            match act {
                Some(Act::Restart(repair)) => {
                    prop_assert_eq!(settings.mode, SupervisionMode::Enforce);
                    prop_assert_eq!(repair.condition, condition);
                    prop_assert_eq!(condition.culprit(), Some(repair.culprit));
                    prop_assert!(repair.culprit == Culprit::Engine || settings.runtime);
                    prop_assert!(matches!(input, Input::Risk(risk) if settings.despite_containers || !risk.is_there()));
                    restarts.push(latest);
                }
                Some(Act::Would(_)) => prop_assert_eq!(settings.mode, SupervisionMode::DryRun),
                _ => {}
            }
        }
        for pair in restarts.windows(2) {
            prop_assert!((pair[1] - pair[0]) as u64 >= settings.cooldown.as_secs().min(settings.window.as_secs()));
        }
        for (first, begin) in restarts.iter().enumerate() {
            let within = restarts[first..].iter().filter(|end| ((**end - begin) as u64) < settings.window.as_secs());
            prop_assert!(within.count() <= settings.budget);
        }
    }

    /// Whatever came before: an engine that has failed for good, and has no containers, is restarted in the end.
    #[test]
    fn an_engine_that_needs_it_is_repaired_in_the_end(inputs in any_inputs()) {
        let mut scene = Scene::new(SETTINGS);
        scene.now = 100_000;
        for (step, input) in inputs {
            scene.now = scene.now.saturating_add_signed(step);
            scene.give(input);
        }
        scene.now += 1_000_000;
        scene.give(Input::Ended);
        let first = scene.see(Condition::Failed);
        prop_assert_eq!(scene.state.phase, Phase::Assessing, "{:?}", first);
        prop_assert_eq!(scene.give(Input::Risk(NO_RISK)), Some(Act::Restart(FAILED)));
    }
}
