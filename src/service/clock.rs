//! The one place where the tasks read time.

use crate::model::Moment;
use tokio::time::Instant;

/// Moments since the agent started.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    pub fn now(&self) -> Moment {
        Moment::after_origin(self.origin.elapsed())
    }

    /// For sleeping until a moment.
    pub fn instant(&self, moment: Moment) -> Instant {
        self.origin + moment.since_origin()
    }
}
