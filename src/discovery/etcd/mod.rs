//! etcd, by its version 3 API: JSON over HTTP at `/v3`, which etcd's own gateway turns into gRPC.
//!
//! | | request |
//! | --- | --- |
//! | first beat | `lease/grant`, then one `kv/txn`: put the keys under the lease, delete the mark, read the keys |
//! | later beats | `lease/keepalive` once a tenth of the ttl has passed, then a `kv/txn` that only reads: the keys are ours, there is no mark |
//! | deregister | `lease/revoke`: the key goes with its lease |
//! | list | one `kv/txn` that reads the folders |
//! | watch | `watch`, from the revision behind that of the list; then the list again |
//!
//! Keys are `PREFIX/docker/swarm/nodes/ADDRESS`, with the address as the value, `…/records/ADDRESS`, with what is recorded of
//! the node, and `…/drained/ADDRESS`, with the reason. The first two have one lease, a mark has its own. A lease is granted
//! for the ttl; when it has ended, or a key is gone or under another lease, the same beat claims it anew. A put takes the
//! key from the lease it was under, so that nobody's end takes ours.

mod changes;
mod fault;
mod login;
mod members;
mod wire;

use super::renewal::Renewals;
use super::{Backend, BackendError, Claim, Listing, Position, Release, Scope, Seen, Sight};
use crate::model::{Entry, Folder, Hold, NodeAddress, NodeRecord, StoreUrl, Unreadable, WayOut};
use changes::Wait;
use fault::Trouble;
use members::{Call, Members};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use wire::{Done, Granted, Kept, Kv};

/// One cluster in an etcd.
pub struct EtcdBackend {
    members: Members,
    nodes: String,
    drained: String,
    records: String,
    /// By key, leases that the caller does not know of: of marks, and of claims that did not end well.
    leases: Mutex<HashMap<String, Lease>>,
    renewals: Renewals,
}

/// What keeps a key in, and for how long it was asked: etcd may grant more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lease {
    id: i64,
    seconds: u64,
}

/// Keys as they are to be, all under one lease.
struct Wanted {
    /// With their values; the first is what it is about.
    keys: Vec<(String, String)>,
    /// These must not be there.
    gone: Vec<String>,
}

impl EtcdBackend {
    pub fn new(url: &StoreUrl, way: &WayOut) -> Result<Self, BackendError> {
        let [nodes, drained, records] = [Folder::Nodes, Folder::Drained, Folder::Records].map(|name| url.folder(name));
        let place = nodes.rsplit_once('/').map_or(nodes.as_str(), |(place, _)| place).to_owned();
        let members = Members::new(url, place, way)?;
        Ok(Self { members, nodes, drained, records, leases: Mutex::default(), renewals: Renewals::default() })
    }

    /// Renews the lease and sees that the keys are there under it; or makes all of it anew. `name` is what it is about.
    async fn keep(&self, name: &str, wanted: &Wanted, held: Option<Lease>, seconds: u64) -> Result<Lease, Trouble> {
        let call = self.members.call();
        let known = self.leases().get(name).copied();
        // a lease can't be changed: for another ttl, the keys move to another one
        for lease in [held, known].into_iter().flatten().filter(|lease| lease.seconds == seconds) {
            // a key that is there under it proves that it has not ended
            let fresh = self.renewals.is_fresh(&lease.id.to_string(), lease.life());
            if !fresh && !self.renew(&call, lease).await? {
                continue;
            }
            let amendments = wanted.amendments(&call, lease).await?;
            if amendments.is_empty() {
                return Ok(lease);
            }
            if !fresh || self.renew(&call, lease).await? {
                wanted.claim(&call, lease, amendments).await?;
                return Ok(lease);
            }
        }
        let asked = Renewals::now();
        let Granted { id } = call.ask("lease/grant", json!({"TTL": seconds.to_string()})).await?;
        let lease = Lease { id, seconds };
        self.renewals.note(&id.to_string(), lease.life(), asked);
        // until the caller knows of it
        self.leases().insert(name.to_owned(), lease);
        wanted.claim(&call, lease, wanted.all(lease)).await?;
        Ok(lease)
    }

