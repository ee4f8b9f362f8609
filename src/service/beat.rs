//! Signs of life of the agent's own loops.

use super::clock::Clock;
use crate::model::Moment;
use crate::policy::freshness;
use std::time::Duration;
use tokio::sync::watch;

/// Held by one loop, which ticks at each turn.
pub struct Beat {
    clock: Clock,
    last: watch::Sender<Option<Moment>>,
}

impl Beat {
    pub fn tick(&self) {
        self.last.send_replace(Some(self.clock.now()));
    }
}

/// Held by the watchdog: the last tick of every loop.
pub struct Beats {
    clock: Clock,
    born: Moment,
    loops: Vec<(&'static str, watch::Receiver<Option<Moment>>)>,
}

impl Beats {
    pub fn new(clock: Clock) -> Self {
        Self { clock, born: clock.now(), loops: Vec::new() }
    }

    /// A beat for one more loop.
    pub fn add(&mut self, name: &'static str) -> Beat {
        let (last, receiver) = watch::channel(None);
        self.loops.push((name, receiver));
        Beat { clock: self.clock, last }
    }

    /// The loops that have not ticked for longer than `limit`; one that never ticked counts from the start.
    pub fn stale(&self, limit: Duration) -> Vec<&'static str> {
        let last = |receiver: &watch::Receiver<Option<Moment>>| receiver.borrow().unwrap_or(self.born);
        let beats: Vec<_> =
            self.loops.iter().map(|(name, receiver)| freshness::Beat { name, last: last(receiver) }).collect();
        freshness::stale(&beats, self.clock.now(), limit)
    }

    /// Returns when every loop has turned once, or one of them ended.
    pub async fn all_turning(&mut self) {
        for (_, receiver) in &mut self.loops {
            // a loop that ended is reported by whoever owns its task
            let _ = receiver.wait_for(Option::is_some).await;
        }
    }
}
