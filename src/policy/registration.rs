//! When to register, renew and deregister, and what to say about it.

use crate::model::{Backoff, Limiter, Moment, NodeAddress, RegistrationStatus, Tenure};
use crate::policy::gate::Verdict;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    pub heartbeat: Duration,
    pub ttl: Duration,
    /// Where in each heartbeat's span this node beats, `0.0..1.0`: nodes that started or recovered together
    /// come apart with the next beat.
    pub phase: f64,
    /// Between attempts while they fail.
    pub backoff: Backoff,
}

/// Attempts that fail are warned of this often at most.
const WARN_INTERVAL: Duration = Duration::from_secs(60);
const BACKOFF_BASE: Duration = Duration::from_secs(1);
/// The longest that attempts are apart while they fail.
const BACKOFF_CAP: Duration = Duration::from_secs(30);

impl Pace {
    /// The pace of a node whose address is not known yet.
    pub fn new(heartbeat: Duration, ttl: Duration) -> Self {
        let cap = BACKOFF_CAP.min(heartbeat);
        Self { heartbeat, ttl, phase: 0.0, backoff: Backoff { base: BACKOFF_BASE.min(cap), cap } }
    }

    /// The pace of this node. Its phase is a hash of its address, which tells nodes apart even where a clone has
    /// the machine id of its origin.
    pub fn of(self, node: &NodeAddress) -> Self {
        let mut hasher = DefaultHasher::new();
        node.hash(&mut hasher);
        // as many bits as a float holds exactly
        let phase = (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64;
        Self { phase, ..self }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    pace: Pace,
    phase: Phase,
    /// When the request under way was sent: a lease counts from then at the earliest.
    sent: Moment,
    outage: Option<Outage>,
    warnings: Limiter,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Nothing of ours is in the discovery service.
    Absent { not_before: Moment },
    /// A former process left an entry; the gate has not decided yet whether to keep it.
    Resumed,
    /// On the way in. `tried`: an attempt without a good answer may have put the entry in all the same.
    Joining { due: Moment, tried: bool },
    /// In since `since`, and renewed at `renewed`.
    Present { due: Moment, renewed: Moment, since: Moment },
    /// On the way out; at `until` the entry has expired anyway.
    Leaving { due: Moment, until: Moment },
}

/// A run of failed attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outage {
    since: Moment,
    failures: u32,
    error: String,
    said: bool,
    /// That the lease is at risk has been said.
    risk_said: bool,
}

#[derive(Debug, Clone)]
pub enum Input {
    Verdict(Verdict),
    /// A request is on its way: from now on it may have an effect, whether or not an answer comes.
    Sent,
    /// The answer to [`Act::Register`].
    Registered,
    /// The answer to [`Act::Deregister`].
    Deregistered,
    /// Either failed.
    Failed(Failure),
    Tick,
}

#[derive(Debug, Clone)]
pub struct Failure {
    pub error: String,
    pub retry_after: Option<Duration>,
    /// `0.0..1.0`, drawn by the caller.
    pub jitter: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Register,
    Deregister,
}

/// Something that the journal should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The entry is in (again).
    Joined,
    /// The entry is out.
    Left,
    /// Attempts fail: at the first failure, then at most once a minute.
    Outage { failures: u32, lasted: Duration, error: String },
    /// Attempts succeed again.
    Recovered { failures: u32, lasted: Duration },
    /// No beat got through, and less than a third of the ttl is left.
    AtRisk { left: Duration },
    /// No beat got through for a whole ttl: the entry has expired.
    Expired,
    /// The entry could not be taken out, and has expired by itself.
    LeftByExpiry,
}

impl Registration {
    /// `resumed`: a former process left this very entry. `not_before` delays the first registration.
    pub fn new(pace: Pace, resumed: bool, not_before: Moment) -> Self {
        let phase = if resumed { Phase::Resumed } else { Phase::Absent { not_before } };
        Self { pace, phase, sent: Moment::default(), outage: None, warnings: Limiter::new(WARN_INTERVAL) }
    }

