//! A file with one node or pattern a line; `#` begins a comment, also behind an entry. Read-only.

use super::{Backend, BackendError, Claim, Listing, Scope, Seen, Sight};
use crate::model::{Hold, NodeAddress};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::timeout;

/// More than a hundred thousand lines; protects against a log file of that name.
const MAX_BYTES: u64 = 8 << 20;

pub struct FileBackend {
    path: PathBuf,
    timeout: Duration,
}

impl FileBackend {
    /// `timeout` bounds one reading: the file may lie on a network.
    pub fn new(path: PathBuf, timeout: Duration) -> Self {
        Self { path, timeout }
    }

    fn read_only(&self) -> BackendError {
        BackendError::ReadOnly { list: format!("file://{}", self.path.display()) }
    }

    fn failed(&self, cause: String) -> BackendError {
        BackendError::File { path: self.path.clone(), cause }
    }
}

#[async_trait::async_trait]
impl Backend for FileBackend {
    async fn register(&self, _: &Claim<'_>) -> Result<Option<Hold>, BackendError> {
        Err(self.read_only())
    }

    async fn deregister(&self, _: &NodeAddress, _: Option<&Hold>) -> Result<(), BackendError> {
        Err(self.read_only())
    }

    async fn watch(&self, _: Scope, _: Option<&Seen>) -> Result<Sight, BackendError> {
        let path = self.path.clone();
        let reading = tokio::task::spawn_blocking(move || read(&path));
        match timeout(self.timeout, reading).await {
            Ok(Ok(Ok(bytes))) => Ok(Sight::still(parse(&String::from_utf8_lossy(&bytes)))),
            Ok(Ok(Err(error))) => Err(self.failed(error.to_string())),
            Ok(Err(panicked)) => Err(self.failed(panicked.to_string())),
            Err(_) => Err(self.failed(format!("no answer within {}", humantime::format_duration(self.timeout)))),
        }
    }

    async fn mark_drained(&self, _: &NodeAddress, _: Option<&str>, _: Duration) -> Result<(), BackendError> {
        Err(self.read_only())
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
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[test]
    fn comments_blanks_and_patterns() {
        let listing = parse("\u{feff}# all\n\n  a:1  # one\r\nb[1:2]:1#two\n\tjunk\n#c:1\n");
        assert_eq!(listing.nodes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:1", "b1:1", "b2:1"]);
        assert_eq!(listing.unreadable.len(), 1);
        assert_eq!(listing.unreadable[0].entry, "junk");
        assert!(listing.unreadable[0].why.starts_with("line 5: "), "{listing:?}");
    }

    #[tokio::test]
    async fn a_file_is_read_and_never_written() -> Result<(), Box<dyn std::error::Error>> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("nodes");
        let backend: &dyn Backend = &FileBackend::new(path.clone(), TIMEOUT);
        assert!(matches!(backend.list(Scope::Active).await, Err(BackendError::File { .. })));
        fs::write(&path, "a:1\n")?;
        assert_eq!(backend.list(Scope::All).await?.nodes.len(), 1);
        let node = "b:1".parse()?;
        assert!(matches!(backend.register(&Claim::new(&node, TIMEOUT)).await, Err(BackendError::ReadOnly { .. })));
        assert!(matches!(backend.deregister(&node, None).await, Err(BackendError::ReadOnly { .. })));
        let marked = backend.mark_drained(&node, None, TIMEOUT).await;
        assert!(matches!(marked, Err(BackendError::ReadOnly { .. })));
        let folder = FileBackend::new(directory.path().to_owned(), TIMEOUT).watch(Scope::Active, None).await;
        assert!(folder.is_err_and(|error| error.to_string().ends_with("it is not a regular file")));
        Ok(())
    }
}
