//! The journal of a machine, entry by entry.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::spawned::Spawned;

/// One entry, with all its fields.
#[derive(Debug, Clone)]
pub struct JournalEntry(BTreeMap<String, Value>);

/// A place in a journal: what comes after it is newer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub(crate) String);

impl JournalEntry {
    pub(crate) fn parse(line: &str) -> Result<Self> {
        serde_json::from_str(line).map(Self).with_context(|| format!("failed to understand the journal entry {line:?}"))
    }

    pub(crate) fn parse_all(lines: &str) -> Result<Vec<Self>> {
        lines.lines().map(Self::parse).collect()
    }

    /// A field as text; of a field that is there more than once, the first.
    pub fn field(&self, name: &str) -> Option<String> {
        text(self.0.get(name)?)
    }

    pub fn message(&self) -> String {
        self.field("MESSAGE").unwrap_or_default()
    }

    pub fn message_id(&self) -> Option<String> {
        self.field("MESSAGE_ID")
    }

    /// 0 (emergency) to 7 (debug).
    pub fn priority(&self) -> Option<u8> {
        self.number("PRIORITY")
    }

    pub fn unit(&self) -> Option<String> {
        self.field("_SYSTEMD_UNIT")
    }

    pub fn pid(&self) -> Option<i32> {
        self.number("_PID")
    }

    /// Time since the epoch.
    pub fn realtime(&self) -> Option<Duration> {
        self.number("__REALTIME_TIMESTAMP").map(Duration::from_micros)
    }

    /// Time on the host's monotonic clock, which all machines share.
    pub fn monotonic(&self) -> Option<Duration> {
        self.number("__MONOTONIC_TIMESTAMP").map(Duration::from_micros)
    }

    pub fn cursor(&self) -> Option<Cursor> {
        self.field("__CURSOR").map(Cursor)
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.field(name)?.parse().ok()
    }
}

/// journalctl writes text as a string, other bytes as a list of numbers, and repeated fields as a list of either.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Array(items) if items.iter().all(Value::is_u64) => {
            let bytes: Vec<u8> = items.iter().filter_map(|n| u8::try_from(n.as_u64()?).ok()).collect();
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
        Value::Array(items) => items.first().and_then(text),
        _ => None,
    }
}

/// Entries as they are written. Ends with the machine.
#[derive(Debug)]
pub struct Follower {
    entries: Receiver<Result<JournalEntry>>,
    _journalctl: Spawned,
}

impl Follower {
    pub(crate) fn new(mut journalctl: Spawned) -> Result<Self> {
        let lines = journalctl.lines()?;
        let (sender, entries) = channel();
        thread::spawn(move || {
            for line in lines.map_while(std::io::Result::ok) {
                if sender.send(JournalEntry::parse(&line)).is_err() {
                    break;
                }
            }
        });
        Ok(Self { entries, _journalctl: journalctl })
    }

    /// The next entry that `wanted` takes; the others are passed over.
    pub fn next(&mut self, timeout: Duration, mut wanted: impl FnMut(&JournalEntry) -> bool) -> Result<JournalEntry> {
        let deadline = Instant::now() + timeout;
        let mut last = "no entry at all".to_owned();
        loop {
            match self.entries.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(entry) => {
                    let entry = entry?;
                    if wanted(&entry) {
                        return Ok(entry);
                    }
                    last = format!("{:?}", entry.message());
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!("waited {timeout:.1?} for an entry in the journal; the last one: {last}")
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("the journal ended (is the machine off?); the last entry: {last}")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_as_text_bytes_and_lists() {
        let entry = JournalEntry::parse(
            r#"{"MESSAGE":[104,105],"PRIORITY":"4","_PID":"12","X":["a","b"],"Y":null,"__MONOTONIC_TIMESTAMP":"1500000"}"#,
        )
        .unwrap();
        assert_eq!(entry.message(), "hi");
        assert_eq!((entry.priority(), entry.pid()), (Some(4), Some(12)));
        assert_eq!(entry.field("X").as_deref(), Some("a"));
        assert_eq!(entry.field("Y"), None);
        assert_eq!(entry.monotonic(), Some(Duration::from_millis(1500)));
    }
}
