//! Who is in which cluster, in memory: what every list is answered from.

use super::cluster::{Cluster, Unstored};
use super::refusal::Refusal;
use crate::model::{Moment, NodeAddress, NodeRecord, Token};
use crate::policy::lease::Lease;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;

/// All clusters. It only ever shows what is in the store, but for the beats of entries: those are
/// kept here and stored in bundles, since a lost beat is covered by the grace after a restart. But
/// only one such loss in a row is: the first beat after a restart is stored at once. Marks of drained
/// nodes are nowhere else: their agents put them up anew with every heartbeat.
#[derive(Debug, Default)]
pub struct Roster {
    clusters: BTreeMap<Token, Numbered>,
    /// How many clusters there were, gone ones included.
    made: u64,
}

/// No two have the same number, so that a cluster that is made again does not pass for the one before.
#[derive(Debug)]
struct Numbered {
    number: u64,
    cluster: Cluster,
}

/// That a node is drained. An entry of the same address hides it while it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub reason: Option<Box<str>>,
    pub lease: Lease,
}

/// A node as it is listed with its record.
pub type Recorded = (Box<str>, Option<NodeRecord>);

/// A drained node as it is listed: its address, and the reason.
pub type Drained = (Box<str>, Option<Box<str>>);

/// Which list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Of the entries.
    Active,
    /// Of the drained nodes, too.
    All,
}

