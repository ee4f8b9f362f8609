//! What a watcher of a cluster says: the difference of two lists, and each trouble once. And how long it rests between
//! two calls.

use crate::model::{Backoff, Listing, Moment, NodeAddress, Unreadable};
use std::collections::BTreeSet;
use std::time::Duration;

/// What happened to the cluster, or to our sight of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The first list.
    List(Vec<NodeAddress>),
    Join(NodeAddress),
    Leave(NodeAddress),
    /// An entry that is none, and was not there before.
    Skipped(Unreadable),
    /// The list can't be read; what was said last still stands.
    Error(String),
    /// Once in an outage, behind its first error: nothing is known of the cluster since then.
    Stale {
        since: Moment,
    },
    /// The list can be read again, and is this. The differences follow.
    Recovered {
        nodes: Vec<NodeAddress>,
        outage: Outage,
    },
}

/// A time without a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    pub since: Moment,
    pub lasted: Duration,
}

/// One attempt to read the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Listed {
        listing: Listing,
        /// How long the call took, if the next one can wait for a change. None: the service can't tell of changes.
        waited: Option<Duration>,
    },
    Failed(Failed),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    pub error: String,
    pub retry_after: Option<Duration>,
    /// For how long nothing had been heard by then.
    pub silent: Duration,
    /// Nothing but this host was asked, whom it costs nothing.
    pub local: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    interval: Duration,
    backoff: Backoff,
    /// The last list; `None` before the first.
    nodes: Option<BTreeSet<NodeAddress>>,
    skipped: BTreeSet<Unreadable>,
    trouble: Option<Trouble>,
    /// The next call waits for a change, and the last one gave it no reason to be put off.
    prompt: bool,
}

/// What is remembered while attempts fail.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trouble {
    since: Moment,
    failures: u32,
    retry_after: Option<Duration>,
    local: bool,
    /// The errors that were said.
    said: BTreeSet<String>,
}

/// How long a call may wait for a change: less than the minute after which proxies end a silent connection.
pub const PATIENCE: Duration = Duration::from_secs(55);
/// Calls that wait are this far apart, so that a flood of changes comes as few lists. The first change of a flood is
/// told at once.
const FLOOR: Duration = Duration::from_millis(200);
/// A call that came back sooner than this with nothing new was not waited in: the next one keeps the interval.
const EARLY: Duration = Duration::from_secs(1);
/// The longest that attempts are apart while they fail.
const BACKOFF_CAP: Duration = Duration::from_secs(30);
/// A server may ask for patience, not for being forgotten.
const RETRY_AFTER_CAP: Duration = Duration::from_secs(300);
/// Intervals vary by a tenth to both sides, so that many watchers don't ask in step.
const SPREAD: f64 = 0.1;

impl Watch {
    /// Reads the list every `interval` while that works and the service can't tell of changes.
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            backoff: Backoff { base: interval.min(Duration::from_secs(1)), cap: BACKOFF_CAP },
            nodes: None,
            skipped: BTreeSet::new(),
            trouble: None,
            prompt: false,
        }
    }

    /// The last list; `None` before the first.
    pub fn nodes(&self) -> Option<&BTreeSet<NodeAddress>> {
        self.nodes.as_ref()
    }

    pub fn step(mut self, input: Input, now: Moment) -> (Self, Vec<Event>) {
        let events = match input {
            Input::Listed { listing, waited } => {
                let events = self.see(listing, now);
                self.prompt = waited.is_some_and(|waited| waited >= EARLY || !events.is_empty());
                events
            }
            Input::Failed(failed) => self.fail(failed, now),
        };
        (self, events)
    }

    /// How long to wait before the next attempt; `jitter` is in `0.0..1.0`.
    pub fn pause(&self, jitter: f64) -> Duration {
        match &self.trouble {
            None if self.prompt => FLOOR.min(self.interval),
            None => self.interval.mul_f64(1.0 - SPREAD + 2.0 * SPREAD * jitter.clamp(0.0, 1.0)),
            Some(trouble) if trouble.local => self.backoff.base,
            Some(trouble) => {
                let asked = trouble.retry_after.unwrap_or_default().min(RETRY_AFTER_CAP);
                self.backoff.delay(trouble.failures, jitter).max(asked)
            }
        }
    }

    fn see(&mut self, listing: Listing, now: Moment) -> Vec<Event> {
        let nodes: BTreeSet<NodeAddress> = listing.nodes.iter().cloned().collect();
        let mut events = Vec::new();
        match (&self.nodes, &self.trouble) {
            (None, _) => events.push(Event::List(listing.nodes)),
            (Some(before), trouble) => {
                if let Some(Trouble { since, .. }) = trouble {
                    let outage = Outage { since: *since, lasted: now.since(*since) };
                    events.push(Event::Recovered { nodes: listing.nodes, outage });
                }
                events.extend(before.difference(&nodes).cloned().map(Event::Leave));
                events.extend(nodes.difference(before).cloned().map(Event::Join));
            }
        }
        let skipped: BTreeSet<Unreadable> = listing.unreadable.into_iter().collect();
        events.extend(skipped.difference(&self.skipped).cloned().map(Event::Skipped));
        (self.nodes, self.skipped, self.trouble) = (Some(nodes), skipped, None);
        events
    }

    fn fail(&mut self, failed: Failed, now: Moment) -> Vec<Event> {
        let begins = self.trouble.is_none();
        let trouble = self.trouble.get_or_insert_with(|| Trouble {
            since: Moment::after_origin(now.since_origin().saturating_sub(failed.silent)),
            failures: 0,
            retry_after: None,
            local: failed.local,
            said: BTreeSet::new(),
        });
        trouble.failures = trouble.failures.saturating_add(1);
        (trouble.retry_after, trouble.local) = (failed.retry_after, failed.local);
        let mut events = Vec::new();
        if trouble.said.insert(failed.error.clone()) {
            events.push(Event::Error(failed.error));
        }
        if begins && self.nodes.is_some() {
            events.push(Event::Stale { since: trouble.since });
        }
        events
    }
}

#[cfg(test)]
mod tests;