    /// Whether the lease is still there.
    async fn renew(&self, call: &Call<'_>, lease: Lease) -> Result<bool, Trouble> {
        let asked = Renewals::now();
        match call.ask("lease/keepalive", json!({"ID": lease.id.to_string()})).await {
            Ok(Kept { result }) if result.ttl > 0 => {
                self.renewals.note(&lease.id.to_string(), lease.life(), asked);
                Ok(true)
            }
            Ok(_) | Err(Trouble::NoLease(_)) => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }

    async fn look(&self, folders: &[String]) -> Result<Done, Trouble> {
        let ranges = folders.iter().map(|name| wire::ranges(wire::folder(name))).collect();
        self.members.call().ask("kv/txn", wire::transaction(ranges)).await
    }

    fn folders(&self, scope: Scope) -> Vec<String> {
        match scope {
            Scope::Active => vec![self.nodes.clone()],
            Scope::All => vec![self.nodes.clone(), self.drained.clone()],
            Scope::Records => vec![self.nodes.clone(), self.records.clone()],
        }
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<String, Lease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Backend for EtcdBackend {
    async fn register(&self, claim: &Claim<'_>) -> Result<Option<Hold>, BackendError> {
        let (node, record) = (key(&self.nodes, claim.address), key(&self.records, claim.address));
        let mut wanted = Wanted {
            keys: vec![(node.clone(), claim.address.to_string())],
            gone: vec![key(&self.drained, claim.address)],
        };
        match claim.record {
            Some(own) => wanted.keys.push((record, own.to_json())),
            // whose it is, it says nothing of us
            None => wanted.gone.push(record),
        }
        let held = claim.hold.and_then(Lease::of);
        let lease = self.keep(&node, &wanted, held, whole_seconds(claim.ttl)).await.map_err(Trouble::into_error)?;
        self.leases().remove(&node);
        Ok(Some(Hold(lease.to_string())))
    }

    async fn deregister(&self, release: &Release<'_>) -> Result<(), BackendError> {
        let (call, held) = (self.members.call(), release.hold.and_then(Lease::of));
        let node = key(&self.nodes, release.address);
        let known = self.leases().get(&node).copied();
        for lease in [held, known].into_iter().flatten() {
            // what is there under another lease is somebody else's by now, who has this address
            revoke(&call, lease).await.map_err(Trouble::into_error)?;
        }
        if held.is_none() {
            let record = key(&self.records, release.address);
            delete(&call, &node, &record, release.node).await.map_err(Trouble::into_error)?;
        }
        self.leases().remove(&node);
        Ok(())
    }

    async fn watch(&self, scope: Scope, seen: Option<&Seen>) -> Result<Sight, BackendError> {
        let folders = self.folders(scope);
        if let Some(Seen { position, patience }) = seen
            && let Ok(revision) = position.0.parse()
        {
            let until = Instant::now() + *patience;
            self.members.wait(&Wait { folders: &folders, revision, until }).await?;
        }
        let done = self.look(&folders).await.map_err(Trouble::into_error)?;
        let position = Position(done.header.revision.to_string());
        let mut ranges = done.ranges();
        let (nodes, others) = (ranges.next().unwrap_or_default(), ranges.next().unwrap_or_default());
        Ok(Sight { listing: self.listing(scope, nodes, &others), position: Some(position) })
    }

    async fn mark_drained(
        &self,
        address: &NodeAddress,
        reason: Option<&str>,
        ttl: Duration,
    ) -> Result<(), BackendError> {
        let mark = key(&self.drained, address);
        let keys = vec![(mark.clone(), reason.unwrap_or_default().to_owned())];
        self.keep(&mark, &Wanted { keys, gone: Vec::new() }, None, whole_seconds(ttl))
            .await
            .map(drop)
            .map_err(Trouble::into_error)
    }
}

impl EtcdBackend {
    /// `others` are what the scope asks for beside the nodes.
    fn listing(&self, scope: Scope, nodes: Vec<Kv>, others: &[Kv]) -> Listing {
        // the value is what counts; a key without one says at least where it is
        let (nodes, empty): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|kv| !kv.value.trim().is_empty());
        let nodes = nodes.into_iter().map(|kv| Entry::Active(kv.value));
        let mut listing = match scope {
            Scope::Active => Listing::of_entries(nodes),
            Scope::All => Listing::of_entries(nodes.chain(others.iter().map(|kv| Entry::Drained {
                address: name(&kv.key, &self.drained).to_owned(),
                reason: Some(kv.value.trim()).filter(|reason| !reason.is_empty()).map(str::to_owned),
            }))),
            Scope::Records => Listing::of_entries(nodes)
                .with_records(others.iter().map(|kv| (name(&kv.key, &self.records), kv.value.as_bytes()))),
        };
        listing.unreadable.extend(empty.iter().map(|kv| Unreadable {
            entry: name(&kv.key, &self.nodes).to_owned(),
            why: "the key has no value".to_owned(),
        }));
        listing
    }
}

fn key(folder: &str, address: &NodeAddress) -> String {
    format!("{folder}/{address}")
}

fn name<'k>(key: &'k str, folder: &str) -> &'k str {
    key.strip_prefix(folder).map_or(key, |name| name.trim_start_matches('/'))
}

