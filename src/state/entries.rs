//! The entries that are in a discovery service because of us.

use super::{StateError, TIMEOUT, replace, sync};
use crate::model::{HeldEntry, Hold, HostIdentity, NodeAddress};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;
use tokio::time::timeout;

const NOT_OURS: &str =
    "it was written on a machine with another id (is this one a copy of it?): what that one registered is left alone";

/// The entries that may be in a discovery service because of us, kept so that the next process can resume or
/// remove them.
#[async_trait::async_trait]
pub trait HeldEntries: Send + Sync {
    /// Replaces what is kept: a process that dies after this has returned does not lose it. On the disk it is a moment
    /// later; what a power cut takes in between are entries that end with their ttl.
    async fn keep(&self, entries: &[HeldEntry]) -> Result<(), StateError>;
}

/// `entries.json` in the state directory; readable by us alone, for a URL holds a token.
pub struct EntriesFile {
    path: PathBuf,
    /// This machine, if it has an id, and this boot.
    host: Option<HostIdentity>,
    /// A write that timed out may still be under way when the next one begins.
    writing: Arc<Mutex<()>>,
}

#[derive(Serialize, Deserialize)]
struct Document {
    /// Of the machine that put them in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    entries: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    url: String,
    address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hold: Option<String>,
    /// The boot that put it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot: Option<String>,
}

impl EntriesFile {
    pub fn new(state_directory: &Path, host: Option<HostIdentity>) -> Self {
        Self { path: state_directory.join("entries.json"), host, writing: Arc::default() }
    }

    /// What a former process kept. A file that can't be understood is set aside and reported, never fatal. One that came
    /// with a copy of another machine's disk is reported too: what it names is that machine's, which may well live. A
    /// copy that has the original's id too is told by the boot.
    pub fn load(&self) -> (Vec<HeldEntry>, Option<StateError>) {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (Vec::new(), None),
            Err(error) => return (Vec::new(), Some(self.error(error))),
        };
        match parse(&text) {
            Ok((Some(other), _)) if self.host.as_ref().is_some_and(|host| host.node != other) => {
                (Vec::new(), Some(self.error(io::Error::other(NOT_OURS))))
            }
            Ok((_, mut entries)) => {
                for entry in &mut entries {
                    let now = self.host.as_ref().map(|host| &host.boot);
                    entry.earlier_boot = entry.earlier_boot.take().filter(|boot| now.is_some_and(|now| now != boot));
                }
                (entries, None)
            }
            Err(why) => (Vec::new(), Some(StateError::set_aside(&self.path, &why))),
        }
    }

    fn error(&self, cause: io::Error) -> StateError {
        StateError::new(&self.path, cause)
    }
}

