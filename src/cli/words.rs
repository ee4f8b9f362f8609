//! Spans of time for people.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The two largest units are enough for people.
pub fn span(span: Duration) -> String {
    let whole = if span.as_secs() == 0 { span } else { Duration::from_secs(span.as_secs()) };
    humantime::format_duration(whole).to_string().split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// A span in seconds, as the agent's reports have it: whole seconds.
pub fn seconds(seconds: f64) -> String {
    span(Duration::from_secs(Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs()))
}

/// ` since 2026-11-26 02:49:03 UTC, 3m 2s ago`
pub fn since(since_epoch: Duration) -> String {
    let at = UNIX_EPOCH + since_epoch;
    let ago = SystemTime::now().duration_since(at).map(|ago| format!(", {} ago", span(ago))).unwrap_or_default();
    format!(" since {}{ago}", date(&humantime::format_rfc3339_seconds(at).to_string()))
}

/// `2026-11-26T02:49:03Z` as people read it.
pub fn date(rfc3339: &str) -> String {
    rfc3339.replace('T', " ").replace('Z', " UTC")
}
