//! Signs of life of the agent's own loops.

use super::clock::Clock;
use crate::model::Moment;
use crate::policy::freshness;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
        let beat = |watched: &Watched| {
            let last = watched.last.borrow().unwrap_or(watched.born);
            freshness::Beat { name: watched.name, last }
        };
        let beats: Vec<_> = loops.iter().map(beat).collect();
        freshness::stale(&beats, self.clock.now(), limit)
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
