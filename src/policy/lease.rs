//! When an entry of the discovery server expires, over restarts of the server.
//!
//! Every moment here is on the server's *running clock*: the time it has run, summed over all its
//! processes. The clock stands still while the server is down, since nobody can beat then, and it
//! knows no wall clock, so that setting one keeps no dead node and evicts no live one.
//!
//! ```text
//! in the process that took the beat     expiry = beat + ttl
//! restored at moment r after a restart  expiry = min(r + ttl, beat + 2·ttl)
//! ```
//!
//! So each restart tops a restored entry up to one full ttl, and all the top-ups together come to
//! one ttl at most: an entry without beats is listed for 2·ttl of running time, however often the
//! server restarts. Nothing but the beat has to be kept for that.
//!
//! The running clock itself survives `kill -9` by a ledger that is stored with every commit and at
//! the latest after `reserve`. What the last process ran after its last ledger is not known, but it
//! is no more than the reserve, and in the same boot no more than what CLOCK_BOOTTIME says has passed since:
//! the smaller of the two is charged. A server that crashes every few seconds is charged the true
//! time, and a rebooted one at most one reserve, a tenth of the shortest ttl.

use crate::model::Moment;
use std::time::Duration;

/// One entry's claim to be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    pub ttl: Duration,
    pub beat: Moment,
}

impl Lease {
    /// The first moment at which the entry is not listed any more.
    pub fn expiry(&self) -> Moment {
        self.beat + self.ttl
    }

    /// The same for an entry restored at `resumed`; `None` when it has used up its grace.
    pub fn restored_expiry(&self, resumed: Moment) -> Option<Moment> {
        let expiry = (resumed + self.ttl).min(self.expiry() + self.ttl);
        (expiry > resumed).then_some(expiry)
    }
}

/// A point of this boot: its random id (0 = not known) and CLOCK_BOOTTIME.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootMark {
    pub boot: u128,
    pub uptime: Duration,
}

/// What is stored of the running clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ledger {
    /// The running clock when the ledger was written.
    pub ran: Moment,
    /// The next ledger was due after this long.
    pub reserve: Duration,
    /// Where in which boot that was.
    pub mark: BootMark,
}

impl Ledger {
    /// Where the running clock goes on in a process that starts at `here`.
    pub fn resume(&self, here: BootMark) -> Moment {
        let same_boot = self.mark.boot != 0 && self.mark.boot == here.boot;
        let passed = here.uptime.checked_sub(self.mark.uptime).filter(|_| same_boot);
        self.ran + passed.map_or(self.reserve, |passed| passed.min(self.reserve))
    }
}

