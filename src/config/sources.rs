//! Where configuration comes from: files, environment, flags. Nothing of it is read from the
//! process; the caller hands it in.

use super::environment::{CREDENTIALS_DIRECTORY, STATE_DIRECTORY};
use super::schema::{self, KEYS};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

const CONFIG_FILE: &str = "/etc/swarm-agent/config.toml";

/// From the lowest to the highest: a file hides one of the same name in an earlier folder. The
/// second is not below `/run/swarm-agent`, which the service itself may write.
const FOLDERS: [&str; 3] = ["/usr/lib/swarm-agent/config.d", "/run/swarm-agent.d", "/etc/swarm-agent/config.d"];

/// All that the configuration is read from. The default is an installed system, without environment and flags.
/// Not `Debug`: environment and flags may hold a cluster's token.
#[derive(Clone, Default)]
pub struct Sources {
    root: Option<PathBuf>,
    config: Option<PathBuf>,
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) flags: Vec<Flag>,
}

/// A value from the command line.
#[derive(Clone, PartialEq, Eq)]
pub struct Flag {
    /// As the user wrote it: `--ttl`, `--set`.
    pub name: String,
    /// The key, which may be an unknown one.
    pub key: String,
    pub value: String,
}

impl Sources {
    /// Looks for the files and folders of the system below this folder.
    #[must_use]
    pub fn with_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = Some(root.into());
        self
    }

    /// Reads this file instead of `config.toml`; it must exist.
    #[must_use]
    pub fn with_config(mut self, file: impl Into<PathBuf>) -> Self {
        self.config = Some(file.into());
        self
    }

    /// The environment of the process; variables that are none of ours are dropped.
    #[must_use]
    pub fn with_environment(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        self.environment = variables.into_iter().filter(|(name, _)| is_ours(name)).collect();
        // so that errors come in the same order each time
        self.environment.sort();
        self
    }

    /// Values from the command line; a later one beats an earlier one.
    #[must_use]
    pub fn with_flags(mut self, flags: impl IntoIterator<Item = Flag>) -> Self {
        self.flags.extend(flags);
        self
    }

    /// The main file, and whether it may be missing.
    pub(super) fn main_file(&self) -> (PathBuf, bool) {
        match &self.config {
            Some(file) => (file.clone(), false),
            None => (self.below_root(CONFIG_FILE), true),
        }
    }

    pub(super) fn folders(&self) -> impl Iterator<Item = PathBuf> {
        FOLDERS.iter().map(|folder| self.below_root(folder))
    }

    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        self.environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
    }

    fn below_root(&self, path: &str) -> PathBuf {
        match &self.root {
            Some(root) => root.join(Path::new(path).strip_prefix("/").unwrap_or(Path::new(path))),
            None => PathBuf::from(path),
        }
    }
}

/// `SWARM_…`, ours and the classic names, what systemd sets, and what defaults come from.
fn is_ours(name: &OsStr) -> bool {
    let shared = |key: &schema::Key| key.default.variables().iter().any(|variable| name == *variable);
    KEYS.iter().any(shared)
        || [STATE_DIRECTORY, CREDENTIALS_DIRECTORY].iter().any(|systemds| name == *systemds)
        || name.as_encoded_bytes().starts_with(b"SWARM_")
}
