//! The operator's word that the node is drained.

use super::{StateError, in_time, replace, sync};
use crate::model::Drain;
use crate::model::moment::utc;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Keeps a drain over restarts and reboots.
#[async_trait::async_trait]
pub trait DrainRecord: Send + Sync {
    /// It is on disk when this returns; None takes it away.
    async fn keep(&self, drain: Option<&Drain>) -> Result<(), StateError>;
}

/// `drain.json` in the state directory; absent while the node is not drained.
pub struct DrainFile {
    path: PathBuf,
    /// A write that timed out may still be under way when the next one begins.
    writing: Arc<Mutex<()>>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    since: String,
    until: Option<String>,
    reason: Option<String>,
    by: String,
}

impl DrainFile {
    pub fn new(state_directory: &Path) -> Self {
        Self { path: state_directory.join("drain.json"), writing: Arc::default() }
    }

    /// A file that can't be read or understood is reported, the latter is set aside too; both count as a drain without end: somebody wanted the
    /// node out, and `swarm-agent undrain` tells if it is not wanted any more.
    pub fn load(&self, now: SystemTime) -> (Option<Drain>, Option<StateError>) {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (None, None),
            Err(error) => return (Some(unreadable(now)), Some(self.error(error))),
        };
        match parse(&text) {
            Ok(drain) => (Some(drain), None),
            Err(why) => (Some(unreadable(now)), Some(StateError::set_aside(&self.path, &why))),
        }
    }

    fn error(&self, cause: io::Error) -> StateError {
        StateError::new(&self.path, cause)
    }
}

#[async_trait::async_trait]
impl DrainRecord for DrainFile {
    async fn keep(&self, drain: Option<&Drain>) -> Result<(), StateError> {
        let text = drain.map(|drain| serde_json::to_string(&Document::of(drain)));
        let text = text.transpose().map_err(|error| self.error(error.into()))?;
        let (path, lock) = (self.path.clone(), Arc::clone(&self.writing));
        let writing = move || {
            let _turn = lock.lock().unwrap_or_else(PoisonError::into_inner);
            write(&path, text.as_deref())
        };
        in_time(&self.path, writing).await
    }
}

fn unreadable(now: SystemTime) -> Drain {
    let reason = Some("what was written down about it can't be read".to_owned());
    Drain { since: now, until: None, reason, by: "somebody".to_owned() }
}

fn write(path: &Path, text: Option<&str>) -> io::Result<()> {
    match text {
        Some(text) => replace(path, text, 0o600).and_then(|file| sync(&file, path)),
        // a file system that is read-only says so before it says that there is nothing to remove
        None if !path.try_exists()? => Ok(()),
        None => {
            fs::remove_file(path)?;
            fs::File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
        }
    }
}

impl Document {
    fn of(drain: &Drain) -> Self {
        let text = |time: SystemTime| utc(time).to_string();
        Self {
            since: text(drain.since),
            until: drain.until.map(text),
            reason: drain.reason.clone(),
            by: drain.by.clone(),
        }
    }
}

fn parse(text: &[u8]) -> Result<Drain, String> {
    let document: Document = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let time = |text: &str| humantime::parse_rfc3339(text).map_err(|error| format!("{text:?}: {error}"));
    let until = document.until.as_deref().map(time).transpose()?;
    Ok(Drain { since: time(&document.since)?, until, reason: document.reason, by: document.by })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn a_drain_is_kept_until_it_is_taken_away() -> Result<(), StateError> {
        let folder = tempfile::tempdir().unwrap();
        let file = || DrainFile::new(folder.path());
        assert!(matches!(file().load(at(0)), (None, None)));
        let drain = Drain { since: at(100), until: Some(at(7300)), reason: Some("a \"b\"".into()), by: "ann".into() };
        file().keep(Some(&drain)).await?;
        assert!(matches!(file().load(at(0)), (Some(loaded), None) if loaded == drain));
        file().keep(None).await?;
        file().keep(None).await?;
        assert!(matches!(file().load(at(0)), (None, None)));
        Ok(())
    }

    #[test]
    fn a_record_that_cant_be_read_keeps_the_node_out_and_is_set_aside() {
        for junk in ["", "{", r#"{"since":"yesterday","by":"ann"}"#, "\u{0}"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("drain.json");
            fs::write(&path, junk).unwrap();
            let (drain, error) = DrainFile::new(folder.path()).load(at(5));
            assert!(drain.is_some_and(|drain| drain.until.is_none() && drain.since == at(5)), "{junk:?}");
            assert!(error.is_some_and(|error| error.to_string().contains("set aside as")), "{junk:?}");
            assert!(!path.exists());
        }
    }

    #[test]
    fn one_that_cant_be_opened_keeps_the_node_out_too() {
        let folder = tempfile::tempdir().unwrap();
        // what even root can't read as a file
        fs::create_dir(folder.path().join("drain.json")).unwrap();
        let (drain, error) = DrainFile::new(folder.path()).load(at(5));
        assert!(drain.is_some() && error.is_some_and(|error| error.to_string().contains("drain.json: ")));
    }

    #[tokio::test]
    async fn a_directory_that_is_missing_is_an_error_that_names_the_file() {
        let drain = Drain { since: at(0), until: None, reason: None, by: "ann".into() };
        let file = DrainFile::new(Path::new("/nowhere/at/all"));
        let error = file.keep(Some(&drain)).await.unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/at/all/drain.json: "), "{error}");
    }
}
