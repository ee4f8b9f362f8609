//! What a watcher of a cluster says: the difference of two lists, and each trouble once.

use crate::model::{Backoff, Listing, NodeAddress, Unreadable};
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
    /// The list can be read again, and is this. The differences follow.
    Recovered(Vec<NodeAddress>),
}

/// One attempt to read the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    Listed(Listing),
    Failed { error: String, retry_after: Option<Duration> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    interval: Duration,
    backoff: Backoff,
    /// The last list; `None` before the first.
    nodes: Option<BTreeSet<NodeAddress>>,
    skipped: BTreeSet<Unreadable>,
    failures: u32,
    retry_after: Option<Duration>,
    /// The errors of this outage that were said.
    said: BTreeSet<String>,
}

/// The longest that attempts are apart while they fail.
const BACKOFF_CAP: Duration = Duration::from_secs(30);
/// A server may ask for patience, not for being forgotten.
const RETRY_AFTER_CAP: Duration = Duration::from_secs(300);
/// Intervals vary by a tenth to both sides, so that many watchers don't ask in step.
const SPREAD: f64 = 0.1;

impl Watch {
    /// Reads the list every `interval` while that works.
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            backoff: Backoff { base: interval.min(Duration::from_secs(1)), cap: BACKOFF_CAP },
            nodes: None,
            skipped: BTreeSet::new(),
            failures: 0,
            retry_after: None,
            said: BTreeSet::new(),
        }
    }

    pub fn step(mut self, input: Input) -> (Self, Vec<Event>) {
        match input {
            Input::Listed(listing) => {
                let events = self.see(listing);
                (self, events)
            }
            Input::Failed { error, retry_after } => {
                self.failures = self.failures.saturating_add(1);
                self.retry_after = retry_after;
                let events = if self.said.insert(error.clone()) { vec![Event::Error(error)] } else { Vec::new() };
                (self, events)
            }
        }
    }

    /// How long to wait before the next attempt; `jitter` is in `0.0..1.0`.
    pub fn pause(&self, jitter: f64) -> Duration {
        if self.failures == 0 {
            return self.interval.mul_f64(1.0 - SPREAD + 2.0 * SPREAD * jitter.clamp(0.0, 1.0));
        }
        let asked = self.retry_after.unwrap_or_default().min(RETRY_AFTER_CAP);
        self.backoff.delay(self.failures, jitter).max(asked)
    }

    fn see(&mut self, listing: Listing) -> Vec<Event> {
        let now: BTreeSet<NodeAddress> = listing.nodes.iter().cloned().collect();
        let mut events = Vec::new();
        match &self.nodes {
            None => events.push(Event::List(listing.nodes)),
            Some(before) => {
                if self.failures > 0 {
                    events.push(Event::Recovered(listing.nodes));
                }
                events.extend(before.difference(&now).cloned().map(Event::Leave));
                events.extend(now.difference(before).cloned().map(Event::Join));
            }
        }
        let skipped: BTreeSet<Unreadable> = listing.unreadable.into_iter().collect();
        events.extend(skipped.difference(&self.skipped).cloned().map(Event::Skipped));
        (self.nodes, self.skipped, self.failures, self.retry_after) = (Some(now), skipped, 0, None);
        self.said.clear();
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> NodeAddress {
        text.parse().expect("a node address")
    }

    fn list(entries: &[&str]) -> Input {
        Input::Listed(Listing::of_addresses(entries.iter().map(|entry| (*entry).to_owned())))
    }

    fn failed(error: &str) -> Input {
        Input::Failed { error: error.to_owned(), retry_after: None }
    }

    fn watch() -> Watch {
        Watch::new(Duration::from_secs(2))
    }

    /// The events of each input in turn.
    fn events(inputs: Vec<Input>) -> Vec<Vec<Event>> {
        let step = |watch: &mut Watch, input| {
            let (next, events) = watch.clone().step(input);
            *watch = next;
            Some(events)
        };
        inputs.into_iter().scan(watch(), step).collect()
    }

    #[test]
    fn says_the_whole_list_then_the_differences() {
        let said = events(vec![list(&["a:1", "b:1"]), list(&["b:1", "a:1"]), list(&["c:1", "b:1"]), list(&[])]);
        assert_eq!(said[0], [Event::List(vec![node("a:1"), node("b:1")])]);
        assert_eq!(said[1], []);
        assert_eq!(said[2], [Event::Leave(node("a:1")), Event::Join(node("c:1"))]);
        assert_eq!(said[3], [Event::Leave(node("b:1")), Event::Leave(node("c:1"))]);
    }

    #[test]
    fn an_outage_is_said_once_and_takes_no_node_away() {
        let refused = || failed("refused");
        let said = events(vec![list(&["a:1"]), refused(), failed("slow"), refused(), list(&["a:1", "b:1"]), refused()]);
        assert_eq!(said[1], [Event::Error("refused".into())]);
        assert_eq!(said[2], [Event::Error("slow".into())]);
        assert_eq!(said[3], []);
        assert_eq!(said[4], [Event::Recovered(vec![node("a:1"), node("b:1")]), Event::Join(node("b:1"))]);
        assert_eq!(said[5], [Event::Error("refused".into())], "a new outage");
    }

    #[test]
    fn a_watch_that_begins_in_an_outage_ends_it_with_the_list() {
        let said = events(vec![failed("refused"), list(&["a:1"])]);
        assert_eq!(said[1], [Event::List(vec![node("a:1")])]);
    }

    #[test]
    fn a_bad_entry_is_said_when_it_is_new() {
        let said = events(vec![list(&["junk", "a:1"]), list(&["junk"]), list(&[]), list(&["junk"])]);
        assert!(matches!(&said[0][..], [Event::List(_), Event::Skipped(skipped)] if skipped.entry == "junk"));
        assert_eq!(said[1], [Event::Leave(node("a:1"))]);
        assert!(matches!(&said[3][..], [Event::Skipped(_)]));
    }

    #[test]
    fn waits_longer_and_longer_while_it_fails() {
        let seconds = |watch: &Watch, jitter| watch.pause(jitter).as_secs_f64();
        let mut watch = watch();
        assert!((seconds(&watch, 0.0) - 1.8).abs() < 1e-6 && (seconds(&watch, 1.0) - 2.2).abs() < 1e-6);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            watch = watch.step(failed("x")).0;
            pauses.push(watch.pause(1.0).as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        let asked = |seconds| Input::Failed { error: "x".into(), retry_after: Some(Duration::from_secs(seconds)) };
        assert_eq!(watch.clone().step(asked(60)).0.pause(0.0).as_secs(), 60);
        assert_eq!(watch.clone().step(asked(86_400)).0.pause(0.0), RETRY_AFTER_CAP);
        assert!(watch.step(list(&[])).0.pause(1.0) < Duration::from_secs(3));
    }
}
