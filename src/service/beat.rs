//! Signs of life of the agent's own loops.

use super::clock::Clock;
use crate::model::Moment;
use crate::policy::freshness;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Held by one loop, which ticks at each turn.
pub struct Beat {
    clock: Clock,
    last: watch::Sender<Option<Moment>>,
}

impl Beat {
    pub fn tick(&self) {
        self.last.send_replace(Some(self.clock.now()));
    }

    /// Until the loops turn next. Cancel-safe: a sleep holds no state.
    pub async fn rest(&self) {
        sleep_until(next_turn(&self.clock)).await;
    }
}

/// The last tick of every loop: the root adds loops, the watchdog looks at them.
#[derive(Clone)]
pub struct Beats {
    clock: Clock,
    loops: Arc<Mutex<Vec<Watched>>>,
}

#[derive(Clone)]
struct Watched {
    name: &'static str,
    born: Moment,
    last: watch::Receiver<Option<Moment>>,
}

impl Watched {
    fn last(&self) -> Moment {
        self.last.borrow().unwrap_or(self.born)
    }
}

impl Beats {
    pub fn new(clock: Clock) -> Self {
        Self { clock, loops: Arc::default() }
    }

    /// A beat for one more loop.
    pub fn add(&self, name: &'static str) -> Beat {
        let (last, receiver) = watch::channel(None);
        self.loops().push(Watched { name, born: self.clock.now(), last: receiver });
        Beat { clock: self.clock, last }
    }

    /// The loops that have not ticked for longer than `limit`; one that never ticked counts from when it was added.
    pub fn stale(&self, limit: Duration) -> Vec<&'static str> {
        let loops = self.loops();
        let beats: Vec<_> =
            loops.iter().map(|watched| freshness::Beat { name: watched.name, last: watched.last() }).collect();
        freshness::stale(&beats, self.clock.now(), limit)
    }

    /// When all loops turn next.
    pub fn next_turn(&self) -> Instant {
        next_turn(&self.clock)
    }

    /// How long ago the loop turned that turned longest ago.
    pub fn longest(&self) -> Duration {
        let now = self.clock.now();
        self.loops().iter().map(|watched| now.since(watched.last())).max().unwrap_or_default()
    }

    /// Returns when every loop has turned once, or ended.
    pub async fn all_turning(&self) {
        let loops = self.loops().clone();
        for mut watched in loops {
            // a loop that ended is reported by whoever owns its task
            let _ = watched.last.wait_for(Option::is_some).await;
        }
    }

    /// Those that go on: one that ended was stopped, or is reported by whoever owns its task.
    fn loops(&self) -> MutexGuard<'_, Vec<Watched>> {
        // each change is one push, so a panic elsewhere leaves nothing half done
        let mut loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        loops.retain(|watched| watched.last.has_changed().is_ok());
        loops
    }
}

fn next_turn(clock: &Clock) -> Instant {
    clock.instant(clock.next_turn())
}
