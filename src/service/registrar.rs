//! Keeps our entry in the discovery service as the engine, the address and the policy want it.

use super::beat::Beat;
use super::clock::Clock;
use super::{Outlook, TICK};
use crate::discovery::{Backend, BackendError};
use crate::model::{AddressState, AdvertiseCheck, HeldEntry, Moment, NodeAddress, Reach, RegistrationStatus, Standing};
use crate::policy::gate::Verdict;
use crate::policy::registration::{Act, Failure, Input, Notice, Registration};
use crate::policy::wish::{Wish, wish};
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
/// Between two attempts to take a former entry out.
const FORMER_RETRY: Duration = Duration::from_secs(10);

/// A cluster at a discovery service.
#[derive(Clone)]
pub struct Site {
    pub backend: Arc<dyn Backend>,
    /// The server as logs name it.
    pub server: String,
    /// The whole URL, for the state directory.
    pub url: String,
}

/// An entry in a discovery service.
pub struct Place {
    pub site: Site,
    pub address: NodeAddress,
}

/// An entry that is to go once the new one is in, or the engine is out.
pub struct Former {
    pub place: Place,
    /// When it has expired in any case; set when it is first tried to take it out.
    pub until: Option<Moment>,
}

/// What has a say in whether there is an entry, and under which address.
pub struct Inputs {
    pub outlook: watch::Receiver<Outlook>,
    pub address: watch::Receiver<AddressState>,
    pub check: AdvertiseCheck,
    /// None if nobody checks.
    pub reach: Option<watch::Receiver<Option<Reach>>>,
}

pub struct Registrar {
    /// Where new entries go.
    pub site: Site,
    /// The entry that the policy is about; none before there was an address.
    pub place: Option<Place>,
    pub former: Vec<Former>,
    pub ttl: Duration,
    pub policy: Registration,
    pub entries: Arc<dyn HeldEntries>,
    pub inputs: Inputs,
    pub standing: watch::Sender<Standing>,
    pub farewell: watch::Receiver<Farewell>,
    pub beat: Beat,
    pub clock: Clock,
    pub progress: Progress,
}

/// What the registrar remembers between its turns.
pub struct Progress {
    wish: Wish,
    /// When a former entry is tried next.
    former_due: Moment,
    /// What the state directory says; nothing yet.
    recorded: Option<Vec<HeldEntry>>,
    /// A first request was cut off by the stop.
    in_doubt: bool,
}

impl Default for Progress {
    fn default() -> Self {
        let wish = Wish { verdict: Verdict::Undecided, address: None, why: None };
        Self { wish, former_due: Moment::default(), recorded: None, in_doubt: false }
    }
}

impl Registrar {
    pub async fn run(mut self, stop: CancellationToken) {
        self.consider();
        while !stop.is_cancelled() {
            self.beat.tick();
            self.step(Input::Tick);
            let now = self.clock.now();
            match self.policy.next() {
                Some((due, act)) if due <= now => self.act(act, &stop).await,
                _ if self.former_at().is_some_and(|at| at <= now) => self.leave_former(&stop).await,
                next => {
                    let due = next.map(|(due, _)| due).into_iter().chain(self.former_at());
                    let wake = due.fold(now + TICK, Ord::min);
                    if self.wait_until(self.clock.instant(wake), &stop).await.is_break() {
                        break;
                    }
                }
            }
        }
        self.say_farewell().await;
    }

