//! Under paused time, with a discovery service that does what a real one can't be made to do on demand.

use super::*;
use crate::model::{AddressState, AdvertiseCheck, Backoff, Drain, EngineHealth, Finding, Reach, RegistrationStatus};
use crate::policy::registration::Pace;
use crate::service::beat::Beats;
use crate::service::tests::fakes::{Manager, Mood, NODE, World};
use crate::service::watchdog::{STALE_AFTER, Watchdog};
use crate::service::{Outlook, TICK};
use crate::systemd::notify::Notifier;
use tokio::time::{sleep, timeout};

struct Running {
    drain: watch::Sender<Option<Drain>>,
    outlook: watch::Sender<Outlook>,
    address: watch::Sender<AddressState>,
    reach: watch::Sender<Option<Reach>>,
    standing: watch::Receiver<Standing>,
    tenure: watch::Receiver<Tenure>,
    farewell: watch::Sender<Farewell>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Vec<HeldEntry>>,
    beats: Beats,
}

/// `held`: what a former process left; the last one is resumed.
fn start(world: &World, held: &[&str]) -> Running {
    start_checked(world, held, AdvertiseCheck::Warn)
}

fn start_checked(world: &World, held: &[&str], check: AdvertiseCheck) -> Running {
    start_with(world, held, check, Clock::of_loops())
}

fn start_with(world: &World, held: &[&str], check: AdvertiseCheck, clock: Clock) -> Running {
    let beats = Beats::new(Clock::of_loops());
    let (outlook, outlook_seen) = watch::channel(Outlook::undecided());
    let (address, address_seen) = watch::channel(resolved("10.0.0.5:2375"));
    let (reach, reach_seen) = watch::channel(None);
    let (standing, standing_seen) = watch::channel(Standing::none());
    let (drain, drain_seen) = watch::channel(None);
    let (tenure, tenure_seen) = watch::channel(Tenure::default());
    let (farewell, farewell_seen) = watch::channel(Farewell::Keep);
    let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(30) };
    let pace = Pace { heartbeat: Duration::from_secs(60), ttl: Duration::from_secs(180), phase: 0.0, backoff };
    let places = held.iter().map(|address| match address.strip_prefix("earlier ") {
        Some(address) => Place { earlier_boot: Some("b0".into()), ..world.place(address) },
        None => world.place(address),
    });
    let (earlier, mut held): (Vec<_>, Vec<_>) = places.partition(|place| place.earlier_boot.is_some());
    let place = held.pop();
    let registrar = Registrar::new(Parts {
        site: world.site(),
        policy: Registration::new(pace, place.is_some(), clock.now()),
        place,
        former: held
            .into_iter()
            .map(|place| Former { place, due: clock.now(), until: clock.now() + pace.ttl })
            .collect(),
        earlier,
        node: Some(NODE.to_owned()),
        ttl: pace.ttl,
        entries: Arc::new(world.clone()),
        inputs: Inputs {
            drain: drain_seen,
            outlook: outlook_seen,
            address: address_seen,
            check,
            reach: Some(reach_seen),
            identified: None,
        },
        standing,
        tenure,
        metrics: Arc::default(),
        farewell: farewell_seen,
        beat: beats.add("registrar"),
        clock,
    });
    let stop = CancellationToken::new();
    let task = tokio::spawn(registrar.run(stop.clone()));
    Running {
        drain,
        outlook,
        address,
        reach,
        standing: standing_seen,
        tenure: tenure_seen,
        farewell,
        stop,
        task,
        beats,
    }
}

fn resolved(address: &str) -> AddressState {
    AddressState::Resolved(address.parse().unwrap())
}

impl Running {
    async fn say(&self, verdict: Verdict) {
        self.outlook.send_replace(Outlook { verdict, health: EngineHealth::Stopped });
        sleep(Duration::from_millis(1)).await;
    }

