//! What is kept between two scrapes.

use crate::model::{ProbeFault, Refusal};
use std::time::Duration;

/// What can go wrong with a request to the discovery service.
pub const REQUEST_FAILURES: [&str; 15] = [
    "connect",
    "timeout",
    "status",
    "broken",
    "garbled",
    "client",
    "tls",
    "credentials",
    "denied",
    "refused",
    "read_only",
    "file",
    "proxy",
    "no_room",
    "held",
];

/// Upper bounds of the buckets in seconds, up to the longest timeout that the configuration allows.
const HEARTBEAT_BOUNDS: &[f64] = &[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 2.5, 5.0, 10.0, 15.0];
const PROBE_BOUNDS: &[f64] = &[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 2.5, 5.0, 10.0];

#[derive(Clone)]
pub struct Counts {
    pub register: Requests,
    pub deregister: Requests,
    pub heartbeats: Histogram,
    pub probes: Histogram,
    pub probe_failures: Tally,
    pub reloaded: u64,
    pub reload_rejected: u64,
    /// By how they came out.
    pub repairs: Tally,
    /// By the guard that said no.
    pub refusals: Tally,
    pub would_repair: u64,
}

/// How a restart of the engine by the agent can come out.
pub const REPAIRED: [&str; 3] = ["recovered", "failed", "called_off"];

impl Default for Counts {
    fn default() -> Self {
        Self {
            register: Requests::new(),
            deregister: Requests::new(),
            heartbeats: Histogram::new(HEARTBEAT_BOUNDS),
            probes: Histogram::new(PROBE_BOUNDS),
            probe_failures: Tally::new(&ProbeFault::KINDS),
            reloaded: 0,
            reload_rejected: 0,
            repairs: Tally::new(&REPAIRED),
            refusals: Tally::new(&Refusal::NAMES),
            would_repair: 0,
        }
    }
}

/// Requests of one kind.
#[derive(Clone)]
pub struct Requests {
    pub attempts: u64,
    pub failures: Tally,
}

impl Requests {
    fn new() -> Self {
        Self { attempts: 0, failures: Tally::new(&REQUEST_FAILURES) }
    }
}

/// Failures by kind. Those that are known are there from the start, so that the first failure is an increase.
#[derive(Clone)]
pub struct Tally(Vec<(&'static str, u64)>);

impl Tally {
    fn new(kinds: &[&'static str]) -> Self {
        Self(kinds.iter().map(|kind| (*kind, 0)).collect())
    }

    /// A kind that is not in the list yet is counted all the same.
    pub fn add(&mut self, failure: Option<&'static str>) {
        let Some(kind) = failure else { return };
        match self.0.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => self.0.push((kind, 1)),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().copied()
    }
}

/// Durations in buckets.
#[derive(Clone)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One for each bound: those at or below it and above the one before.
    buckets: Vec<u64>,
    pub count: u64,
    /// In seconds.
    pub sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, buckets: vec![0; bounds.len()], count: 0, sum: 0.0 }
    }

    pub fn observe(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.count += 1;
        self.sum += seconds;
        let at = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(bucket) = self.buckets.get_mut(at) {
            *bucket += 1;
        }
    }

    /// Each bound, and how many were at or below it.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let sums = self.buckets.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        self.bounds.iter().copied().zip(sums)
    }
}
