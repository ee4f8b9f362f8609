//! A point in time as the policies see it.

use std::time::Duration;

/// Time since an origin that the caller chose (the start of the agent). Policies compare and add;
/// they never ask what time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(Duration);

impl Moment {
    pub const fn after_origin(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// How long `earlier` lies back; zero if it does not.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;

    fn add(self, step: Duration) -> Self {
        Self(self.0.saturating_add(step))
    }
}

/// Wall-clock time as people and programs read it: UTC, whole seconds, RFC 3339.
pub fn utc(time: std::time::SystemTime) -> impl std::fmt::Display {
    humantime::format_rfc3339_seconds(time)
}
