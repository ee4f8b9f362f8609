//! Keeps our entry in the discovery service as the engine, the address and the policy want it.

mod farewell;
mod former;
mod inputs;
mod place;

pub use farewell::Farewell;
pub use former::Former;
pub use inputs::Inputs;
pub use place::{Place, Site};

use super::beat::Beat;
use super::clock::Clock;
use crate::discovery::{BackendError, Claim};
use crate::model::{HeldEntry, LastError, Limiter, Moment, NodeAddress, Standing, Tenure};
use crate::policy::gate::Verdict;
use crate::policy::registration::{Act, Failure, Input, Notice, Registration};
use crate::policy::wish::Wish;
use crate::state::HeldEntries;
use crate::telemetry::metrics::{Metrics, Operation};
use crate::telemetry::{Event, emit};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// That the state directory is in trouble is said this often at most.
const TROUBLE_INTERVAL: Duration = Duration::from_secs(3600);

/// What a registrar is made of.
pub struct Parts {
    /// Where new entries go.
    pub site: Site,
    /// The entry that the policy is about; none before there was an address.
    pub place: Option<Place>,
    /// Entries under another address or URL: taken out once the new one is in.
    pub former: Vec<Former>,
    /// Entries from before the last boot: ours if this host still has their address.
    pub earlier: Vec<Place>,
    /// The id of this node, if it has one.
    pub node: Option<String>,
    pub ttl: Duration,
    pub policy: Registration,
    pub entries: Arc<dyn HeldEntries>,
    pub inputs: Inputs,
    pub standing: watch::Sender<Standing>,
    pub tenure: watch::Sender<Tenure>,
    pub metrics: Arc<Metrics>,
    pub farewell: watch::Receiver<Farewell>,
    pub beat: Beat,
    pub clock: Clock,
}

pub struct Registrar {
    parts: Parts,
    /// What the state directory says.
    recorded: Option<Vec<HeldEntry>>,
    trouble: Limiter,
    last_error: Option<LastError>,
    last_beat: Option<Moment>,
    wish: Wish,
    /// Why the entry is to leave.
    reason: String,
}

/// The next thing to do.
enum Turn {
    Act(Act),
    LeaveFormer(usize),
    WaitUntil(Moment),
}

impl Registrar {
    pub fn new(parts: Parts) -> Self {
        let wish = Wish { verdict: Verdict::Undecided, address: None, why: None };
        // also what the registrar before a reload had
        let Tenure { last_error, last_beat, .. } = parts.tenure.borrow().clone();
        let trouble = Limiter::new(TROUBLE_INTERVAL);
        Self { parts, recorded: None, trouble, last_error, last_beat, wish, reason: String::new() }
    }

    /// Gives the entries that stay in a discovery service because of us.
    pub async fn run(mut self, stop: CancellationToken) -> Vec<HeldEntry> {
        self.consider();
        loop {
            self.parts.beat.tick();
            self.step(Input::Tick);
            let turn = self.next_turn();
            // Cancel-safe: the policy counts a request as sent before it is, so one that is cut off is known to
            // the farewell; a record that was not finished is written again.
            let flow = tokio::select! {
                biased;
                () = stop.cancelled() => ControlFlow::Break(()),
                flow = self.take(turn) => flow,
            };
            if flow.is_break() {
                break;
            }
        }
        self.say_farewell().await
    }

    fn next_turn(&self) -> Turn {
        let now = self.parts.clock.now();
        if let Some((_, act)) = self.parts.policy.next().filter(|(due, _)| *due <= now) {
            return Turn::Act(act);
        }
        let former = if self.former_may_go() { self.next_former() } else { None };
        match former {
            Some((index, due)) if due <= now => Turn::LeaveFormer(index),
            former => {
                let wakes = [self.parts.policy.wakes_at(), former.map(|(_, due)| due)];
                Turn::WaitUntil(wakes.into_iter().flatten().fold(self.parts.clock.next_turn(), Ord::min))
            }
        }
    }

    async fn take(&mut self, turn: Turn) -> ControlFlow<()> {
        match turn {
            Turn::Act(act) => self.act(act).await,
            Turn::LeaveFormer(index) => self.leave_former(index).await,
            Turn::WaitUntil(moment) => return self.wait_until(self.parts.clock.coarse_instant(moment)).await,
        }
        ControlFlow::Continue(())
    }

