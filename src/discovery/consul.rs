//! Consul: a key for each node, under a session that must be renewed, side by side with classic Swarm's.
//!
//! | | requests |
//! | --- | --- |
//! | register, the first time | read the keys; `session/create`; `PUT key?acquire=SESSION`, body = the address |
//! | register, later | read the keys; `session/renew` once a tenth of its ttl has passed. Nothing is written, so no watcher wakes |
//! | deregister | `session/destroy`, which takes the key with it; read the keys |
//! | say who the node is | `PUT …/records/ADDRESS?acquire=SESSION`, under the session of the entry |
//! | mark as drained | as register, with the key `…/drained/ADDRESS` and the reason in it, under a session of its own |
//! | list, watch | `GET …/nodes/?recurse`, with an index to wait for another one; the folder above with marks or records |
//!
//! A session ends, and its key with it, at twice its ttl: it is made with half of the entry's.
//!
//! What one call did not finish (the answer got lost) the next one finds again: sessions are remembered before a key
//! is asked for, so that a key which is held by one of ours is never taken for somebody else's.

mod acl;
mod answers;
mod api;

use super::renewal::Renewals;
use super::{Backend, BackendError, Claim, Listing, Position, Release, Scope, Seen, Sight};
use crate::model::{Entry, Folder, Hold, NodeAddress, NodeRecord, StoreUrl, Unreadable, WayOut};
use answers::{Pair, Session, is_session};
use api::{After, Api, Keys, Lock};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Longer than the lock delay of our sessions, and of classic Swarm's.
const LOCK_DELAY: Duration = Duration::from_millis(10);

/// What there is of each node.
const FOLDERS: [Folder; 3] = [Folder::Nodes, Folder::Drained, Folder::Records];

/// One cluster in Consul, over one kept connection to one of its agents.
pub struct ConsulBackend {
    api: Api,
    url: StoreUrl,
    total: Duration,
    /// For each key, the sessions of ours that may hold it, the newest last.
    sessions: Mutex<BTreeMap<String, Vec<String>>>,
    renewals: Renewals,
    /// The last reading failed. What comes back may count from another beginning, and would keep a reader waiting
    /// for an index that is far away.
    lost: AtomicBool,
}

/// A key that is to be ours, and for how long without another call.
struct Slot<'a> {
    key: &'a str,
    value: &'a [u8],
    /// What the session is called.
    name: String,
    ttl: Duration,
}

impl ConsulBackend {
    pub fn new(url: StoreUrl, way: &WayOut) -> Result<Self, BackendError> {
        let api = Api::new(&url, way)?;
        let (sessions, renewals, lost) = (Mutex::default(), Renewals::default(), AtomicBool::new(false));
        Ok(Self { api, url, total: way.timeouts.total, sessions, renewals, lost })
    }

    fn key(&self, folder: Folder, address: &NodeAddress) -> String {
        format!("{}/{address}", self.url.folder(folder))
    }

    /// Bounds an attempt that takes several requests.
    async fn within<T>(&self, attempt: impl Future<Output = Result<T, BackendError>>) -> Result<T, BackendError> {
        let server = || self.url.to_string();
        let late = |_| Err(BackendError::Timeout { server: server(), timeout: self.total });
        timeout(self.total, attempt).await.unwrap_or_else(late)
    }

    async fn put_in(&self, claim: &Claim<'_>) -> Result<Hold, BackendError> {
        let [key, mark, record] = FOLDERS.map(|folder| self.key(folder, claim.address));
        let value = claim.address.to_string();
        let slot = Slot { key: &key, value: value.as_bytes(), name: format!("swarm-agent {value}"), ttl: claim.ttl };
        let [entry, mark, recorded] = self.api.read([&key, &mark, &record]).await?;
        let session = self.keep(&slot, &self.ours(&key, claim.hold), entry.as_ref()).await?;
        let json = claim.record.map(NodeRecord::to_json).unwrap_or_default();
        let lock = Lock { key: &record, session: &session, value: json.as_bytes() };
        // the entry is in: what is said beside it takes nothing away from that
        if let Err(error) = self.say_beside(&lock, recorded, mark).await {
            tracing::debug!(%error, "what stands beside the entry is not as it should be");
        }
        Ok(Hold(session))
    }

    /// Who the node is, under the session of its entry; and no longer that it is drained.
    async fn say_beside(&self, lock: &Lock<'_>, found: Option<Pair>, mark: Option<Pair>) -> Result<(), BackendError> {
        let said = |found: Pair| {
            found.session.as_deref() == Some(lock.session) && found.value.as_deref().unwrap_or_default() == lock.value
        };
        if !lock.value.is_empty() && !found.is_some_and(said) {
            self.take(lock).await?;
        }
        match mark {
            Some(mark) => self.api.delete(&mark).await.map(drop),
            None => Ok(()),
        }
    }

