use super::*;
use proptest::prelude::*;

const PACE: Pace = Pace {
    heartbeat: Duration::from_secs(60),
    ttl: Duration::from_secs(180),
    backoff: Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(30) },
};

fn at(seconds: u64) -> Moment {
    Moment::after_origin(Duration::from_secs(seconds))
}

fn failed() -> Input {
    Input::Failed(Failure { error: "refused".into(), retry_after: None, jitter: 1.0 })
}

fn fresh() -> Registration {
    Registration::new(PACE, false, at(0))
}

/// Runs the inputs, each at its second; gives the last state and all notices.
fn run(start: Registration, inputs: impl IntoIterator<Item = (u64, Input)>) -> (Registration, Vec<Notice>) {
    inputs.into_iter().fold((start, Vec::new()), |(state, mut notices), (second, input)| {
        let (state, new) = state.step(input, at(second));
        notices.extend(new);
        (state, notices)
    })
}

#[test]
fn joins_at_once_and_beats() {
    let (state, _) = run(fresh(), [(5, Input::Verdict(Verdict::Open))]);
    assert_eq!(state.next(), Some((at(5), Act::Register)));
    let (state, notices) = run(state, [(5, Input::Registered), (65, Input::Registered)]);
    assert_eq!((state.next(), state.status()), (Some((at(125), Act::Register)), RegistrationStatus::Present));
    assert_eq!(notices, [Notice::Joined], "a beat is no news");
}

#[test]
fn the_first_registration_can_be_delayed_and_later_ones_are_not() {
    let (state, _) = run(Registration::new(PACE, false, at(30)), [(5, Input::Verdict(Verdict::Open))]);
    assert_eq!(state.next(), Some((at(30), Act::Register)));
    let (state, _) = run(state, [(6, Input::Verdict(Verdict::Closed)), (7, Input::Verdict(Verdict::Open))]);
    assert_eq!(state.next(), Some((at(30), Act::Register)), "a flap does not shorten the delay");
}

#[test]
fn leaves_when_the_gate_closes_and_tries_until_it_is_out() {
    let (state, _) = run(fresh(), [(0, Input::Verdict(Verdict::Open)), (0, Input::Registered)]);
    let (state, _) = run(state, [(9, Input::Verdict(Verdict::Closed))]);
    assert_eq!(state.next(), Some((at(9), Act::Deregister)));
    let (state, _) = run(state, [(9, failed())]);
    assert_eq!(state.next(), Some((at(10), Act::Deregister)));
    let (state, notices) = run(state, [(10, Input::Deregistered)]);
    assert_eq!((state.next(), state.holds()), (None, false));
    let recovered = Notice::Recovered { failures: 1, lasted: Duration::from_secs(1) };
    assert_eq!(notices, [Notice::Left, recovered]);
}

#[test]
fn stops_trying_to_leave_when_the_entry_has_expired() {
    let (state, _) = run(fresh(), [(0, Input::Verdict(Verdict::Open)), (0, Input::Registered)]);
    let (state, notices) = run(state, [(9, Input::Verdict(Verdict::Closed)), (9, failed()), (189, Input::Tick)]);
    assert_eq!((state.next(), state.status()), (None, RegistrationStatus::Absent));
    assert_eq!(notices.last(), Some(&Notice::LeftByExpiry));
}

#[test]
fn an_attempt_without_an_answer_may_have_put_the_entry_in() {
    let (state, _) = run(fresh(), [(0, Input::Verdict(Verdict::Open))]);
    assert!(!state.holds());
    let (state, _) = run(state, [(10, failed()), (11, Input::Verdict(Verdict::Closed))]);
    assert_eq!((state.holds(), state.next()), (true, Some((at(11), Act::Deregister))));
}