#[async_trait::async_trait]
impl HeldEntries for EntriesFile {
    async fn keep(&self, entries: &[HeldEntry]) -> Result<(), StateError> {
        let (node, boot) = self.host.clone().map(|host| (host.node, host.boot)).unzip();
        let entries = entries.iter().map(|entry| Entry {
            url: entry.url.clone(),
            address: entry.address.to_string(),
            hold: entry.hold.as_ref().map(|hold| hold.0.clone()),
            boot: entry.earlier_boot.clone().or_else(|| boot.clone()),
        });
        let entries = entries.collect();
        let text = serde_json::to_string(&Document { node, entries }).map_err(|error| self.error(error.into()))?;
        let (path, lock) = (self.path.clone(), Arc::clone(&self.writing));
        let (send, written) = oneshot::channel();
        // a disk takes as long as it likes: not on the runtime, not waited for without end, and fsync not at all
        tokio::task::spawn_blocking(move || {
            let _turn = lock.lock().unwrap_or_else(PoisonError::into_inner);
            let replaced = replace(&path, &text, 0o600);
            let (told, file) = match replaced {
                Ok(file) => (Ok(()), Some(file)),
                Err(error) => (Err(error), None),
            };
            // nobody waits any more: that was reported
            let _ = send.send(told);
            if let Some(Err(error)) = file.map(|file| sync(&file, &path)) {
                tracing::debug!(%error, "the entries may not be on the disk yet");
            }
        });
        let written = match timeout(TIMEOUT, written).await {
            Ok(Ok(written)) => written,
            Ok(Err(_)) => Err(io::Error::other("the thread that writes it ended by itself")),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        written.map_err(|error| self.error(error))
    }
}

fn parse(text: &str) -> Result<(Option<String>, Vec<HeldEntry>), String> {
    let document: Document = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let read = |entry: Entry| match entry.address.parse::<NodeAddress>() {
        Ok(address) => Ok(HeldEntry { url: entry.url, address, hold: entry.hold.map(Hold), earlier_boot: entry.boot }),
        Err(error) => Err(error.to_string()),
    };
    let entries: Result<_, String> = document.entries.into_iter().map(read).collect();
    Ok((document.node, entries?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> HeldEntry {
        let hold = Some(Hold("7587".into()));
        let address = "10.0.0.5:2375".parse().unwrap();
        HeldEntry { url: "http://disco/v1/clusters/a".into(), address, hold, earlier_boot: None }
    }

    fn host(node: &str, boot: &str) -> Option<HostIdentity> {
        Some(HostIdentity { node: node.into(), boot: boot.into() })
    }

    #[tokio::test]
    async fn keeps_entries_for_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let file = |node: Option<&str>| EntriesFile::new(folder.path(), node.and_then(|node| host(node, "b1")));
        for (writer, reader) in [(Some("a"), Some("a")), (None, Some("a")), (Some("a"), None), (None, None)] {
            file(writer).keep(&[entry()]).await.unwrap();
            let (entries, error) = file(reader).load();
            assert_eq!(entries, [entry()], "{writer:?} {reader:?}");
            assert!(error.is_none());
        }
    }

    #[tokio::test]
    async fn what_another_machine_put_in_is_left_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = |node: &str| EntriesFile::new(folder.path(), host(node, "b1"));
        file("a").keep(&[entry()]).await.unwrap();
        let (entries, error) = file("b").load();
        assert_eq!(entries, []);
        assert!(error.unwrap().to_string().ends_with(NOT_OURS));
        assert_eq!(file("a").load().0, [entry()], "it is still there");
    }

    #[tokio::test]
    async fn what_was_put_in_before_the_last_boot_is_told_apart_until_somebody_claims_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = |boot: &str| EntriesFile::new(folder.path(), host("a", boot));
        file("b1").keep(&[entry()]).await.unwrap();
        let earlier = HeldEntry { earlier_boot: Some("b1".into()), ..entry() };
        assert_eq!(file("b1").load().0, [entry()]);
        assert_eq!(file("b2").load().0, std::slice::from_ref(&earlier));
        file("b2").keep(&[earlier.clone(), entry()]).await.unwrap();
        assert_eq!(file("b2").load().0, [earlier, entry()]);
        assert_eq!(EntriesFile::new(folder.path(), None).load().0, [entry(), entry()], "nobody can tell");
    }

    #[test]
    fn an_entry_of_a_former_version_has_no_hold() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("entries.json"), r#"{"entries":[{"url":"x","address":"a:1"}]}"#).unwrap();
        let (entries, error) = EntriesFile::new(folder.path(), host("a", "b1")).load();
        assert_eq!((entries[0].hold.clone(), entries[0].earlier_boot.clone(), error.is_none()), (None, None, true));
    }

    #[test]
    fn a_corrupt_file_is_set_aside_and_said() {
        for text in ["", "{", r#"{"entries":[{"url":"x","address":"nowhere"}]}"#] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("entries.json"), text).unwrap();
            let (entries, error) = EntriesFile::new(folder.path(), host("a", "b1")).load();
            assert_eq!(entries, []);
            assert!(error.unwrap().to_string().contains("set aside as"), "{text}");
            assert_eq!(fs::read_to_string(folder.path().join("entries.json.corrupt")).unwrap(), text);
        }
    }

    #[tokio::test]
    async fn a_missing_directory_is_an_error_that_names_it() {
        let error = EntriesFile::new(Path::new("/nowhere/at/all"), None).keep(&[entry()]).await.unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/at/all/entries.json: "), "{error}");
    }
}
