//! One cluster in memory: its entries, its marks of drained nodes, and how often what is listed of them changed.
//!
//! Whoever asks for the list gets its `Standing` with it, and learns by comparing two of them whether anything changed
//! in between. Beats change nothing that is listed, so that they change no standing. An entry that ends does, at the
//! moment at which it ends: with every change, and before every standing is read, those that ended since the last time
//! are counted.

use super::limits;
use super::refusal::Refusal;
use super::roster::{Drained, Mark, Renewal, View};
use crate::model::{Moment, NodeRecord};
use crate::policy::lease::Lease;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;

/// Keyed by the address as it is listed, so that lists come out sorted.
#[derive(Debug)]
pub struct Cluster {
    entries: BTreeMap<Box<str>, Entry>,
    marks: BTreeMap<Box<str>, Mark>,
    /// Who the nodes say they are; not stored, for the next beat says it again.
    records: BTreeMap<Box<str>, NodeRecord>,
    /// Changes of the list of entries, and of the list that has drained nodes, too.
    active: u64,
    all: u64,
    /// Up to here every ending is counted.
    settled: Moment,
    /// Nothing that is not counted ends earlier than this. Most beats leave it as it is, so it is often too early.
    due: Moment,
    /// Rung when there may be another standing or an earlier due. None: nobody listened when it was rung last.
    bell: Option<watch::Sender<()>>,
}

#[derive(Debug)]
struct Entry {
    lease: Lease,
    /// The beat that is in the store.
    stored: Moment,
    expiry: Moment,
    /// Lives on its grace: it has not beaten since the restart.
    restored: bool,
}

/// What a list of all says of one address.
#[derive(PartialEq, Eq)]
enum Shown {
    Nothing,
    Active,
    Drained(Option<Box<str>>),
}

/// What has to be stored of an entry.
#[derive(Debug, PartialEq, Eq)]
pub enum Unstored {
    Beat(Lease),
    End,
}

const NEVER: Moment = Moment::after_origin(Duration::MAX);

impl Default for Cluster {
    fn default() -> Self {
        let (entries, marks, records) = Default::default();
        Self { entries, marks, records, active: 0, all: 0, settled: Moment::default(), due: NEVER, bell: None }
    }
}

impl Entry {
    fn lives(&self, now: Moment) -> bool {
        self.expiry > now
    }

    fn unstored(&self, now: Moment) -> Option<Unstored> {
        if !self.lives(now) {
            Some(Unstored::End)
        } else if self.lease.beat != self.stored {
            Some(Unstored::Beat(self.lease))
        } else {
            None
        }
    }
}

impl Cluster {
    /// The number of changes that it has seen, and the time up to which it stays so if nobody does anything.
    pub fn standing(&mut self, view: View, now: Moment) -> (u64, Moment) {
        self.settle(now);
        let changes = match view {
            View::Active => self.active,
            View::All => self.all,
        };
        (changes, self.due)
    }

