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
    /// How often each program is started.
    pub starts: usize,
    /// How often the engine dies.
    pub deaths: usize,
}

impl Plan {
    pub fn from_environment() -> Self {
        let short = std::env::var_os("BENCH_SHORT").is_some_and(|value| !value.is_empty() && value != "0");
        let (marks, starts, deaths) = if short { ([10, 40], 10, 5) } else { ([60, 600], 50, 50) };
        Self { short, marks: marks.map(Duration::from_secs), starts, deaths }
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
