//! A file with one node or pattern a line; `#` begins a comment, also behind an entry. Read-only.
//!
//! The kernel tells of changes (inotify). Each look puts the watch in place first and reads then, and the position is a
//! hash of the content, so that nothing is missed between two calls.

mod notices;

use super::{Backend, BackendError, Claim, Listing, Position, Release, Scope, Seen, Sight};
use crate::model::{Hold, NodeAddress};
use notices::Notices;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// More than a hundred thousand lines; protects against a log file of that name.
const MAX_BYTES: u64 = 8 << 20;
/// Who writes a file in place, or renames it away first, is done when nothing has happened for this long.
const SETTLED: Duration = Duration::from_millis(50);
/// Who writes all the time is read all the same.
const UNSETTLED: Duration = Duration::from_secs(1);

pub struct FileBackend {
    path: PathBuf,
    timeout: Duration,
}

/// What the file says, and what will tell of the next change, if anything can.
struct Look {
    bytes: Vec<u8>,
    notices: Option<Notices>,
}

impl FileBackend {
    /// `timeout` bounds one reading: the file may lie on a network.
    pub fn new(path: PathBuf, timeout: Duration) -> Self {
        Self { path, timeout }
    }

    fn read_only(&self) -> BackendError {
        BackendError::ReadOnly { list: format!("file://{}", self.path.display()) }
    }

    fn failed(&self, cause: impl ToString) -> BackendError {
        BackendError::File { path: self.path.clone(), cause: cause.to_string() }
    }

    async fn look(&self) -> Result<Look, BackendError> {
        let path = self.path.clone();
        let looking = tokio::task::spawn_blocking(move || {
            // first, so that what happens from here on is told
            let notices = notices::arm(&path);
            read(&path).map(|bytes| (bytes, notices))
        });
        match timeout(self.timeout, looking).await {
            Ok(Ok(Ok((bytes, armed)))) => Ok(Look { bytes, notices: armed.and_then(Notices::new) }),
            Ok(Ok(Err(error))) => Err(self.failed(error)),
            Ok(Err(panicked)) => Err(self.failed(panicked)),
            Err(_) => Err(self.failed(format!("no answer within {}", humantime::format_duration(self.timeout)))),
        }
    }
}

impl Look {
    /// The content, hashed. None where nothing would tell of a change.
    fn position(&self) -> Option<Position> {
        self.notices.as_ref()?;
        let mut hasher = DefaultHasher::new();
        self.bytes.hash(&mut hasher);
        Some(Position(format!("{:016x}", hasher.finish())))
    }

    fn sight(&self) -> Sight {
        Sight { listing: parse(&String::from_utf8_lossy(&self.bytes)), position: self.position() }
    }
}

#[async_trait::async_trait]
impl Backend for FileBackend {
    async fn register(&self, _: &Claim<'_>) -> Result<Option<Hold>, BackendError> {
        Err(self.read_only())
    }

    async fn deregister(&self, _: &Release<'_>) -> Result<(), BackendError> {
        Err(self.read_only())
    }

    async fn watch(&self, _: Scope, seen: Option<&Seen>) -> Result<Sight, BackendError> {
        let Some(seen) = seen else { return Ok(self.look().await?.sight()) };
        let deadline = Instant::now() + seen.patience;
        loop {
            let mut look = self.look().await?;
            let same = look.position().is_some_and(|position| position == seen.position);
            let Some(notices) = look.notices.as_mut().filter(|_| same) else { return Ok(look.sight()) };
            if timeout_at(deadline, notices.next()).await.is_err() {
                // read once more: some file systems tell nothing
                return Ok(self.look().await?.sight());
            }
            settle(notices).await;
        }
    }

    async fn mark_drained(&self, _: &NodeAddress, _: Option<&str>, _: Duration) -> Result<(), BackendError> {
        Err(self.read_only())
    }
}

/// Returns when nothing has happened for a moment.
async fn settle(notices: &mut Notices) {
    let end = Instant::now() + UNSETTLED;
    sleep(SETTLED).await;
    while notices.drain() && Instant::now() < end {
        sleep(SETTLED).await;
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // opening a FIFO would wait for a writer
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("it is larger than {MAX_BYTES} bytes")));
    }
    Ok(bytes)
}

fn parse(text: &str) -> Listing {
    let entries = text.trim_start_matches('\u{feff}').lines().enumerate().filter_map(|(at, line)| {
        let entry = line.split('#').next().unwrap_or_default().trim();
        (!entry.is_empty()).then(|| (format!("line {}", at + 1), entry))
    });
    Listing::of_patterns(entries)
}

#[cfg(test)]
mod tests;
