//! The composition root of `run`: builds the tasks, starts them, starts those anew that a reload concerns, waits for the
//! first reason to end, stops them.

mod board;
mod build;
mod crew;
mod embedded;
mod plan;
mod repair;
mod signals;
mod tasks;

use crate::config::settings::AgentSettings;
use crate::config::{ConfigError, ConfigErrors, Loaded, Merged, Sources, load_agent};
use crate::discovery::BackendError;
use crate::host::affinity::{self, AffinityError};
use crate::model::{Complaint, Discovery, Reading, ReloadOutcome};
use crate::service::api::{Api, Desk, ReloadOrder};
use crate::service::drainer::{self, DrainOrder, Drainer};
use crate::service::registrar::Farewell;
use crate::service::watchdog::Watchdog;
use crate::state::DrainFile;
use crate::systemd::notify::{Message, Notifier, SdNotify, watchdog_timeout};
use crate::telemetry::{Event, Restraint, Verbosity, emit};
use board::Board;
use crew::Crew;
use plan::Effect;
use signals::{Signals, Wanted};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::time::{Instant, timeout};

/// Orders that wait while one is carried out.
const ORDERS: usize = 16;

/// For the files of the configuration: a disk that hangs must not keep signals from being heard.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// What `run` starts from.
pub struct Launch {
    /// When the runtime was begun.
    pub began: Instant,
    /// Where the configuration is read from again.
    pub sources: Sources,
    pub loaded: Loaded<AgentSettings>,
    pub verbosity: Verbosity,
    /// What the log holds back.
    pub restraint: Restraint,
    /// Where the local API listens.
    pub api_socket: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("signal handlers can't be set up: {0}")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Backend(#[from] BackendError),
    #[error("agent.cpu-affinity: {0}")]
    Affinity(#[from] AffinityError),
    #[error("no token can be made for the embedded cluster: {0}")]
    Token(#[source] io::Error),
    #[error("reading the configuration took longer than {} s: is its disk all right?", READ_LIMIT.as_secs())]
    Unread,
    /// A task that should have run for ever.
    #[error("task {0} ended by itself")]
    Ended(&'static str),
    #[error("a task failed: {0}")]
    Panicked(#[source] JoinError),
}

/// Runs the agent until a signal ends it.
pub async fn run(launch: Launch) -> Result<(), AgentError> {
    let mut signals = Signals::listen().map_err(AgentError::Signals)?;
    let restraint = launch.restraint.clone();
    let notifier: Arc<dyn Notifier> = Arc::new(SdNotify);
    let mut agent = Agent::start(launch, notifier).await?;
    let outcome = agent.serve(&mut signals).await;
    agent.notifier.notify(&[Message::Stopping, Message::Status("stopping".to_owned())]);
    // an agent that failed is restarted by systemd: its entry stays for the next process
    let farewell = *outcome.as_ref().unwrap_or(&Farewell::Keep);
    emit(&Event::Stopping { keeps_entry: farewell == Farewell::Keep });
    agent.crew.stop(farewell).await;
    restraint.tell_all("the agent ends");
    outcome.map(|_| ())
}

struct Agent {
    sources: Sources,
    /// As it was at the start of the process, for what can't be changed since.
    first: Merged,
    /// What is in force.
    loaded: Loaded<AgentSettings>,
    crew: Crew,
    notifier: Arc<dyn Notifier>,
    orders: mpsc::Receiver<ReloadOrder>,
}

impl Agent {
    /// Returns when each task has turned once, and systemd knows.
    async fn start(launch: Launch, notifier: Arc<dyn Notifier>) -> Result<Self, AgentError> {
        let mut crew = Crew::new(&launch, &notifier);
        let (reloads, orders) = mpsc::channel(ORDERS);
        let (drains, drain_orders) = mpsc::channel(ORDERS);
        // before the first registration
        let drainer = drainer(&launch.loaded.settings, &crew.board, drain_orders);
        crew.add("drainer", |stop| drainer.run(stop));
        crew.apply(&launch.loaded.settings, &plan::everything()).await?;
        let (resets, reset_orders) = mpsc::channel(ORDERS);
        let repairer = repair::repairer(&launch.loaded.settings, crew.tools.subscribe(), reset_orders, &crew.board);
        crew.add("repairer", |stop| repairer.run(stop));
        let own_uid = nix::unistd::geteuid().as_raw();
        let desk = Desk { reloads, drains, resets, readings: crew.readings(), own_uid };
        let api = Api { socket: launch.api_socket, desk, beat: crew.board.beats.add("api") };
        let watchdog =
            Watchdog { notifier: Arc::clone(&notifier), beats: crew.board.beats.clone(), timeout: watchdog_timeout() };
        crew.add("api", |stop| api.run(stop));
        crew.board.beats.all_turning().await;
        crew.add("watchdog", |stop| watchdog.run(stop));
        let settings = &launch.loaded.settings;
        emit(&Event::Started {
            version: env!("CARGO_PKG_VERSION"),
            address: &settings.discovery.advertise.to_string(),
            server: &server(&settings.discovery.url),
        });
        notifier.notify(&[Message::Ready]);
        let first = launch.loaded.merged.clone();
        Ok(Self { sources: launch.sources, first, loaded: launch.loaded, crew, notifier, orders })
    }

    /// Until something ends it.
    async fn serve(&mut self, signals: &mut Signals) -> Result<Farewell, AgentError> {
        loop {
            // Cancel-safe: neither a signal nor an order is lost by not being waited for, and a task that ended
            // while another arm won is in the set no more only if it was returned.
            tokio::select! {
                wanted = signals.next() => match wanted {
                    Wanted::End(farewell) => return Ok(farewell),
                    Wanted::Reload => drop(self.reload().await),
                },
                Some(order) = self.orders.recv() => {
                    let outcome = self.reload().await;
                    // whoever asked may have gone
                    let _ = order.send(outcome);
                }
                error = self.crew.tasks.first_to_end() => return Err(error),
            }
        }
    }

    /// Reads the configuration anew. What can't be used changes nothing but the status.
    async fn reload(&mut self) -> ReloadOutcome {
        self.notifier.notify(&[Message::Reloading]);
        let sources = self.sources.clone();
        let reading = tokio::task::spawn_blocking(move || load_agent(&sources));
        let outcome = match timeout(READ_LIMIT, reading).await {
            Ok(Ok(Ok(loaded))) => self.take_over(loaded).await,
            Ok(Ok(Err(errors))) => rejected(&errors),
            Ok(Err(panicked)) => failed(&AgentError::Panicked(panicked)),
            Err(_) => failed(&AgentError::Unread),
        };
        self.crew.board.metrics.reload(matches!(outcome, ReloadOutcome::Reloaded { .. }));
        self.report(&outcome);
        // systemd waits for it, whatever came of it
        self.notifier.notify(&[Message::Ready]);
        outcome
    }

    async fn take_over(&mut self, mut loaded: Loaded<AgentSettings>) -> ReloadOutcome {
        let waits = |key: &&str| plan::effect(key) == Effect::AtRestart;
        let at_restart: Vec<&str> = loaded.merged.differences(&self.first).into_iter().filter(waits).collect();
        let mut changed = loaded.merged.differences(&self.loaded.merged);
        changed.retain(|key| matches!(plan::effect(key), Effect::Parts(_)));
        // what needs a restart stays as it is until then
        loaded.settings.state_directory.clone_from(&self.loaded.settings.state_directory);
        let parts = plan::parts(changed.iter().copied());
        match self.crew.apply(&loaded.settings, &parts).await {
            Ok(()) => {}
            Err(AgentError::Affinity(error)) => {
                let errors = vec![misplaced(&loaded.merged, CPU_AFFINITY, &error.to_string())];
                return ReloadOutcome::Rejected { errors };
            }
            Err(error) => return failed(&error),
        }
        self.loaded = loaded;
        let owned = |keys: Vec<&str>| keys.into_iter().map(str::to_owned).collect();
        ReloadOutcome::Reloaded { changed: owned(changed), at_restart: owned(at_restart) }
    }

    fn report(&self, outcome: &ReloadOutcome) {
        match outcome {
            ReloadOutcome::Reloaded { changed, at_restart } => {
                emit(&Event::Reloaded { changed: &changed.join(", "), at_restart: &at_restart.join(", ") });
                let at_restart = at_restart.clone();
                let reading = Reading { at_restart, ..Reading::valid(self.crew.board.clock.date()) };
                self.crew.board.reading.send_replace(reading);
            }
            ReloadOutcome::Rejected { errors } => {
                for error in errors {
                    let (place, key) = (error.origin.as_deref(), error.key.as_deref());
                    let (place, key) = (place.unwrap_or_default(), key.unwrap_or_default());
                    emit(&Event::ConfigInvalid { place, key, message: &error.text });
                }
                emit(&Event::ReloadRejected { errors: errors.len() });
                self.crew.board.reading.send_modify(|reading| reading.errors.clone_from(errors));
            }
        }
    }
}

fn server(discovery: &Discovery) -> String {
    match discovery {
        Discovery::Embedded => "its own discovery server".to_owned(),
        Discovery::At(url) => url.to_string(),
    }
}

/// What a former process was told holds on.
fn drainer(settings: &AgentSettings, board: &Board, orders: mpsc::Receiver<DrainOrder>) -> Drainer {
    let record = DrainFile::new(&settings.state_directory);
    let (drain, trouble) = record.load(board.clock.date());
    if let Some(error) = &trouble {
        emit(&Event::StateTrouble { path: &error.path.display().to_string(), error: &error.cause.to_string() });
    }
    let unsaved = trouble.is_some() && drain.is_some();
    // in the journal of this boot too
    drain.iter().for_each(drainer::say);
    board.drain.send_replace(drain);
    Drainer {
        record: Arc::new(record),
        drain: board.drain.clone(),
        orders,
        unsaved,
        beat: board.beats.add("drainer"),
        clock: board.clock,
    }
}

fn rejected(errors: &ConfigErrors) -> ReloadOutcome {
    ReloadOutcome::Rejected { errors: errors.iter().map(ConfigError::complaint).collect() }
}

const CPU_AFFINITY: &str = "agent.cpu-affinity";

/// A value that this machine has no use for, with its place.
fn misplaced(merged: &Merged, key: &str, message: &str) -> Complaint {
    let origin = merged.origin(key).map(ToString::to_string);
    let place = origin.as_ref().map(|origin| format!("{origin}: ")).unwrap_or_default();
    let text = format!("{place}{key}: {message}");
    Complaint { origin, key: Some(key.to_owned()), message: message.to_owned(), text, ..Complaint::default() }
}

/// What a valid configuration has that this machine has no use for, at the start of a process.
pub fn unusable(loaded: &Loaded<AgentSettings>) -> Option<Complaint> {
    let error = affinity::resolve(loaded.settings.cpu_affinity.as_ref()?).err()?;
    Some(misplaced(&loaded.merged, CPU_AFFINITY, &error.to_string()))
}

/// A valid configuration that could not be put in force.
fn failed(error: &AgentError) -> ReloadOutcome {
    let text = error.to_string();
    let nowhere = Complaint { message: text.clone(), text, ..Complaint::default() };
    ReloadOutcome::Rejected { errors: vec![nowhere] }
}
