//! How long and how often.

use std::fmt;
use std::time::Duration;

/// The number of beats that CPU time is given for.
pub const BEATS: f64 = 100.0;

#[derive(Debug)]
pub struct Plan {
    pub short: bool,
    /// When memory is read, counted from the start of the services; CPU time is measured from the first to the last.
    pub marks: [Duration; 2],
    /// With each discovery service: until memory is read, and how long CPU time is counted from then on.
    pub store_marks: [Duration; 2],
    /// How often each program is started.
    pub starts: usize,
    /// How often the engine dies.
    pub deaths: usize,
}

impl Plan {
    pub fn from_environment() -> Self {
        let short = std::env::var_os("BENCH_SHORT").is_some_and(|value| !value.is_empty() && value != "0");
        let (marks, store_marks, starts, deaths) =
            if short { ([10, 40], [10, 20], 10, 5) } else { ([60, 600], [60, 60], 50, 50) };
        let [marks, store_marks] = [marks, store_marks].map(|marks| marks.map(Duration::from_secs));
        Self { short, marks, store_marks, starts, deaths }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, last] = self.marks.map(|mark| mark.as_secs());
        let (starts, deaths) = (self.starts, self.deaths);
        if self.short {
            write!(f, "BENCH_SHORT: a quick look. The targets are meant for the full run, not for this one.\n  ")?;
        }
        write!(f, "{starts} starts, memory at {first} s and {last} s, {deaths} deaths of the engine")
    }
}
