//! The store on disk: one redb file.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `meta` | `"format"` | 1 |
//! | `clusters` | token | |
//! | `entries` | (token, address) | (ttl in ms, beat in ms of the running clock) |
//! | `ledger` | `"now"` | (running clock in ms, reserve in ms, boot id, uptime in ms) |
//!
//! The file holds tokens, so it is its owner's alone.

use super::roster::Change;
use crate::model::{Moment, Token};
use crate::policy::lease::{BootMark, Lease, Ledger};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

const FILE: &str = "discovery.redb";
const FORMAT: u64 = 1;
/// Everything is in memory already; this is for the pages that a commit touches.
const CACHE_BYTES: usize = 1 << 20;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const CLUSTERS: TableDefinition<'_, &str, ()> = TableDefinition::new("clusters");
const ENTRIES: TableDefinition<'_, (&str, &str), (u64, u64)> = TableDefinition::new("entries");
const LEDGER: TableDefinition<'_, &str, (u64, u64, u128, u64)> = TableDefinition::new("ledger");

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the state directory {path} can't be used: {source}; it must exist and be writable by this user (--state-directory names another)", path = .path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("{path} is in use by another server; each needs a state directory of its own (--state-directory)", path = .path.display())]
    Locked { path: PathBuf },
    #[error("{path} is damaged ({what}); restore it from a backup, or move it aside (mv {path} {path}.damaged) and start again: the server then begins empty, and each cluster needs a new token", path = .path.display())]
    Damaged { path: PathBuf, what: String },
    #[error("{path} was written by a later version (format {format}, this one knows {FORMAT}); install that version again", path = .path.display())]
    Later { path: PathBuf, format: u64 },
    #[error("{path} can't be read or written: {what}", path = .path.display())]
    Io { path: PathBuf, what: String },
}

impl StoreError {
    /// A damaged store under another name, so that the next start begins with an empty one. `None` if it is another fault.
    pub fn set_damaged_aside(&self) -> Option<io::Result<PathBuf>> {
        let Self::Damaged { path, .. } = self else { return None };
        let aside = path.with_extension("redb.damaged");
        Some(std::fs::rename(path, &aside).map(|()| aside))
    }
}

/// What was in the store when it was opened.
#[derive(Debug, Default)]
pub struct Stored {
    pub clusters: Vec<Token>,
    pub entries: Vec<(Token, Box<str>, Lease)>,
    pub ledger: Option<Ledger>,
}

pub struct Store {
    path: PathBuf,
    /// `None` after a failed commit: redb refuses all others then, and the file has to be opened anew.
    database: Option<Database>,
}

impl Store {
    pub fn open(directory: &Path) -> Result<(Self, Stored), StoreError> {
        let path = directory.join(FILE);
        let unusable = |source| StoreError::Directory { path: directory.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(unusable)?;
        let file = open_file(&path).map_err(unusable)?;
        // a new file must be in its directory after a power cut, too
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(unusable)?;
        let attempt = Attempt::begin(&path)?;
        let opened = open_database(&path, file)
            .and_then(|database| guarded(&path, || load(&path, &database)).map(|stored| (database, stored)));
        attempt.survived();
        let (database, stored) = opened?;
        Ok((Self { path, database: Some(database) }, stored))
    }

    /// Stores the changes and the ledger; when this returns they survive a power cut.
    pub fn commit(&mut self, changes: &[Change], ledger: &Ledger) -> Result<(), StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => open_database(&self.path, open_file(&self.path).map_err(|e| io_error(&self.path, &e))?)?,
        };
        write(&database, changes, ledger).map_err(|error| io_error(&self.path, &error))?;
        self.database = Some(database);
        Ok(())
    }
}

/// One opening of the file. redb may panic on a damaged one, which ends the process where panics abort, as in the package:
/// openings that did not come to an end are counted, so that a server does not end for ever at its start.
struct Attempt {
    path: PathBuf,
}

/// A power cut may be behind one, and behind a second one.
const FATAL_OPENINGS: u32 = 3;

impl Attempt {
    fn begin(store: &Path) -> Result<Self, StoreError> {
        let attempt = Self { path: store.with_extension("redb.opening") };
        let before = std::fs::read_to_string(&attempt.path).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        if before >= FATAL_OPENINGS {
            attempt.survived();
            let what = format!("the server ended {before} times while it opened it");
            return Err(StoreError::Damaged { path: store.to_owned(), what });
        }
        // without it, on a full disk say, nothing is counted
        let _ = std::fs::write(&attempt.path, (before + 1).to_string());
        Ok(attempt)
    }

