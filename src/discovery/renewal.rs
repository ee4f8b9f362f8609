//! What was renewed last, so that it is not renewed more often than it helps.

use nix::time::{ClockId, clock_gettime};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Of its life, for which a lease or session counts as just renewed. What is asked for once in a third of its life, as by
/// default, is so renewed each time.
const FRESH: u32 = 10;

/// Remembers one lease or session: the one that is renewed again and again.
#[derive(Default)]
pub struct Renewals(Mutex<Option<Renewal>>);

struct Renewal {
    id: String,
    life: Duration,
    at: Duration,
}

impl Renewals {
    /// The moment before a request that renews, for `note`.
    pub fn now() -> Duration {
        // counts a suspend, as the server does; a kernel without this clock is not known, and renews each time
        clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
    }

    pub fn note(&self, id: &str, life: Duration, at: Duration) {
        *self.last() = Some(Renewal { id: id.to_owned(), life, at });
    }

    /// Whether this one has nearly all of its life before it, if it has not been ended.
    pub fn is_fresh(&self, id: &str, life: Duration) -> bool {
        self.last().as_ref().is_some_and(|last| {
            let age = Self::now().checked_sub(last.at);
            last.id == id && last.life == life && age.is_some_and(|age| age < life / FRESH)
        })
    }

    fn last(&self) -> MutexGuard<'_, Option<Renewal>> {
        // each change is one step, so a panic elsewhere leaves nothing half done
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_its_life_is_fresh_and_only_of_the_same_one() {
        let (renewals, life) = (Renewals::default(), Duration::from_secs(100));
        let now = Renewals::now();
        assert!(!renewals.is_fresh("a", life), "nothing was renewed");
        renewals.note("a", life, now.saturating_sub(Duration::from_secs(8)));
        assert!(renewals.is_fresh("a", life));
        assert!(!renewals.is_fresh("b", life) && !renewals.is_fresh("a", life * 2));
        renewals.note("a", life, now.saturating_sub(Duration::from_secs(10)));
        assert!(!renewals.is_fresh("a", life));
        renewals.note("a", life, now + Duration::from_secs(3600));
        assert!(!renewals.is_fresh("a", life), "a clock that was set back proves nothing");
    }
}
