//! The running tasks. A start is a reload from nothing: both give a set of parts that are stopped where they run, and
//! started anew.

use super::board::{Board, unasked};
use super::build::{self, Legacy};
use super::embedded::{self, OwnServer};
use super::plan::Part;
use super::tasks::{Task, Tasks};
use super::{AgentError, Launch, repair};
use crate::config::settings::AgentSettings;
use crate::host::affinity::{self, AffinityError};
use crate::model::{CpuSet, CpuWish, Discovery, DiscoveryUrl, HeldEntry, Hosting, TokenUrl};
use crate::service::embedded::Embedded;
use crate::service::identity::Identified;
use crate::service::readings::Readings;
use crate::service::registrar::{Farewell, Site};
use crate::service::repairer::Tools;
use crate::systemd::UnitSource;
use crate::systemd::notify::{Notifier, watchdog_timeout};
use crate::systemd::sockets::{self, KeptSockets};
use crate::telemetry::{Event, Restraint, Verbosity, emit};
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub struct Crew {
    pub tasks: Tasks,
    pub board: Board,
    notifier: Arc<dyn Notifier>,
    verbosity: Verbosity,
    restraint: Restraint,
    /// What systemd kept for us until a server takes it up.
    kept: KeptSockets,
    /// The cluster of our own server, while there is one.
    own: Option<TokenUrl>,
    /// The engine's unit, over one connection for those who look at it.
    units: Arc<dyn UnitSource>,
    cpus: Cpus,
    /// What the repairer works with.
    pub tools: watch::Sender<Tools>,
    embedded: Option<Task<()>>,
    supervisor: Option<Task<()>>,
    prober: Option<Task<()>>,
    locator: Option<Task<()>>,
    verifier: Option<Task<()>>,
    identity: Option<Task<()>>,
    registrar: Option<Task<Vec<HeldEntry>>>,
    credentials: Option<Task<()>>,
    marker: Option<Task<()>>,
    status: Option<Task<()>>,
    exposer: Option<Task<()>>,
    /// What no reload concerns.
    further: Vec<Task<()>>,
}

/// The CPUs of our threads.
#[derive(Default)]
struct Cpus {
    /// Those that they had before they were put elsewhere.
    given: Option<CpuSet>,
}

impl Cpus {
    /// None: back to where they were.
    fn put(&mut self, wish: Option<&CpuWish>) -> Result<(), AffinityError> {
        match (wish, &self.given) {
            (None, None) => return Ok(()),
            (None, Some(given)) => affinity::apply(given)?,
            (Some(wish), given) => {
                let cpus = affinity::resolve(wish)?;
                let given = given.clone().map_or_else(affinity::own, Ok)?;
                affinity::apply(&cpus)?;
                self.given = Some(given);
            }
        }
        Ok(())
    }
}

/// What may fail is made before anything is stopped.
struct Prepared {
    cluster: Option<TokenUrl>,
    url: DiscoveryUrl,
    site: Site,
}

impl Crew {
    pub fn new(launch: &Launch, notifier: &Arc<dyn Notifier>) -> Self {
        let units = build::unit(&launch.loaded.settings.engine);
        Self {
            tasks: Tasks::default(),
            board: Board::new(
                build::configured(&launch.loaded.settings, launch.loaded.settings.discovery.url.to_string()),
                launch.began,
            ),
            notifier: Arc::clone(notifier),
            verbosity: launch.verbosity.clone(),
            restraint: launch.restraint.clone(),
            kept: KeptSockets::passed(),
            own: None,
            cpus: Cpus::default(),
            tools: watch::Sender::new(repair::tools(&launch.loaded.settings, &units)),
            units,
            embedded: None,
            supervisor: None,
            prober: None,
            locator: None,
            verifier: None,
            identity: None,
            registrar: None,
            credentials: None,
            marker: None,
            status: None,
            exposer: None,
            further: Vec::new(),
        }
    }