    async fn take_out(&self, Release { address, hold, .. }: &Release<'_>) -> Result<(), BackendError> {
        let key = self.key(Folder::Nodes, address);
        let ours = self.ours(&key, *hold);
        for session in &ours {
            self.api.destroy(session).await?;
        }
        let [entry] = self.api.read([&key]).await?;
        if let Some(entry) = entry {
            match &entry.session {
                // somebody else's by now: ours went with its session
                Some(_) if !ours.is_empty() => {}
                Some(other) => return Err(self.held(&key, other).await),
                None if entry.value.as_deref() == Some(address.to_string().as_bytes()) => {
                    self.api.delete(&entry).await?;
                }
                None => {}
            }
        }
        self.known().remove(&key);
        Ok(())
    }

    async fn put_up(&self, address: &NodeAddress, reason: Option<&str>, ttl: Duration) -> Result<(), BackendError> {
        let key = self.key(Folder::Drained, address);
        let value = reason.unwrap_or_default().as_bytes();
        let slot = Slot { key: &key, value, name: format!("swarm-agent {address} drained"), ttl };
        let [mark] = self.api.read([&key]).await?;
        let mut ours = self.ours(&key, None);
        // a former process of this node put it up: nobody else says that it is drained
        ours.extend(mark.as_ref().and_then(|mark| mark.session.clone()));
        self.keep(&slot, &ours, mark.as_ref()).await.map(drop)
    }

    /// Sees to it that the key is there, has its value, and is held by a session of ours that was just renewed or made.
    async fn keep(&self, slot: &Slot<'_>, ours: &[String], found: Option<&Pair>) -> Result<String, BackendError> {
        let holder = found.and_then(|pair| pair.session.as_deref());
        if let Some(other) = holder.filter(|holder| !ours.iter().any(|session| session == holder)) {
            return Err(self.held(slot.key, other).await);
        }
        let alive = match holder.or(ours.last().map(String::as_str)) {
            Some(session) => self.renew(session, slot, holder.is_some()).await?,
            None => None,
        };
        // the ttl of a session never changes
        let fits = alive.as_ref().filter(|session| session.ttl.is_none_or(|ttl| ttl == slot.ttl / 2));
        let session = match fits {
            Some(session) => session.id.clone(),
            None => self.begin(slot).await?,
        };
        let lock = Lock { key: slot.key, session: &session, value: slot.value };
        match holder.filter(|_| alive.is_some()) {
            Some(holder) if holder != session => self.api.hand_over(holder, &lock).await?,
            Some(_) if found.is_some_and(|pair| pair.value.as_deref().unwrap_or_default() == slot.value) => {}
            Some(_) | None => self.take(&lock).await?,
        }
        self.settle(slot.key, &session, ours).await;
        Ok(session)
    }

    /// None: it has ended. One that holds the key has not, and needs no renewal if it just had one.
    async fn renew(&self, session: &str, slot: &Slot<'_>, holds: bool) -> Result<Option<Session>, BackendError> {
        let ttl = slot.ttl / 2;
        if holds && self.renewals.is_fresh(session, ttl) {
            return Ok(Some(Session { id: session.to_owned(), ttl: Some(ttl), ..Session::default() }));
        }
        let asked = Renewals::now();
        let renewed = self.api.renew(session).await?;
        if renewed.as_ref().is_some_and(|session| session.ttl == Some(ttl)) {
            self.renewals.note(session, ttl, asked);
        }
        Ok(renewed)
    }

    /// A new session, which is remembered before anything is asked for with it.
    async fn begin(&self, slot: &Slot<'_>) -> Result<String, BackendError> {
        let asked = Renewals::now();
        let session = self.api.create(&slot.name, slot.ttl / 2).await?;
        self.renewals.note(&session, slot.ttl / 2, asked);
        self.known().entry(slot.key.to_owned()).or_default().push(session.clone());
        Ok(session)
    }

    async fn take(&self, lock: &Lock<'_>) -> Result<(), BackendError> {
        if self.api.acquire(lock).await? {
            return Ok(());
        }
        // nobody gets a key right after the session ended that held it
        sleep(LOCK_DELAY).await;
        if self.api.acquire(lock).await? {
            return Ok(());
        }
        let [found] = self.api.read([lock.key]).await?;
        match found.and_then(|pair| pair.session) {
            Some(other) => Err(self.held(lock.key, &other).await),
            None => Err(self.held_by(lock.key, "the lock delay of a session that has ended".to_owned())),
        }
    }

    /// One session holds the key from now on; the others have no use any more.
    async fn settle(&self, key: &str, session: &str, ours: &[String]) {
        let kept = vec![session.to_owned()];
        let known = self.known().insert(key.to_owned(), kept).unwrap_or_default();
        let others = ours.iter().chain(known.iter().filter(|known| !ours.contains(known)));
        for other in others.filter(|other| *other != session) {
            if let Err(error) = self.api.destroy(other).await {
                tracing::debug!(%error, "a session that holds nothing is left to its ttl");
            }
        }
    }

