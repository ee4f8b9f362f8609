//! What Prometheus is told. The counts are kept here as plain numbers, less than a kilobyte in all; everything else is
//! read at the scrape, and names and help texts exist only while they are rendered.

mod counts;
mod families;
mod sample;

pub use counts::{REPAIRED, REQUEST_FAILURES};
pub use prometheus::Error;
pub use sample::Sample;

use counts::Counts;
use prometheus::TextEncoder;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What [`Metrics::render`] returns, as HTTP names it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the discovery service is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Register,
    Deregister,
}

/// Made once and passed to whoever has something to count.
#[derive(Default)]
pub struct Metrics {
    counts: Mutex<Counts>,
}

impl Metrics {
    pub fn new() -> Self {
        Self::default()
    }

    /// A request to the discovery service has come to its end; `failure` is the kind of its error, in a word.
    pub fn request(&self, operation: Operation, took: Duration, failure: Option<&'static str>) {
        let mut counts = self.counts();
        let requests = match operation {
            Operation::Register => &mut counts.register,
            Operation::Deregister => &mut counts.deregister,
        };
        requests.attempts += 1;
        requests.failures.add(failure);
        if operation == Operation::Register {
            counts.heartbeats.observe(took);
        }
    }

    /// A probe of the engine has come to its end.
    pub fn probe(&self, took: Duration, failure: Option<&'static str>) {
        let mut counts = self.counts();
        counts.probes.observe(took);
        counts.probe_failures.add(failure);
    }

    /// The configuration was read anew, and is in force if `ok`.
    pub fn reload(&self, ok: bool) {
        let mut counts = self.counts();
        let count = if ok { &mut counts.reloaded } else { &mut counts.reload_rejected };
        *count += 1;
    }

    /// A restart of the engine by the agent has come to its end; `outcome` is one of [`REPAIRED`].
    pub fn repaired(&self, outcome: &'static str) {
        self.counts().repairs.add(Some(outcome));
    }

    /// A guard said no to a restart of the engine.
    pub fn repair_refused(&self, guard: &'static str) {
        self.counts().refusals.add(Some(guard));
    }

    /// The engine would have been restarted.
    pub fn repair_would(&self) {
        self.counts().would_repair += 1;
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self, sample: &Sample) -> Result<String, Error> {
        // a copy, so that nobody who counts waits for the rendering
        let counts = self.counts().clone();
        TextEncoder::new().encode_to_string(&families::all(sample, &counts))
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // numbers are never half written, whatever happened to the thread that wrote them
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