impl Wanted {
    /// What makes it so, whatever is there.
    fn all(&self, lease: Lease) -> Vec<Value> {
        let puts = self.keys.iter().map(|(key, value)| wire::put(key, value, lease.id));
        puts.chain(self.gone.iter().map(|key| wire::delete(key))).collect()
    }

    /// What is missing from that. To find out writes nothing, so that no watcher is woken.
    async fn amendments(&self, call: &Call<'_>, lease: Lease) -> Result<Vec<Value>, Trouble> {
        let ranges = self.keys.iter().map(|(key, _)| key).chain(&self.gone).map(|key| wire::range(key)).collect();
        let done: Done = call.ask("kv/txn", wire::transaction(ranges)).await?;
        let found: Vec<_> = done.ranges().collect();
        let right = |at: usize| match (found.get(at), self.keys.get(at)) {
            (Some(found), Some((_, value))) => is_ours(found, value, lease),
            (Some(found), None) => found.is_empty(),
            (None, _) => false,
        };
        let all = self.all(lease).into_iter().enumerate();
        Ok(all.filter(|(at, _)| !right(*at)).map(|(_, request)| request).collect())
    }

    /// All of it or nothing, and proves that it is so.
    async fn claim(&self, call: &Call<'_>, lease: Lease, mut requests: Vec<Value>) -> Result<(), Trouble> {
        requests.extend(self.keys.iter().map(|(key, _)| wire::range(key)));
        let done: Done = call.ask("kv/txn", wire::transaction(requests)).await?;
        let mut found = done.ranges();
        if self.keys.iter().all(|(_, value)| found.next().is_some_and(|found| is_ours(&found, value, lease))) {
            return Ok(());
        }
        Err(Trouble::Elsewhere(call.garbled("what was put in does not come back")))
    }
}

/// Deletes an entry that is there under nobody knows which lease, unless it is recorded for another node than `node`.
async fn delete(call: &Call<'_>, entry: &str, record: &str, node: Option<&str>) -> Result<(), Trouble> {
    let found: Done = call.ask("kv/txn", wire::transaction(vec![wire::range(record)])).await?;
    let found = found.ranges().next().unwrap_or_default().pop();
    let recorded = found.as_ref().and_then(|found| NodeRecord::from_json(found.value.as_bytes()));
    if node.is_some_and(|node| recorded.is_some_and(|record| record.node != node)) {
        return Ok(());
    }
    let (changed, keys) = (found.map_or(0, |found| found.changed), vec![wire::delete(entry), wire::delete(record)]);
    let done: Done = call.ask("kv/txn", wire::transaction_if_unchanged(record, changed, keys)).await?;
    match done.succeeded {
        true => Ok(()),
        false => Err(Trouble::Refused(call.refused(format!("{record} was changed just then")))),
    }
}

async fn revoke(call: &Call<'_>, lease: Lease) -> Result<(), Trouble> {
    match call.ask("lease/revoke", json!({"ID": lease.id.to_string()})).await {
        Ok(Done { .. }) | Err(Trouble::NoLease(_)) => Ok(()),
        Err(trouble) => Err(trouble),
    }
}

fn is_ours(found: &[Kv], value: &str, lease: Lease) -> bool {
    matches!(found, [kv] if kv.lease == lease.id && kv.value == value)
}

impl Lease {
    /// None for what another backend gave.
    fn of(hold: &Hold) -> Option<Self> {
        let (id, seconds) = hold.0.split_once(' ')?;
        Some(Self { id: id.parse().ok()?, seconds: seconds.parse().ok()? })
    }

    fn life(self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// As a hold says it.
impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.seconds)
    }
}

/// Rounded up: an entry must not end before its ttl.
fn whole_seconds(ttl: Duration) -> u64 {
    ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests;