    /// What may hold the key because of us, the newest last.
    fn ours(&self, key: &str, hold: Option<&Hold>) -> Vec<String> {
        let known = self.known().get(key).cloned().unwrap_or_default();
        // what was kept in a file may be anything
        let held = hold.map(|hold| hold.0.clone()).filter(|id| is_session(id) && !known.contains(id));
        held.into_iter().chain(known).collect()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Vec<String>>> {
        // each change is one step, so a panic elsewhere leaves nothing half done
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn held(&self, key: &str, session: &str) -> BackendError {
        let holder = match self.api.session(session).await {
            Ok(Some(found)) => format!("session {session} ({:?}) of node {}", found.name, found.node),
            // it ended just now, or is not shown to us: what counts is that it held the key
            Ok(None) | Err(_) => format!("session {session}"),
        };
        self.held_by(key, holder)
    }

    fn held_by(&self, key: &str, holder: String) -> BackendError {
        BackendError::Held { server: self.url.to_string(), entry: key.to_owned(), holder }
    }

    async fn look(&self, scope: Scope, after: Option<After>) -> Result<Keys, BackendError> {
        let nodes = self.url.folder(Folder::Nodes) + "/";
        let folder = match scope {
            Scope::Active => nodes.clone(),
            // with all of the folders in it
            Scope::All | Scope::Records => self.url.root() + "/",
        };
        let keys = self.api.list(&folder, after).await?;
        if keys.pairs.is_empty() {
            self.api.readable(&nodes).await?;
        }
        Ok(keys)
    }

    fn listing(&self, pairs: Vec<Pair>, scope: Scope) -> Listing {
        listing(pairs, scope, FOLDERS.map(|folder| self.url.folder(folder) + "/"))
    }
}

#[async_trait::async_trait]
impl Backend for ConsulBackend {
    async fn register(&self, claim: &Claim<'_>) -> Result<Option<Hold>, BackendError> {
        self.within(self.put_in(claim)).await.map(Some)
    }

    async fn deregister(&self, release: &Release<'_>) -> Result<(), BackendError> {
        self.within(self.take_out(release)).await
    }

    async fn watch(&self, scope: Scope, seen: Option<&Seen>) -> Result<Sight, BackendError> {
        let after = seen.filter(|_| !self.lost.load(Ordering::Relaxed)).and_then(after);
        let looked = match after {
            // a list of a folder that is empty takes two requests
            None => self.within(self.look(scope, None)).await,
            after => self.look(scope, after).await,
        };
        self.lost.store(looked.is_err(), Ordering::Relaxed);
        let Keys { pairs, index } = looked?;
        Ok(Sight { listing: self.listing(pairs, scope), position: Some(position(after, index)) })
    }

    async fn mark_drained(
        &self,
        address: &NodeAddress,
        reason: Option<&str>,
        ttl: Duration,
    ) -> Result<(), BackendError> {
        self.within(self.put_up(address, reason, ttl)).await
    }
}

/// Where a reader stands who is not to wait.
const BEGINNING: u64 = 0;

/// None: the list is given at once.
fn after(seen: &Seen) -> Option<After> {
    let index = seen.position.0.parse().ok().filter(|index| *index != BEGINNING)?;
    // Consul takes a wait of nothing for its own default, which is minutes
    (seen.patience.as_millis() > 0).then_some(After { index, patience: seen.patience })
}

/// An index that went backwards counts from another beginning (a snapshot was restored, say).
fn position(after: Option<After>, index: u64) -> Position {
    let backwards = after.is_some_and(|after| index < after.index);
    Position(if backwards { BEGINNING } else { index }.to_string())
}

fn listing(pairs: Vec<Pair>, scope: Scope, [nodes, drained, records]: [String; 3]) -> Listing {
    let recorded = pairs.iter().filter_map(|pair| Some((pair.key.strip_prefix(&records)?, pair.value.as_deref()?)));
    let recorded: Vec<(String, Vec<u8>)> = match scope {
        Scope::Records => recorded.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        Scope::Active | Scope::All => Vec::new(),
    };
    let drained = (scope == Scope::All).then_some(drained.as_str());
    let listing = Listing::of_entries(pairs.into_iter().filter_map(|pair| entry(pair, &nodes, drained)));
    listing.with_records(recorded.iter().map(|(name, record)| (name.as_str(), record.as_slice())))
}

/// None for what is neither a node nor a mark.
fn entry(pair: Pair, nodes: &str, drained: Option<&str>) -> Option<Entry> {
    let text = |value: Option<Vec<u8>>| value.map(|value| String::from_utf8_lossy(&value).into_owned());
    if let Some(name) = pair.key.strip_prefix(nodes) {
        return match text(pair.value) {
            Some(value) => Some(Entry::Active(value)),
            // the folder itself, as somebody may make it by hand
            None if name.is_empty() => None,
            None => Some(Entry::Bad(Unreadable { entry: name.to_owned(), why: "its key is empty".to_owned() })),
        };
    }
    let address = pair.key.strip_prefix(drained?).filter(|name| !name.is_empty())?.to_owned();
    let reason = text(pair.value).map(|reason| reason.trim().to_owned()).filter(|reason| !reason.is_empty());
    Some(Entry::Drained { address, reason })
}

#[cfg(test)]
mod tests;