/// How much running time may pass between two ledgers while the shortest ttl in store is `shortest`:
/// a small part of it, so that a restart costs no entry much of its grace, and rarely enough that an
/// idle server hardly writes.
pub fn reserve(shortest: Duration) -> Duration {
    (shortest / 10).clamp(Duration::from_millis(100), Duration::from_secs(10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TTL: Duration = Duration::from_secs(180);

    fn at(seconds: u64) -> Moment {
        Moment::after_origin(Duration::from_secs(seconds))
    }

    fn mark(boot: u128, uptime: u64) -> BootMark {
        BootMark { boot, uptime: Duration::from_secs(uptime) }
    }

    fn ledger(boot: u128, uptime: u64) -> Ledger {
        Ledger { ran: at(1000), reserve: Duration::from_secs(10), mark: mark(boot, uptime) }
    }

    #[test]
    fn without_a_restart_an_entry_lives_for_its_ttl() {
        assert_eq!(Lease { ttl: TTL, beat: at(100) }.expiry(), at(280));
    }

    #[test]
    fn a_restart_tops_up_to_one_ttl_and_all_restarts_together_give_one_ttl() {
        let lease = Lease { ttl: TTL, beat: at(100) };
        for (resumed, expiry) in [
            (100, Some(280)), // at once
            (150, Some(330)), // 50 s old: gets them back
            (279, Some(459)), // nearly expired
            (280, Some(460)), // the whole grace is used
            (300, Some(460)), // a second restart adds nothing
            (459, Some(460)),
            (460, None),
            (9999, None),
        ] {
            assert_eq!(lease.restored_expiry(at(resumed)), expiry.map(at), "resumed at {resumed}");
        }
    }

    #[test]
    fn the_clock_is_charged_what_passed_but_no_more_than_the_reserve() {
        let cases = [
            (mark(7, 503), 1003, "same boot, 3 s later"),
            (mark(7, 500), 1000, "same boot, at once"),
            (mark(7, 9000), 1010, "same boot, after a long outage"),
            (mark(7, 400), 1010, "a virtual machine set back to a snapshot"),
            (mark(8, 30), 1010, "another boot"),
            (mark(8, 501), 1010, "another boot with a like uptime"),
        ];
        for (here, resumed, what) in cases {
            assert_eq!(ledger(7, 500).resume(here), at(resumed), "{what}");
        }
        assert_eq!(ledger(0, 500).resume(mark(0, 501)), at(1010), "an unknown boot is no boot");
    }

    #[test]
    fn the_reserve_follows_the_shortest_ttl_within_bounds() {
        for (ttl, millis) in [(1, 100), (2, 200), (60, 6_000), (180, 10_000), (86_400, 10_000)] {
            assert_eq!(reserve(Duration::from_secs(ttl)), Duration::from_millis(millis), "{ttl}");
        }
    }

    /// One process of the server: how long it runs and how long nothing runs after it.
    #[derive(Debug, Clone)]
    struct Run {
        running: Duration,
        down: Duration,
        reboot: bool,
        /// A snapshot or a broken clock: what CLOCK_BOOTTIME jumps back by.
        set_back: Duration,
    }

    /// How long an entry that never beats again was listed, and when (true time) it was last.
    struct Seen {
        listed: Duration,
        gone_at: Option<Duration>,
    }

    /// Plays the runs as the server does: ledger at the beat and at every reserve, kill -9 at each end.
    fn play(ttl: Duration, runs: &[Run]) -> Seen {
        let lease = Lease { ttl, beat: Moment::after_origin(Duration::ZERO) };
        let reserve = reserve(ttl);
        let (mut resumed, mut expiry) = (lease.beat, lease.expiry());
        let (mut boot, mut uptime) = (1, Duration::from_secs(1000));
        let mut seen = Seen { listed: Duration::ZERO, gone_at: None };
        let mut now = Duration::ZERO;
        for run in runs {
            let listed = run.running.min(expiry.since(resumed));
            seen.listed += listed;
            if listed < run.running {
                seen.gone_at = Some(now + listed);
                return seen;
            }
            let since_ledger =
                Duration::from_nanos((run.running.as_nanos() % reserve.as_nanos()).try_into().unwrap_or(0));
            let ran = resumed + (run.running - since_ledger);
            let ledger = Ledger { ran, reserve, mark: BootMark { boot, uptime: uptime + run.running - since_ledger } };
            now += run.running + run.down;
            uptime = (uptime + run.running + run.down).saturating_sub(run.set_back);
            if run.reboot {
                (boot, uptime) = (boot + 1, Duration::from_secs(20));
            }
            resumed = ledger.resume(BootMark { boot, uptime });
            match lease.restored_expiry(resumed) {
                Some(later) => expiry = later,
                None => {
                    seen.gone_at = Some(now);
                    return seen;
                }
            }
        }
        seen
    }

    fn runs(set_back: bool, reboots: bool) -> impl Strategy<Value = Vec<Run>> {
        let back = if set_back { 0..4_000u64 } else { 0..1 };
        let run = (0..120_000u64, 0..600_000u64, any::<bool>(), back).prop_map(move |(running, down, reboot, back)| {
            Run {
                running: Duration::from_millis(running),
                down: Duration::from_millis(down),
                reboot: reboot && reboots,
                // to before the last ledger: a smaller jump looks like a shorter outage, which is harmless
                set_back: if back == 0 { Duration::ZERO } else { Duration::from_millis(running + down + back) },
            }
        });
        proptest::collection::vec(run, 1..80)
    }

    proptest! {
        #[test]
        fn without_beats_an_entry_is_listed_for_two_ttl_of_running_time_at_most(
            ttl in 1..300u64, mut runs in runs(true, true)
        ) {
            let ttl = Duration::from_secs(ttl);
            // however it came here, a server that then runs on loses the entry
            runs.push(Run { running: 2 * ttl + Duration::from_secs(1), down: Duration::ZERO, reboot: false, set_back: Duration::ZERO });
            let seen = play(ttl, &runs);
            prop_assert!(seen.listed <= 2 * ttl, "listed for {:?}", seen.listed);
            prop_assert!(seen.gone_at.is_some());
        }

        #[test]
        fn a_live_entry_is_never_lost_before_its_ttl(ttl in 1..300u64, runs in runs(false, false)) {
            let ttl = Duration::from_secs(ttl);
            if let Some(gone_at) = play(ttl, &runs).gone_at {
                prop_assert!(gone_at >= ttl, "gone after {gone_at:?}");
            }
        }

        #[test]
        fn one_restart_leaves_a_live_entry_nearly_a_whole_ttl(
            ttl in 1..300u64, lived in 0.0..1.0f64, down in 0..100_000u64, reboot in any::<bool>()
        ) {
            let ttl = Duration::from_secs(ttl);
            let first = Run { running: ttl.mul_f64(lived), down: Duration::from_secs(down), reboot, set_back: Duration::ZERO };
            let second = Run { running: 3 * ttl, ..first.clone() };
            let after = play(ttl, &[first.clone(), second]).listed - first.running;
            prop_assert!(after + reserve(ttl) >= ttl, "{after:?} after the restart");
        }

        #[test]
        fn a_crash_loop_of_any_period_ends_a_dead_entry_in_two_ttl_of_true_time(
            ttl in 10..300u64, period in 10..9_000u64
        ) {
            let ttl = Duration::from_secs(ttl);
            let run = Run { running: Duration::from_millis(period), down: Duration::ZERO, reboot: false, set_back: Duration::ZERO };
            let times = (2 * ttl).as_millis() as usize / period as usize + 2;
            let gone_at = play(ttl, &vec![run; times]).gone_at;
            prop_assert!(gone_at.is_some_and(|gone| gone <= 2 * ttl && gone >= ttl), "{gone_at:?}");
        }
    }
}