    /// Takes in a change of what has a say, if one comes; breaks when there is nobody left to tell.
    async fn wait_until(&mut self, wake: Instant) -> ControlFlow<()> {
        // Cancel-safe: `changed` marks nothing seen until it returns, and a sleep holds no state.
        tokio::select! {
            biased;
            changed = self.parts.inputs.changed() => {
                self.consider();
                if changed.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
            () = sleep_until(wake) => ControlFlow::Continue(()),
        }
    }

    fn consider(&mut self) {
        let wish = self.parts.inputs.wish();
        if let Some(address) = &wish.address {
            self.claim_earlier(address);
        }
        let elsewhere =
            |address: &&NodeAddress| self.parts.place.as_ref().is_none_or(|place| place.address != **address);
        if wish.verdict == Verdict::Open
            && let Some(address) = wish.address.as_ref().filter(elsewhere).cloned()
        {
            self.move_to(address);
        }
        if wish.verdict == Verdict::Closed {
            self.reason = wish.why.clone().unwrap_or_else(|| self.parts.inputs.engine());
        }
        let verdict = wish.verdict;
        self.wish = wish;
        self.step(Input::Verdict(verdict));
    }

    /// From now on the policy is about the entry of this address; what is in stays until that one is.
    fn move_to(&mut self, address: NodeAddress) {
        let now = self.parts.clock.now();
        let mut place = Place { site: self.parts.site.clone(), address, hold: None, earlier_boot: None };
        let (same, others) = std::mem::take(&mut self.parts.former)
            .into_iter()
            .partition::<Vec<_>, _>(|former| former.place.is_that_of(&place));
        place.hold = same.first().and_then(|former: &Former| former.place.hold.clone());
        self.parts.former = others;
        let policy = self.parts.policy.clone();
        self.parts.policy = policy.clone().moved(&place.address, !same.is_empty(), now);
        if let Some(place) = self.parts.place.replace(place).filter(|_| policy.holds()) {
            self.parts.former.push(Former { place, due: now, until: now + self.parts.ttl });
        }
    }

    async fn act(&mut self, act: Act) {
        // the policy acts only after a verdict, which comes with an address
        let Some(place) = self.parts.place.clone() else { return };
        if act == Act::Register {
            // before it is asked for: a process that dies in between must not forget it
            self.record(true).await;
        }
        self.step(Input::Sent);
        let sent = Instant::now();
        let result = match act {
            Act::Register => {
                let record = self.parts.inputs.record(&place.address);
                let (hold, record) = (place.hold.as_ref(), record.as_ref());
                let claim = Claim { address: &place.address, ttl: self.parts.ttl, hold, record };
                place.site.backend.register(&claim).await
            }
            Act::Deregister => place.release(self.parts.node.as_deref()).await.map(|()| None),
        };
        let operation = if act == Act::Register { Operation::Register } else { Operation::Deregister };
        self.note(operation, sent.elapsed(), result.as_ref().err());
        if let (Ok(hold), Some(place)) = (&result, &mut self.parts.place) {
            place.hold.clone_from(hold);
        }
        self.step(match (act, result) {
            (Act::Register, Ok(_)) => {
                tracing::debug!("heartbeat accepted");
                Input::Registered
            }
            (Act::Deregister, Ok(_)) => Input::Deregistered,
            (_, Err(error)) => Input::Failed(failure(&error)),
        });
        self.record(self.parts.policy.holds()).await;
    }

    fn note(&mut self, operation: Operation, took: Duration, error: Option<&BackendError>) {
        self.parts.metrics.request(operation, took, error.map(BackendError::kind));
        let at = self.parts.clock.now();
        match error {
            Some(error) => self.last_error = Some(LastError { at, text: error.to_string() }),
            None if operation == Operation::Register => self.last_beat = Some(at),
            None => {}
        }
    }

    fn step(&mut self, input: Input) {
        let (policy, notices) = self.parts.policy.clone().step(input, self.parts.clock.now());
        self.parts.policy = policy;
        notices.iter().for_each(|notice| self.report(notice));
        self.publish();
    }

    fn publish(&self) {
        let next = Standing {
            address: self.parts.place.as_ref().map(|place| place.address.clone()),
            replaces: self.parts.former.first().map(|former| former.place.address.clone()),
            status: self.parts.policy.status(),
            why: self.wish.why.clone(),
        };
        publish(&self.parts.standing, next);
        let tenure = self.parts.policy.tenure();
        let (last_error, last_beat) = (self.last_error.clone(), self.last_beat);
        publish(&self.parts.tenure, Tenure { last_error, last_beat, ..tenure });
    }

    fn entries(&self, with_current: bool) -> Vec<HeldEntry> {
        let current = self.parts.place.as_ref().filter(|_| with_current);
        let former = self.parts.former.iter().map(|former| &former.place);
        self.parts.earlier.iter().chain(former).chain(current).map(Place::held).collect()
    }

    /// Writes down what may be in a discovery service because of us, if that has changed.
    async fn record(&mut self, with_current: bool) {
        let entries = self.entries(with_current);
        if self.recorded.as_ref() == Some(&entries) {
            return;
        }
        match self.parts.entries.keep(&entries).await {
            Ok(()) => self.recorded = Some(entries),
            Err(error) if self.trouble.allow(self.parts.clock.now()) => {
                let cause = format!("{} (after a restart the entry can't be resumed)", error.cause);
                emit(&Event::StateTrouble { path: &error.path.display().to_string(), error: &cause });
            }
            Err(error) => tracing::debug!(%error, "the entries can't be written down"),
        }
    }

    fn report(&self, notice: &Notice) {
        let Some(place) = &self.parts.place else { return };
        let (address, server) = (place.address.to_string(), place.site.server.as_str());
        match notice {
            Notice::Joined => emit(&Event::Registered { address: &address, server }),
            Notice::Left => emit(&Event::Deregistered { address: &address, server, reason: &self.reason }),
            Notice::LeftByExpiry => emit(&Event::Deregistered { address: &address, server, reason: "it has expired" }),
            Notice::Outage { failures, lasted, error } => {
                emit(&Event::DiscoveryFailing { server, failures: *failures, lasted: *lasted, error });
            }
            Notice::Recovered { failures, lasted } => {
                emit(&Event::DiscoveryRecovered { server, failures: *failures, lasted: *lasted });
            }
            Notice::AtRisk { left } => emit(&Event::LeaseAtRisk { address: &address, server, left: *left }),
            Notice::Expired => emit(&Event::LeaseExpired { address: &address, server }),
        }
    }
}

/// Nobody is woken for what was known already.
fn publish<T: PartialEq>(sender: &watch::Sender<T>, next: T) {
    sender.send_if_modified(|current| {
        let changed = *current != next;
        *current = next;
        changed
    });
}

fn failure(error: &BackendError) -> Failure {
    Failure { error: error.to_string(), retry_after: error.retry_after(), jitter: rand::random_range(0.0..1.0) }
}

#[cfg(test)]
mod tests;
