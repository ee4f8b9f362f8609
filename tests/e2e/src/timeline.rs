//! What the harness did, and when: printed when a test fails.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[derive(Debug)]
pub struct Timeline {
    start: Instant,
    notes: Mutex<Vec<(Duration, Duration, String)>>,
}

impl Timeline {
    pub fn new() -> Self {
        Self { start: Instant::now(), notes: Mutex::default() }
    }

    pub fn note(&self, text: impl Into<String>) {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push((self.start.elapsed(), wall, text.into()));
    }

    /// One line per note: seconds since the start, time of day in UTC (as in the journals), text.
    pub fn render(&self) -> String {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes
            .iter()
            .map(|(since, wall, text)| format!("{:>9.3}s  {}  {text}\n", since.as_secs_f64(), clock(*wall)))
            .collect()
    }
}

fn clock(wall: Duration) -> String {
    let s = wall.as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}.{:03}", s / 3600, s / 60 % 60, s % 60, wall.subsec_millis())
}
