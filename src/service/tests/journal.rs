//! How much the journal gets, from all tasks together, through the log's own layers and under paused time.

use super::fakes::{Docker, Host, Manager, Mood, NODE, Street, World};
use crate::model::{ActiveState, AddressState, AdvertiseCheck, Answer, Drain, Hosting, Reading, Standing, Tenure};
use crate::model::{Supervised, UnitView};
use crate::policy::advertise::Locating;
use crate::policy::gate::GateSettings;
use crate::policy::registration::{Pace, Registration};
use crate::service::Outlook;
use crate::service::beat::Beats;
use crate::service::clock::Clock;
use crate::service::locator::Locator;
use crate::service::prober::Prober;
use crate::service::registrar::{Farewell, Inputs, Parts, Registrar};
use crate::service::status::Status;
use crate::service::supervisor::Supervisor;
use crate::service::verifier::Verifier;
use crate::telemetry::{self, Telemetry};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Level, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

const SECOND: Duration = Duration::from_secs(1);
/// What an entry begins with that should have a MESSAGE_ID and has none.
const NO_ID: &str = "no MESSAGE_ID: ";

/// The messages, as a journal would get them.
#[derive(Clone, Default)]
struct Journal(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let (mut message, mut has_id) = (String::new(), false);
        event.record(&mut |field: &Field, value: &dyn std::fmt::Debug| match field.name() {
            "message" => message = format!("{value:?}").trim_matches('"').to_owned(),
            "message_id" => has_id = true,
            _ => {}
        });
        if !has_id && *event.metadata().level() <= Level::INFO {
            message.insert_str(0, NO_ID);
        }
        self.0.lock().unwrap().push(message);
    }
}

/// A host with an agent on it.
struct Scene {
    docker: Docker,
    host: Host,
    world: World,
    manager: Arc<Manager>,
    journal: Journal,
    drain: watch::Sender<Option<Drain>>,
    telemetry: Telemetry,
    _log: DefaultGuard,
}

impl Scene {
    /// Everything is well, and the agent runs.
    fn start() -> Self {
        let journal = Journal::default();
        let sink = Dispatch::new(Registry::default().with(journal.clone()));
        let (subscriber, telemetry) = telemetry::to(sink, LevelFilter::INFO).unwrap();
        let scene = Self {
            docker: Docker::new(ActiveState::Active),
            host: Host::default(),
            world: World::new(Mood::Well),
            drain: watch::Sender::new(None),
            manager: Arc::default(),
            journal,
            telemetry,
            _log: tracing::subscriber::set_default(subscriber),
        };
        scene.host.set(&["10.0.0.5"]);
        scene.run();
        scene
    }

    /// What the journal has by now.
    fn said(&self) -> Vec<String> {
        self.telemetry.flush(10 * SECOND);
        let said = self.journal.0.lock().unwrap().clone();
        assert!(!said.iter().any(|line| line.starts_with(NO_ID)), "{said:#?}");
        said
    }

    fn run(&self) {
        let clock = Clock::of_loops();
        let beats = Beats::new(clock);
        let stop = CancellationToken::new();
        let units = Arc::new(self.docker.clone());
        let states = watch::Sender::new(UnitView::Unknown("not asked yet".to_owned()));
        let outlook = watch::Sender::new(Outlook::undecided());
        let address = watch::Sender::new(AddressState::Unknown);
        let reach = watch::Sender::new(None);
        let standing = watch::Sender::new(Standing::none());
        let status = Status {
            notifier: self.manager.clone(),
            server: "disco".to_owned(),
            outlook: outlook.subscribe(),
            supervised: watch::channel(Supervised::nothing()).1,
            standing: standing.subscribe(),
            reach: reach.subscribe(),
            hosting: watch::channel(Hosting::Elsewhere).1,
            reading: watch::channel(Reading::valid(std::time::SystemTime::UNIX_EPOCH)).1,
            restraint: self.telemetry.restraint(),
            beat: beats.add("status"),
        };
        let prober = Prober {
            units: units.clone(),
            unit: "docker.service".to_owned(),
            engine: Box::new(self.docker.clone()),
            settings: GateSettings {
                healthy_after: 2,
                unhealthy_after: 3,
                grace: 10 * SECOND,
                probe_interval: 10 * SECOND,
            },
            states: states.subscribe(),
            outlook: outlook.clone(),
            metrics: Arc::default(),
            beat: beats.add("prober"),
            clock,
        };
        let verifier = Verifier {
            door: Arc::new(Street(Mutex::new((Ok(Answer::Engine { id: Docker::ID.into() }), 0)))),
            outlook: outlook.subscribe(),
            address: address.subscribe(),
            reach: reach.clone(),
            beat: beats.add("verifier"),
            clock,
        };
        let inputs = Inputs {
            drain: self.drain.subscribe(),
            outlook: outlook.subscribe(),
            address: address.subscribe(),
            check: AdvertiseCheck::Warn,
            reach: Some(reach.subscribe()),
            identified: None,
        };
        let registrar = self.registrar(inputs, standing, &beats, clock);
        let wanted = Locating::new("eth0:2375".parse().unwrap());
        let network = Box::new(self.host.clone());
        let locator = Locator { network, wanted, states: address, beat: beats.add("locator"), clock };
        let unit = "docker.service".to_owned();
        let supervisor = Supervisor { units, unit, states, beat: beats.add("supervisor"), clock };
        tokio::spawn(supervisor.run(stop.clone()));
        tokio::spawn(prober.run(stop.clone()));
        tokio::spawn(locator.run(stop.clone()));
        tokio::spawn(verifier.run(stop.clone()));
        tokio::spawn(registrar.run(stop.clone()));
        tokio::spawn(status.run(stop));
    }

