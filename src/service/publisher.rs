//! Keeps a file for other programs at the newest list. A disk takes as long as it likes: that is waited for beside
//! everything else, and what changes meanwhile is written once.

use crate::state::{StateError, publish};
use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout};

/// Between two attempts while the file can't be written.
const RETRY: Duration = Duration::from_secs(10);
/// How long a write that is under way may take when all is to end.
const GRACE: Duration = Duration::from_secs(5);

pub struct Publisher {
    path: PathBuf,
    /// What the file is to say, and does not as far as we know.
    wanted: Option<Arc<str>>,
    writing: Option<Writing>,
    due: Instant,
    /// The last error that was told; None once the file could be written again.
    trouble: Option<String>,
}

/// A list on its way into the file.
struct Writing {
    list: Arc<str>,
    thread: JoinHandle<Result<bool, StateError>>,
}

/// The file says this list now.
#[derive(Debug, PartialEq, Eq)]
pub struct Published {
    pub list: Arc<str>,
    /// It could not be written before.
    pub recovered: bool,
}

impl Publisher {
    pub fn new(path: PathBuf) -> Self {
        Self { path, wanted: None, writing: None, due: Instant::now(), trouble: None }
    }

    pub fn changed(&mut self, list: Arc<str>) {
        self.wanted = Some(list);
    }

    /// Waits until the file says what it is to say, or until that fails with news; for ever if there is nothing to do.
    /// Cancel-safe: a write goes on, and the next call waits for it.
    pub async fn done(&mut self) -> Result<Published, StateError> {
        loop {
            if self.writing.is_none() {
                if self.wanted.is_none() {
                    return pending().await;
                }
                sleep_until(self.due).await;
                self.writing = self.wanted.take().map(|list| self.begin(list));
            }
            let Some(Writing { list, thread }) = &mut self.writing else { continue };
            let outcome = thread.await;
            let list = Arc::clone(list);
            self.writing = None;
            match outcome.unwrap_or_else(|ended| Err(self.error(io::Error::other(ended)))) {
                Ok(_) => return Ok(Published { list, recovered: self.trouble.take().is_some() }),
                Err(error) => {
                    self.wanted.get_or_insert(list);
                    self.due = Instant::now() + RETRY;
                    let text = error.to_string();
                    if self.trouble.as_ref() != Some(&text) {
                        self.trouble = Some(text);
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Waits for a write that is under way, so that it leaves nothing behind.
    pub async fn end(&mut self) {
        if let Some(Writing { thread, .. }) = self.writing.take() {
            // whether it was done is asked by nobody any more
            let _ = timeout(GRACE, thread).await;
        }
    }

    fn begin(&self, list: Arc<str>) -> Writing {
        let (path, text) = (self.path.clone(), Arc::clone(&list));
        Writing { list, thread: spawn_blocking(move || publish(&path, &text)) }
    }

    fn error(&self, cause: io::Error) -> StateError {
        StateError { path: self.path.clone(), cause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;
    use std::fs;

    #[tokio::test(start_paused = true)]
    async fn a_file_that_can_not_be_written_is_said_once_and_tried_again() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("not yet/nodes");
        let mut publisher = Publisher::new(path.clone());
        assert!(timeout(Duration::from_secs(60), publisher.done()).await.is_err(), "there is nothing to do");
        publisher.changed(Arc::from("a\n"));
        assert!(publisher.done().await.is_err_and(|error| error.to_string().contains("not yet/nodes")));
        assert!(timeout(Duration::from_secs(60), publisher.done()).await.is_err(), "it is said once");
        publisher.changed(Arc::from("b\n"));
        fs::create_dir(folder.path().join("not yet"))?;
        let mut published = publisher.done().await?;
        assert!(published.recovered);
        if *published.list == *"a\n" {
            // a try that was under way has found the folder after all
            published = publisher.done().await?;
        }
        assert_eq!(published.list, Arc::from("b\n"));
        assert_eq!(fs::read_to_string(path)?, "b\n");
        Ok(())
    }
}
