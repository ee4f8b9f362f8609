//! etcd, by its version 3 API: JSON over HTTP at `/v3`, which etcd's own gateway turns into gRPC.
//!
//! | | request |
//! | --- | --- |
//! | first beat | `lease/grant`, then one `kv/txn`: put the key under the lease, delete the mark, read the key |
//! | later beats | `lease/keepalive`, then a `kv/txn` that only reads: the key is ours, there is no mark |
//! | deregister | `lease/revoke`: the key goes with its lease |
//! | list | one `kv/txn` that reads the folders |
//! | watch | `watch`, from the revision behind that of the list; then the list again |
//!
//! Keys are `PREFIX/docker/swarm/nodes/ADDRESS`, with the address as the value, `…/records/ADDRESS`, with who the node is, and
//! `…/drained/ADDRESS`, with the reason. A node and its record have one lease, a mark has its own. A lease is granted for the ttl; when it has ended, or the key is gone or under another
//! lease, the same beat claims it anew. A put takes the key from the lease it was under, so that nobody's end takes ours.

mod changes;
mod fault;
mod login;
mod members;
mod wire;

use super::{Backend, BackendError, Claim, Listing, Position, Scope, Seen, Sight};
use crate::model::{Entry, Folder, Hold, NodeAddress, StoreUrl, Unreadable, WayOut};
use changes::Wait;
use fault::Trouble;
use members::{Call, Members};
use serde_json::json;
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
}

/// What keeps a key in, and for how long it was asked: etcd may grant more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lease {
    id: i64,
    seconds: u64,
}

/// A key as it is to be.
struct Wanted<'k> {
    key: String,
    value: &'k str,
    /// A key that must not be there beside it.
    displaces: Option<String>,
    /// A key and its value that are to be there beside it, under the same lease.
    record: Option<(String, String)>,
}

/// What there is of a key.
enum Found {
    Nothing,
    OldRecord,
    All,
}

impl EtcdBackend {
    pub fn new(url: &StoreUrl, way: &WayOut) -> Result<Self, BackendError> {
        let [nodes, drained, records] =
            [Folder::Nodes, Folder::Drained, Folder::Records].map(|folder| url.folder(folder));
        let place = nodes.rsplit_once('/').map_or(nodes.as_str(), |(place, _)| place).to_owned();
        let members = Members::new(url, place, way)?;
        Ok(Self { members, nodes, drained, records, leases: Mutex::default() })
    }

    /// Renews the lease and sees that the key is there under it; or makes both anew.
    async fn keep(&self, wanted: &Wanted<'_>, held: Option<Lease>, seconds: u64) -> Result<Lease, Trouble> {
        let call = self.members.call();
        let known = self.leases().get(&wanted.key).copied();
        // a lease can't be changed, so a key whose ttl was moves to another one
        for lease in [held, known].into_iter().flatten().filter(|lease| lease.seconds == seconds) {
            if renew(&call, lease).await? {
                match look_at(&call, wanted, lease).await? {
                    Found::All => {}
                    Found::OldRecord => record(&call, wanted, lease).await?,
                    Found::Nothing => claim(&call, wanted, lease).await?,
                }
                return Ok(lease);
            }
        }
        let Granted { id } = call.ask("lease/grant", json!({"TTL": seconds.to_string()})).await?;
        let lease = Lease { id, seconds };
        // until the caller knows of it
        self.leases().insert(wanted.key.clone(), lease);
        claim(&call, wanted, lease).await?;
        Ok(lease)
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

    fn node(&self, address: &NodeAddress) -> String {
        format!("{}/{address}", self.nodes)
    }

    fn record(&self, address: &NodeAddress) -> String {
        format!("{}/{address}", self.records)
    }

    fn mark(&self, address: &NodeAddress) -> String {
        format!("{}/{address}", self.drained)
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<String, Lease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Backend for EtcdBackend {
    async fn register(&self, claim: &Claim<'_>) -> Result<Option<Hold>, BackendError> {
        let value = claim.address.to_string();
        let record = claim.record.map(|record| (self.record(claim.address), record.to_json()));
        let displaces = Some(self.mark(claim.address));
        let wanted = Wanted { key: self.node(claim.address), value: &value, displaces, record };
        let held = claim.hold.and_then(Lease::of);
        let lease = self.keep(&wanted, held, whole_seconds(claim.ttl)).await.map_err(Trouble::into_error)?;
        self.leases().remove(&wanted.key);
        Ok(Some(Hold(lease.to_string())))
    }

    async fn deregister(&self, address: &NodeAddress, hold: Option<&Hold>) -> Result<(), BackendError> {
        let (call, key, held) = (self.members.call(), self.node(address), hold.and_then(Lease::of));
        let known = self.leases().get(&key).copied();
        for lease in [held, known].into_iter().flatten() {
            // What is there under another lease is somebody else's by now, who has this address.
            revoke(&call, lease).await.map_err(Trouble::into_error)?;
        }
        if held.is_none() {
            let delete = vec![wire::delete(&key), wire::delete(&self.record(address))];
            let _: Done = call.ask("kv/txn", wire::transaction(delete)).await.map_err(Trouble::into_error)?;
        }
        self.leases().remove(&key);
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
        let (nodes, beside) = (ranges.next().unwrap_or_default(), ranges.next().unwrap_or_default());
        let listing = match scope {
            Scope::Active | Scope::All => self.listing(nodes, beside),
            Scope::Records => {
                let record = |kv: &Kv| (name(&kv.key, &self.records).to_owned(), kv.value.clone());
                let records: Vec<(String, String)> = beside.iter().map(record).collect();
                let records = records.iter().map(|(address, record)| (address.as_str(), record.as_bytes()));
                self.listing(nodes, Vec::new()).with_records(records)
            }
        };
        Ok(Sight { listing, position: Some(position) })
    }

    async fn mark_drained(
        &self,
        address: &NodeAddress,
        reason: Option<&str>,
        ttl: Duration,
    ) -> Result<(), BackendError> {
        let wanted =
            Wanted { key: self.mark(address), value: reason.unwrap_or_default(), displaces: None, record: None };
        self.keep(&wanted, None, whole_seconds(ttl)).await.map(drop).map_err(Trouble::into_error)
    }
}

impl EtcdBackend {
    fn listing(&self, nodes: Vec<Kv>, drained: Vec<Kv>) -> Listing {
        // the value is what counts; a key without one says at least where it is
        let (nodes, empty): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|kv| !kv.value.trim().is_empty());
        let drained = drained.into_iter().map(|kv| Entry::Drained {
            address: name(&kv.key, &self.drained).to_owned(),
            reason: Some(kv.value.trim()).filter(|reason| !reason.is_empty()).map(str::to_owned),
        });
        let mut listing = Listing::of_entries(nodes.into_iter().map(|kv| Entry::Active(kv.value)).chain(drained));
        listing.unreadable.extend(empty.iter().map(|kv| Unreadable {
            entry: name(&kv.key, &self.nodes).to_owned(),
            why: "the key has no value".to_owned(),
        }));
        listing
    }
}

fn name<'k>(key: &'k str, folder: &str) -> &'k str {
    key.strip_prefix(folder).map_or(key, |name| name.trim_start_matches('/'))
}

