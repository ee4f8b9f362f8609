//! The one place where the tasks read time.

use crate::model::Moment;
use std::time::Duration;
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

    /// For sleeping until a moment. A suspend on the way is noticed at the loop's next tick.
    pub fn instant(&self, moment: Moment) -> Instant {
        self.origin + moment.since_origin().saturating_sub(self.slept())
    }

    fn slept(&self) -> Duration {
        (self.slept)().saturating_sub(self.slept_before)
    }
}

/// What CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC.
fn slept_since_boot() -> Duration {
    let read = |clock| nix::time::clock_gettime(clock).map(Duration::from);
    match (read(nix::time::ClockId::CLOCK_MONOTONIC), read(nix::time::ClockId::CLOCK_BOOTTIME)) {
        (Ok(awake), Ok(all)) => all.saturating_sub(awake),
        // both clocks exist on every kernel that systemd runs on
        _ => Duration::ZERO,
    }
}
