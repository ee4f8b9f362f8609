//! Says a thing at most once in a while.

use super::Moment;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limiter {
    interval: Duration,
    last: Option<Moment>,
}

impl Limiter {
    pub const fn new(interval: Duration) -> Self {
        Self { interval, last: None }
    }

    /// Whether it may be said now; then it counts as said.
    pub fn allow(&mut self, now: Moment) -> bool {
        let allowed = self.last.is_none_or(|last| now.since(last) >= self.interval);
        if allowed {
            self.last = Some(now);
        }
        allowed
    }
}
