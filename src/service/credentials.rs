//! Looks after the files with certificates and secrets: what is broken in them while what was read before is still in use
//! would be seen by nobody until it is too late.

use super::beat::Beat;
use super::clock::Clock;
use crate::model::{Moment, TlsNames};
use crate::telemetry::{Event, emit};
use crate::tls::{Renewed, Unready};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const INTERVAL: Duration = Duration::from_secs(30);

pub struct CredentialWatch {
    pub files: Vec<Watched>,
    pub names: TlsNames,
    pub beat: Beat,
    pub clock: Clock,
}

/// Files that make sense together only.
pub struct Watched {
    pub files: Renewed<()>,
    /// They were of use, and nothing was said of them since.
    good: bool,
    /// What was said.
    said: Option<Unready>,
}

impl Watched {
    pub fn new(files: Renewed<()>) -> Self {
        Self { files, good: false, said: None }
    }
}

impl CredentialWatch {
    pub async fn run(mut self, stop: CancellationToken) {
        let mut due = Moment::default();
        loop {
            self.beat.tick();
            if due <= self.clock.now() {
                // Cancel-safe: what was not said is said by the next process, if it is still so.
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.look() => {}
                }
                due = self.clock.now() + INTERVAL;
            }
            // Cancel-safe: a sleep holds no state.
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.beat.rest() => {}
            }
        }
    }

    async fn look(&mut self) {
        for watched in &mut self.files {
            let trouble = watched.files.trouble().await;
            self.beat.tick();
            watched.seen(trouble).iter().for_each(|news| news.say(&self.names));
        }
    }
}

/// What is to be told, once.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Unusable(Unready),
    /// After this.
    Usable(Unready),
}

impl Watched {
    /// What was of no use from the start is an error of each request: only what replaced something good is told here.
    fn seen(&mut self, trouble: Option<Unready>) -> Option<News> {
        let Some(trouble) = trouble else {
            self.good = true;
            return self.said.take().map(News::Usable);
        };
        let new = self.good && self.said.as_ref() != Some(&trouble);
        new.then(|| News::Unusable(self.said.insert(trouble).clone()))
    }
}

impl News {
    fn say(&self, names: &TlsNames) {
        let (Self::Unusable(trouble) | Self::Usable(trouble)) = self;
        let (key, place, reason) = match trouble {
            Unready::File(fault) => (fault.setting, fault.path.display().to_string(), fault.to_string()),
            Unready::Tls(fault) => (names.ca, String::new(), fault.told(names)),
        };
        emit(&match self {
            Self::Unusable(_) => Event::CredentialsUnusable { key, place: &place, reason: &reason },
            Self::Usable(_) => Event::CredentialsUsable { key, place: &place },
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TlsFileProblem;
    use std::fs;

    #[tokio::test]
    async fn a_file_that_broke_is_told_once_and_so_is_its_mending() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("token");
        let mut watched = Watched::new(Renewed::usable_secret("discovery.auth.token-file", path.clone()));
        let problem = |news: Option<News>| match news {
            Some(News::Unusable(Unready::File(fault))) => Some(fault.problem),
            Some(News::Usable(_)) => panic!("{news:?}"),
            _ => None,
        };
        let trouble = watched.files.trouble().await;
        assert_eq!(problem(watched.seen(trouble)), None, "missing from the start");
        for (text, told) in [
            ("s3cret", None),
            ("", Some(TlsFileProblem::Empty)),
            ("", None),
            ("a\nb", Some(TlsFileProblem::NotOneLine)),
        ] {
            fs::write(&path, text)?;
            let trouble = watched.files.trouble().await;
            assert_eq!(problem(watched.seen(trouble)), told, "{text:?}");
        }
        fs::write(&path, "other")?;
        let trouble = watched.files.trouble().await;
        assert!(matches!(watched.seen(trouble), Some(News::Usable(_))));
        let trouble = watched.files.trouble().await;
        assert_eq!(watched.seen(trouble), None);
        Ok(())
    }
}