    /// From here on this is about another entry, which may be in already if it is `resumed`; a delay and an outage stay.
    pub fn moved(mut self, node: &NodeAddress, resumed: bool, now: Moment) -> Self {
        self.pace = self.pace.of(node);
        let not_before = match self.phase {
            Phase::Absent { not_before } | Phase::Joining { due: not_before, tried: false } => not_before,
            _ => now,
        };
        self.phase = if resumed { Phase::Resumed } else { Phase::Absent { not_before } };
        self
    }

    pub fn step(mut self, input: Input, now: Moment) -> (Self, Vec<Notice>) {
        let mut notices = Vec::new();
        match input {
            Input::Verdict(verdict) => self.decide(verdict, now),
            Input::Sent => self.send(now),
            Input::Registered => self.registered(now, &mut notices),
            Input::Deregistered => self.deregistered(now, &mut notices),
            Input::Failed(failure) => self.failed(failure, now, &mut notices),
            Input::Tick => {}
        }
        self.expire(now, &mut notices);
        (self, notices)
    }

    /// What to do next, and when; nothing while the entry is where it should be.
    pub fn next(&self) -> Option<(Moment, Act)> {
        match &self.phase {
            Phase::Absent { .. } | Phase::Resumed => None,
            Phase::Joining { due, .. } | Phase::Present { due, .. } => Some((*due, Act::Register)),
            Phase::Leaving { due, .. } => Some((*due, Act::Deregister)),
        }
    }

    /// When time alone changes something, if it does: the next act, the lease at risk, its end.
    pub fn wakes_at(&self) -> Option<Moment> {
        let lapses = match (&self.phase, &self.outage) {
            (Phase::Present { renewed, .. }, Some(outage)) if !outage.risk_said => Some(self.risk_at(*renewed)),
            (Phase::Present { renewed, .. }, _) => Some(*renewed + self.pace.ttl),
            (Phase::Leaving { until, .. }, _) => Some(*until),
            _ => None,
        };
        let next = self.next().map(|(due, _)| due);
        [next, lapses].into_iter().flatten().min()
    }

    /// Something of ours is, or may be, in the discovery service.
    pub fn holds(&self) -> bool {
        !matches!(self.phase, Phase::Absent { .. } | Phase::Joining { tried: false, .. })
    }

    pub fn status(&self) -> RegistrationStatus {
        let error = self.outage.as_ref().map(|outage| outage.error.clone());
        match (&self.phase, error) {
            (Phase::Absent { .. }, _) => RegistrationStatus::Absent,
            (Phase::Resumed, _) => RegistrationStatus::Resumed,
            (Phase::Joining { .. }, error) => RegistrationStatus::Joining { error },
            (Phase::Present { .. }, None) => RegistrationStatus::Present,
            (Phase::Present { .. }, Some(error)) => {
                let at_risk = self.outage.as_ref().is_some_and(|outage| outage.risk_said);
                RegistrationStatus::Unconfirmed { error, at_risk }
            }
            (Phase::Leaving { .. }, error) => RegistrationStatus::Leaving { error },
        }
    }

    /// The same over time; what failed last is the caller's to remember.
    pub fn tenure(&self) -> Tenure {
        let next = self.next().map(|(due, _)| due);
        match self.phase {
            Phase::Present { renewed, since, .. } => {
                Tenure { since: Some(since), renewed: Some(renewed), next, ..Tenure::default() }
            }
            _ => Tenure { next, ..Tenure::default() },
        }
    }

    fn decide(&mut self, verdict: Verdict, now: Moment) {
        let leaving = Phase::Leaving { due: now, until: now + self.pace.ttl };
        self.phase = match (verdict, &self.phase) {
            (Verdict::Open, Phase::Absent { not_before }) => Phase::Joining { due: now.max(*not_before), tried: false },
            (Verdict::Open, Phase::Resumed | Phase::Leaving { .. }) => Phase::Joining { due: now, tried: true },
            (Verdict::Closed, Phase::Joining { tried: false, due }) => Phase::Absent { not_before: *due },
            (Verdict::Closed, Phase::Resumed | Phase::Joining { .. } | Phase::Present { .. }) => leaving,
            _ => return,
        };
    }