    /// Also with an error: that is no panic.
    fn survived(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn open_database(path: &Path, file: File) -> Result<Database, StoreError> {
    guarded(path, || {
        let backend = redb::backends::FileBackend::new(file).map_err(|error| open_error(path, error))?;
        Database::builder()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create_with_backend(backend)
            .map_err(|error| open_error(path, error))
    })
}

/// redb may panic on a damaged file; where panics unwind that reads like any other damage, see also [`Attempt`].
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let damaged = |_| StoreError::Damaged { path: path.to_owned(), what: "it can't be made sense of".to_owned() };
    catch_unwind(AssertUnwindSafe(work)).map_err(damaged)?
}

fn open_error(path: &Path, error: DatabaseError) -> StoreError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::Locked { path },
        DatabaseError::Storage(StorageError::Corrupted(what)) => StoreError::Damaged { path, what },
        DatabaseError::Storage(StorageError::Io(error))
            if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            StoreError::Damaged { path, what: error.to_string() }
        }
        DatabaseError::RepairAborted | DatabaseError::UpgradeRequired(_) => {
            StoreError::Damaged { path, what: error.to_string() }
        }
        error => StoreError::Io { path, what: error.to_string() },
    }
}

fn io_error(path: &Path, error: &dyn std::error::Error) -> StoreError {
    StoreError::Io { path: path.to_owned(), what: error.to_string() }
}

fn load(path: &Path, database: &Database) -> Result<Stored, StoreError> {
    let damaged = |what: String| StoreError::Damaged { path: path.to_owned(), what };
    let format = prepare(database).map_err(|error| table_error(path, &error))?;
    if format != FORMAT {
        return Err(StoreError::Later { path: path.to_owned(), format });
    }
    let raw = read(database).map_err(|error| table_error(path, &error))?;
    let mut stored = Stored { ledger: raw.ledger, ..Stored::default() };
    let token = |text: &str| text.parse::<Token>().map_err(|error| damaged(format!("a stored token: {error}")));
    for text in &raw.clusters {
        stored.clusters.push(token(text)?);
    }
    for (text, address, lease) in raw.entries {
        stored.entries.push((token(&text)?, address, lease));
    }
    Ok(stored)
}

/// An error while reading a file that passed its checks; only the system's own are not its fault.
fn table_error(path: &Path, error: &redb::Error) -> StoreError {
    match error {
        redb::Error::Io(_) => io_error(path, error),
        error => StoreError::Damaged { path: path.to_owned(), what: error.to_string() },
    }
}

/// Makes the tables, so that reading finds them, and returns the format.
fn prepare(database: &Database) -> Result<u64, redb::Error> {
    let transaction = database.begin_write()?;
    let format = {
        let mut meta = transaction.open_table(META)?;
        let known = meta.get("format")?.map(|format| format.value());
        if known.is_none() {
            meta.insert("format", FORMAT)?;
        }
        known.unwrap_or(FORMAT)
    };
    if format == FORMAT {
        transaction.open_table(CLUSTERS)?;
        transaction.open_table(ENTRIES)?;
        transaction.open_table(LEDGER)?;
        transaction.commit()?;
    }
    Ok(format)
}

struct Raw {
    clusters: Vec<String>,
    entries: Vec<(String, Box<str>, Lease)>,
    ledger: Option<Ledger>,
}

fn read(database: &Database) -> Result<Raw, redb::Error> {
    let transaction = database.begin_read()?;
    let mut raw = Raw { clusters: Vec::new(), entries: Vec::new(), ledger: None };
    for cluster in transaction.open_table(CLUSTERS)?.iter()? {
        raw.clusters.push(cluster?.0.value().to_owned());
    }
    for entry in transaction.open_table(ENTRIES)?.iter()? {
        let (key, value) = entry?;
        let ((token, address), (ttl, beat)) = (key.value(), value.value());
        let lease = Lease { ttl: Duration::from_millis(ttl), beat: Moment::after_origin(Duration::from_millis(beat)) };
        raw.entries.push((token.to_owned(), address.into(), lease));
    }
    raw.ledger = transaction.open_table(LEDGER)?.get("now")?.map(|row| {
        let (ran, reserve, boot, uptime) = row.value();
        let mark = BootMark { boot, uptime: Duration::from_millis(uptime) };
        let ran = Moment::after_origin(Duration::from_millis(ran));
        Ledger { ran, reserve: Duration::from_millis(reserve), mark }
    });
    Ok(raw)
}