    fn registrar(&self, inputs: Inputs, standing: watch::Sender<Standing>, beats: &Beats, clock: Clock) -> Registrar {
        let ttl = 180 * SECOND;
        Registrar::new(Parts {
            site: self.world.site(),
            place: None,
            former: Vec::new(),
            earlier: Vec::new(),
            node: Some(NODE.to_owned()),
            ttl,
            policy: Registration::new(Pace::new(60 * SECOND, ttl), false, clock.now()),
            entries: Arc::new(self.world.clone()),
            inputs,
            standing,
            tenure: watch::channel(Tenure::default()).0,
            metrics: Arc::default(),
            farewell: watch::channel(Farewell::Keep).1,
            beat: beats.add("registrar"),
            clock,
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_day_logs_almost_nothing() {
    let scene = Scene::start();
    sleep(60 * SECOND).await;
    let start = scene.said();
    for part in ["the address to advertise is 10.0.0.5:2375", "engine 20 healthy", "registered 10.0.0.5:2375 at disco"]
    {
        assert!(start.iter().any(|line| line.contains(part)), "{start:#?}");
    }
    assert!(start.len() <= 5, "{start:#?}");
    sleep(24 * 3600 * SECOND).await;
    let said = scene.said();
    assert!(said.len() - start.len() <= 5, "{said:#?}");
}

/// Everything flaps at once for an hour.
async fn bad_hour(scene: &Scene) {
    *scene.world.mood.lock().unwrap() = Mood::Fickle;
    for second in 0..3600 {
        match second % 10 {
            1 => scene.docker.set(ActiveState::Failed),
            3 | 8 => scene.docker.set(ActiveState::Active),
            7 => scene.docker.vanish(["the bus hung up", "access denied", "no answer within 5s"][second / 10 % 3]),
            _ => {}
        }
        match second % 14 {
            0 => scene.host.set(&[]),
            5 => scene.host.set(&["10.0.0.6"]),
            9 => scene.host.set(&["10.0.0.5"]),
            _ => {}
        }
        sleep(SECOND).await;
    }
    scene.docker.set(ActiveState::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_bad_hour_stays_below_a_hundred_lines_and_the_journal_ends_with_the_truth() {
    let scene = Scene::start();
    bad_hour(&scene).await;
    let said = scene.said();
    assert!(said.len() < 100, "{} lines: {said:#?}", said.len());
    assert!(said.len() > 60, "was it a bad hour? {said:#?}");
    for part in ["engine failed", "the state of docker.service can't be told", "discovery: ", "no address to advertise"]
    {
        assert!(said.iter().any(|line| line.contains(part)), "{part} was never said: {said:#?}");
    }
    sleep(601 * SECOND).await;
    let said = scene.said();
    let reports: Vec<&String> = said.iter().filter(|line| line.contains(" held back in the last ")).collect();
    assert!(reports.len() >= 5, "{reports:#?}");
    let status = scene.manager.status.lock().unwrap().clone();
    assert!(status.starts_with("not registered") && status.contains("engine failed"), "{status}");
    let last = said.last().unwrap();
    assert!(last.contains("engine-not-working ") && last.ends_with(&format!("; now: {status}")), "{last}\n{status}");
    let flaps = scene.world.log().len();
    assert!(flaps > 500, "the world was spared too: {flaps}");
}

#[tokio::test(start_paused = true)]
async fn whoever_debugs_sees_everything() {
    let scene = Scene::start();
    scene.telemetry.verbosity().set(LevelFilter::DEBUG);
    for _ in 0..20 {
        scene.docker.set(ActiveState::Failed);
        sleep(2 * SECOND).await;
        scene.docker.set(ActiveState::Active);
        sleep(5 * SECOND).await;
    }
    let failed = scene.said().iter().filter(|line| line.as_str() == "engine failed").count();
    assert_eq!(failed, 20);
}
