//! Under paused time, with a discovery service that does what a real one can't be made to do on demand.

use super::*;
use crate::discovery::{Backend, Listing};
use crate::model::{Backoff, EngineHealth, NodeAddress};
use crate::policy::gate::Verdict;
use crate::policy::registration::Pace;
use crate::service::beat::Beats;
use crate::service::watchdog::{STALE_AFTER, Watchdog};
use crate::state::StateError;
use crate::systemd::notify::{Message, Notifier};
use std::sync::Mutex;
use tokio::time::{sleep, timeout};

/// How the discovery service behaves.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Well,
    /// Fails after the adapter's longest timeout.
    Slow,
    /// Never completes: a defect of the adapter.
    Stuck,
}

#[derive(Clone)]
struct World {
    mood: Arc<Mutex<Mood>>,
    /// Everything that happened, in order.
    log: Arc<Mutex<Vec<String>>>,
    /// Addresses at a server that hangs.
    lost: Vec<String>,
}

impl World {
    fn new(mood: Mood) -> Self {
        Self { mood: Arc::new(Mutex::new(mood)), log: Arc::default(), lost: Vec::new() }
    }

    async fn happen(&self, what: String) -> Result<(), BackendError> {
        self.log.lock().unwrap().push(what);
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Well => return Ok(()),
            Mood::Slow => sleep(Duration::from_secs(15)).await,
            Mood::Stuck => std::future::pending().await,
        }
        Err(BackendError::Timeout { server: "disco".into(), timeout: Duration::from_secs(15) })
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    fn place(&self, address: &str) -> Place {
        Place {
            backend: Arc::new(self.clone()),
            address: address.parse().unwrap(),
            server: "disco".into(),
            url: "http://disco/v1/clusters/t".into(),
        }
    }
}

#[async_trait::async_trait]
impl Backend for World {
    async fn register(&self, address: &NodeAddress, ttl: Duration) -> Result<(), BackendError> {
        self.happen(format!("register {address} {}", ttl.as_secs())).await
    }

    async fn deregister(&self, address: &NodeAddress) -> Result<(), BackendError> {
        if self.lost.contains(&address.to_string()) {
            self.log.lock().unwrap().push(format!("lost {address}"));
            std::future::pending::<()>().await;
        }
        self.happen(format!("deregister {address}")).await
    }

    async fn list(&self) -> Result<Listing, BackendError> {
        unreachable!("the registrar never lists")
    }
}

#[async_trait::async_trait]
impl HeldEntries for World {
    async fn keep(&self, entries: &[HeldEntry]) -> Result<(), StateError> {
        let addresses: Vec<String> = entries.iter().map(|entry| entry.address.to_string()).collect();
        self.log.lock().unwrap().push(format!("keep [{}]", addresses.join(" ")));
        Ok(())
    }
}

#[derive(Default)]
struct Pings(Mutex<u32>);

impl Notifier for Pings {
    fn notify(&self, messages: &[Message]) {
        assert_eq!(messages, [Message::Watchdog]);
        *self.0.lock().unwrap() += 1;
    }
}

struct Running {
    outlook: watch::Sender<Outlook>,
    farewell: watch::Sender<Farewell>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    beats: Beats,
}

fn start(world: &World, former: &[&str], resumed: bool) -> Running {
    start_with(world, former, resumed, Clock::of_loops())
}

fn start_with(world: &World, former: &[&str], resumed: bool, clock: Clock) -> Running {
    let mut beats = Beats::new(Clock::of_loops());
    let (outlook, outlook_seen) = watch::channel(Outlook::undecided());
    let (farewell, farewell_seen) = watch::channel(Farewell::Keep);
    let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(30) };
    let pace = Pace { heartbeat: Duration::from_secs(60), ttl: Duration::from_secs(180), phase: 0.0, backoff };
    let registrar = Registrar::new(Parts {
        place: world.place("10.0.0.5:2375"),
        former: former
            .iter()
            .map(|address| Former { place: world.place(address), due: clock.now(), until: clock.now() + pace.ttl })
            .collect(),
        ttl: pace.ttl,
        policy: Registration::new(pace, resumed, clock.now()),
        entries: Arc::new(world.clone()),
        outlook: outlook_seen,
        status: watch::channel(RegistrationStatus::Absent).0,
        farewell: farewell_seen,
        beat: beats.add("registrar"),
        clock,
    });
    let stop = CancellationToken::new();
    let task = tokio::spawn(registrar.run(stop.clone()));
    Running { outlook, farewell, stop, task, beats }
}