    /// Hears of everything from now on that may change a standing or make it end earlier.
    pub fn bell(&mut self) -> watch::Receiver<()> {
        self.bell.get_or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    /// The addresses that are listed now, sorted.
    pub fn list(&self, now: Moment) -> Vec<Box<str>> {
        self.entries.iter().filter(|(_, entry)| entry.lives(now)).map(|(address, _)| address.clone()).collect()
    }

    /// The nodes that are drained now and not listed, sorted.
    pub fn drained(&self, now: Moment) -> Vec<Drained> {
        let shown = self.marks.keys().filter_map(|address| match self.shown(address, now) {
            Shown::Drained(reason) => Some((address.clone(), reason)),
            _ => None,
        });
        shown.collect()
    }

    /// Renews an entry that lives, has beaten in this process and keeps its ttl. A mark that goes with it was hidden.
    pub fn renew(&mut self, address: &str, lease: Lease) -> Renewal {
        match self.entries.get_mut(address) {
            Some(entry) if !entry.restored && entry.lives(lease.beat) && entry.lease.ttl == lease.ttl => {
                entry.lease = lease;
                entry.expiry = lease.expiry();
                self.unmark(address, lease.beat);
                Renewal::Renewed
            }
            _ => Renewal::Changes,
        }
    }

    /// A beat that came while this one was being stored stands.
    pub fn put(&mut self, address: Box<str>, lease: Lease, now: Moment) {
        self.change(&address.clone(), now, |cluster| {
            cluster.unmark(&address, lease.beat);
            match cluster.entries.get_mut(&address) {
                Some(entry) if entry.lease.ttl == lease.ttl && entry.lease.beat >= lease.beat => {
                    entry.stored = lease.beat;
                }
                _ => {
                    let entry = Entry { lease, stored: lease.beat, expiry: lease.expiry(), restored: false };
                    cluster.entries.insert(address, entry);
                    cluster.ends(lease.expiry());
                }
            }
        });
    }

    pub fn remove(&mut self, address: &str, now: Moment) {
        self.change(address, now, |cluster| {
            cluster.entries.remove(address);
        });
        self.records.remove(address);
    }

    /// Takes an entry from the store. Nobody has asked for the list yet.
    pub fn restore(&mut self, address: &str, lease: Lease, expiry: Moment) {
        self.entries.insert(address.into(), Entry { lease, stored: lease.beat, expiry, restored: true });
        self.ends(expiry);
    }

    /// One for an address that the cluster knows is always taken, so that a full cluster can drain its nodes.
    pub fn mark(&mut self, address: &str, mark: Mark) -> Result<(), Refusal> {
        if !self.knows(address) && self.size() >= limits::ENTRIES {
            return Err(Refusal::ClusterFull);
        }
        self.change(address, mark.lease.beat, |cluster| {
            cluster.ends(mark.lease.expiry());
            cluster.marks.insert(address.into(), mark);
        });
        Ok(())
    }

    /// Who the node behind an entry is. It changes no list.
    pub fn record(&mut self, address: &str, record: NodeRecord) {
        if self.entries.contains_key(address) {
            self.records.insert(address.into(), record);
        }
    }

    /// Of an entry that lives.
    pub fn record_of(&self, address: &str, now: Moment) -> Option<&NodeRecord> {
        self.entries.get(address).filter(|entry| entry.lives(now)).and_then(|_| self.records.get(address))
    }

    /// The same as [`list`](Self::list), each with its record if there is one.
    pub fn recorded(&self, now: Moment) -> Vec<(Box<str>, Option<NodeRecord>)> {
        let named = |address: Box<str>| {
            let record = self.records.get(&address).cloned();
            (address, record)
        };
        self.list(now).into_iter().map(named).collect()
    }

    /// Forgets the marks that ended, and who was behind entries that are gone.
    pub fn sweep(&mut self, now: Moment) {
        self.settle(now);
        self.marks.retain(|_, mark| mark.lease.expiry() > now);
        self.records.retain(|address, _| self.entries.contains_key(address));
    }

    pub fn ttls(&self) -> impl Iterator<Item = Duration> {
        self.entries.values().map(|entry| entry.lease.ttl)
    }

    /// What the store does not know yet, each with its address.
    pub fn unstored(&self, now: Moment) -> impl Iterator<Item = (Box<str>, Unstored)> {
        self.entries.iter().filter_map(move |(address, entry)| Some((address.clone(), entry.unstored(now)?)))
    }

    pub fn count(&self, now: Moment) -> usize {
        self.entries.values().filter(|entry| entry.lives(now)).count()
    }

    pub fn knows(&self, address: &str) -> bool {
        self.entries.contains_key(address) || self.marks.contains_key(address)
    }

    /// An address with an entry and a mark counts twice.
    pub fn size(&self) -> usize {
        self.entries.len() + self.marks.len()
    }

    /// A node that registers is not drained any more. A mark that was put up after the beat stands: beats are
    /// stored later than they come.
    fn unmark(&mut self, address: &str, beat: Moment) {
        if self.marks.get(address).is_some_and(|mark| mark.lease.beat <= beat) {
            self.marks.remove(address);
        }
    }

    fn shown(&self, address: &str, now: Moment) -> Shown {
        if self.entries.get(address).is_some_and(|entry| entry.lives(now)) {
            return Shown::Active;
        }
        match self.marks.get(address) {
            Some(mark) if mark.lease.expiry() > now => Shown::Drained(mark.reason.clone()),
            _ => Shown::Nothing,
        }
    }

    /// Does what concerns one address, and counts it if something else is shown after it.
    fn change(&mut self, address: &str, now: Moment, work: impl FnOnce(&mut Self)) {
        self.settle(now);
        let before = self.shown(address, now);
        work(self);
        let after = self.shown(address, now);
        if before != after {
            self.count_change(before == Shown::Active || after == Shown::Active);
        }
    }

    /// Counts what ended since the last time.
    fn settle(&mut self, now: Moment) {
        let since = std::mem::replace(&mut self.settled, now);
        if now < self.due {
            return;
        }
        let ended = |expiry: Moment| since < expiry && expiry <= now;
        let entry = self.entries.values().any(|entry| ended(entry.expiry));
        // one that ended behind an entry was not shown
        let bare = |address, end| self.entries.get(address).is_none_or(|entry| entry.expiry < end);
        let mark = self.marks.iter().map(|(address, mark)| (address, mark.lease.expiry()));
        let mark = mark.filter(|(_, end)| ended(*end)).any(|(address, end)| bare(address, end));
        self.due = self.next_end(now);
        if entry || mark {
            self.count_change(entry);
        }
    }

    fn next_end(&self, now: Moment) -> Moment {
        let entries = self.entries.values().map(|entry| entry.expiry);
        let marks = self.marks.values().map(|mark| mark.lease.expiry());
        entries.chain(marks).filter(|end| *end > now).min().unwrap_or(NEVER)
    }

    /// Something ends then: who waits for the first ending must not wait for a later one.
    fn ends(&mut self, end: Moment) {
        if end < self.due {
            self.due = end;
            self.ring();
        }
    }

    fn count_change(&mut self, of_entries: bool) {
        self.active += u64::from(of_entries);
        self.all += 1;
        self.ring();
    }

    fn ring(&mut self) {
        self.bell.take_if(|bell| bell.send(()).is_err());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TTL: Duration = Duration::from_secs(10);
    const A: &str = "10.0.0.1:2375";
    const B: &str = "10.0.0.2:2375";

    fn at(seconds: u64) -> Moment {
        Moment::after_origin(Duration::from_secs(seconds))
    }

    fn lease(beat: u64) -> Lease {
        Lease { ttl: TTL, beat: at(beat) }
    }

    fn mark(reason: &str, beat: u64) -> Mark {
        Mark { reason: Some(reason.into()), lease: lease(beat) }
    }

    /// Changes of the list of entries, and of the list of all.
    fn changes(cluster: &mut Cluster, now: u64) -> (u64, u64) {
        (cluster.standing(View::Active, at(now)).0, cluster.standing(View::All, at(now)).0)
    }

    fn due(cluster: &mut Cluster, now: u64) -> Moment {
        cluster.standing(View::Active, at(now)).1
    }

    fn with(entries: &[(&str, u64)]) -> Cluster {
        let mut cluster = Cluster::default();
        for (address, beat) in entries {
            cluster.put((*address).into(), lease(*beat), at(*beat));
        }
        cluster
    }

    #[test]
    fn an_entry_counts_when_it_comes_and_when_it_goes() {
        let mut cluster = with(&[(A, 100)]);
        assert_eq!(changes(&mut cluster, 100), (1, 1));
        cluster.put(B.into(), lease(101), at(101));
        assert_eq!(changes(&mut cluster, 101), (2, 2));
        cluster.remove(A, at(102));
        assert_eq!(changes(&mut cluster, 102), (3, 3));
        cluster.remove(A, at(103));
        assert_eq!(changes(&mut cluster, 103), (3, 3), "it was not there");
    }

    #[test]
    fn a_beat_counts_nothing_and_rings_nothing() {
        let mut cluster = with(&[(A, 100)]);
        let bell = cluster.bell();
        for beat in 101..109 {
            assert_eq!(cluster.renew(A, lease(beat)), Renewal::Renewed);
            cluster.put(A.into(), lease(beat), at(beat));
        }
        assert_eq!(changes(&mut cluster, 109), (1, 1));
        let longer = Lease { ttl: 2 * TTL, beat: at(109) };
        cluster.put(A.into(), longer, at(109));
        assert_eq!(changes(&mut cluster, 109), (1, 1), "nor does another ttl");
        assert_eq!(bell.has_changed().ok(), Some(false));
    }

    #[test]
    fn the_first_beat_after_a_restart_counts_nothing() {
        let mut cluster = Cluster::default();
        cluster.restore(A, lease(100), at(120));
        assert_eq!(due(&mut cluster, 110), at(120));
        cluster.put(A.into(), lease(111), at(111));
        assert_eq!(changes(&mut cluster, 111), (0, 0));
        assert_eq!(changes(&mut cluster, 121), (1, 1), "its end does");
    }

    #[test]
    fn an_ending_counts_once_whoever_notices_it_first() {
        let mut cluster = with(&[(A, 100)]);
        assert_eq!((changes(&mut cluster, 109), changes(&mut cluster, 110)), ((1, 1), (2, 2)));
        assert_eq!(changes(&mut cluster, 111), (2, 2));
        cluster.remove(A, at(112));
        assert_eq!(changes(&mut cluster, 112), (2, 2), "the store heard of it later");
        let mut unwatched = with(&[(A, 100)]);
        unwatched.remove(A, at(112));
        assert_eq!(changes(&mut unwatched, 112), (2, 2), "nobody asked between the ending and its storing");
        let mut back = with(&[(A, 100)]);
        back.put(A.into(), lease(115), at(115));
        assert_eq!(changes(&mut back, 115), (3, 3), "it went and came");
    }

    #[test]
    fn an_entry_that_took_longer_to_store_than_it_lives_was_never_there() {
        let mut cluster = with(&[]);
        cluster.put(A.into(), lease(100), at(111));
        assert_eq!(changes(&mut cluster, 112), (0, 0));
        assert_eq!(cluster.list(at(112)).len(), 0);
    }

    #[test]
    fn the_due_is_never_after_the_next_ending() {
        let mut cluster = with(&[(A, 100), (B, 103)]);
        assert_eq!(due(&mut cluster, 103), at(110));
        assert_eq!(cluster.renew(A, lease(105)), Renewal::Renewed);
        assert_eq!(due(&mut cluster, 106), at(110), "beats leave it too early");
        assert_eq!(due(&mut cluster, 110), at(113));
        let mut bell = cluster.bell();
        let shorter = Lease { ttl: Duration::from_secs(1), beat: at(111) };
        cluster.put(A.into(), shorter, at(111));
        assert_eq!(changes(&mut cluster, 111), (2, 2));
        assert!(bell.has_changed().is_ok_and(|rung| rung), "whoever waits has to know that it is sooner");
        bell.mark_unchanged();
        assert_eq!(due(&mut cluster, 111), at(112));
        assert_eq!((changes(&mut cluster, 112), due(&mut cluster, 112)), ((3, 3), at(113)));
        assert_eq!((changes(&mut cluster, 113), due(&mut cluster, 113)), ((4, 4), NEVER));
    }

    #[test]
    fn a_mark_counts_for_lists_of_all_and_only_if_it_says_something_new() {
        let mut cluster = with(&[(A, 100)]);
        let marked = |cluster: &mut Cluster, address, mark: Mark, now| {
            assert_eq!(cluster.mark(address, mark), Ok(()));
            changes(cluster, now)
        };
        assert_eq!(marked(&mut cluster, B, mark("x", 101), 101), (1, 2));
        assert_eq!(marked(&mut cluster, B, mark("x", 102), 102), (1, 2), "it was repeated");
        assert_eq!(marked(&mut cluster, B, mark("y", 103), 103), (1, 3));
        assert_eq!(marked(&mut cluster, A, mark("z", 104), 104), (1, 3), "it is behind an entry");
        assert_eq!(changes(&mut cluster, 110), (2, 4), "now it is not");
        assert_eq!(changes(&mut cluster, 113), (2, 5), "the first mark ended");
        cluster.sweep(at(120));
        assert_eq!(changes(&mut cluster, 120), (2, 6), "and the second, when it was swept");
    }

    #[test]
    fn a_mark_that_ends_behind_an_entry_counts_nothing() {
        let mut cluster = with(&[(A, 100)]);
        assert_eq!(cluster.mark(A, mark("x", 101)), Ok(()));
        // the mark is younger than this beat, and stays
        cluster.put(A.into(), Lease { ttl: 3 * TTL, beat: at(100) }, at(102));
        assert_eq!((changes(&mut cluster, 111), cluster.size()), ((1, 1), 2));
        assert_eq!(due(&mut cluster, 112), at(130));
    }

    #[test]
    fn a_registration_of_a_drained_node_counts_once_for_both_lists() {
        let mut cluster = with(&[]);
        assert_eq!(cluster.mark(A, mark("x", 100)), Ok(()));
        cluster.put(A.into(), lease(101), at(101));
        assert_eq!(changes(&mut cluster, 101), (1, 2));
    }

    #[test]
    fn a_bell_that_nobody_hears_is_taken_down() {
        let mut cluster = with(&[]);
        let bell = cluster.bell();
        cluster.put(A.into(), lease(100), at(100));
        assert!(bell.has_changed().is_ok_and(|rung| rung) && cluster.bell.is_some());
        drop(bell);
        cluster.remove(A, at(101));
        assert!(cluster.bell.is_none());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Beat(u8, u64),
        Mark(u8, u8),
        Remove(u8),
        Sweep,
        Nothing,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..3u8, 1..6u64).prop_map(|(node, ttl)| Step::Beat(node, ttl)),
            2 => (0..3u8, 0..2u8).prop_map(|(node, reason)| Step::Mark(node, reason)),
            1 => (0..3u8).prop_map(Step::Remove),
            1 => Just(Step::Sweep),
            4 => Just(Step::Nothing),
        ]
    }

