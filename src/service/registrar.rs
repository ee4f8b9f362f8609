//! Keeps our entry in the discovery service as the gate and the policy want it.

use super::beat::Beat;
use super::clock::Clock;
use super::{Outlook, TICK};
use crate::discovery::{Backend, BackendError};
use crate::model::{HeldEntry, NodeAddress, RegistrationStatus};
use crate::policy::registration::{Act, Failure, Input, Notice, Registration};
use crate::state::HeldEntries;
use crate::telemetry::{Event, emit};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

/// What becomes of the entry when the agent ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// Taken out: the service was stopped.
    Leave,
    /// Left for the next process: the service restarts.
    Keep,
}

/// A stop takes the entry out within this time, or leaves it to its ttl.
const FAREWELL_LIMIT: Duration = Duration::from_secs(4);
const FAREWELL_RETRY: Duration = Duration::from_millis(200);

/// An entry in a discovery service.
pub struct Place {
    pub backend: Arc<dyn Backend>,
    pub address: NodeAddress,
    /// The server as logs name it.
    pub server: String,
    /// The whole URL, for the state directory.
    pub url: String,
}

pub struct Registrar {
    pub place: Place,
    /// Entries of a former process under another address or URL: taken out once the new one is in.
    pub former: Vec<Place>,
    pub ttl: Duration,
    pub policy: Registration,
    pub entries: Arc<dyn HeldEntries>,
    pub outlook: watch::Receiver<Outlook>,
    pub status: watch::Sender<RegistrationStatus>,
    pub farewell: watch::Receiver<Farewell>,
    pub beat: Beat,
    pub clock: Clock,
    /// What the state directory says; nothing yet.
    pub recorded: Option<Vec<HeldEntry>>,
    /// A first request was cut off by the stop.
    pub in_doubt: bool,
}

