//! The one place where the tasks read time.

use crate::model::Moment;
use nix::time::ClockId;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

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

    /// Stands still while the machine is suspended, as our own loops do (CLOCK_MONOTONIC).
    pub fn of_loops() -> Self {
        Self::with(|| Duration::ZERO)
    }

    pub(super) fn with(slept: fn() -> Duration) -> Self {
        Self { origin: Instant::now(), slept, slept_before: slept() }
    }

    pub fn now(&self) -> Moment {
        Moment::after_origin(self.origin.elapsed() + self.slept())
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