/// Whether the lease is still there.
async fn renew(call: &Call<'_>, lease: Lease) -> Result<bool, Trouble> {
    match call.ask("lease/keepalive", json!({"ID": lease.id.to_string()})).await {
        Ok(Kept { result }) => Ok(result.ttl > 0),
        Err(Trouble::NoLease(_)) => Ok(false),
        Err(trouble) => Err(trouble),
    }
}

/// Writes nothing, so that no watcher is woken.
async fn look_at(call: &Call<'_>, wanted: &Wanted<'_>, lease: Lease) -> Result<Found, Trouble> {
    let record = wanted.record.as_ref();
    let keys = [Some(&wanted.key), record.map(|(key, _)| key), wanted.displaces.as_ref()].into_iter().flatten();
    let done: Done = call.ask("kv/txn", wire::transaction(keys.map(|key| wire::range(key)).collect())).await?;
    let mut ranges = done.ranges();
    let ours = ranges.next().is_some_and(|found| is_ours(&found, wanted.value, lease));
    let recorded = record.is_none_or(|(_, value)| ranges.next().is_some_and(|found| is_ours(&found, value, lease)));
    Ok(match ours && ranges.all(|displaced| displaced.is_empty()) {
        false => Found::Nothing,
        true if recorded => Found::All,
        true => Found::OldRecord,
    })
}

/// Touches no key that a watcher of nodes watches.
async fn record(call: &Call<'_>, wanted: &Wanted<'_>, lease: Lease) -> Result<(), Trouble> {
    let put = wanted.record.iter().map(|(key, value)| wire::put(key, value, lease.id));
    let _: Done = call.ask("kv/txn", wire::transaction(put.collect())).await?;
    Ok(())
}

async fn claim(call: &Call<'_>, wanted: &Wanted<'_>, lease: Lease) -> Result<(), Trouble> {
    let put = wire::put(&wanted.key, wanted.value, lease.id);
    let delete = wanted.displaces.as_ref().map(|key| wire::delete(key));
    let record = wanted.record.as_ref().map(|(key, value)| wire::put(key, value, lease.id));
    let requests = [Some(put), record, delete, Some(wire::range(&wanted.key))].into_iter().flatten().collect();
    let done: Done = call.ask("kv/txn", wire::transaction(requests)).await?;
    match done.ranges().next() {
        Some(found) if is_ours(&found, wanted.value, lease) => Ok(()),
        _ => Err(Trouble::Elsewhere(call.garbled("what was put in does not come back"))),
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
