//! What is made of files, and made anew when they change: certificates and tokens are renewed without a restart.

use super::{TlsClient, Turn, Unready, files};
use crate::model::{Secret, TlsFault, TlsFileFault, TlsFileProblem, TlsFiles};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tracing::debug;

/// Some small files of a local disk; a network's file system that takes longer has a problem.
const LIMIT: Duration = Duration::from_secs(2);
/// The clock of a file system is coarse: what was changed just now can change again without a trace.
const SETTLED: Duration = Duration::from_secs(2);

/// A file and how people set it.
pub type Source = (&'static str, PathBuf);

pub struct Renewed<T> {
    work: Arc<Work<T>>,
    turn: Turn,
}

struct Work<T> {
    sources: Vec<Source>,
    make: Box<dyn Fn() -> Result<T, Unready> + Send + Sync>,
    kept: Mutex<Kept<T>>,
}

struct Kept<T> {
    value: Option<Arc<T>>,
    seen: Vec<Option<Stamp>>,
    /// Why it could not be made at the last look.
    trouble: Option<Unready>,
}

/// Whether a file is the same: a change of its content, its owner or its mode changes the time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    length: u64,
    changed: (i64, i64),
}

impl<T: Send + Sync + 'static> Renewed<T> {
    /// `make` reads the sources, and may block.
    pub fn new(sources: Vec<Source>, make: impl Fn() -> Result<T, Unready> + Send + Sync + 'static) -> Self {
        let kept = Mutex::new(Kept { value: None, seen: Vec::new(), trouble: None });
        Self { work: Arc::new(Work { sources, make: Box::new(make), kept }), turn: Turn::default() }
    }

    /// Of the files as they are now. Files that are of no use change nothing: what was made before stays in use, and
    /// they are read again at each call. An error if there is nothing before.
    pub async fn current(&self) -> Result<Arc<T>, Unready> {
        self.look().await;
        let kept = self.work.kept();
        match (&kept.value, &kept.trouble) {
            (Some(value), _) => Ok(Arc::clone(value)),
            (None, Some(trouble)) => Err(trouble.clone()),
            (None, None) => Err(self.work.unread("nothing was read".to_owned())),
        }
    }

    /// What is wrong with the files as they are now.
    pub async fn trouble(&self) -> Option<Unready> {
        self.look().await;
        self.work.kept().trouble.clone()
    }

    async fn look(&self) {
        let work = Arc::clone(&self.work);
        if let Err(why) = self.turn.take(LIMIT, move || work.look()).await {
            self.work.trouble(self.work.unread(why));
        }
    }
}

impl Renewed<TlsClient> {
    pub fn tls(files: TlsFiles) -> Self {
        Self::new(files.sources(), move || TlsClient::read(files.clone()))
    }
}

impl Renewed<Secret> {
    pub fn secret(setting: &'static str, path: PathBuf) -> Self {
        Self::new(vec![(setting, path.clone())], move || files::secret(setting, &path).map_err(Unready::File))
    }
}

/// For those who only want to know whether the files are of use.
impl Renewed<()> {
    pub fn usable_tls(files: TlsFiles) -> Self {
        Self::new(files.sources(), move || TlsClient::read(files.clone()).map(drop))
    }

    pub fn usable_secret(setting: &'static str, path: PathBuf) -> Self {
        Self::new(vec![(setting, path.clone())], move || files::secret(setting, &path).map(drop).map_err(Unready::File))
    }
}

impl<T> Work<T> {
    fn look(&self) {
        let now: Vec<_> = self.sources.iter().map(|(_, path)| stamp(path)).collect();
        let time = SystemTime::now();
        {
            let kept = self.kept();
            let settled = now.iter().flatten().all(|stamp| stamp.settled(time));
            if kept.value.is_some() && kept.trouble.is_none() && kept.seen == now && settled {
                return;
            }
        }
        match (self.make)() {
            Ok(value) => *self.kept() = Kept { value: Some(Arc::new(value)), seen: now, trouble: None },
            Err(trouble) => self.trouble(trouble),
        }
    }

    /// Says it once, until it is another one.
    fn trouble(&self, trouble: Unready) {
        let mut kept = self.kept();
        if kept.trouble.as_ref() != Some(&trouble) && kept.value.is_some() {
            debug!("{trouble:?}: what was read before stays in use");
        }
        kept.trouble = Some(trouble);
    }

    fn unread(&self, why: String) -> Unready {
        match self.sources.first() {
            Some((setting, path)) => {
                let problem = TlsFileProblem::Unreadable(why);
                Unready::File(TlsFileFault { setting, path: path.clone(), problem })
            }
            None => Unready::Tls(TlsFault::NoRoots(why)),
        }
    }

    /// Whoever panicked with it in hand left it whole.
    fn kept(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// None for a file that is not there, or can't be looked at.
fn stamp(path: &PathBuf) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some(Stamp { place: (found.dev(), found.ino()), length: found.len(), changed: (found.ctime(), found.ctime_nsec()) })
}

impl Stamp {
    /// A time that lies ahead says nothing.
    fn settled(&self, now: SystemTime) -> bool {
        let changed = u64::try_from(self.changed.0).unwrap_or_default();
        let age = now.duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(changed));
        age.map_or(true, |age| age > SETTLED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_changes_counts_at_once_and_one_that_broke_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let token = Renewed::secret("discovery.auth.token-file", path.clone());
        let Err(Unready::File(fault)) = token.current().await else { panic!("there is no file yet") };
        assert_eq!(fault.problem, TlsFileProblem::Missing);
        for (text, read) in [("one", "one"), ("two", "two"), ("", "two"), ("a\nb", "two"), ("six", "six")] {
            fs::write(&path, text).unwrap();
            assert_eq!(token.current().await.unwrap().expose(), read, "{text}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(token.current().await.unwrap().expose(), "six");
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        fs::write(folder.path().join("elsewhere"), "ten").unwrap();
        assert_eq!(token.current().await.unwrap().expose(), "ten", "behind a link");
    }

    #[test]
    fn what_is_settled_and_unchanged_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "x").unwrap();
        let changed = stamp(&path).unwrap();
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(changed.changed.0.unsigned_abs());
        assert!(!changed.settled(written + SETTLED) && changed.settled(written + 2 * SETTLED));
        assert!(changed.settled(written - SETTLED));
        assert_eq!(stamp(&path), Some(changed));
        assert_eq!(stamp(&folder.path().join("none")), None);
    }
}