/// Which of its states a list is in: as long as that is the same, so is the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    pub cluster: u64,
    pub changes: u64,
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
        let Some(cluster) = self.cluster_mut(token) else { return Renewal::UnknownCluster };
        cluster.renew(&address.to_string(), lease)
    }

    /// The addresses listed now, sorted; `None` if there is no such cluster.
    pub fn list(&self, token: &Token, now: Moment) -> Option<Vec<Box<str>>> {
        self.cluster(token).map(|cluster| cluster.list(now))
    }

    /// The nodes that are drained now and not listed, sorted, with the reason; `None` if there is no such cluster.
    pub fn drained(&self, token: &Token, now: Moment) -> Option<Vec<Drained>> {
        self.cluster(token).map(|cluster| cluster.drained(now))
    }

    /// The state in which the list is now, and when it leaves it by itself at the earliest.
    pub fn standing(&mut self, token: &Token, view: View, now: Moment) -> Option<(Standing, Moment)> {
        let Numbered { number, cluster } = self.clusters.get_mut(token)?;
        let (changes, due) = cluster.standing(view, now);
        Some((Standing { cluster: *number, changes }, due))
    }

    /// Rings when there may be another standing, or an earlier end of it. It breaks when the cluster goes.
    pub fn bell(&mut self, token: &Token) -> Option<watch::Receiver<()>> {
        self.cluster_mut(token).map(Cluster::bell)
    }

    /// Puts a mark up, in place of the address's last one.
    pub fn mark(&mut self, token: &Token, address: &NodeAddress, mark: Mark) -> Result<(), Refusal> {
        self.cluster_mut(token).ok_or(Refusal::UnknownCluster)?.mark(&address.to_string(), mark)
    }

    /// Who the node behind an entry is.
    pub fn record(&mut self, token: &Token, address: &NodeAddress, record: NodeRecord) {
        if let Some(cluster) = self.cluster_mut(token) {
            cluster.record(&address.to_string(), record);
        }
    }

    /// The addresses listed now, sorted, and who is behind them; `None` if there is no such cluster.
    pub fn recorded(&mut self, token: &Token, now: Moment) -> Option<Vec<Recorded>> {
        self.cluster_mut(token).map(|cluster| cluster.recorded(now))
    }

    /// Whether the entry is there and recorded for another node than this one.
    pub fn is_anothers(&self, token: &Token, address: &NodeAddress, node: &str, now: Moment) -> bool {
        let cluster = self.clusters.get(token).map(|numbered| &numbered.cluster);
        let record = cluster.and_then(|cluster| cluster.record_of(&address.to_string(), now));
        record.is_some_and(|record| record.node != node)
    }

    /// Forgets the marks that ended, and who was behind entries that are gone.
    pub fn sweep(&mut self, now: Moment) {
        self.clusters.values_mut().for_each(|numbered| numbered.cluster.sweep(now));
    }

    /// Makes a committed change visible.
    pub fn apply(&mut self, change: Change, now: Moment) {
        match change {
            Change::AddCluster(token) => self.add(token),
            Change::DropCluster(token) => drop(self.clusters.remove(&token)),
            Change::Put { token, address, lease } => {
                if let Some(cluster) = self.cluster_mut(&token) {
                    cluster.put(address, lease, now);
                }
            }
            Change::Remove { token, address } => {
                if let Some(cluster) = self.cluster_mut(&token) {
                    cluster.remove(&address, now);
                }
            }
        }
    }

    /// Takes an entry from the store; `false` if it has used up its grace.
    pub fn restore(&mut self, token: &Token, address: &str, lease: Lease, resumed: Moment) -> bool {
        let (Some(expiry), Some(cluster)) = (lease.restored_expiry(resumed), self.cluster_mut(token)) else {
            return false;
        };
        cluster.restore(address, lease, expiry);
        true
    }

    /// What the store does not know yet: entries that ended, and beats.
    pub fn unstored(&self, now: Moment) -> Vec<Change> {
        let change = |token: &Token, address, unstored| {
            let token = token.clone();
            match unstored {
                Unstored::End => Change::Remove { token, address },
                Unstored::Beat(lease) => Change::Put { token, address, lease },
            }
        };
        let of_cluster = |(token, numbered): (_, &Numbered)| {
            let unstored = numbered.cluster.unstored(now);
            unstored.map(|(address, unstored)| change(token, address, unstored)).collect::<Vec<_>>()
        };
        self.clusters.iter().flat_map(of_cluster).collect()
    }

    pub fn shortest_ttl(&self) -> Option<Duration> {
        self.each().flat_map(Cluster::ttls).min()
    }

    /// Clusters, and entries listed now.
    pub fn count(&self, now: Moment) -> (usize, usize) {
        (self.clusters.len(), self.each().map(|cluster| cluster.count(now)).sum())
    }

    /// How many entries and marks a cluster holds, expired ones that were not swept yet included.
    pub fn cluster_size(&self, token: &Token) -> Option<usize> {
        self.cluster(token).map(Cluster::size)
    }

    pub fn clusters(&self) -> usize {
        self.clusters.len()
    }

    /// Whether the address has an entry, or a mark that a new entry would replace.
    pub fn holds(&self, token: &Token, address: &str) -> bool {
        self.cluster(token).is_some_and(|cluster| cluster.knows(address))
    }

    fn add(&mut self, token: Token) {
        self.made += 1;
        self.clusters.entry(token).or_insert(Numbered { number: self.made, cluster: Cluster::default() });
    }

    fn cluster(&self, token: &Token) -> Option<&Cluster> {
        self.clusters.get(token).map(|numbered| &numbered.cluster)
    }

    fn cluster_mut(&mut self, token: &Token) -> Option<&mut Cluster> {
        self.clusters.get_mut(token).map(|numbered| &mut numbered.cluster)
    }

    fn each(&self) -> impl Iterator<Item = &Cluster> {
        self.clusters.values().map(|numbered| &numbered.cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery_server::limits;

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
        roster.apply(Change::AddCluster(token()), at(0));
        roster
    }

    fn listed(roster: &Roster, now: u64) -> usize {
        roster.list(&token(), at(now)).map_or(usize::MAX, |list| list.len())
    }

    #[test]
    fn an_entry_is_listed_until_its_ttl_ends() {
        let mut roster = roster();
        roster.apply(put(100), at(100));
        assert_eq!((listed(&roster, 109), listed(&roster, 110)), (1, 0));
        assert_eq!(roster.count(at(110)), (1, 0));
        assert_eq!(roster.unstored(at(109)), []);
        assert_eq!(roster.unstored(at(110)), [Change::Remove { token: token(), address: "10.0.0.1:2375".into() }]);
    }

    #[test]
    fn a_beat_renews_and_is_stored_later() {
        let mut roster = roster();
        assert_eq!(roster.renew(&token(), &address(), lease(100)), Renewal::Changes, "not there yet");
        roster.apply(put(100), at(100));
        assert_eq!(roster.renew(&token(), &address(), lease(105)), Renewal::Renewed);
        assert_eq!((listed(&roster, 114), listed(&roster, 115)), (1, 0));
        assert_eq!(roster.unstored(at(106)), [put(105)]);
        assert_eq!(roster.renew(&token(), &address(), lease(107)), Renewal::Renewed, "while 105 is being stored");
        roster.apply(put(105), at(105));
        assert_eq!(roster.unstored(at(108)), [put(107)], "the later beat stands and is still to be stored");
    }

    #[test]
    fn a_new_ttl_and_an_ended_entry_are_changes() {
        let mut roster = roster();
        roster.apply(put(100), at(100));
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
        roster.apply(put(116), at(116));
        assert_eq!(roster.renew(&token(), &address(), lease(117)), Renewal::Renewed);
    }

    fn mark(reason: &str, beat: u64) -> Mark {
        Mark { reason: Some(reason.into()), lease: lease(beat) }
    }

    /// The reasons of the marks that a list of all shows.
    fn reasons(roster: &Roster, now: u64) -> Vec<String> {
        let drained = roster.drained(&token(), at(now)).expect("the cluster");
        drained.into_iter().filter_map(|(_, reason)| reason.map(Into::into)).collect()
    }

    #[test]
    fn a_mark_is_shown_until_its_ttl_ends_and_the_last_one_counts() {
        let mut roster = roster();
        assert_eq!(roster.mark(&token(), &address(), mark("a", 100)), Ok(()));
        assert_eq!(roster.mark(&token(), &address(), mark("b", 105)), Ok(()));
        assert_eq!((reasons(&roster, 114), reasons(&roster, 115)), (vec!["b".to_owned()], vec![]));
        assert_eq!((listed(&roster, 106), roster.count(at(106))), (0, (1, 0)), "it is no entry");
        assert_eq!((roster.unstored(at(200)), roster.shortest_ttl()), (vec![], None), "nothing of it is stored");
        roster.sweep(at(114));
        assert_eq!(roster.cluster_size(&token()), Some(1));
        roster.sweep(at(115));
        assert_eq!(roster.cluster_size(&token()), Some(0));
        let unknown = "other".parse().expect("a token");
        assert_eq!(roster.mark(&unknown, &address(), mark("a", 100)), Err(Refusal::UnknownCluster));
        assert_eq!(roster.drained(&unknown, at(100)), None);
    }

    #[test]
    fn an_entry_hides_a_mark_until_it_goes() {
        let mut roster = roster();
        roster.apply(put(100), at(100));
        assert_eq!(roster.mark(&token(), &address(), mark("a", 105)), Ok(()));
        assert_eq!((listed(&roster, 109), reasons(&roster, 109).len()), (1, 0));
        assert_eq!((listed(&roster, 110), reasons(&roster, 110).len()), (0, 1), "the entry ended");
        roster.apply(Change::Remove { token: token(), address: "10.0.0.1:2375".into() }, at(106));
        assert_eq!(reasons(&roster, 106), ["a"], "the entry was taken out");
    }

    #[test]
    fn a_registration_takes_a_mark_down_and_storing_an_older_beat_does_not() {
        let mut roster = roster();
        roster.apply(put(100), at(100));
        assert_eq!(roster.renew(&token(), &address(), lease(102)), Renewal::Renewed);
        let unstored = roster.unstored(at(103));
        assert_eq!(roster.mark(&token(), &address(), mark("a", 104)), Ok(()));
        unstored.into_iter().for_each(|change| roster.apply(change, at(104)));
        assert_eq!(roster.cluster_size(&token()), Some(2), "the mark is there still");
        assert_eq!(roster.renew(&token(), &address(), lease(105)), Renewal::Renewed);
        assert_eq!(roster.cluster_size(&token()), Some(1), "a beat is a registration");
        assert_eq!(roster.mark(&token(), &address(), mark("a", 114)), Ok(()));
        roster.apply(put(116), at(116));
        assert_eq!((listed(&roster, 116), roster.cluster_size(&token())), (1, Some(1)), "and so is a new entry");
    }

    #[test]
    fn a_full_cluster_drains_its_own_nodes_and_takes_them_back() {
        let mut roster = roster();
        for n in 1..limits::ENTRIES {
            let node = format!("n{n}:1").parse().expect("an address");
            assert_eq!(roster.mark(&token(), &node, mark("a", 100)), Ok(()));
        }
        roster.apply(put(100), at(100));
        let other = "other:1".parse().expect("an address");
        assert_eq!(roster.mark(&token(), &other, mark("a", 100)), Err(Refusal::ClusterFull));
        assert_eq!(roster.mark(&token(), &address(), mark("a", 101)), Ok(()));
        assert!(roster.holds(&token(), "n1:1"), "a plan lets it in again");
    }

    #[test]
    fn a_cluster_that_is_made_again_has_another_standing() {
        let mut roster = roster();
        let before = roster.standing(&token(), View::Active, at(1)).expect("the cluster").0;
        let mut bell = roster.bell(&token()).expect("the cluster");
        roster.apply(Change::DropCluster(token()), at(2));
        assert!(bell.has_changed().is_err(), "it broke");
        assert_eq!(roster.standing(&token(), View::Active, at(2)), None);
        roster.apply(Change::AddCluster(token()), at(3));
        let after = roster.standing(&token(), View::Active, at(3)).expect("the cluster").0;
        assert_eq!((before.changes, after.changes), (0, 0));
        assert_ne!(before, after);
        roster.apply(Change::AddCluster(token()), at(4));
        let again = roster.standing(&token(), View::Active, at(4)).expect("the cluster").0;
        assert_eq!(after, again, "it was there already");
        bell = roster.bell(&token()).expect("the cluster");
        assert_eq!(bell.has_changed().ok(), Some(false));
    }
}
