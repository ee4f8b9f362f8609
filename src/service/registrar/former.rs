//! Entries under another address or URL than the one that is wanted now.

use super::{Place, Registrar};
use crate::model::{Moment, RegistrationStatus};
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

impl Registrar {
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
            let result = place.site.backend.deregister(&place.address, place.hold.as_ref()).await;
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