#[test]
fn an_outage_is_said_once_a_minute_and_its_end_once() {
    let (state, _) = run(fresh(), [(0, Input::Verdict(Verdict::Open)), (0, Input::Registered)]);
    let beats = (60..=170).step_by(10).map(|second| (second, failed()));
    let (state, notices) = run(state, beats.chain([(175, Input::Registered)]));
    let outage =
        |failures, lasted| Notice::Outage { failures, lasted: Duration::from_secs(lasted), error: "refused".into() };
    let recovered = Notice::Recovered { failures: 12, lasted: Duration::from_secs(115) };
    assert_eq!(notices, [outage(1, 0), outage(7, 60), recovered]);
    assert_eq!(state.status(), RegistrationStatus::Present);
}

#[test]
fn an_entry_that_was_not_renewed_for_a_ttl_is_not_called_registered() {
    let (state, _) = run(fresh(), [(0, Input::Verdict(Verdict::Open)), (0, Input::Registered)]);
    let (state, _) = run(state, [(60, failed()), (179, Input::Tick)]);
    assert_eq!(state.status(), RegistrationStatus::Unconfirmed { error: "refused".into() });
    let (state, notices) = run(state, [(180, Input::Tick)]);
    assert_eq!(state.status(), RegistrationStatus::Joining { error: Some("refused".into()) });
    assert_eq!(notices, [Notice::Expired]);
    let (_, notices) = run(state, [(181, Input::Registered)]);
    assert_eq!(notices.first(), Some(&Notice::Joined));
}

#[test]
fn retry_after_is_honoured() {
    let (state, _) = run(fresh(), [(0, Input::Verdict(Verdict::Open))]);
    let busy = Failure { error: "503".into(), retry_after: Some(Duration::from_secs(40)), jitter: 0.5 };
    let (state, _) = run(state, [(0, Input::Failed(busy))]);
    assert_eq!(state.next(), Some((at(40), Act::Register)));
}

#[test]
fn a_resumed_entry_waits_for_the_gate() {
    let resumed = || Registration::new(PACE, true, at(0));
    let (state, _) = run(resumed(), [(1, Input::Verdict(Verdict::Undecided))]);
    assert_eq!((state.next(), state.holds()), (None, true));
    let (state, _) = run(resumed(), [(1, Input::Verdict(Verdict::Open))]);
    assert_eq!(state.next(), Some((at(1), Act::Register)));
    let (state, _) = run(resumed(), [(1, Input::Verdict(Verdict::Closed))]);
    assert_eq!(state.next(), Some((at(1), Act::Deregister)));
}

proptest! {
    /// For any sequence of verdicts and outcomes: what is asked for is what the last verdict wants, an
    /// entry that may be there is never forgotten before it has expired, and no two attempts are
    /// closer than the floor of the backoff.
    #[test]
    fn wants_what_the_gate_wants(steps in prop::collection::vec((0_u64..40, 0_u8..5), 1..80)) {
        let (mut state, mut now, mut verdict) = (fresh(), 0, Verdict::Undecided);
        let mut may_be_in_until = None;
        for (pause, what) in steps {
            now += pause;
            let input = match (what, state.next()) {
                (0, _) => { verdict = Verdict::Open; Input::Verdict(verdict) }
                (1, _) => { verdict = Verdict::Closed; Input::Verdict(verdict) }
                (2, Some((due, act))) if due <= at(now) => {
                    if act == Act::Register { may_be_in_until = Some(now + 180); Input::Registered }
                    else { may_be_in_until = None; Input::Deregistered }
                }
                (3, Some((due, act))) if due <= at(now) => {
                    if act == Act::Register { may_be_in_until = Some(now + 180) }
                    failed()
                }
                _ => Input::Tick,
            };
            let failing = matches!(input, Input::Failed(_));
            state = state.step(input, at(now)).0;
            match (verdict, state.next()) {
                (Verdict::Open, next) => prop_assert!(matches!(next, Some((_, Act::Register)))),
                (_, next) => prop_assert!(!matches!(next, Some((_, Act::Register)))),
            }
            if may_be_in_until.is_some_and(|until| now < until) {
                prop_assert!(state.holds());
            }
            if failing {
                prop_assert!(state.next().is_none_or(|(due, _)| due >= at(now) + Duration::from_millis(100)));
            }
        }
    }
}
