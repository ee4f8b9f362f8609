//! What of the log is held back, decided by `policy::chatter`, and told in the end.

use super::events::{Event, Kind, emit};
use crate::model::Moment;
use crate::policy::chatter::{Chatter, Word};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;
use tracing::level_filters::LevelFilter;

/// Shared by the log's way out, which holds entries back, and by a task that tells of it.
#[derive(Clone)]
pub struct Restraint(Arc<Shared>);

struct Shared {
    origin: Instant,
    /// Somebody wants to see everything.
    off: AtomicBool,
    chatter: Mutex<Chatter>,
}

impl Default for Restraint {
    fn default() -> Self {
        let (off, chatter) = (AtomicBool::new(false), Mutex::default());
        Self(Arc::new(Shared { origin: Instant::now(), off, chatter }))
    }
}

impl Restraint {
    /// Logs how much was held back, if that is due, with `now`: what is true meanwhile.
    pub fn tell(&self, now: &str) {
        let report = self.chatter().report(self.now());
        if let Some(held) = report {
            let event = Event::HeldBack { count: held.total, lasted: held.lasted, kinds: &held.to_string(), now };
            emit(&event);
        }
    }

    /// At level debug and below nothing is held back.
    pub(super) fn set(&self, level: LevelFilter) {
        self.0.off.store(level >= LevelFilter::DEBUG, Ordering::Relaxed);
    }

    /// Whether the event of this name is to be written now.
    pub(super) fn judge(&self, name: &str) -> Word {
        match Kind::named(name).filter(|kind| !kind.always) {
            Some(kind) if !self.0.off.load(Ordering::Relaxed) => self.chatter().step(kind.name, self.now()),
            _ => Word::Say { held_before: 0 },
        }
    }

    fn now(&self) -> Moment {
        Moment::after_origin(Instant::now().saturating_duration_since(self.0.origin))
    }

    fn chatter(&self) -> MutexGuard<'_, Chatter> {
        // counters only: whatever a panic elsewhere left is good enough
        self.0.chatter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
