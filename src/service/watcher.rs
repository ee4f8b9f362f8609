//! Follows the list of a cluster: whole states, so that no change is missed for good. A service that can tell of changes
//! is waited in; any other is read again and again.

use super::clock::Clock;
use crate::discovery::{Backend, BackendError, Position, Scope, Seen, Sight};
use crate::model::{Moment, NodeAddress};
use crate::policy::watch::{Event, Failed, Input, PATIENCE, Watch};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep_until};

pub struct Watcher {
    backend: Box<dyn Backend>,
    policy: Watch,
    /// What was seen last, where the service can tell of changes. After an error the list is read as a whole again.
    position: Option<Position>,
    due: Instant,
    clock: Clock,
}

impl Watcher {
    pub fn new(backend: Box<dyn Backend>, policy: Watch) -> Self {
        Self { backend, policy, position: None, due: Instant::now(), clock: Clock::of_leases() }
    }

    /// Waits until a call is due, makes it, and returns what is new; often nothing. The call may wait for a change.
    /// Cancel-safe: a call that is dropped is made anew by the next one.
    pub async fn next(&mut self) -> Vec<Event> {
        sleep_until(self.due).await;
        let began = self.clock.now();
        let seen = self.position.clone().map(|position| Seen { position, patience: PATIENCE });
        let outcome = self.backend.watch(Scope::Active, seen.as_ref()).await;
        let now = self.clock.now();
        let input = self.take_in(outcome, now.since(began));
        let (policy, events) = self.policy.clone().step(input, now);
        self.policy = policy;
        self.due = Instant::now() + self.policy.pause(rand::random_range(0.0..1.0));
        events
    }

    /// The last list; `None` before the first.
    pub fn nodes(&self) -> Option<&BTreeSet<NodeAddress>> {
        self.policy.nodes()
    }

    /// A moment of an event as a date.
    pub fn date(&self, moment: Moment) -> SystemTime {
        self.clock.date() - self.clock.now().since(moment)
    }

    fn take_in(&mut self, outcome: Result<Sight, BackendError>, took: Duration) -> Input {
        match outcome {
            Ok(Sight { listing, position }) => {
                let waited = position.is_some().then_some(took);
                self.position = position;
                Input::Listed { listing, waited }
            }
            Err(error) => {
                self.position = None;
                Input::Failed(Failed {
                    retry_after: error.retry_after(),
                    // a connection that broke had been there until then
                    silent: if matches!(error, BackendError::Timeout { .. }) { took } else { Duration::ZERO },
                    local: matches!(error, BackendError::File { .. }),
                    error: error.to_string(),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests;
