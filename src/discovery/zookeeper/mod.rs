//! ZooKeeper, with a client of our own: it speaks what is needed here, on one connection and without threads.
//!
//! | | requests |
//! | --- | --- |
//! | register, the first time | a session; read the node and the mark; `create` the node, ephemeral and with its data |
//! | register, later | read the node and the mark, with watches; once all was as it should be, `ping` until a watch fires. Nothing is written, so no watcher wakes |
//! | deregister | `closeSession`, which takes the node with it |
//! | list | `sync`, `getChildren2` of the folder: the name of a node is the address |
//! | watch | the same with a watch on the folder, until it fires; then the list again |
//!
//! Who a node is stands in a node of `…/records` under the same session. Each entry has a session of its own, so that each
//! comes and goes alone. A session lives while it is heard of: between the calls of `register` a task sees to that, which
//! stops in time for the entry to be gone at the end of its ttl. The task ends with the backend; the session does not, and
//! another process may go on with it.
//!
//! A node that is there under another session than ours (that of a former process, before it ends) is deleted and made
//! again in one step: nobody sees it missing, and nobody's end takes ours.

mod connection;
mod entry;
mod fault;
mod line;
mod reading;
mod servers;
mod session;
mod wire;

use super::{Backend, BackendError, Claim, Release, Scope, Seen, Sight};
use crate::model::{Folder, Hold, NodeAddress, NodeRecord, StoreUrl, WayOut};
use connection::Reply;
use entry::Slot;
use fault::Fault;
use line::Line;
use reading::Folders;
use servers::Servers;
use session::Session;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use wire::{Op, code};

/// Of a session that only reads.
const READER: Duration = Duration::from_secs(10);

/// One cluster in a ZooKeeper.
pub struct ZookeeperBackend {
    servers: Arc<Servers>,
    url: StoreUrl,
    /// By path.
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    reader: tokio::sync::Mutex<Line>,
}

impl ZookeeperBackend {
    pub fn new(url: StoreUrl, way: &WayOut) -> Result<Self, BackendError> {
        let servers = Arc::new(Servers::new(&url, way)?);
        let reader = tokio::sync::Mutex::new(Line::new(Arc::clone(&servers), None, READER));
        Ok(Self { servers, url, sessions: Mutex::default(), reader })
    }

    fn path(&self, folder: Folder, address: &NodeAddress) -> String {
        format!("/{}/{address}", self.url.folder(folder))
    }

    /// Bounds an attempt that takes several requests.
    async fn within<T>(&self, attempt: impl Future<Output = Result<T, BackendError>>) -> Result<T, BackendError> {
        let late = |_| Err(self.servers.late(&self.url.to_string()));
        timeout(self.servers.total(), attempt).await.unwrap_or_else(late)
    }

    /// Sees to it that the nodes are there under the session of the first, which is heard of for as long as `ttl` says.
    async fn keep(&self, slots: Vec<Slot>, hold: Option<&Hold>, ttl: Duration) -> Result<Hold, BackendError> {
        let deadline = Instant::now() + self.servers.total();
        let path = slots.first().map(|slot| slot.path.as_str()).unwrap_or_default();
        let session = self.session(path, hold, ttl);
        let mut kept = session.kept().await;
        kept.renew(ttl);
        let outcome = match kept.settle(&slots, deadline).await {
            // what it held is gone, or goes in a moment: the line has forgotten it, and begins a new one
            Err(Fault::Expired) => kept.settle(&slots, deadline).await,
            outcome => outcome,
        };
        let ticket = outcome.map_err(|fault| fault.into_error(kept.line.server()))?;
        kept.settled = slots;
        if ticket.granted > ttl {
            tracing::debug!(granted = ?ticket.granted, ?ttl, "the servers let a session live longer than the ttl");
        }
        Ok(session::hold(&ticket))
    }

    async fn take_out(&self, release: &Release<'_>) -> Result<(), BackendError> {
        let (path, deadline) = (self.path(Folder::Nodes, release.address), Instant::now() + self.servers.total());
        let known = self.sessions().get(&path).cloned();
        let mut held = release.hold.and_then(session::ticket);
        if let Some(session) = &known {
            let mut kept = session.kept().await;
            kept.give_up();
            held = held.filter(|held| kept.line.ticket().is_none_or(|ticket| ticket.id != held.id));
            kept.line.close(deadline).await?;
        }
        match held {
            Some(ticket) => Line::new(Arc::clone(&self.servers), Some(ticket), READER).close(deadline).await?,
            None if known.is_some() => {}
            None => self.delete_unheld(path.clone(), release, deadline).await?,
        }
        self.sessions().remove(&path);
        Ok(())
    }