    impl Step {
        fn take(self, cluster: &mut Cluster, now: u64) {
            match self {
                Self::Beat(node, ttl) => {
                    let lease = Lease { ttl: Duration::from_secs(ttl), beat: at(now) };
                    if cluster.renew(&node.to_string(), lease) == Renewal::Changes {
                        cluster.put(node.to_string().into(), lease, at(now));
                    }
                }
                Self::Mark(node, reason) => {
                    let lease = Lease { ttl: Duration::from_secs(3), beat: at(now) };
                    let reason = Some(reason.to_string().into());
                    assert_eq!(cluster.mark(&node.to_string(), Mark { reason, lease }), Ok(()));
                }
                Self::Remove(node) => cluster.remove(&node.to_string(), at(now)),
                Self::Sweep => cluster.sweep(at(now)),
                Self::Nothing => {}
            }
        }
    }

    proptest! {
        /// Whoever looks at any times sees another standing if the list is another, is told of it by the bell or the
        /// due, and sees the same one over steps that changed nothing.
        #[test]
        fn another_list_is_another_standing(steps in prop::collection::vec((step(), 0..3u64, any::<bool>()), 1..60)) {
            let mut cluster = Cluster::default();
            let mut bell = cluster.bell();
            let mut now = 0;
            let look = |cluster: &mut Cluster, now| {
                let all = (cluster.list(at(now)), cluster.drained(at(now)));
                (changes(cluster, now), due(cluster, now), all)
            };
            let mut seen = look(&mut cluster, now);
            let mut quiet = true;
            for (step, pause, looks) in steps {
                let before = (cluster.list(at(now)), cluster.drained(at(now)));
                now += pause;
                step.take(&mut cluster, now);
                quiet &= before == (cluster.list(at(now)), cluster.drained(at(now))) && pause == 0;
                if !looks {
                    continue;
                }
                let rung = bell.has_changed().unwrap();
                bell.mark_unchanged();
                let next = look(&mut cluster, now);
                prop_assert!(next.0.0 != seen.0.0 || next.2.0 == seen.2.0, "active {seen:?} {next:?}");
                prop_assert!(next.0.1 != seen.0.1 || next.2 == seen.2, "all {seen:?} {next:?}");
                prop_assert!(next.0 == seen.0 || rung || at(now) >= seen.1, "nobody was told: {seen:?} {next:?}");
                prop_assert!(next.0 == seen.0 || !quiet, "for nothing: {seen:?} {next:?}");
                // reading the standing rings, too, and whoever reads it needs no bell
                bell.mark_unchanged();
                (seen, quiet) = (next, true);
            }
        }
    }
}
