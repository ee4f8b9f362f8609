//! The one place where the tasks read time.

use super::TICK;
use crate::model::Moment;
use nix::time::ClockId;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Of tokio's wheel of timers, whose next level has slots of this length.
const SLOT: Duration = Duration::from_millis(64);

/// Moments since the agent started.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    /// How long the machine has slept since it booted.
    slept: fn() -> Duration,
    slept_before: Duration,
}

impl Clock {
    /// Counts the time for which the machine was suspended, as a lease at a server does (CLOCK_BOOTTIME).
    pub fn of_leases() -> Self {
        Self::with(slept_since_boot)
    }

    /// The same, from this moment on: best that when the runtime began, by which tokio's timers go.
    pub fn of_leases_since(origin: Instant) -> Self {
        Self { origin, ..Self::of_leases() }
    }

    /// Stands still while the machine is suspended, as our own loops do (CLOCK_MONOTONIC).
    pub fn of_loops() -> Self {
        Self::with(|| Duration::ZERO)
    }

    /// The same, with the turns of this clock.
    pub fn awake(self) -> Self {
        Self { slept: || Duration::ZERO, slept_before: Duration::ZERO, ..self }
    }

    pub(super) fn with(slept: fn() -> Duration) -> Self {
        Self { origin: Instant::now(), slept, slept_before: slept() }
    }

    pub fn now(&self) -> Moment {
        Moment::after_origin(self.origin.elapsed() + self.slept())
    }

    /// The same for what may come a little later: at a moment that tokio's wheel of timers reaches without a wake-up half
    /// way.
    pub fn coarse_instant(&self, moment: Moment) -> Instant {
        let exact = self.instant(moment);
        if exact <= Instant::now() + SLOT {
            return exact;
        }
        let slots = exact.duration_since(self.origin).as_nanos().div_ceil(SLOT.as_nanos());
        self.origin + SLOT.saturating_mul(u32::try_from(slots).unwrap_or(u32::MAX))
    }

    /// When every loop turns next, whatever else it waits for.
    pub fn next_turn(&self) -> Moment {
        let turns = self.origin.elapsed().as_nanos() / TICK.as_nanos() + 1;
        let due = TICK.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX));
        Moment::after_origin(due + self.slept())
    }

    /// The date, which people and other hosts may set.
    pub fn date(&self) -> SystemTime {
        SystemTime::now()
    }

    /// For sleeping until a moment. A suspend on the way is noticed at the loop's next tick.
    pub fn instant(&self, moment: Moment) -> Instant {
        self.origin + moment.since_origin().saturating_sub(self.slept())
    }

    fn slept(&self) -> Duration {
        (self.slept)().saturating_sub(self.slept_before)
    }
}

/// Since the machine booted, also while it slept (CLOCK_BOOTTIME).
pub fn uptime() -> Duration {
    nix::time::clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}

/// What CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC. The two can't be read at one instant: of a few tries the one
/// counts that was disturbed least, so that a pause in between is not taken for sleep.
fn slept_since_boot() -> Duration {
    (0..3).filter_map(|_| ahead()).min().unwrap_or_default()
}

/// None never comes on a kernel that systemd runs on: both clocks exist.
fn ahead() -> Option<Duration> {
    let read = |clock| nix::time::clock_gettime(clock).map(Duration::from).ok();
    let awake = read(ClockId::CLOCK_MONOTONIC)?;
    Some(read(ClockId::CLOCK_BOOTTIME)?.saturating_sub(awake))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const MILLI: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn all_clocks_of_one_origin_turn_at_the_same_moments_also_after_a_suspend() {
        let began = Instant::now();
        advance(10 * MILLI).await;
        let asleep = Clock { slept: || Duration::from_secs(3600), ..Clock::of_leases_since(began) };
        let awake = asleep.awake();
        assert!(asleep.now().since(awake.now()) > Duration::from_secs(3000));
        for (past, turn) in [(MILLI, TICK), (TICK - 12 * MILLI, TICK), (2 * MILLI, 2 * TICK), (TICK, 3 * TICK)] {
            advance(past).await;
            for clock in [asleep, awake] {
                assert_eq!(clock.instant(clock.next_turn()), began + turn);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_come_later_comes_within_a_slot_and_never_early() {
        let clock = Clock::of_loops();
        let begin = Instant::now();
        for after in [0, 1, 63, 64, 65, 999, 1000, 1024, 60_000] {
            let exact = begin + after * MILLI;
            let coarse = clock.coarse_instant(Moment::after_origin(after * MILLI));
            assert!(coarse >= exact && coarse < exact + SLOT, "{after} ms");
            let whole = coarse.duration_since(begin).as_millis().is_multiple_of(SLOT.as_millis());
            assert!(whole || after < 64, "{after} ms: what is due at once is not put off");
        }
    }
}
