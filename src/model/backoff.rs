//! Exponential backoff with full jitter.

use std::time::Duration;

/// Delays drawn evenly up to a bound that doubles from `base` to `cap`, so that a thousand nodes that lost
/// their server at one moment don't come back at one moment. The lowest tenth is left out: however the dice
/// fall, a server in trouble is not asked in a tight loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    pub base: Duration,
    pub cap: Duration,
}

impl Backoff {
    /// The delay after `failures` failures in a row (1 = the first); `jitter` is in `0.0..1.0`.
    pub fn delay(&self, failures: u32, jitter: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let bound = self.base.saturating_mul(1 << doublings).min(self.cap);
        bound.mul_f64(jitter.clamp(0.1, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(30) };

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let bounds: Vec<u64> = (1..=8).map(|n| BACKOFF.delay(n, 1.0).as_secs()).collect();
        assert_eq!(bounds, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn jitter_is_full_and_never_a_tight_loop() {
        assert_eq!(BACKOFF.delay(5, 0.25), Duration::from_secs(4));
        assert_eq!(BACKOFF.delay(5, 0.0), Duration::from_millis(1600));
        assert_eq!(BACKOFF.delay(u32::MAX, 1.0), BACKOFF.cap);
    }
}
