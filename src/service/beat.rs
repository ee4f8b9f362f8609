//! Signs of life of the agent's own loops.

use super::clock::Clock;
use crate::model::Moment;
use crate::policy::freshness;
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

    /// The last tick of each loop; one that never ticked counts from the start.
    pub fn snapshot(&self) -> Vec<freshness::Beat> {
        let last = |receiver: &watch::Receiver<Option<Moment>>| receiver.borrow().unwrap_or(self.born);
        self.loops.iter().map(|(name, receiver)| freshness::Beat { name, last: last(receiver) }).collect()
    }

    /// Returns when every loop has turned once, or one of them ended.
    pub async fn all_turning(&mut self) {
        for (_, receiver) in &mut self.loops {
            // a loop that ended is reported by whoever owns its task
            let _ = receiver.wait_for(Option::is_some).await;
        }
    }
}