    /// Deletes an entry that is there under nobody knows which session, unless it is recorded for another node than ours.
    async fn delete_unheld(&self, path: String, release: &Release<'_>, until: Instant) -> Result<(), BackendError> {
        let mut line = self.reader.lock().await;
        let record = self.path(Folder::Records, release.address);
        let reply = ask(&mut line, Op::Data { path: record.clone(), watch: false }, until).await?;
        if reply.code == code::OK {
            let garbled = line.garbled();
            let (data, stat) = entry::data(&reply).ok_or_else(|| garbled.into_error(line.server()))?;
            let recorded = NodeRecord::from_json(&data);
            if release.node.is_some_and(|node| recorded.is_some_and(|record| record.node != node)) {
                return Ok(());
            }
            ask(&mut line, Op::Delete { path: record, version: stat.version }, until).await?;
        }
        ask(&mut line, Op::Delete { path, version: wire::ANY }, until).await.map(drop)
    }

    /// The one that we have for this node, else the one that is held, else a new one.
    fn session(&self, path: &str, hold: Option<&Hold>, ttl: Duration) -> Arc<Session> {
        let make = || Arc::new(Session::new(&self.servers, hold.and_then(session::ticket), ttl));
        Arc::clone(self.sessions().entry(path.to_owned()).or_insert_with(make))
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        // each change is one step, so a panic elsewhere leaves nothing half done
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folders(&self, scope: Scope) -> Folders {
        let folder = |folder| format!("/{}", self.url.folder(folder));
        let drained = matches!(scope, Scope::All).then(|| folder(Folder::Drained));
        let records = matches!(scope, Scope::Records).then(|| folder(Folder::Records));
        Folders { nodes: folder(Folder::Nodes), drained, records, total: self.servers.total() }
    }

    /// Over a connection that there is already, if one is idle.
    async fn list(&self, folders: &Folders) -> Result<Sight, BackendError> {
        let sessions: Vec<_> = self.sessions().values().cloned().collect();
        let idle = sessions.iter().filter_map(|session| session.idle()).find(|kept| kept.line.is_connected());
        if let Some(mut kept) = idle
            && let Ok(sight) = folders.look(&mut kept.line).await
        {
            return Ok(sight);
        }
        match self.reader.try_lock() {
            Ok(mut line) => folders.look(&mut line).await,
            // somebody waits there for a change
            Err(_) => folders.look(&mut Line::new(Arc::clone(&self.servers), None, READER)).await,
        }
    }
}

#[async_trait::async_trait]
impl Backend for ZookeeperBackend {
    async fn register(&self, claim: &Claim<'_>) -> Result<Option<Hold>, BackendError> {
        let node = Slot {
            path: self.path(Folder::Nodes, claim.address),
            data: claim.address.to_string().into_bytes(),
            displaces: Some(self.path(Folder::Drained, claim.address)),
            acl: self.servers.acl(),
        };
        let record = claim.record.map(|record| Slot {
            path: self.path(Folder::Records, claim.address),
            data: record.to_json().into_bytes(),
            displaces: None,
            acl: self.servers.acl(),
        });
        let slots: Vec<Slot> = std::iter::once(node).chain(record).collect();
        self.within(self.keep(slots, claim.hold, claim.ttl)).await.map(Some)
    }

    async fn deregister(&self, release: &Release<'_>) -> Result<(), BackendError> {
        self.within(self.take_out(release)).await
    }

    async fn watch(&self, scope: Scope, seen: Option<&Seen>) -> Result<Sight, BackendError> {
        let folders = self.folders(scope);
        match seen {
            None => self.within(self.list(&folders)).await,
            Some(seen) => folders.wait(&mut *self.reader.lock().await, seen).await,
        }
    }

    async fn mark_drained(
        &self,
        address: &NodeAddress,
        reason: Option<&str>,
        ttl: Duration,
    ) -> Result<(), BackendError> {
        let slot = Slot {
            path: self.path(Folder::Drained, address),
            data: reason.unwrap_or_default().into(),
            displaces: None,
            acl: self.servers.acl(),
        };
        self.within(self.keep(vec![slot], None, ttl)).await.map(drop)
    }
}

/// One operation over a line whose session has nothing to lose; that the node is not there is no failure.
async fn ask(line: &mut Line, op: Op, deadline: Instant) -> Result<Reply, BackendError> {
    let mut outcome = line.ask_one(op.clone(), deadline).await;
    if matches!(outcome, Err(Fault::Expired)) {
        outcome = line.ask_one(op.clone(), deadline).await;
    }
    let fault = match outcome {
        Ok(reply) if matches!(reply.code, code::OK | code::NO_NODE) => return Ok(reply),
        Ok(reply) => line.refused(reply.code, op.path()),
        Err(fault) => fault,
    };
    Err(fault.into_error(line.server()))
}
