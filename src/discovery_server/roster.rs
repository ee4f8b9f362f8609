//! Who is in which cluster, in memory: what every list is answered from.

use crate::model::{Moment, NodeAddress, Token};
use crate::policy::lease::Lease;
use std::collections::BTreeMap;
use std::time::Duration;

/// All clusters. It only ever shows what is in the store, but for the beats of entries: those are
/// kept here and stored in bundles, since a lost beat is covered by the grace after a restart. But
/// only one such loss in a row is: the first beat after a restart is stored at once.
#[derive(Debug, Default)]
pub struct Roster {
    clusters: BTreeMap<Token, Cluster>,
}

/// Keyed by the address as it is listed, so that lists come out sorted.
type Cluster = BTreeMap<Box<str>, Entry>;

#[derive(Debug)]
struct Entry {
    lease: Lease,
    /// The beat that is in the store.
    stored: Moment,
    expiry: Moment,
    /// Lives on its grace: it has not beaten since the restart.
    restored: bool,
}

/// One change of what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    AddCluster(Token),
    DropCluster(Token),
    Put { token: Token, address: Box<str>, lease: Lease },
    Remove { token: Token, address: Box<str> },
}

/// What a beat came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Renewal {
    Renewed,
    /// A new entry, another ttl, or the first beat after a restart: that has to be stored first.
    Changes,
    UnknownCluster,
}

impl Roster {
    /// Renews an entry that lives, has beaten in this process and keeps its ttl.
    pub fn renew(&mut self, token: &Token, address: &NodeAddress, lease: Lease) -> Renewal {
        let Some(cluster) = self.clusters.get_mut(token) else { return Renewal::UnknownCluster };
        match cluster.get_mut(address.to_string().as_str()) {
            Some(entry) if !entry.restored && entry.expiry > lease.beat && entry.lease.ttl == lease.ttl => {
                entry.lease = lease;
                entry.expiry = lease.expiry();
                Renewal::Renewed
            }
            _ => Renewal::Changes,
        }
    }

    /// The addresses listed now, sorted; `None` if there is no such cluster.
    pub fn list(&self, token: &Token, now: Moment) -> Option<Vec<Box<str>>> {
        let live = self.clusters.get(token)?.iter().filter(|(_, entry)| entry.expiry > now);
        Some(live.map(|(address, _)| address.clone()).collect())
    }