    /// Stops these parts where they run, and starts them with these settings. Nothing happens if it fails.
    pub async fn apply(&mut self, settings: &AgentSettings, parts: &BTreeSet<Part>) -> Result<(), AgentError> {
        let prepared = prepare(settings).await?;
        if parts.contains(&Part::Affinity) {
            self.cpus.put(settings.cpu_affinity.as_ref())?;
        }
        let legacy = self.stop_parts(settings, parts).await;
        let legacy = self.without_own_list(legacy, prepared.cluster.as_ref());
        self.board.configured.send_replace(build::configured(settings, prepared.url.to_string()));
        for part in parts {
            match part {
                // above: it may fail
                Part::Affinity => {}
                Part::Log => self.verbosity.set(settings.log_level.into()),
                Part::Embedded => self.start_embedded(settings, prepared.cluster.as_ref()),
                Part::Supervisor => {
                    self.units = build::unit(&settings.engine);
                    let supervisor = build::supervisor(&settings.engine, &self.units, &self.board);
                    self.supervisor = Some(self.tasks.spawn("supervisor", |stop| supervisor.run(stop)));
                }
                Part::Prober => {
                    let prober = build::prober(&settings.engine, &self.units, &self.board);
                    self.prober = Some(self.tasks.spawn("prober", |stop| prober.run(stop)));
                }
                Part::Repair => drop(self.tools.send_replace(repair::tools(settings, &self.units))),
                Part::Locator => {
                    let locator = build::locator(&settings.discovery, &self.board);
                    self.locator = Some(self.tasks.spawn("locator", |stop| locator.run(stop)));
                }
                Part::Verifier => {
                    let verifier = build::verifier(settings, &self.board);
                    self.verifier = verifier.map(|verifier| self.tasks.spawn("verifier", |stop| verifier.run(stop)));
                }
                Part::Exposer => {
                    let exposer = build::exposer(&settings.status, self.readings(), &self.board);
                    self.exposer = exposer.map(|exposer| self.tasks.spawn("exposer", |stop| exposer.run(stop)));
                }
                // below: they need what was prepared
                Part::Identity | Part::Registrar | Part::Credentials | Part::Marker | Part::Status => {}
            }
        }
        self.start_registrar(settings, prepared, legacy, parts);
        self.board.beats.all_turning().await;
        Ok(())
    }

    /// The list of our own server ended with it.
    fn without_own_list(&mut self, mut legacy: Legacy, wanted: Option<&TokenUrl>) -> Legacy {
        let before = std::mem::replace(&mut self.own, wanted.cloned());
        if let (Some(own), None) = (before, wanted) {
            legacy.held.retain(|entry| entry.url != own.cluster());
        }
        legacy
    }

    fn start_registrar(
        &mut self,
        settings: &AgentSettings,
        prepared: Prepared,
        legacy: Legacy,
        parts: &BTreeSet<Part>,
    ) {
        if parts.contains(&Part::Status) {
            let status = build::status(prepared.url.to_string(), &self.notifier, &self.restraint, &self.board);
            self.status = Some(self.tasks.spawn("status", |stop| status.run(stop)));
        }
        if parts.contains(&Part::Identity) {
            let identity = build::identity(&settings.discovery, prepared.site.clone(), &self.board);
            self.identity = identity.map(|identity| self.tasks.spawn("identity", |stop| identity.run(stop)));
        }
        if parts.contains(&Part::Marker) {
            let marker = build::marker(&settings.discovery, prepared.site.clone(), &self.board);
            self.marker = Some(self.tasks.spawn("marker", |stop| marker.run(stop)));
        }
        if parts.contains(&Part::Credentials) {
            build::say_exposed(&settings.discovery, &prepared.url);
            let watch = build::credentials(&settings.discovery, &self.board);
            self.credentials = watch.map(|watch| self.tasks.spawn("credentials", |stop| watch.run(stop)));
        }
        if parts.contains(&Part::Registrar) {
            let registrar = build::registrar(settings, prepared.site, &prepared.url, legacy, &self.board);
            self.registrar = Some(self.tasks.spawn("registrar", |stop| registrar.run(stop)));
        }
    }

    /// For those who answer questions about the node.
    pub fn readings(&self) -> Readings {
        Readings {
            reporter: self.board.reporter(watchdog_timeout()),
            metrics: Arc::clone(&self.board.metrics),
            log: self.restraint.clone(),
            stop: CancellationToken::new(),
        }
    }

    /// One more task that runs until the end.
    pub fn add<F>(&mut self, name: &'static str, run: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let task = self.tasks.spawn(name, run);
        self.further.push(task);
    }

