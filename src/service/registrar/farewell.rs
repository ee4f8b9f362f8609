//! What becomes of the entries when the agent ends.

use super::{Former, Place, Registrar};
use crate::discovery::BackendError;
use crate::model::HeldEntry;
use crate::telemetry::{Event, emit};
use futures_util::future::join_all;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// Taken out: the service was stopped.
    Leave,
    /// Left for the next process: the service restarts.
    Keep,
}

/// A stop takes the entries out within this time, or leaves them to their ttl.
pub(super) const LIMIT: Duration = Duration::from_millis(3500);
/// One attempt: short enough for a second one, should the kept connection turn out dead.
const ATTEMPT: Duration = Duration::from_millis(1500);
const PAUSE: Duration = Duration::from_millis(200);

impl Registrar {
    /// Gives what stays.
    pub(super) async fn say_farewell(mut self) -> Vec<HeldEntry> {
        if *self.parts.farewell.borrow() == Farewell::Keep {
            return self.entries(self.parts.policy.holds());
        }
        let current = self.parts.place.take().filter(|_| self.parts.policy.holds());
        let (former, node) = (std::mem::take(&mut self.parts.former), self.parts.node.as_deref());
        // all at once: a server that is away must not cost the entry at another one
        let leaving = former.into_iter().map(|former| async {
            let left = leave(&former.place, node).await;
            (former, left)
        });
        let (former, current_left) = tokio::join!(join_all(leaving), async {
            match &current {
                Some(place) => leave(place, node).await,
                None => true,
            }
        });
        self.parts.former =
            former.into_iter().filter(|(_, left)| !left).map(|(former, _): (Former, _)| former).collect();
        self.parts.place = current;
        self.record(!current_left).await;
        self.entries(!current_left)
    }
}

/// Tries until the entry is out or time is up; whether it is out.
async fn leave(place: &Place, node: Option<&str>) -> bool {
    let (address, server) = (place.address.to_string(), place.site.server.as_str());
    let deadline = Instant::now() + LIMIT;
    loop {
        let attempt = ATTEMPT.min(deadline.saturating_duration_since(Instant::now()));
        let result = timeout(attempt, place.release(node)).await;
        let error = match result {
            Ok(Ok(())) => {
                emit(&Event::Deregistered { address: &address, server, reason: "the agent stops" });
                return true;
            }
            Ok(Err(error)) => error,
            Err(_) => BackendError::Timeout { server: server.to_owned(), timeout: attempt },
        };
        if Instant::now() + PAUSE >= deadline {
            emit(&Event::LeaveFailed { address: &address, server, reason: &error.to_string() });
            return false;
        }
        sleep(PAUSE).await;
    }
}
