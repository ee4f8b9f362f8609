//! What of the log is held back, decided by `policy::chatter`, and told in the end.

use super::events::{Event, Kind, Level, emit};
use crate::model::Moment;
use crate::policy::chatter::{Chatter, Held, Word};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    /// Entries held back, and entries lost because the journal was too slow, since the start.
    held: AtomicU64,
    dropped: AtomicU64,
}

impl Default for Restraint {
    fn default() -> Self {
        let (off, chatter, held, dropped) = Default::default();
        Self(Arc::new(Shared { origin: Instant::now(), off, chatter, held, dropped }))
    }
}

impl Restraint {
    /// Logs how much was held back, if that is due, with `now`: what is true meanwhile.
    pub fn tell(&self, now: &str) {
        let report = self.chatter().report(self.now());
        say(report, now);
    }

    /// The same whether or not it is due: nobody would tell it later.
    pub fn tell_all(&self, now: &str) {
        let report = self.chatter().last_report(self.now());
        say(report, now);
    }

    /// At level debug and below nothing is held back.
    pub(super) fn set(&self, level: LevelFilter) {
        self.0.off.store(level >= LevelFilter::DEBUG, Ordering::Relaxed);
    }

    /// Whether the event of this name is to be written now.
    pub(super) fn judge(&self, name: &str) -> Word {
        match Kind::named(name).filter(|kind| !kind.always) {
            Some(kind) if !self.0.off.load(Ordering::Relaxed) => {
                let (mut chatter, now) = (self.chatter(), self.now());
                let word = match kind.level {
                    Level::Critical | Level::Error => chatter.step_urgent(kind.name, now),
                    Level::Warning | Level::Info => chatter.step(kind.name, now),
                };
                if word == Word::Hold {
                    self.0.held.fetch_add(1, Ordering::Relaxed);
                }
                word
            }
            _ => Word::Say { held_before: 0 },
        }
    }

    pub(super) fn count_dropped(&self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Entries held back since the start.
    pub fn held(&self) -> u64 {
        self.0.held.load(Ordering::Relaxed)
    }

    /// Entries lost since the start because the journal was too slow.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    fn now(&self) -> Moment {
        Moment::after_origin(Instant::now().saturating_duration_since(self.0.origin))
    }

    fn chatter(&self) -> MutexGuard<'_, Chatter> {
        // counters only: whatever a panic elsewhere left is good enough
        self.0.chatter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn say(report: Option<Held>, now: &str) {
    if let Some(held) = report {
        emit(&Event::HeldBack { count: held.total, lasted: held.lasted, kinds: &held.to_string(), now });
    }
}