    fn start_embedded(&mut self, settings: &AgentSettings, cluster: Option<&TokenUrl>) {
        let Some(cluster) = cluster else {
            embedded::forget_socket(&mut self.kept);
            self.board.hosting.send_replace(Hosting::Elsewhere);
            return;
        };
        self.board.hosting.send_replace(Hosting::Starting);
        let embedded = Embedded {
            host: Box::new(OwnServer::new(settings, cluster, &mut self.kept)),
            hosting: self.board.hosting.clone(),
            beat: self.board.beats.add("embedded"),
            clock: self.board.clock,
        };
        self.embedded = Some(self.tasks.spawn("embedded", |stop| embedded.run(stop)));
    }

    /// In the order of the flow of data, from its end: nobody reads what a stopped task said last.
    async fn stop_parts(&mut self, settings: &AgentSettings, parts: &BTreeSet<Part>) -> Legacy {
        let mut legacy = Legacy { held: Vec::new(), delay: Duration::ZERO };
        if parts.contains(&Part::Registrar) {
            legacy = match self.registrar.take() {
                // one that had to be cut off left its entries in the state directory, as a former process does
                Some(registrar) => {
                    let held = registrar.stop().await;
                    let left = || left_by_a_former_process(settings, &self.board).held;
                    Legacy { held: held.unwrap_or_else(left), ..legacy }
                }
                None => left_by_a_former_process(settings, &self.board),
            };
        }
        let stop = [
            (Part::Exposer, &mut self.exposer),
            (Part::Status, &mut self.status),
            (Part::Credentials, &mut self.credentials),
            (Part::Marker, &mut self.marker),
            (Part::Identity, &mut self.identity),
            (Part::Verifier, &mut self.verifier),
            (Part::Locator, &mut self.locator),
            (Part::Prober, &mut self.prober),
            (Part::Supervisor, &mut self.supervisor),
            (Part::Embedded, &mut self.embedded),
        ];
        for (part, slot) in stop {
            if parts.contains(&part)
                && let Some(task) = slot.take()
            {
                task.stop().await;
                match part {
                    Part::Verifier => drop(self.board.reach.send_replace(None)),
                    Part::Identity => drop(self.board.identified.send_replace(Identified::nobody())),
                    Part::Supervisor => drop(self.board.units.send_replace(unasked())),
                    Part::Embedded => sockets::forget(),
                    _ => {}
                }
            }
        }
        legacy
    }

    /// The registrar takes its leave first: the others serve it until then.
    pub async fn stop(mut self, farewell: Farewell) {
        self.board.farewell.send_replace(farewell);
        if let Some(registrar) = self.registrar.take() {
            registrar.stop().await;
        }
        let rest = [
            self.exposer,
            self.status,
            self.credentials,
            self.marker,
            self.identity,
            self.verifier,
            self.locator,
            self.prober,
            self.supervisor,
            self.embedded,
        ];
        join_all(rest.into_iter().flatten().chain(self.further).map(Task::stop)).await;
    }
}

/// Files are read and written on the way: off the runtime, where a disk that hangs would stop every loop.
async fn prepare(settings: &AgentSettings) -> Result<Prepared, AgentError> {
    let way = &settings.discovery.way;
    let (cluster, url, way) = match &settings.discovery.url {
        Discovery::Embedded => {
            let settings = settings.clone();
            let made = tokio::task::spawn_blocking(move || embedded::cluster(&settings)).await;
            let cluster = made.map_err(AgentError::Panicked)?.map_err(AgentError::Token)?;
            // also where it listens on an address that other hosts use
            (Some(cluster.clone()), DiscoveryUrl::Token(cluster), &way.without_proxy())
        }
        Discovery::At(url) => (None, url.clone(), way),
    };
    let site = build::site(way, &url)?;
    Ok(Prepared { cluster, url, site })
}

/// What the state directory says, at the start of this process.
fn left_by_a_former_process(settings: &AgentSettings, board: &Board) -> Legacy {
    let (held, trouble) = build::entries_file(settings, board).load();
    if let Some(error) = trouble {
        emit(&Event::StateTrouble { path: &error.path.display().to_string(), error: &error.cause.to_string() });
    }
    Legacy { held, delay: settings.discovery.delay.mul_f64(rand::random_range(0.0..1.0)) }
}
