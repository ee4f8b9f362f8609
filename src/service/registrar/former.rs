//! Entries under another address or URL than the one that is wanted now.

use super::{Place, Registrar};
use crate::model::{Moment, NodeAddress, RegistrationStatus};
use crate::policy::gate::Verdict;
use crate::telemetry::metrics::Operation;
use crate::telemetry::{Event, emit};
use std::time::Duration;
use tokio::time::Instant;

/// Between two attempts to take one out.
const RETRY: Duration = Duration::from_secs(10);

pub struct Former {
    pub place: Place,
    /// The next attempt.
    pub due: Moment,
    /// It has expired by then.
    pub until: Moment,
}

const ELSEWHERE: &str = "it is from before the last boot, and this host has another address now";

impl Registrar {
    /// What was put in before the last boot is as good as what was put in since if this host still has the address. Under
    /// another address somebody else may live by now, the machine that this one is a copy of, say: it ends with its ttl.
    pub(super) fn claim_earlier(&mut self, address: &NodeAddress) {
        let (now, current) = (self.parts.clock.now(), self.parts.place.as_ref());
        for place in std::mem::take(&mut self.parts.earlier) {
            if place.address != *address {
                emit(&Event::EntryAbandoned { address: &place.address.to_string(), reason: ELSEWHERE });
            } else if current.is_none_or(|current| !current.is_that_of(&place)) {
                let place = Place { earlier_boot: None, ..place };
                self.parts.former.push(Former { place, due: now, until: now + self.parts.ttl });
            }
        }
    }

    /// A former entry goes when the new one is in, or when the engine is down; not before that is known.
    pub(super) fn former_may_go(&self) -> bool {
        let present =
            matches!(self.parts.policy.status(), RegistrationStatus::Present | RegistrationStatus::Unconfirmed { .. });
        present || self.wish.verdict == Verdict::Closed
    }

    pub(super) fn next_former(&self) -> Option<(usize, Moment)> {
        let dues = self.parts.former.iter().map(|former| former.due.min(former.until)).enumerate();
        dues.min_by_key(|(_, due)| *due)
    }

    /// One attempt; one that fails is tried again until the entry has expired by itself.
    pub(super) async fn leave_former(&mut self, index: usize) {
        let now = self.parts.clock.now();
        let former = &mut self.parts.former[index];
        let expired = now >= former.until;
        former.due = now + RETRY;
        let place = former.place.clone();
        if !expired {
            let asked = Instant::now();
            let result = place.release(self.parts.node.as_deref()).await;
            self.note(Operation::Deregister, asked.elapsed(), result.as_ref().err());
            if let Err(error) = result {
                tracing::debug!(%error, address = %place.address, "the former entry could not be taken out yet");
                return;
            }
        }
        self.parts.former.remove(index);
        let moved = "the agent now advertises another address or uses another URL";
        let reason = match expired {
            true => "it has expired",
            false if self.parts.policy.holds() => moved,
            false => self.reason.as_str(),
        };
        emit(&Event::Deregistered { address: &place.address.to_string(), server: &place.site.server, reason });
        self.publish();
        self.record(self.parts.policy.holds()).await;
    }
}
