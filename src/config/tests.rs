//! The loader as its callers see it: folders in, settings or errors out.

mod mistakes;
mod precedence;
mod shipped;

use super::{Flag, Sources};
use std::ffi::OsString;
use std::fs;
use std::path::Path;

pub type TestResult = Result<(), Box<dyn std::error::Error>>;

/// A folder that stands for `/`.
pub struct Root(tempfile::TempDir);

/// A cluster elsewhere, and an address.
pub const ELSEWHERE: &str =
    "[discovery]\nurl = \"http://disco:8970/v1/clusters/s3cret\"\nadvertise = \"10.0.0.5:2375\"\n";

pub const MAIN: &str = "etc/swarm-agent/config.toml";

impl Root {
    pub fn new(files: &[(&str, &str)]) -> Result<Self, std::io::Error> {
        let root = Self(tempfile::tempdir()?);
        for (path, text) in files {
            root.write(path, text.as_bytes())?;
        }
        Ok(root)
    }

    pub fn write(&self, path: &str, bytes: &[u8]) -> Result<(), std::io::Error> {
        fs::write(self.prepare(path)?, bytes)
    }

    pub fn link(&self, path: &str, target: &str) -> Result<(), std::io::Error> {
        std::os::unix::fs::symlink(target, self.prepare(path)?)
    }

    fn prepare(&self, path: &str) -> Result<std::path::PathBuf, std::io::Error> {
        let path = self.path().join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(path)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn sources(&self) -> Sources {
        Sources::default().with_root(self.path())
    }

    /// Takes the folder out of a message.
    pub fn strip(&self, text: impl ToString) -> String {
        text.to_string().replace(&*self.path().to_string_lossy(), "")
    }

    /// What is wrong for the agent, one error a line.
    pub fn errors(&self, sources: &Sources) -> Vec<String> {
        match super::load_agent(sources) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().map(|error| self.strip(error)).collect(),
        }
    }
}

pub fn environment(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

pub fn set(name: &str, key: &str, value: &str) -> Flag {
    Flag { name: name.into(), key: key.into(), value: value.into() }
}