impl Registrar {
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.beat.tick();
            self.step(Input::Tick);
            let now = self.clock.now();
            match self.policy.next() {
                Some((due, act)) if due <= now => self.act(act, &stop).await,
                _ => {
                    let wake = self.policy.wakes_at().map_or(now + TICK, |at| at.min(now + TICK));
                    if self.wait_until(self.clock.instant(wake), &stop).await.is_break() {
                        break;
                    }
                }
            }
        }
        self.say_farewell().await;
    }

    /// Takes in a change of the outlook, if one comes; breaks when there is nobody left to tell.
    async fn wait_until(&mut self, wake: Instant, stop: &CancellationToken) -> ControlFlow<()> {
        // Cancel-safe: `changed` marks nothing seen until it returns, and a sleep holds no state.
        tokio::select! {
            biased;
            () = stop.cancelled() => ControlFlow::Break(()),
            changed = self.outlook.changed() => {
                let verdict = self.outlook.borrow_and_update().verdict;
                self.step(Input::Verdict(verdict));
                if changed.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
            () = sleep_until(wake) => ControlFlow::Continue(()),
        }
    }

    async fn act(&mut self, act: Act, stop: &CancellationToken) {
        if act == Act::Register {
            self.record(true).await;
        }
        // A request that is cancelled may have been carried out all the same, which the farewell assumes.
        let result = tokio::select! {
            biased;
            () = stop.cancelled() => {
                self.in_doubt = true;
                return;
            }
            result = self.perform(act) => result,
        };
        self.conclude(act, result).await;
    }

    async fn perform(&self, act: Act) -> Result<(), BackendError> {
        match act {
            Act::Register => self.place.backend.register(&self.place.address, self.ttl).await,
            Act::Deregister => self.place.backend.deregister(&self.place.address).await,
        }
    }

    async fn conclude(&mut self, act: Act, result: Result<(), BackendError>) {
        match (act, result) {
            (Act::Register, Ok(())) => {
                tracing::debug!("heartbeat accepted");
                self.step(Input::Registered);
                self.leave_former().await;
            }
            (Act::Deregister, Ok(())) => {
                self.step(Input::Deregistered);
                self.leave_former().await;
                self.record(false).await;
            }
            (_, Err(error)) => {
                let failure = Failure {
                    error: error.to_string(),
                    retry_after: error.retry_after(),
                    jitter: rand::random_range(0.0..1.0),
                };
                self.step(Input::Failed(failure));
            }
        }
    }

    fn step(&mut self, input: Input) {
        let (policy, notices) = self.policy.clone().step(input, self.clock.now());
        self.policy = policy;
        notices.iter().for_each(|notice| self.report(notice));
        let status = self.policy.status();
        self.status.send_if_modified(|current| {
            let changed = *current != status;
            *current = status;
            changed
        });
    }

    /// One attempt for each entry of a former process; those that fail are tried again after the next beat.
    async fn leave_former(&mut self) {
        let former = std::mem::take(&mut self.former);
        if former.is_empty() {
            return;
        }
        for place in former {
            match place.backend.deregister(&place.address).await {
                Ok(()) => emit(&Event::Deregistered {
                    address: &place.address.to_string(),
                    server: &place.server,
                    reason: "the agent is now configured for another address or URL",
                }),
                Err(error) => {
                    tracing::debug!(%error, address = %place.address, "the former entry could not be taken out yet");
                    self.former.push(place);
                }
            }
        }
        self.record(self.policy.holds()).await;
    }

    /// Writes down what may be in a discovery service because of us, if that has changed.
    async fn record(&mut self, with_current: bool) {
        let current = with_current.then_some(&self.place);
        let entries: Vec<HeldEntry> = self.former.iter().chain(current).map(Place::held).collect();
        if self.recorded.as_ref() == Some(&entries) {
            return;
        }
        if let Err(error) = self.entries.keep(&entries).await {
            let cause = format!("{} (after a restart the entry can't be resumed)", error.cause);
            emit(&Event::StateTrouble { path: &error.path.display().to_string(), error: &cause });
        }
        self.recorded = Some(entries);
    }

    async fn say_farewell(mut self) {
        let farewell = *self.farewell.borrow();
        if farewell == Farewell::Keep || !(self.in_doubt || self.policy.holds()) {
            return;
        }
        let deadline = Instant::now() + FAREWELL_LIMIT;
        let address = self.place.address.to_string();
        let left = timeout_at(deadline, self.leave()).await;
        match left {
            Ok(()) => {
                emit(&Event::Deregistered { address: &address, server: &self.place.server, reason: "the agent stops" });
                self.status.send_replace(RegistrationStatus::Absent);
                self.former.clear();
                self.record(false).await;
            }
            Err(_) => {
                let reason = match self.policy.status() {
                    RegistrationStatus::Leaving { error: Some(error) } => error,
                    _ => "no answer in time".to_owned(),
                };
                emit(&Event::LeaveFailed { address: &address, server: &self.place.server, reason: &reason });
            }
        }
    }

    /// Tries until the entry is out.
    async fn leave(&mut self) {
        while let Err(error) = self.place.backend.deregister(&self.place.address).await {
            tracing::debug!(%error, "the entry could not be taken out yet");
            sleep(FAREWELL_RETRY).await;
        }
        for place in &self.former {
            if let Err(error) = place.backend.deregister(&place.address).await {
                tracing::debug!(%error, address = %place.address, "the former entry could not be taken out");
            }
        }
    }

    fn report(&self, notice: &Notice) {
        let address = self.place.address.to_string();
        let server = self.place.server.as_str();
        match notice {
            Notice::Joined => emit(&Event::Registered { address: &address, server }),
            Notice::Left => {
                let reason = format!("engine {}", self.outlook.borrow().health);
                emit(&Event::Deregistered { address: &address, server, reason: &reason });
            }
            Notice::Outage { failures, lasted, error } => {
                emit(&Event::DiscoveryFailing { server, failures: *failures, lasted: *lasted, error });
            }
            Notice::Recovered { failures, lasted } => {
                emit(&Event::DiscoveryRecovered { server, failures: *failures, lasted: *lasted });
            }
            Notice::AtRisk { left } => emit(&Event::LeaseAtRisk { address: &address, server, left: *left }),
            Notice::Expired => emit(&Event::LeaseExpired { address: &address, server }),
            Notice::LeftByExpiry => {
                let reason = "it has expired";
                emit(&Event::Deregistered { address: &address, server, reason });
            }
        }
    }
}

impl Place {
    fn held(&self) -> HeldEntry {
        HeldEntry { url: self.url.clone(), address: self.address.clone() }
    }
}

#[cfg(test)]
mod tests;