fn write(database: &Database, changes: &[Change], ledger: &Ledger) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut clusters = transaction.open_table(CLUSTERS)?;
        let mut entries = transaction.open_table(ENTRIES)?;
        for change in changes {
            match change {
                Change::AddCluster(token) => drop(clusters.insert(token.as_str(), ())?),
                Change::DropCluster(token) => {
                    clusters.remove(token.as_str())?;
                    // every address sorts before this
                    entries.retain_in((token.as_str(), "")..(token.as_str(), "\u{10ffff}"), |_, _| false)?;
                }
                Change::Put { token, address, lease } => {
                    let row = (millis(lease.ttl), millis(lease.beat.since_origin()));
                    entries.insert((token.as_str(), &**address), row)?;
                }
                Change::Remove { token, address } => drop(entries.remove((token.as_str(), &**address))?),
            }
        }
        let (ran, uptime) = (millis(ledger.ran.since_origin()), millis(ledger.mark.uptime));
        transaction.open_table(LEDGER)?.insert("now", (ran, millis(ledger.reserve), ledger.mark.boot, uptime))?;
    }
    transaction.commit()?;
    Ok(())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn ledger() -> Ledger {
        let mark = BootMark { boot: u128::MAX - 1, uptime: Duration::from_secs(5) };
        Ledger { ran: Moment::after_origin(Duration::from_secs(9)), reserve: Duration::from_secs(1), mark }
    }

    fn put(token: &str, address: &str) -> Result<Change, Box<dyn std::error::Error>> {
        let lease = Lease { ttl: Duration::from_secs(180), beat: Moment::after_origin(Duration::from_millis(8500)) };
        Ok(Change::Put { token: token.parse()?, address: address.into(), lease })
    }

    fn filled(directory: &Path) -> Outcome {
        let (mut store, stored) = Store::open(directory)?;
        assert!(stored.ledger.is_none());
        let changes = ["a", "ab"].map(|token| token.parse().map(Change::AddCluster));
        let mut changes: Vec<Change> = changes.into_iter().collect::<Result<_, _>>()?;
        changes.extend([put("a", "n1:1")?, put("a", "n2:1")?, put("ab", "n1:1")?]);
        store.commit(&changes, &ledger())?;
        Ok(())
    }

    #[test]
    fn what_is_committed_is_there_again() -> Outcome {
        let directory = tempfile::tempdir()?;
        filled(directory.path())?;
        let (mut store, stored) = Store::open(directory.path())?;
        assert_eq!(stored.clusters.len(), 2);
        assert_eq!(stored.entries.len(), 3);
        assert_eq!(stored.ledger, Some(ledger()));
        let remove = Change::Remove { token: "ab".parse()?, address: "n1:1".into() };
        store.commit(&[Change::DropCluster("a".parse()?), remove], &ledger())?;
        drop(store);
        let (_, stored) = Store::open(directory.path())?;
        assert_eq!((stored.clusters.len(), stored.entries.len()), (1, 0), "a dropped cluster takes its entries along");
        Ok(())
    }

    #[test]
    fn dropping_a_cluster_leaves_one_whose_token_begins_alike() -> Outcome {
        let directory = tempfile::tempdir()?;
        filled(directory.path())?;
        let (mut store, _) = Store::open(directory.path())?;
        store.commit(&[Change::DropCluster("a".parse()?)], &ledger())?;
        drop(store);
        assert_eq!(Store::open(directory.path())?.1.entries.len(), 1);
        Ok(())
    }

    #[test]
    fn the_file_is_its_owners_alone_and_has_one_server() -> Outcome {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir()?;
        let (_store, _) = Store::open(directory.path())?;
        let mode = directory.path().join(FILE).metadata()?.permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(Store::open(directory.path()), Err(StoreError::Locked { .. })));
        Ok(())
    }

    #[test]
    fn a_file_that_ends_every_process_that_opens_it_is_damaged() -> Outcome {
        let directory = tempfile::tempdir()?;
        filled(directory.path())?;
        let count = directory.path().join("discovery.redb.opening");
        assert!(!count.exists(), "an opening that came to its end does not count");
        std::fs::write(&count, (FATAL_OPENINGS - 1).to_string())?;
        assert_eq!(Store::open(directory.path())?.1.clusters.len(), 2, "a power cut or two are no damage");
        std::fs::write(&count, FATAL_OPENINGS.to_string())?;
        let Err(error) = Store::open(directory.path()) else { return Err("it was opened once more".into()) };
        assert!(error.to_string().contains("the server ended 3 times while it opened it"), "{error}");
        assert!(Store::open(directory.path()).is_ok(), "somebody who restores a backup starts counting anew");
        Ok(())
    }

    #[test]
    fn a_damaged_file_is_refused_and_kept() -> Outcome {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join(FILE);
        filled(directory.path())?;
        let good = std::fs::read(&path)?;
        let mut zeroed_page = good.clone();
        zeroed_page[4096..16384].fill(0);
        for (what, bytes) in [
            ("text", b"not a store".to_vec()),
            ("cut short", good[..good.len() / 2].to_vec()),
            ("zeroed pages", zeroed_page),
            ("no magic", [&[0u8; 64], &good[64..]].concat()),
        ] {
            std::fs::write(&path, &bytes)?;
            match Store::open(directory.path()) {
                Err(StoreError::Damaged { .. }) => {}
                Err(error) => return Err(format!("{what}: {error}").into()),
                Ok(_) => return Err(format!("{what} was taken for a store").into()),
            }
        }
        Ok(())
    }

    #[test]
    fn a_file_where_the_directory_should_be_is_an_error_with_its_path() -> Outcome {
        let file = tempfile::NamedTempFile::new()?;
        let Err(error) = Store::open(file.path()) else { return Err("a file was taken for a directory".into()) };
        assert!(error.to_string().contains(&file.path().display().to_string()), "{error}");
        Ok(())
    }
}
