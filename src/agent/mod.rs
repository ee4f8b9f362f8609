//! The composition root of `run`: builds the tasks, starts them, waits for the first reason to end, stops them.

mod build;
mod signals;

use crate::config::settings::AgentSettings;
use crate::discovery::BackendError;
use crate::service::beat::Beats;
use crate::service::clock::Clock;
use crate::service::registrar::Farewell;
use crate::service::watchdog::Watchdog;
use crate::systemd::notify::{Message, Notifier, SdNotify, watchdog_timeout};
use crate::telemetry::{Event, emit};
use signals::Signals;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Longer than the registrar's own limit, shorter than what systemd grants.
const STOP_LIMIT: Duration = Duration::from_secs(4);

#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("signal handlers can't be set up: {0}")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A task that should have run for ever.
    #[error("task {0} ended by itself")]
    Ended(&'static str),
    #[error("a task failed: {0}")]
    Panicked(#[source] JoinError),
}

/// Runs the agent until a signal ends it.
pub async fn run(settings: AgentSettings) -> Result<(), AgentError> {
    let mut signals = Signals::listen().map_err(AgentError::Signals)?;
    let notifier: Arc<dyn Notifier> = Arc::new(SdNotify);
    let mut tasks = Tasks::start(&settings, &notifier).await?;
    emit(&Event::Started {
        version: env!("CARGO_PKG_VERSION"),
        address: &settings.discovery.advertise.to_string(),
        server: &settings.discovery.url.to_string(),
    });
    notifier.notify(&[Message::Ready]);
    // Cancel-safe: neither arm holds anything that the other would lose.
    let outcome = tokio::select! {
        farewell = signals.end() => Ok(farewell),
        error = tasks.first_to_end() => Err(error),
    };
    notifier.notify(&[Message::Stopping, Message::Status("stopping".to_owned())]);
    // an agent that failed is restarted by systemd: its entry stays for the next process
    let farewell = *outcome.as_ref().unwrap_or(&Farewell::Keep);
    emit(&Event::Stopping { keeps_entry: farewell == Farewell::Keep });
    tasks.stop(farewell).await;
    outcome.map(|_| ())
}

/// The running tasks. The registrar takes leave when they are stopped.
struct Tasks {
    set: JoinSet<&'static str>,
    stop: CancellationToken,
    farewell: watch::Sender<Farewell>,
}

impl Tasks {
    /// Starts every task; returns when each has turned once.
    async fn start(settings: &AgentSettings, notifier: &Arc<dyn Notifier>) -> Result<Self, AgentError> {
        let mut beats = Beats::new(Clock::of_loops());
        let crew = build::crew(settings, notifier, &mut beats)?;
        let mut tasks = Self { set: JoinSet::new(), stop: CancellationToken::new(), farewell: crew.farewell };
        tasks.spawn("supervisor", crew.supervisor.run(tasks.stop.clone()));
        tasks.spawn("prober", crew.prober.run(tasks.stop.clone()));
        tasks.spawn("locator", crew.locator.run(tasks.stop.clone()));
        if let Some(verifier) = crew.verifier {
            tasks.spawn("verifier", verifier.run(tasks.stop.clone()));
        }
        tasks.spawn("registrar", crew.registrar.run(tasks.stop.clone()));
        tasks.spawn("status", crew.status.run(tasks.stop.clone()));
        beats.all_turning().await;
        let watchdog = Watchdog { notifier: Arc::clone(notifier), beats, timeout: watchdog_timeout() };
        tasks.spawn("watchdog", watchdog.run(tasks.stop.clone()));
        Ok(tasks)
    }

    fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.set.spawn(async move {
            task.await;
            name
        });
    }

    /// Waits for a task to end although nobody stopped it, and names it.
    async fn first_to_end(&mut self) -> AgentError {
        match self.set.join_next().await {
            Some(Ok(name)) => AgentError::Ended(name),
            Some(Err(error)) => AgentError::Panicked(error),
            None => AgentError::Ended("none"),
        }
    }

    async fn stop(mut self, farewell: Farewell) {
        self.farewell.send_replace(farewell);
        self.stop.cancel();
        // each task ends by itself, the registrar within its limit; what does not is dropped with the set
        let all = async { while self.set.join_next().await.is_some() {} };
        if timeout(STOP_LIMIT, all).await.is_err() {
            tracing::warn!("some tasks did not end in time");
        }
    }
}
