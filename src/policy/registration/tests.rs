use super::*;
use proptest::prelude::*;

const PACE: Pace = Pace {
    heartbeat: Duration::from_secs(60),
    ttl: Duration::from_secs(180),
    phase: 5.0 / 60.0,
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
        let answer = matches!(input, Input::Registered | Input::Deregistered | Input::Failed(_));
        let (state, sent) = if answer { state.step(Input::Sent, at(second)) } else { (state, Vec::new()) };
        notices.extend(sent);
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
    let at_risk = Notice::AtRisk { left: Duration::from_secs(60) };
    assert_eq!(notices, [outage(1, 0), at_risk, outage(7, 60), recovered]);
    assert_eq!(state.status(), RegistrationStatus::Present);
}

#[test]
fn an_entry_that_was_not_renewed_for_a_ttl_is_not_called_registered() {
    let (state, _) = run(fresh(), [(0, Input::Verdict(Verdict::Open)), (0, Input::Registered)]);
    let (state, _) = run(state, [(60, failed())]);
    let unconfirmed = |at_risk| RegistrationStatus::Unconfirmed { error: "refused".into(), at_risk };
    assert_eq!((state.status(), state.wakes_at()), (unconfirmed(false), Some(at(61))));
    let (state, _) = run(state, [(179, Input::Tick)]);
    assert_eq!(state.status(), unconfirmed(true));
    let (state, notices) = run(state, [(180, Input::Tick)]);
    assert_eq!(state.status(), RegistrationStatus::Joining { error: Some("refused".into()) });
    assert_eq!(notices, [Notice::Expired]);
    let (_, notices) = run(state, [(181, Input::Registered)]);
    assert_eq!(notices.first(), Some(&Notice::Joined));
}

#[test]
fn an_outage_that_was_not_said_needs_no_word_that_it_is_over() {
    let (state, _) = run(fresh(), [(0, Input::Verdict(Verdict::Open)), (0, Input::Registered)]);
    let flaps = (10..60).step_by(2).flat_map(|second| [(second, failed()), (second + 1, Input::Registered)]);
    let (_, notices) = run(state, flaps);
    assert_eq!(notices.len(), 2, "one warning and its end, in a minute: {notices:?}");
}

#[test]
fn a_lease_counts_from_when_it_was_asked_for() {
    let (state, _) = run(fresh(), [(0, Input::Verdict(Verdict::Open))]);
    let (state, _) = state.step(Input::Sent, at(10));
    let (state, _) = state.step(Input::Registered, at(19));
    let (state, _) = run(state, [(65, failed())]);
    assert_eq!(run(state.clone(), [(189, Input::Tick)]).0.next().map(|(_, act)| act), Some(Act::Register));
    let (_, notices) = run(state, [(190, Input::Tick)]);
    assert_eq!(notices, [Notice::Expired]);
}

