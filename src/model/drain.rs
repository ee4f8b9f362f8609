//! A node that is kept out of the discovery service on purpose.

use super::drained::{self, ReasonError};
use super::moment::utc;
use std::fmt;
use std::time::{Duration, SystemTime};

/// Since when, until when, and why; in wall-clock time, because it survives reboots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    pub since: SystemTime,
    /// None: until somebody ends it.
    pub until: Option<SystemTime>,
    pub reason: Option<String>,
    /// The user who asked for it.
    pub by: String,
}

/// What an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DrainWish {
    pub reason: Option<String>,
    pub lasts: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DrainError {
    #[error("not a reason: {0}")]
    Reason(#[from] ReasonError),
    #[error("the time is 0: leave it out to drain until undrain")]
    NoTime,
    #[error("the time ends later than a clock can say: leave it out to drain until undrain")]
    Endless,
}

impl DrainWish {
    pub fn new(reason: Option<&str>, lasts: Option<Duration>) -> Result<Self, DrainError> {
        let reason = drained::reason(reason.unwrap_or_default())?;
        match lasts {
            Some(Duration::ZERO) => Err(DrainError::NoTime),
            // a date with five digits of year is none that others read
            Some(lasts) if lasts > Duration::from_secs(1000 * 365 * 86_400) => Err(DrainError::Endless),
            _ => Ok(Self { reason: reason.map(str::to_owned), lasts }),
        }
    }

    pub fn at(self, now: SystemTime, by: String) -> Drain {
        let until = self.lasts.and_then(|lasts| now.checked_add(lasts));
        Drain { since: now, until, reason: self.reason, by }
    }
}

/// Reads after "not registered: ".
impl fmt::Display for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "drained by {}", self.by)?;
        if let Some(until) = self.until {
            write!(f, " until {}", utc(until))?;
        }
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_a_sentence() {
        let wish = |reason, seconds: Option<u64>| DrainWish::new(reason, seconds.map(Duration::from_secs));
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let said = |reason, seconds| wish(reason, seconds).map(|wish| wish.at(at, "ann".into()).to_string());
        assert_eq!(said(None, None).as_deref(), Ok("drained by ann"));
        assert_eq!(said(Some("  "), None).as_deref(), Ok("drained by ann"));
        assert_eq!(
            said(Some(" new kernel "), Some(7200)).as_deref(),
            Ok("drained by ann until 2027-01-15T10:00:00Z: new kernel")
        );
    }

    #[test]
    fn refuses_what_would_not_fit_on_a_line() {
        let wish = |reason: &str, lasts| DrainWish::new(Some(reason), lasts).err();
        assert_eq!(wish(&"ä".repeat(200), None), None);
        assert_eq!(wish(&"ä".repeat(201), None), Some(DrainError::Reason(ReasonError::TooLong)));
        assert!(matches!(wish("\u{1b}[31m", None), Some(DrainError::Reason(ReasonError::Control { at: 1, .. }))));
        assert_eq!(wish("a", Some(Duration::ZERO)), Some(DrainError::NoTime));
        assert_eq!(wish("a", Some(Duration::MAX)), Some(DrainError::Endless));
    }
}
