//! What of the journal is said, and what is held back: something that flaps must not bury the rest.
//!
//! Two token buckets, one for each kind of entry and one for all; what is urgent needs no room in the second. Together they
//! say less than 80 entries in any hour, and 13 of each urgent kind; what they hold back is counted, and [`Chatter::report`] gives the counts from time to time.

use crate::model::Moment;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Of one kind: this many at once, and one more in each interval.
const BURST_OF_ONE: u32 = 6;
const REFILL_OF_ONE: Duration = Duration::from_secs(600);
/// Of all kinds together.
const BURST: u32 = 36;
const REFILL: Duration = Duration::from_secs(90);

/// What was held back is told this often at most, and this long after the first of it at the latest.
const REPORT_INTERVAL: Duration = Duration::from_secs(600);
/// It is told earlier once nothing has been held back for this long.
const SETTLED: Duration = Duration::from_secs(60);
/// The report names this many kinds; the rest is counted.
const NAMED: usize = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// `held_before`: entries of this kind that were held back since the last one that was said.
    Say {
        held_before: u32,
    },
    Hold,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chatter {
    all: Bucket,
    kinds: BTreeMap<&'static str, Kind>,
    untold: Option<Untold>,
    told: Option<Moment>,
    latest: Moment,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Kind {
    bucket: Bucket,
    held: u32,
}

/// What was held back since the last report.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Untold {
    first: Moment,
    last: Moment,
    counts: BTreeMap<&'static str, u32>,
}

/// A report: what was held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub total: u32,
    /// Since the first of it.
    pub lasted: Duration,
    /// By kind, the most frequent first.
    pub kinds: Vec<(&'static str, u32)>,
}

/// Full at first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bucket {
    burst: u32,
    refill: Duration,
    /// When it will be full again.
    full_at: Moment,
}

impl Default for Chatter {
    fn default() -> Self {
        Self {
            all: Bucket::new(BURST, REFILL),
            kinds: BTreeMap::new(),
            untold: None,
            told: None,
            latest: Moment::default(),
        }
    }
}

impl Chatter {
    /// Whether an entry of this kind is said now; then it counts as said, else as held back.
    pub fn step(&mut self, name: &'static str, now: Moment) -> Word {
        self.judge(name, false, now)
    }

    /// The same for a kind that must not be held back because of others.
    pub fn step_urgent(&mut self, name: &'static str, now: Moment) -> Word {
        self.judge(name, true, now)
    }

    fn judge(&mut self, name: &'static str, urgent: bool, now: Moment) -> Word {
        let now = self.at(now);
        let fresh = || Kind { bucket: Bucket::new(BURST_OF_ONE, REFILL_OF_ONE), held: 0 };
        let kind = self.kinds.entry(name).or_insert_with(fresh);
        if kind.bucket.has_room(now) && (urgent || self.all.has_room(now)) {
            kind.bucket.take(now);
            if !urgent {
                self.all.take(now);
            }
            return Word::Say { held_before: std::mem::take(&mut kind.held) };
        }
        kind.held = kind.held.saturating_add(1);
        let untold = self.untold.get_or_insert_with(|| Untold { first: now, last: now, counts: BTreeMap::new() });
        untold.last = now;
        let count = untold.counts.entry(name).or_default();
        *count = count.saturating_add(1);
        Word::Hold
    }

    /// What was held back, if it is time to tell; then it counts as told.
    pub fn report(&mut self, now: Moment) -> Option<Held> {
        let now = self.at(now);
        let due = |untold: &Untold| {
            let due = (untold.first + REPORT_INTERVAL).min(untold.last + SETTLED);
            self.told.map_or(due, |told| due.max(told + REPORT_INTERVAL)) <= now
        };
        if !self.untold.as_ref().is_some_and(due) {
            return None;
        }
        self.last_report(now)
    }

    /// The same whether or not it is time: before the end.
    pub fn last_report(&mut self, now: Moment) -> Option<Held> {
        let now = self.at(now);
        let Untold { first, counts, .. } = self.untold.take()?;
        self.told = Some(now);
        let mut kinds: Vec<_> = counts.into_iter().collect();
        kinds.sort_by_key(|(_, count)| Reverse(*count));
        let total = kinds.iter().fold(0_u32, |sum, (_, count)| sum.saturating_add(*count));
        Some(Held { total, lasted: now.since(first), kinds })
    }

    /// Time does not run backwards, whatever the clock says.
    fn at(&mut self, now: Moment) -> Moment {
        self.latest = self.latest.max(now);
        self.latest
    }
}

/// The kinds: `engine-not-working 17, registered 12, 3 of other kinds`.
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (named, others) = self.kinds.split_at(self.kinds.len().min(NAMED));
        for (index, (name, count)) in named.iter().enumerate() {
            write!(f, "{}{name} {count}", if index == 0 { "" } else { ", " })?;
        }
        match others.iter().fold(0_u32, |sum, (_, count)| sum.saturating_add(*count)) {
            0 => Ok(()),
            rest => write!(f, ", {rest} of other kinds"),
        }
    }
}

impl Bucket {
    fn new(burst: u32, refill: Duration) -> Self {
        Self { burst, refill, full_at: Moment::default() }
    }

    fn has_room(&self, now: Moment) -> bool {
        self.full_at <= now + self.refill * (self.burst - 1)
    }

    fn take(&mut self, now: Moment) {
        self.full_at = self.full_at.max(now) + self.refill;
    }
}

#[cfg(test)]
mod tests;