    fn send(&mut self, now: Moment) {
        self.sent = now;
        if let Phase::Joining { tried, .. } = &mut self.phase {
            *tried = true;
        }
    }

    fn registered(&mut self, now: Moment, notices: &mut Vec<Notice>) {
        let since = match self.phase {
            Phase::Present { since, .. } => since,
            _ => {
                notices.push(Notice::Joined);
                now
            }
        };
        self.phase = Phase::Present { due: self.slot_after(now), renewed: self.sent, since };
        self.recover(now, notices);
    }

    /// The next of this node's slots, which are one heartbeat apart.
    fn slot_after(&self, now: Moment) -> Moment {
        let span = self.pace.heartbeat.max(Duration::from_millis(1));
        let offset = span.mul_f64(self.pace.phase.clamp(0.0, 1.0));
        let into = (now.since_origin() + span).saturating_sub(offset).as_nanos() % span.as_nanos();
        // less than a heartbeat, which fits
        let into = Duration::from_nanos(u64::try_from(into).unwrap_or_default());
        now + (span - into)
    }

    fn risk_at(&self, renewed: Moment) -> Moment {
        renewed + self.pace.ttl.mul_f64(2.0 / 3.0)
    }

    fn deregistered(&mut self, now: Moment, notices: &mut Vec<Notice>) {
        notices.push(Notice::Left);
        self.phase = Phase::Absent { not_before: now };
        self.recover(now, notices);
    }

    /// A failure that was not said needs no word that it is over.
    fn recover(&mut self, now: Moment, notices: &mut Vec<Notice>) {
        if let Some(outage) = self.outage.take().filter(|outage| outage.said) {
            notices.push(Notice::Recovered { failures: outage.failures, lasted: now.since(outage.since) });
        }
    }

    fn failed(&mut self, failure: Failure, now: Moment, notices: &mut Vec<Notice>) {
        let outage = self.outage.get_or_insert_with(|| Outage {
            since: now,
            failures: 0,
            error: String::new(),
            said: false,
            risk_said: false,
        });
        outage.failures = outage.failures.saturating_add(1);
        outage.error = failure.error;
        if self.warnings.allow(now) {
            outage.said = true;
            let (failures, lasted, error) = (outage.failures, now.since(outage.since), outage.error.clone());
            notices.push(Notice::Outage { failures, lasted, error });
        }
        // a server may ask for patience, but not for more than would cost the entry; the jitter comes on top, so
        // that those who were asked together don't come back together
        let asked = failure.retry_after.unwrap_or_default().min(self.pace.heartbeat);
        let next = now + asked + self.pace.backoff.delay(outage.failures, failure.jitter);
        match &mut self.phase {
            Phase::Joining { due, .. } | Phase::Present { due, .. } | Phase::Leaving { due, .. } => *due = next,
            Phase::Absent { .. } | Phase::Resumed => {}
        }
    }

    /// What time alone does. An entry that was not renewed for a ttl is gone, whatever we wished.
    fn expire(&mut self, now: Moment, notices: &mut Vec<Notice>) {
        match self.phase {
            Phase::Present { due, renewed, .. } if now >= renewed + self.pace.ttl => {
                self.phase = Phase::Joining { due, tried: true };
                notices.push(Notice::Expired);
            }
            Phase::Present { renewed, .. } if now >= self.risk_at(renewed) => {
                if let Some(outage) = self.outage.as_mut().filter(|outage| !outage.risk_said) {
                    outage.risk_said = true;
                    notices.push(Notice::AtRisk { left: (renewed + self.pace.ttl).since(now) });
                }
            }
            Phase::Leaving { until, .. } if now >= until => {
                self.phase = Phase::Absent { not_before: now };
                self.outage = None;
                notices.push(Notice::LeftByExpiry);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