    async fn move_to(&self, address: AddressState) {
        self.address.send_replace(address);
        sleep(Duration::from_millis(1)).await;
    }

    async fn prove(&self, address: &str, finding: Finding) {
        self.reach.send_replace(Some(Reach { address: address.parse().unwrap(), finding }));
        sleep(Duration::from_millis(1)).await;
    }

    /// Stops the registrar; gives how long it took.
    async fn end(self, farewell: Farewell) -> Duration {
        let begin = Instant::now();
        self.farewell.send_replace(farewell);
        self.stop.cancel();
        self.task.await.unwrap();
        begin.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_written_down_before_it_is_asked_for_and_struck_out_after_it_left() {
    let world = World::new(Mood::Well);
    let running = start(&world, &[]);
    running.say(Verdict::Open).await;
    sleep(Duration::from_secs(60)).await;
    running.say(Verdict::Closed).await;
    let register = "register 10.0.0.5:2375 180";
    let expected = ["keep [10.0.0.5:2375]", register, register, "deregister 10.0.0.5:2375", "keep []"];
    assert_eq!(world.log(), expected);
}

/// Of a machine that lost its power, or that is a copy of another one's disk.
#[tokio::test(start_paused = true)]
async fn what_was_put_in_before_the_last_boot_is_ours_if_the_address_still_is() {
    let (ours, others) = ("10.0.0.5:2375", "10.0.0.4:2375");
    let held = ["earlier 10.0.0.4:2375", "earlier 10.0.0.5:2375"];
    let world = World::new(Mood::Well);
    let running = start(&world, &held);
    running.say(Verdict::Open).await;
    sleep(Duration::from_secs(200)).await;
    let log = world.log();
    assert_eq!(log[..2], [format!("keep [{ours}]"), format!("register {ours} 180")], "{log:?}");
    assert!(!log.iter().any(|what| what.contains(others)), "{log:?}");

    // an engine that does not come back is out at once
    let world = World::new(Mood::Well);
    let running = start(&world, &held);
    running.say(Verdict::Closed).await;
    assert_eq!(world.log(), [format!("deregister {ours}"), "keep []".to_owned()]);

    // whoever does not know its address yet knows nothing of the entries either
    let world = World::new(Mood::Well);
    let running = start(&world, &held);
    running.move_to(AddressState::Missing("no address yet".into())).await;
    running.say(Verdict::Closed).await;
    let (standing, task) = (running.standing.clone(), running.task);
    assert_eq!((standing.borrow().address.clone(), standing.borrow().replaces.clone()), (None, None));
    running.farewell.send_replace(Farewell::Leave);
    running.stop.cancel();
    let left: Vec<_> = task.await.unwrap().into_iter().map(|entry| (entry.address, entry.earlier_boot)).collect();
    let boot = Some("b0".to_owned());
    assert_eq!(left, [(others.parse().unwrap(), boot.clone()), (ours.parse().unwrap(), boot)]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_takes_the_entry_out_and_a_restart_leaves_it() {
    for (farewell, last) in [(Farewell::Leave, "keep []"), (Farewell::Keep, "register 10.0.0.5:2375 180")] {
        let world = World::new(Mood::Well);
        let running = start(&world, &[]);
        running.say(Verdict::Open).await;
        running.end(farewell).await;
        assert_eq!(world.log().last().map(String::as_str), Some(last));
        assert_eq!(world.log().contains(&"deregister 10.0.0.5:2375".to_owned()), farewell == Farewell::Leave);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_the_first_request_takes_out_what_it_may_have_put_in() {
    let world = World::new(Mood::Slow);
    let running = start(&world, &[]);
    running.say(Verdict::Open).await;
    *world.mood.lock().unwrap() = Mood::Well;
    running.end(Farewell::Leave).await;
    assert!(world.log().contains(&"deregister 10.0.0.5:2375".to_owned()), "{:?}", world.log());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_does_not_hold_a_stop_up() {
    let world = World::new(Mood::Well);
    let running = start(&world, &[]);
    running.say(Verdict::Open).await;
    *world.mood.lock().unwrap() = Mood::Stuck;
    assert!(running.end(Farewell::Leave).await <= farewell::LIMIT);
    assert_ne!(world.log().last().map(String::as_str), Some("keep []"), "the next process must know of the entry");
}

#[tokio::test(start_paused = true)]
async fn what_a_former_process_left_stays_until_the_engine_is_judged() {
    for (verdict, act) in [(Verdict::Open, "register 10.0.0.5:2375 180"), (Verdict::Closed, "deregister 10.0.0.5:2375")]
    {
        let world = World::new(Mood::Well);
        let running = start(&world, &["10.0.0.5:2375"]);
        sleep(Duration::from_secs(30)).await;
        assert_eq!(world.log(), Vec::<String>::new());
        running.say(verdict).await;
        assert!(world.log().contains(&act.to_owned()), "{:?}", world.log());
    }
}

#[tokio::test(start_paused = true)]
async fn a_former_address_goes_after_the_new_one_is_in() {
    let world = World::new(Mood::Well);
    let running = start(&world, &["10.0.0.4:2375"]);
    running.say(Verdict::Open).await;
    let log = world.log();
    let place = |what: &str| log.iter().position(|line| line == what).unwrap();
    assert!(place("keep [10.0.0.4:2375 10.0.0.5:2375]") < place("register 10.0.0.5:2375 180"));
    assert!(place("register 10.0.0.5:2375 180") < place("deregister 10.0.0.4:2375"));
    assert_eq!(log.last().map(String::as_str), Some("keep [10.0.0.5:2375]"));
}

#[tokio::test(start_paused = true)]
async fn what_a_former_process_left_goes_with_the_engine_whatever_its_address() {
    let world = World::new(Mood::Well);
    let running = start(&world, &["10.0.0.3:2375", "10.0.0.4:2375"]);
    running.say(Verdict::Closed).await;
    sleep(Duration::from_secs(1)).await;
    let log = world.log();
    for address in ["10.0.0.3:2375", "10.0.0.4:2375"] {
        assert!(log.contains(&format!("deregister {address}")), "{log:?}");
    }
    assert_eq!(log.last().map(String::as_str), Some("keep []"));
}

#[tokio::test(start_paused = true)]
async fn a_changed_address_is_in_before_the_old_one_goes() {
    let world = World::new(Mood::Well);
    let running = start(&world, &[]);
    running.say(Verdict::Open).await;
    running.move_to(resolved("10.0.0.6:2375")).await;
    let [old, new] = ["10.0.0.5:2375", "10.0.0.6:2375"];
    let expected = [
        format!("keep [{old}]"),
        format!("register {old} 180"),
        format!("keep [{old} {new}]"),
        format!("register {new} 180"),
        format!("deregister {old}"),
        format!("keep [{new}]"),
    ];
    assert_eq!(world.log(), expected);
    running.move_to(resolved(old)).await;
    assert_eq!(world.log().last(), Some(&format!("keep [{old}]")), "and back");
    running.end(Farewell::Leave).await;
    assert_eq!(world.log()[world.log().len() - 2..], [format!("deregister {old}"), "keep []".to_owned()]);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_comes_back_during_an_outage_is_not_taken_out() {
    let world = World::new(Mood::Well);
    let running = start(&world, &[]);
    running.say(Verdict::Open).await;
    *world.mood.lock().unwrap() = Mood::Slow;
    running.move_to(resolved("10.0.0.6:2375")).await;
    sleep(Duration::from_secs(20)).await;
    let standing = running.standing.borrow().clone();
    assert_eq!(standing.replaces, Some("10.0.0.5:2375".parse().unwrap()));
    assert!(matches!(standing.status, RegistrationStatus::Joining { error: Some(_) }), "{standing:?}");
    running.move_to(resolved("10.0.0.5:2375")).await;
    *world.mood.lock().unwrap() = Mood::Well;
    sleep(Duration::from_secs(60)).await;
    let log = world.log();
    assert!(!log.contains(&"deregister 10.0.0.5:2375".to_owned()), "{log:?}");
    assert!(log.contains(&"deregister 10.0.0.6:2375".to_owned()), "it may have got in: {log:?}");
    assert_eq!(log.iter().rfind(|line| line.starts_with("keep")).unwrap(), "keep [10.0.0.5:2375]");
}

#[tokio::test(start_paused = true)]
async fn a_missing_address_takes_the_entry_out_and_says_why() {
    let world = World::new(Mood::Well);
    let running = start(&world, &[]);
    running.say(Verdict::Open).await;
    running.move_to(AddressState::Missing("interface eth7 has no address yet".into())).await;
    assert_eq!(world.log()[2..], ["deregister 10.0.0.5:2375", "keep []"]);
    let standing = running.standing.borrow().clone();
    assert_eq!(standing.why.as_deref(), Some("interface eth7 has no address yet"));
    assert_eq!(standing.status, RegistrationStatus::Absent);
    running.move_to(resolved("10.0.0.5:2375")).await;
    assert_eq!(running.standing.borrow().status, RegistrationStatus::Present);
}

#[tokio::test(start_paused = true)]
async fn a_required_proof_is_waited_for_and_its_loss_acted_on() {
    let world = World::new(Mood::Well);
    let running = start_checked(&world, &[], AdvertiseCheck::Require);
    running.say(Verdict::Open).await;
    assert_eq!(world.log(), Vec::<String>::new());
    running.prove("10.0.0.5:2375", Finding::Proved).await;
    assert_eq!(running.standing.borrow().status, RegistrationStatus::Present);
    // the new address is not proved yet: the old one stays until it is
    running.move_to(resolved("10.0.0.6:2375")).await;
    assert_eq!(running.standing.borrow().address, Some("10.0.0.5:2375".parse().unwrap()));
    running.prove("10.0.0.6:2375", Finding::Proved).await;
    assert_eq!(world.log().last().map(String::as_str), Some("keep [10.0.0.6:2375]"));
    running.prove("10.0.0.6:2375", Finding::Unreachable("refused".into())).await;
    assert_eq!(world.log().last().map(String::as_str), Some("keep []"));
    assert_eq!(running.standing.borrow().why.as_deref(), Some("advertised address unreachable: refused"));
}

/// Pings in the minutes after the first, and whether the registrar's loop is stale at the end.
async fn watched(mood: Mood) -> (u32, bool) {
    let world = World::new(mood);
    let running = start(&world, &[]);
    running.say(Verdict::Open).await;
    let manager = Arc::new(Manager::default());
    let Running { beats, stop, outlook: _outlook, farewell: _farewell, address: _address, reach: _reach, .. } = running;
    let notifier: Arc<dyn Notifier> = manager.clone();
    let watchdog = Watchdog { notifier, beats, timeout: Some(Duration::from_secs(30)) };
    let task = tokio::spawn(watchdog.run(stop.clone()));
    sleep(Duration::from_secs(60)).await;
    let early = *manager.pings.lock().unwrap();
    sleep(Duration::from_secs(600)).await;
    let late = *manager.pings.lock().unwrap() - early;
    stop.cancel();
    timeout(Duration::from_secs(1), task).await.unwrap().unwrap();
    (late, early < 60 / 5)
}

#[tokio::test(start_paused = true)]
async fn a_future_that_never_completes_stops_the_pings_and_a_hung_server_does_not() {
    assert_eq!(watched(Mood::Stuck).await, (0, true));
    let (pings, stale) = watched(Mood::Slow).await;
    assert!(pings >= 600 / 5 - 1 && !stale, "{pings} pings");
    assert!(STALE_AFTER > Duration::from_secs(15) + TICK);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_was_suspended_beats_at_once_and_no_loop_is_called_stale() {
    use std::sync::atomic::{AtomicU64, Ordering};
    static SLEPT: AtomicU64 = AtomicU64::new(0);
    let world = World::new(Mood::Well);
    let clock = Clock::with(|| Duration::from_secs(SLEPT.load(Ordering::Relaxed)));
    let running = start_with(&world, &[], AdvertiseCheck::Warn, clock);
    running.say(Verdict::Open).await;
    let beats = || world.log().iter().filter(|line| line.starts_with("register")).count();
    assert_eq!(beats(), 1);
    SLEPT.store(3600, Ordering::Relaxed);
    sleep(TICK + Duration::from_millis(1)).await;
    assert_eq!(beats(), 2, "an hour later the lease is gone, and the next beat is not due for 55 s by the other clock");
    assert!(running.beats.stale(STALE_AFTER).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_former_server_that_hangs_holds_nothing_up() {
    let world = World { lost: vec!["10.0.0.4:2375".to_owned()], ..World::new(Mood::Well) };
    let running = start(&world, &["10.0.0.4:2375"]);
    running.say(Verdict::Open).await;
    sleep(Duration::from_millis(10)).await;
    assert!(world.log().contains(&"lost 10.0.0.4:2375".to_owned()));
    assert!(running.end(Farewell::Leave).await <= farewell::LIMIT);
    assert!(world.log().contains(&"deregister 10.0.0.5:2375".to_owned()), "{:?}", world.log());
    assert_eq!(world.log().last().map(String::as_str), Some("keep [10.0.0.4:2375]"), "it may still be there");
}

#[tokio::test(start_paused = true)]
async fn a_former_entry_goes_when_the_engine_is_down_too() {
    let world = World::new(Mood::Well);
    let running = start(&world, &["10.0.0.4:2375"]);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(world.log(), Vec::<String>::new(), "the engine is not judged yet");
    running.say(Verdict::Closed).await;
    sleep(TICK).await;
    assert_eq!(world.log(), ["deregister 10.0.0.4:2375", "keep []"]);
}

#[tokio::test(start_paused = true)]
async fn a_drained_node_leaves_at_once_and_comes_back_as_soon_as_it_may() {
    let world = World::new(Mood::Well);
    let running = start(&world, &[]);
    running.say(Verdict::Open).await;
    assert!(running.tenure.borrow().since.is_some());
    let drain = Drain { since: std::time::SystemTime::UNIX_EPOCH, until: None, reason: None, by: "ann".into() };
    running.drain.send_replace(Some(drain));
    sleep(Duration::from_millis(1)).await;
    let standing = running.standing.borrow().clone();
    assert_eq!((standing.status, standing.why.as_deref()), (RegistrationStatus::Absent, Some("drained by ann")));
    running.say(Verdict::Closed).await;
    running.say(Verdict::Open).await;
    sleep(Duration::from_secs(600)).await;
    assert_eq!(running.tenure.borrow().since, None);
    let (register, deregister) = ("register 10.0.0.5:2375 180", "deregister 10.0.0.5:2375");
    let asked = |world: &World| world.log().into_iter().filter(|line| !line.starts_with("keep")).collect::<Vec<_>>();
    assert_eq!(asked(&world), [register, deregister]);
    running.drain.send_replace(None);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(asked(&world), [register, deregister, register]);
}

#[tokio::test(start_paused = true)]
async fn the_last_error_is_remembered_after_the_service_recovered() {
    let world = World::new(Mood::Slow);
    let running = start(&world, &[]);
    running.say(Verdict::Open).await;
    sleep(Duration::from_secs(16)).await;
    *world.mood.lock().unwrap() = Mood::Well;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(running.standing.borrow().status, RegistrationStatus::Present);
    let error = running.tenure.borrow().last_error.clone().map(|error| error.text);
    assert!(error.is_some_and(|text| text.starts_with("no answer from disco")));
}
