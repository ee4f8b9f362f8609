//! Finding and reading the files: the only I/O of this layer.

use super::error::ConfigError;
use super::origin::Origin;
use super::problem::Problem;
use super::sources::Sources;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileType};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// More than a thousand times what a configuration needs; protects against a log file of that name.
const MAX_BYTES: u64 = 1 << 20;

/// A file that may hold configuration.
pub struct Candidate {
    pub path: PathBuf,
    pub may_be_missing: bool,
}

/// The files in the order in which they apply, and the folders that can't be listed.
pub fn candidates(sources: &Sources) -> (Vec<Candidate>, Vec<ConfigError>) {
    let (path, may_be_missing) = sources.main_file();
    let mut drop_ins = BTreeMap::new();
    let mut errors = Vec::new();
    for folder in sources.folders() {
        match names(&folder) {
            Ok(names) => drop_ins.extend(names.into_iter().map(|name| (name.clone(), folder.join(name)))),
            Err(error) => {
                errors.push(whole(&folder, unreadable(error)));
            }
        }
    }
    // a file may vanish between the listing and the reading, as when an editor replaces it
    let drop_ins = drop_ins.into_values().map(|path| Candidate { path, may_be_missing: true });
    (std::iter::once(Candidate { path, may_be_missing }).chain(drop_ins).collect(), errors)
}

/// An error about a whole file or folder.
pub fn whole(path: &Path, problem: Problem) -> ConfigError {
    ConfigError { origin: Some(Origin::File { path: path.into(), position: None }), key: None, problem }
}

fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names: Vec<OsString> = entries.map(|entry| entry.map(|e| e.file_name())).collect::<io::Result<_>>()?;
    Ok(names.into_iter().filter(|name| is_drop_in(name)).collect())
}

/// `*.toml` and not hidden: what editors and package managers leave behind ends otherwise.
fn is_drop_in(name: &OsStr) -> bool {
    name.as_bytes().ends_with(b".toml") && !name.as_bytes().starts_with(b".")
}

/// The bytes of a file; `None` if it is missing and may be, or masks: as for systemd, a link to
/// `/dev/null` and an empty file hide those of the same name in earlier folders.
pub fn read(candidate: &Candidate) -> Result<Option<Vec<u8>>, Problem> {
    let path = &candidate.path;
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return missing(candidate, &error),
        metadata => metadata.map_err(unreadable)?,
    };
    let kind = metadata.file_type();
    if kind.is_char_device() || metadata.is_file() && metadata.len() == 0 {
        return Ok(None);
    }
    if !kind.is_file() {
        return Err(Problem::NotAFile { what: name_of(kind) });
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES { Err(Problem::TooLarge { limit: MAX_BYTES }) } else { Ok(Some(bytes)) }
}

fn missing(candidate: &Candidate, error: &io::Error) -> Result<Option<Vec<u8>>, Problem> {
    match fs::read_link(&candidate.path) {
        Ok(target) => Err(Problem::Dangling { target: target.display().to_string() }),
        Err(_) if candidate.may_be_missing => Ok(None),
        Err(_) => Err(Problem::Unreadable { cause: error.to_string() }),
    }
}

fn unreadable(error: io::Error) -> Problem {
    match error.kind() {
        ErrorKind::PermissionDenied => Problem::Denied,
        _ => Problem::Unreadable { cause: error.to_string() },
    }
}

fn name_of(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "directory"
    } else if kind.is_fifo() {
        "FIFO"
    } else if kind.is_socket() {
        "socket"
    } else {
        "device"
    }
}
