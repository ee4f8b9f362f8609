//! What became of the engine, and what was to be seen of it then: one folder for each incident.

use super::{StateError, in_time, replace, sync};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The newest that are kept.
const KEPT: usize = 10;
/// Of one file; the rest is cut off at its beginning, for the end tells most.
const FILE_LIMIT: usize = 256 << 10;
/// The file that tells the incident.
pub const STORY: &str = "incident.json";

/// The units whose logs are evidence, and the files that the evidence unit copies them to.
pub const EVIDENCE: [(&str, &str); 2] =
    [("docker.service", "docker.journal.txt"), ("containerd.service", "containerd.journal.txt")];

/// A file of an incident: its name and its text.
pub type Leaf = (&'static str, String);

#[async_trait::async_trait]
pub trait IncidentLog: Send + Sync {
    /// Puts these files into the incident's folder, in place of those that are there; gives the folder.
    async fn write(&self, incident: &str, files: Vec<Leaf>) -> Result<PathBuf, StateError>;
}

/// `incidents` in the state directory; readable by the agent's user alone, for logs may hold secrets.
pub struct IncidentFolder {
    path: PathBuf,
}

impl IncidentFolder {
    pub fn new(state_directory: &Path) -> Self {
        Self { path: state_directory.join("incidents") }
    }

    /// The newest one, by its name.
    pub fn last(&self) -> io::Result<Option<PathBuf>> {
        Ok(self.all()?.pop())
    }

    /// In the order of time.
    fn all(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut folders: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        folders.sort();
        Ok(folders)
    }

    fn put(&self, incident: &str, files: &[Leaf]) -> io::Result<PathBuf> {
        let folder = self.path.join(incident);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        for (name, text) in files {
            let path = folder.join(name);
            sync(&replace(&path, tail(text), 0o600)?, &path)?;
        }
        let all = self.all()?;
        for old in all.iter().take(all.len().saturating_sub(KEPT)) {
            fs::remove_dir_all(old)?;
        }
        Ok(folder)
    }
}

#[async_trait::async_trait]
impl IncidentLog for IncidentFolder {
    async fn write(&self, incident: &str, files: Vec<Leaf>) -> Result<PathBuf, StateError> {
        let (own, incident) = (Self { path: self.path.clone() }, incident.to_owned());
        in_time(&self.path, move || own.put(&incident, &files)).await
    }
}

/// For the evidence unit, which has no other way to the agent.
pub fn copy_evidence(state_directory: &Path, name: &str, text: &str) -> io::Result<()> {
    let folder = state_directory.join("evidence");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    replace(&folder.join(name), tail(text), 0o600).map(drop)
}

/// What the evidence unit copied. Blocks for as long as reading takes.
pub fn copied_evidence(state_directory: &Path) -> Vec<Leaf> {
    let folder = state_directory.join("evidence");
    let read = |(_, name)| Some((name, fs::read_to_string(folder.join(name)).ok()?));
    EVIDENCE.into_iter().filter_map(read).collect()
}

fn tail(text: &str) -> &str {
    let mut from = text.len().saturating_sub(FILE_LIMIT);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn the_newest_are_kept_bounded_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let log = IncidentFolder::new(folder.path());
        assert_eq!(log.last().unwrap(), None);
        for number in 10..25 {
            let long = "ü".repeat(FILE_LIMIT) + "end";
            let written =
                log.write(&format!("{number}"), vec![(STORY, "{}".to_owned()), ("log.txt", long)]).await.unwrap();
            assert_eq!(log.last().unwrap(), Some(written));
        }
        let all = log.all().unwrap();
        let names: Vec<_> = all.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!((names.len(), names[0], names[KEPT - 1]), (KEPT, "15", "24"));
        let long = fs::read_to_string(all[0].join("log.txt")).unwrap();
        assert!(long.len() <= FILE_LIMIT && long.ends_with("üend"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&all[0]), mode(&all[0].join(STORY))), (0o700, 0o600));
        // the story of the same incident goes on
        log.write("24", vec![(STORY, "{\"more\":1}".to_owned())]).await.unwrap();
        assert_eq!(fs::read_to_string(all[KEPT - 1].join(STORY)).unwrap(), "{\"more\":1}");
        assert!(all[KEPT - 1].join("log.txt").exists());
    }
}