#[test]
fn retry_after_is_honoured_within_reason() {
    let (state, _) = run(fresh(), [(0, Input::Verdict(Verdict::Open))]);
    for (asked, next) in [(40, 41), (86_400, 61), (u64::MAX, 61)] {
        let retry_after = Some(Duration::from_secs(asked));
        let busy = Failure { error: "503".into(), retry_after, jitter: 1.0 };
        let (state, _) = run(state.clone(), [(0, Input::Failed(busy))]);
        assert_eq!(state.next(), Some((at(next), Act::Register)));
    }
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

#[test]
fn a_node_beats_in_its_own_slots_wherever_it_joined() {
    for (joined, next) in [(0, 5), (4, 5), (5, 65), (30, 65), (64, 65), (65, 125)] {
        let (state, _) = run(fresh(), [(joined, Input::Verdict(Verdict::Open)), (joined, Input::Registered)]);
        assert_eq!(state.next(), Some((at(next), Act::Register)), "joined at {joined}");
    }
}

/// A server that is up from time to time, and what one node makes of it.
struct Simulation {
    state: Registration,
    now: Moment,
    /// When requests were sent.
    requests: Vec<Moment>,
    /// When the server's copy of the entry ends.
    lease: Option<Moment>,
}

/// What the server does with the next requests: answers after a latency, or lets them fail after one.
#[derive(Debug, Clone, Copy)]
struct Weather {
    up: bool,
    latency: Duration,
    lasts: Duration,
    jitter: f64,
}

impl Simulation {
    fn new(phase: f64) -> Self {
        let state = Registration::new(Pace { phase, ..PACE }, false, at(0));
        let state = state.step(Input::Verdict(Verdict::Open), at(0)).0;
        Self { state, now: at(0), requests: Vec::new(), lease: None }
    }

    /// Lives through one kind of weather, calling `check` after each request.
    fn live(&mut self, weather: Weather, mut check: impl FnMut(&Self)) {
        let end = self.now + weather.lasts;
        while let Some(wake) = self.state.wakes_at().filter(|wake| *wake < end) {
            self.now = self.now.max(wake);
            let (state, _) = self.state.clone().step(Input::Tick, self.now);
            self.state = state;
            let due = self.state.next().is_some_and(|(due, _)| due <= self.now);
            if due {
                self.request(weather);
            }
            check(self);
        }
        self.now = self.now.max(end);
    }

    fn request(&mut self, weather: Weather) {
        self.requests.push(self.now);
        self.state = self.state.clone().step(Input::Sent, self.now).0;
        let asked = self.now;
        self.now = self.now + weather.latency;
        let input = if weather.up {
            self.lease = Some(asked + PACE.ttl);
            Input::Registered
        } else {
            Input::Failed(Failure { error: "down".into(), retry_after: None, jitter: weather.jitter })
        };
        self.state = self.state.clone().step(input, self.now).0;
    }

    /// The most requests within any such window.
    fn busiest(&self, window: Duration) -> usize {
        let within = |from: &Moment| self.requests.iter().filter(|at| *at >= from && **at < *from + window).count();
        self.requests.iter().map(within).max().unwrap_or(0)
    }
}

fn any_weather() -> impl Strategy<Value = Weather> {
    (any::<bool>(), 1_u64..10_000, 1_u64..400, 0.0_f64..1.0).prop_map(|(up, latency, lasts, jitter)| Weather {
        up,
        latency: Duration::from_millis(latency),
        lasts: Duration::from_secs(lasts),
        jitter,
    })
}

proptest! {
    /// However the server comes and goes: while it answers for longer than one backoff and one request, the
    /// entry is there; and no minute sees more than 30 requests of one node.
    #[test]
    fn an_entry_never_expires_while_the_server_answers(
        phase in 0.0_f64..1.0,
        weathers in prop::collection::vec(any_weather(), 1..20),
    ) {
        let mut simulation = Simulation::new(phase);
        for weather in weathers {
            let settled = simulation.now + PACE.backoff.cap + weather.latency;
            let mut held = true;
            simulation.live(weather, |simulation| {
                let present = simulation.lease.is_some_and(|end| end > simulation.now);
                held &= !weather.up || simulation.now < settled || present;
            });
            prop_assert!(held, "no entry although the server answered: {weather:?}");
            let answered = weather.up && simulation.now >= settled;
            prop_assert!(!answered || simulation.lease.is_some_and(|end| end > simulation.now));
        }
        prop_assert!(simulation.busiest(Duration::from_secs(60)) <= 30, "{:?}", simulation.requests);
    }
}

/// A thousand agents started at one moment lose their server at one moment, for ten minutes. The server then sees
/// no herd: neither in the seconds after it is back nor in the heartbeats later.
#[test]
fn a_thousand_agents_spread_evenly_after_a_restart_of_the_server() {
    use rand::{RngExt, SeedableRng, rngs::StdRng};
    const AGENTS: usize = 1000;
    let mut dice = StdRng::seed_from_u64(8970);
    let (mut return_seconds, mut later_seconds) = ([0_usize; 30], [0_usize; 60]);
    for _ in 0..AGENTS {
        let mut agent = Simulation::new(dice.random());
        let latency = Duration::from_millis(5);
        let calm = Weather { up: true, latency, lasts: Duration::from_secs(600), jitter: 0.0 };
        agent.live(calm, |_| ());
        while agent.now < at(1200) {
            let jitter = dice.random();
            agent.live(Weather { up: false, lasts: Duration::from_secs(1), jitter, ..calm }, |_| ());
        }
        agent.requests.clear();
        agent.live(calm, |_| ());
        let first = agent.requests[0].since(at(1200)).as_secs() as usize;
        return_seconds[first.min(29)] += 1;
        let later = agent.requests.iter().filter(|sent| **sent >= at(1500) && **sent < at(1560));
        later.for_each(|sent| later_seconds[sent.since(at(1500)).as_secs() as usize] += 1);
    }
    let worst = |seconds: &[usize]| seconds.iter().copied().max().unwrap_or(0);
    println!(
        "worst second after the return: {}, in a later heartbeat: {}",
        worst(&return_seconds),
        worst(&later_seconds)
    );
    assert_eq!(later_seconds.iter().sum::<usize>(), AGENTS, "one beat each");
    // evenly would be 33 and 17 a second
    assert!(worst(&return_seconds) <= 100, "{return_seconds:?}");
    assert!(worst(&later_seconds) <= 34, "{later_seconds:?}");
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
            if failing || matches!(input, Input::Registered | Input::Deregistered) {
                state = state.step(Input::Sent, at(now)).0;
            }
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