    /// Takes in a change of what has a say, if one comes; breaks when there is nobody left to tell.
    async fn wait_until(&mut self, wake: Instant, stop: &CancellationToken) -> ControlFlow<()> {
        // Cancel-safe: `changed` marks nothing seen until it returns, and a sleep holds no state.
        tokio::select! {
            biased;
            () = stop.cancelled() => ControlFlow::Break(()),
            changed = self.inputs.changed() => {
                self.consider();
                if changed.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
            () = sleep_until(wake) => ControlFlow::Continue(()),
        }
    }

    fn consider(&mut self) {
        let wish = self.inputs.wish();
        let elsewhere = |address: &&NodeAddress| self.place.as_ref().is_none_or(|place| place.address != **address);
        if wish.verdict == Verdict::Open
            && let Some(address) = wish.address.as_ref().filter(elsewhere).cloned()
        {
            self.move_to(address);
        }
        let verdict = wish.verdict;
        self.progress.wish = wish;
        self.step(Input::Verdict(verdict));
    }

    /// From now on the policy is about the entry of this address; what is in stays until that one is.
    fn move_to(&mut self, address: NodeAddress) {
        let now = self.clock.now();
        let place = Place { site: self.site.clone(), address };
        let (same, others) = std::mem::take(&mut self.former)
            .into_iter()
            .partition::<Vec<_>, _>(|former| former.place.held() == place.held());
        self.former = others;
        if let Some(place) = self.place.replace(place).filter(|_| self.policy.holds()) {
            self.former.push(Former { place, until: None });
            self.progress.former_due = now;
        }
        self.policy = self.policy.clone().moved(!same.is_empty(), now);
    }

    async fn act(&mut self, act: Act, stop: &CancellationToken) {
        if act == Act::Register {
            self.record(true).await;
        }
        // A request that is cancelled may have been carried out all the same, which the farewell assumes.
        let result = tokio::select! {
            biased;
            () = stop.cancelled() => {
                self.progress.in_doubt = true;
                return;
            }
            result = self.perform(act) => result,
        };
        self.conclude(act, result).await;
    }

    async fn perform(&self, act: Act) -> Result<(), BackendError> {
        // the policy acts only after a verdict, which comes with an address
        let Some(Place { site, address }) = &self.place else { return Ok(()) };
        match act {
            Act::Register => site.backend.register(address, self.ttl).await,
            Act::Deregister => site.backend.deregister(address).await,
        }
    }

    async fn conclude(&mut self, act: Act, result: Result<(), BackendError>) {
        match (act, result) {
            (Act::Register, Ok(())) => {
                tracing::debug!("heartbeat accepted");
                self.step(Input::Registered);
            }
            (Act::Deregister, Ok(())) => {
                self.step(Input::Deregistered);
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
        self.publish();
    }

    fn publish(&self) {
        let next = Standing {
            address: self.place.as_ref().map(|place| place.address.clone()),
            replaces: self.former.first().map(|former| former.place.address.clone()),
            status: self.policy.status(),
            why: self.progress.wish.why.clone(),
        };
        self.standing.send_if_modified(|current| {
            let changed = *current != next;
            *current = next;
            changed
        });
    }

    /// When a former entry may go: once the new one is in, or there is to be none.
    fn former_at(&self) -> Option<Moment> {
        let joined = self.policy.status() == RegistrationStatus::Present;
        let out = self.progress.wish.verdict == Verdict::Closed && !self.policy.holds();
        (!self.former.is_empty() && (joined || out)).then_some(self.progress.former_due)
    }

    /// One attempt for one former entry.
    async fn leave_former(&mut self, stop: &CancellationToken) {
        let now = self.clock.now();
        let Some(mut former) = (!self.former.is_empty()).then(|| self.former.remove(0)) else { return };
        let until = *former.until.get_or_insert(now + self.ttl);
        let (backend, address) = (Arc::clone(&former.place.site.backend), former.place.address.clone());
        // An attempt that is cut off is made again by the farewell or by the next process.
        let left = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            left = backend.deregister(&address) => Some(left),
        };
        match left {
            Some(Ok(())) => {
                let moved = "the agent now advertises another address or uses another URL";
                let reason = if self.policy.holds() { moved.to_owned() } else { self.reason() };
                let (address, server) = (address.to_string(), former.place.site.server.as_str());
                emit(&Event::Deregistered { address: &address, server, reason: &reason });
            }
            Some(Err(error)) if now >= until => {
                tracing::debug!(%error, %address, "the former entry could not be taken out, and has expired");
            }
            Some(Err(error)) => {
                tracing::debug!(%error, %address, "the former entry could not be taken out yet");
                self.former.push(former);
                self.progress.former_due = now + FORMER_RETRY;
                return;
            }
            None => {
                self.former.push(former);
                return;
            }
        }
        self.publish();
        self.record(self.policy.holds()).await;
    }

    /// Writes down what may be in a discovery service because of us, if that has changed.
    async fn record(&mut self, with_current: bool) {
        let current = self.place.as_ref().filter(|_| with_current);
        let former = self.former.iter().map(|former| &former.place);
        let entries: Vec<HeldEntry> = former.chain(current).map(Place::held).collect();
        if self.progress.recorded.as_ref() == Some(&entries) {
            return;
        }
        if let Err(error) = self.entries.keep(&entries).await {
            let cause = format!("{} (after a restart the entry can't be resumed)", error.cause);
            emit(&Event::StateTrouble { path: &error.path.display().to_string(), error: &cause });
        }
        self.progress.recorded = Some(entries);
    }

    async fn say_farewell(mut self) {
        let farewell = *self.farewell.borrow();
        let holds = self.progress.in_doubt || self.policy.holds();
        if farewell == Farewell::Keep || (!holds && self.former.is_empty()) {
            return;
        }
        let deadline = Instant::now() + FAREWELL_LIMIT;
        let current = self.place.take().filter(|_| holds);
        let all: Vec<Place> = current.into_iter().chain(self.former.drain(..).map(|former| former.place)).collect();
        for place in &all {
            self.take_leave(place, deadline).await;
        }
        if Instant::now() < deadline {
            self.record(false).await;
        }
    }

    /// Tries until the entry is out, or the time is up.
    async fn take_leave(&mut self, place: &Place, deadline: Instant) {
        let (address, server) = (place.address.to_string(), place.site.server.as_str());
        let leave = async {
            while let Err(error) = place.site.backend.deregister(&place.address).await {
                tracing::debug!(%error, address, "the entry could not be taken out yet");
                sleep(FAREWELL_RETRY).await;
            }
        };
        if timeout_at(deadline, leave).await.is_ok() {
            emit(&Event::Deregistered { address: &address, server, reason: "the agent stops" });
            return;
        }
        let reason = match self.policy.status() {
            RegistrationStatus::Leaving { error: Some(error) } => error,
            _ => "no answer in time".to_owned(),
        };
        emit(&Event::LeaveFailed { address: &address, server, reason: &reason });
    }

    /// Why there is to be no entry.
    fn reason(&self) -> String {
        let engine = || format!("engine {}", self.inputs.outlook.borrow().health);
        self.progress.wish.why.clone().unwrap_or_else(engine)
    }

    fn report(&self, notice: &Notice) {
        let Some(place) = &self.place else { return };
        let (address, server) = (place.address.to_string(), place.site.server.as_str());
        match notice {
            Notice::Joined => emit(&Event::Registered { address: &address, server }),
            Notice::Left => emit(&Event::Deregistered { address: &address, server, reason: &self.reason() }),
            Notice::Outage { failures, lasted, error } => {
                emit(&Event::DiscoveryFailing { server, failures: *failures, lasted: *lasted, error });
            }
            Notice::Recovered { failures, lasted } => {
                emit(&Event::DiscoveryRecovered { server, failures: *failures, lasted: *lasted });
            }
            Notice::Expired => emit(&Event::LeaseExpired { address: &address, server }),
            Notice::LeftByExpiry => {
                let reason = "it has expired";
                emit(&Event::Deregistered { address: &address, server, reason });
            }
        }
    }
}

impl Inputs {
    async fn changed(&mut self) -> Result<(), watch::error::RecvError> {
        let reach = async {
            match &mut self.reach {
                Some(reach) => reach.changed().await,
                None => std::future::pending().await,
            }
        };
        // Cancel-safe: `changed` marks nothing seen until it returns.
        tokio::select! {
            biased;
            changed = self.outlook.changed() => changed,
            changed = self.address.changed() => changed,
            changed = reach => changed,
        }
    }

    fn wish(&mut self) -> Wish {
        let verdict = self.outlook.borrow_and_update().verdict;
        let reach = self.reach.as_mut().and_then(|reach| reach.borrow_and_update().clone());
        wish(verdict, &self.address.borrow_and_update(), self.check, reach.as_ref())
    }
}

impl Place {
    fn held(&self) -> HeldEntry {
        HeldEntry { url: self.site.url.clone(), address: self.address.clone() }
    }
}

#[cfg(test)]
mod tests;
