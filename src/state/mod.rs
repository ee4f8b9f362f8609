//! Files that we write: the agent's own in its state directory, and those for other programs.

mod access;
mod cluster;
mod drain;
mod entries;
mod incidents;
mod published;
mod supervision;

pub use access::directory_access;
pub use cluster::ClusterFile;
pub use drain::{DrainFile, DrainRecord};
pub use entries::{EntriesFile, HeldEntries};
pub use incidents::{EVIDENCE, IncidentFolder, IncidentLog, Leaf, STORY, copied_evidence, copy_evidence};
pub use published::publish;
pub use supervision::{Here, Memory, SupervisionFile, SupervisionRecord};

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub struct StateError {
    pub path: PathBuf,
    pub cause: io::Error,
}

impl StateError {
    fn new(path: &Path, cause: io::Error) -> Self {
        Self { path: path.to_owned(), cause }
    }

    /// A file that can't be understood is kept under another name, and this is how that is said.
    fn set_aside(path: &Path, why: &str) -> Self {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".corrupt");
        let aside = PathBuf::from(aside);
        let outcome = match fs::rename(path, &aside) {
            Ok(()) => format!("set aside as {}", aside.display()),
            Err(error) => format!("could not be set aside: {error}"),
        };
        Self::new(path, io::Error::new(io::ErrorKind::InvalidData, format!("{why}; {outcome}")))
    }
}

/// Bounds one write.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A disk takes as long as it likes: the work is not done on the runtime, and not waited for without end.
async fn in_time<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StateError> {
    let done = match timeout(TIMEOUT, spawn_blocking(work)).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err(io::Error::other("the thread that writes it ended by itself")),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    done.map_err(|cause| StateError::new(path, cause))
}

/// Writes beside the file, then renames: who reads finds the old text or the new one. [`sync`] then makes it last.
fn replace(path: &Path, text: &str, mode: u32) -> io::Result<File> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&fresh)?;
    // the umask has had its say on the mode
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    fs::rename(&fresh, path)?;
    Ok(file)
}

/// Returns when what `replace` wrote survives a power cut.
fn sync(file: &File, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}
