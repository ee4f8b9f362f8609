//! Waiting for a state, with a deadline and a useful complaint.

use std::fmt::Display;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const INTERVAL: Duration = Duration::from_millis(20);

/// The answer of one look at the thing waited for.
pub trait Attempt {
    type Value;

    /// The value, or what was seen instead of it.
    fn attempt(self) -> std::result::Result<Self::Value, String>;
}

impl<T> Attempt for Option<T> {
    type Value = T;

    fn attempt(self) -> std::result::Result<T, String> {
        self.ok_or_else(|| "nothing yet".to_owned())
    }
}

impl Attempt for bool {
    type Value = ();

    fn attempt(self) -> std::result::Result<(), String> {
        if self { Ok(()) } else { Err("not so yet".to_owned()) }
    }
}

impl<T, E: Display> Attempt for std::result::Result<T, E> {
    type Value = T;

    fn attempt(self) -> std::result::Result<T, String> {
        self.map_err(|e| format!("{e:#}"))
    }
}

/// Looks every 20 ms until `look` answers with a value (`Some`, `Ok` or `true`). The error names what was waited for,
/// for how long, and what was seen last.
pub fn wait_for<A: Attempt>(what: &str, timeout: Duration, look: impl FnMut() -> A) -> Result<A::Value> {
    wait_for_every(INTERVAL, what, timeout, look)
}

/// [`wait_for`] with an interval of the caller's.
pub fn wait_for_every<A: Attempt>(
    interval: Duration,
    what: &str,
    timeout: Duration,
    mut look: impl FnMut() -> A,
) -> Result<A::Value> {
    let start = Instant::now();
    loop {
        // Taken before the look: a slow last look that succeeds still counts.
        let late = start.elapsed() >= timeout;
        match look().attempt() {
            Ok(value) => return Ok(value),
            Err(seen) if late => bail!("waited {timeout:.1?} for {what}; last seen: {seen}"),
            Err(_) => sleep(interval),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_names_what_and_the_last_value() {
        let mut n = 0;
        let error = wait_for("the number nine", Duration::from_millis(50), || {
            n += 1;
            if n > 1000 { Ok(n) } else { Err("still small") }
        })
        .unwrap_err()
        .to_string();
        assert!(error.contains("the number nine") && error.contains("still small"), "{error}");
    }

    #[test]
    fn a_value_ends_the_wait() {
        assert_eq!(wait_for("it", Duration::ZERO, || Some(7)).unwrap(), 7);
    }
}
