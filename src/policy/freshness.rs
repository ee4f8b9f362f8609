//! Whether the agent's own loops still turn.

use crate::model::Moment;
use std::time::Duration;

/// The last sign of life of one loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    pub name: &'static str,
    pub last: Moment,
}

/// The loops that have not ticked within `limit`; systemd is pinged only while there are none.
///
/// A loop that waits for an adapter does not tick, and adapters have timeouts well below the limit: so a
/// hung server, bus or engine keeps every loop fresh, and a future that never completes does not.
pub fn stale(beats: &[Beat], now: Moment, limit: Duration) -> Vec<&'static str> {
    beats.iter().filter(|beat| now.since(beat.last) > limit).map(|beat| beat.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn names_exactly_the_loops_that_stopped() {
        let beats = [Beat { name: "registrar", last: at(10) }, Beat { name: "prober", last: at(31) }];
        let limit = Duration::from_secs(20);
        assert!(stale(&beats, at(30), limit).is_empty());
        assert_eq!(stale(&beats, at(31), limit), ["registrar"]);
        assert_eq!(stale(&beats, at(52), limit), ["registrar", "prober"]);
    }

    #[test]
    fn a_beat_from_the_future_is_fresh() {
        assert!(stale(&[Beat { name: "status", last: at(9) }], at(1), Duration::ZERO).is_empty());
    }
}
