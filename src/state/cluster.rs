//! The URL of the cluster that the agent's own discovery server has.

use super::{StateError, replace, sync};
use crate::model::{DiscoveryUrl, TokenUrl};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// `cluster.url` in the state directory: one line, for `swarm-agent list` and for operators. Whoever knows the token in
/// it can change the list, so it is for root and group swarm-agent only.
pub struct ClusterFile {
    path: PathBuf,
}

impl ClusterFile {
    pub fn new(state_directory: &Path) -> Self {
        Self { path: state_directory.join("cluster.url") }
    }

    /// `None` before the agent ran with an embedded server for the first time.
    pub fn read(&self) -> Result<Option<TokenUrl>, StateError> {
        match fs::read_to_string(&self.path) {
            Ok(text) => {
                parse(&text).map(Some).map_err(|why| self.error(io::Error::new(io::ErrorKind::InvalidData, why)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.error(error)),
        }
    }

    /// The same; a file that can't be understood is set aside too.
    pub fn load(&self) -> (Option<TokenUrl>, Option<StateError>) {
        match self.read() {
            Ok(url) => (url, None),
            Err(error) if error.cause.kind() == io::ErrorKind::InvalidData => {
                (None, Some(StateError::set_aside(&self.path, &error.cause.to_string())))
            }
            Err(error) => (None, Some(error)),
        }
    }

    /// It is on disk when this returns.
    pub fn keep(&self, url: &TokenUrl) -> Result<(), StateError> {
        let text = format!("{}\n", url.cluster());
        replace(&self.path, &text, 0o640).and_then(|file| sync(&file, &self.path)).map_err(|error| self.error(error))
    }

    fn error(&self, cause: io::Error) -> StateError {
        StateError::new(&self.path, cause)
    }
}

fn parse(text: &str) -> Result<TokenUrl, String> {
    match text.trim().parse() {
        Ok(DiscoveryUrl::Token(url)) => Ok(url),
        Ok(_) => Err("it is no cluster at a discovery server".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_url_is_kept_for_the_group_and_one_that_is_none_is_set_aside() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let file = ClusterFile::new(folder.path());
        assert!(matches!(file.load(), (None, None)));
        let Ok(DiscoveryUrl::Token(url)) = "http://127.0.0.1:8971/v1/clusters/abc".parse() else { panic!("a URL") };
        file.keep(&url)?;
        let path = folder.path().join("cluster.url");
        assert_eq!(fs::read_to_string(&path)?, "http://127.0.0.1:8971/v1/clusters/abc\n");
        assert_eq!(path.metadata()?.permissions().mode() & 0o777, 0o640);
        assert_eq!(file.read()?, Some(url));
        for junk in ["", "nodes://a:1", "\u{0}"] {
            fs::write(&path, junk)?;
            assert!(file.read().is_err() && path.exists(), "reading changes nothing");
            let (url, error) = file.load();
            assert!(url.is_none() && !path.exists());
            assert!(error.is_some_and(|error| error.to_string().contains("set aside as")), "{junk:?}");
        }
        Ok(())
    }
}