    /// Makes a committed change visible.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::AddCluster(token) => drop(self.clusters.entry(token).or_default()),
            Change::DropCluster(token) => drop(self.clusters.remove(&token)),
            Change::Put { token, address, lease } => self.put(&token, address, lease),
            Change::Remove { token, address } => {
                self.clusters.get_mut(&token).and_then(|cluster| cluster.remove(&address));
            }
        }
    }

    /// Takes an entry from the store; `false` if it has used up its grace.
    pub fn restore(&mut self, token: &Token, address: &str, lease: Lease, resumed: Moment) -> bool {
        let (Some(expiry), Some(cluster)) = (lease.restored_expiry(resumed), self.clusters.get_mut(token)) else {
            return false;
        };
        cluster.insert(address.into(), Entry { lease, stored: lease.beat, expiry, restored: true });
        true
    }

    /// What the store does not know yet: entries that ended, and beats.
    pub fn unstored(&self, now: Moment) -> Vec<Change> {
        let changes = self.entries().filter_map(|(token, address, entry)| {
            let (token, address) = (token.clone(), address.clone());
            if entry.expiry <= now {
                Some(Change::Remove { token, address })
            } else if entry.lease.beat != entry.stored {
                Some(Change::Put { token, address, lease: entry.lease })
            } else {
                None
            }
        });
        changes.collect()
    }

    pub fn shortest_ttl(&self) -> Option<Duration> {
        self.entries().map(|(_, _, entry)| entry.lease.ttl).min()
    }

    /// Clusters, and entries listed now.
    pub fn count(&self, now: Moment) -> (usize, usize) {
        (self.clusters.len(), self.entries().filter(|(_, _, entry)| entry.expiry > now).count())
    }

    /// How many entries a cluster holds, expired ones that were not swept yet included.
    pub fn cluster_size(&self, token: &Token) -> Option<usize> {
        self.clusters.get(token).map(BTreeMap::len)
    }

    pub fn clusters(&self) -> usize {
        self.clusters.len()
    }

    pub fn holds(&self, token: &Token, address: &str) -> bool {
        self.clusters.get(token).is_some_and(|cluster| cluster.contains_key(address))
    }

    fn entries(&self) -> impl Iterator<Item = (&Token, &Box<str>, &Entry)> {
        self.clusters.iter().flat_map(|(token, cluster)| cluster.iter().map(move |(address, e)| (token, address, e)))
    }

    /// A beat that came while this one was being stored stands.
    fn put(&mut self, token: &Token, address: Box<str>, lease: Lease) {
        let Some(cluster) = self.clusters.get_mut(token) else { return };
        match cluster.get_mut(&address) {
            Some(entry) if entry.lease.ttl == lease.ttl && entry.lease.beat >= lease.beat => entry.stored = lease.beat,
            _ => {
                let entry = Entry { lease, stored: lease.beat, expiry: lease.expiry(), restored: false };
                cluster.insert(address, entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Moment {
        Moment::after_origin(Duration::from_secs(seconds))
    }

    fn token() -> Token {
        "t0ken".parse().expect("a token")
    }

    fn address() -> NodeAddress {
        "10.0.0.1:2375".parse().expect("an address")
    }

    fn put(beat: u64) -> Change {
        Change::Put { token: token(), address: "10.0.0.1:2375".into(), lease: lease(beat) }
    }

    fn lease(beat: u64) -> Lease {
        Lease { ttl: TTL, beat: at(beat) }
    }

    fn roster() -> Roster {
        let mut roster = Roster::default();
        roster.apply(Change::AddCluster(token()));
        roster
    }

    fn listed(roster: &Roster, now: u64) -> usize {
        roster.list(&token(), at(now)).map_or(usize::MAX, |list| list.len())
    }

    #[test]
    fn an_entry_is_listed_until_its_ttl_ends() {
        let mut roster = roster();
        roster.apply(put(100));
        assert_eq!((listed(&roster, 109), listed(&roster, 110)), (1, 0));
        assert_eq!(roster.count(at(110)), (1, 0));
        assert_eq!(roster.unstored(at(109)), []);
        assert_eq!(roster.unstored(at(110)), [Change::Remove { token: token(), address: "10.0.0.1:2375".into() }]);
    }

    #[test]
    fn a_beat_renews_and_is_stored_later() {
        let mut roster = roster();
        assert_eq!(roster.renew(&token(), &address(), lease(100)), Renewal::Changes, "not there yet");
        roster.apply(put(100));
        assert_eq!(roster.renew(&token(), &address(), lease(105)), Renewal::Renewed);
        assert_eq!((listed(&roster, 114), listed(&roster, 115)), (1, 0));
        assert_eq!(roster.unstored(at(106)), [put(105)]);
        assert_eq!(roster.renew(&token(), &address(), lease(107)), Renewal::Renewed, "while 105 is being stored");
        roster.apply(put(105));
        assert_eq!(roster.unstored(at(108)), [put(107)], "the later beat stands and is still to be stored");
    }

    #[test]
    fn a_new_ttl_and_an_ended_entry_are_changes() {
        let mut roster = roster();
        roster.apply(put(100));
        let longer = Lease { ttl: 2 * TTL, beat: at(101) };
        assert_eq!(roster.renew(&token(), &address(), longer), Renewal::Changes);
        assert_eq!(roster.renew(&token(), &address(), lease(110)), Renewal::Changes);
        assert_eq!(roster.renew(&"other".parse().expect("a token"), &address(), longer), Renewal::UnknownCluster);
    }

    #[test]
    fn a_restored_entry_has_its_grace_and_no_more() {
        let mut roster = roster();
        assert!(roster.restore(&token(), "10.0.0.1:2375", lease(100), at(115)));
        assert_eq!((listed(&roster, 119), listed(&roster, 120)), (1, 0));
        assert!(!roster.restore(&token(), "10.0.0.2:2375", lease(90), at(115)));
        assert_eq!(
            roster.renew(&token(), &address(), lease(116)),
            Renewal::Changes,
            "the first beat is stored at once"
        );
        roster.apply(put(116));
        assert_eq!(roster.renew(&token(), &address(), lease(117)), Renewal::Renewed);
    }
}