impl Running {
    async fn say(&self, verdict: Verdict) {
        self.outlook.send_replace(Outlook { verdict, health: EngineHealth::Stopped });
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
    let running = start(&world, &[], false);
    running.say(Verdict::Open).await;
    sleep(Duration::from_secs(60)).await;
    running.say(Verdict::Closed).await;
    let register = "register 10.0.0.5:2375 180";
    let expected = ["keep [10.0.0.5:2375]", register, register, "deregister 10.0.0.5:2375", "keep []"];
    assert_eq!(world.log(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_stop_takes_the_entry_out_and_a_restart_leaves_it() {
    for (farewell, last) in [(Farewell::Leave, "keep []"), (Farewell::Keep, "register 10.0.0.5:2375 180")] {
        let world = World::new(Mood::Well);
        let running = start(&world, &[], false);
        running.say(Verdict::Open).await;
        running.end(farewell).await;
        assert_eq!(world.log().last().map(String::as_str), Some(last));
        assert_eq!(world.log().contains(&"deregister 10.0.0.5:2375".to_owned()), farewell == Farewell::Leave);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_the_first_request_takes_out_what_it_may_have_put_in() {
    let world = World::new(Mood::Slow);
    let running = start(&world, &[], false);
    running.say(Verdict::Open).await;
    *world.mood.lock().unwrap() = Mood::Well;
    running.end(Farewell::Leave).await;
    assert!(world.log().contains(&"deregister 10.0.0.5:2375".to_owned()), "{:?}", world.log());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_does_not_hold_a_stop_up() {
    let world = World::new(Mood::Well);
    let running = start(&world, &[], false);
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
        let running = start(&world, &[], true);
        sleep(Duration::from_secs(30)).await;
        assert_eq!(world.log(), Vec::<String>::new());
        running.say(verdict).await;
        assert!(world.log().contains(&act.to_owned()), "{:?}", world.log());
    }
}

#[tokio::test(start_paused = true)]
async fn a_former_address_goes_after_the_new_one_is_in() {
    let world = World::new(Mood::Well);
    let running = start(&world, &["10.0.0.4:2375"], false);
    running.say(Verdict::Open).await;
    let log = world.log();
    let place = |what: &str| log.iter().position(|line| line == what).unwrap();
    assert!(place("keep [10.0.0.4:2375 10.0.0.5:2375]") < place("register 10.0.0.5:2375 180"));
    assert!(place("register 10.0.0.5:2375 180") < place("deregister 10.0.0.4:2375"));
    assert_eq!(log.last().map(String::as_str), Some("keep [10.0.0.5:2375]"));
}

/// Pings in the minutes after the first, and whether the registrar's loop is stale at the end.
async fn watched(mood: Mood) -> (u32, bool) {
    let world = World::new(mood);
    let running = start(&world, &[], false);
    running.say(Verdict::Open).await;
    let pings = Arc::new(Pings::default());
    let Running { beats, stop, outlook: _outlook, farewell: _farewell, .. } = running;
    let notifier: Arc<dyn Notifier> = pings.clone();
    let watchdog = Watchdog { notifier, beats, timeout: Some(Duration::from_secs(30)) };
    let task = tokio::spawn(watchdog.run(stop.clone()));
    sleep(Duration::from_secs(60)).await;
    let early = *pings.0.lock().unwrap();
    sleep(Duration::from_secs(600)).await;
    let late = *pings.0.lock().unwrap() - early;
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
    let running = start_with(&world, &[], false, clock);
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
    let running = start(&world, &["10.0.0.4:2375"], false);
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
    let running = start(&world, &["10.0.0.4:2375"], false);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(world.log(), Vec::<String>::new(), "the engine is not judged yet");
    running.say(Verdict::Closed).await;
    sleep(TICK).await;
    assert_eq!(world.log(), ["deregister 10.0.0.4:2375", "keep []"]);
}
