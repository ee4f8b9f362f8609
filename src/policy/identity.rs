//! Whether a node is the only one of its kind: two live hosts that claim one address, or one engine or one machine at two
//! addresses, are a mistake that hides one of them. The second one stays out.

use crate::model::{Moment, NodeAddress, NodeRecord, Recorded};
use std::fmt;
use std::time::Duration;

/// What the list says of us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uniqueness {
    /// Nobody has looked at the list yet.
    Unchecked,
    /// There is nobody else like us, or it can't be known.
    Unique,
    Duplicate(Duplicate),
}

/// Somebody was there before us. Reads after "not registered: ".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    pub kind: DuplicateKind,
    pub address: NodeAddress,
    pub other: NodeRecord,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DuplicateKind {
    /// Another machine has our address.
    Address,
    /// Our engine's id is at another address.
    Engine,
    /// Our machine's id is at another address.
    Node,
}

impl fmt::Display for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, address, other } = self;
        match kind {
            DuplicateKind::Address => write!(f, "{address} is registered by another machine already: {other}"),
            DuplicateKind::Engine => {
                write!(
                    f,
                    "an engine with this one's id is registered at {address} already: {other} (a cloned machine?)"
                )
            }
            DuplicateKind::Node => {
                write!(
                    f,
                    "a machine with this one's id is registered at {address} already: {other} (a cloned machine?)"
                )
            }
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    pub address: &'a NodeAddress,
    pub record: &'a NodeRecord,
    /// Whether our entry is in. Who is not in yet comes second, whatever the clocks say.
    pub joined: bool,
    /// Other addresses under which entries of ours are still in.
    pub former: &'a [NodeAddress],
}

pub fn judge(own: &Own<'_>, list: &[Recorded]) -> Option<Duplicate> {
    list.iter().find_map(|seen| {
        let kind = kind(own, seen)?;
        let first = !own.joined || before(&seen.record, own.record);
        first.then(|| Duplicate { kind, address: seen.address.clone(), other: seen.record.clone() })
    })
}

fn kind(own: &Own<'_>, seen: &Recorded) -> Option<DuplicateKind> {
    let (record, other) = (own.record, &seen.record);
    let same_node = record.node == other.node;
    if seen.address == *own.address {
        // ourselves, also from before a reboot
        return (!same_node).then_some(DuplicateKind::Address);
    }
    if own.former.contains(&seen.address) {
        None
    } else if !record.engine.is_empty() && record.engine == other.engine {
        // an engine that does not tell its id is like no other
        Some(DuplicateKind::Engine)
    } else {
        same_node.then_some(DuplicateKind::Node)
    }
}

/// One of two is first, and both see it alike.
fn before(one: &NodeRecord, other: &NodeRecord) -> bool {
    (&one.since, &one.node, &one.boot) < (&other.since, &other.node, &other.boot)
}

/// When to look at the list: before the first beat, soon after it (another one may have come at the same time), then
/// rarely; and slowly while there is somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looking {
    heartbeat: Duration,
    due: Moment,
}

/// The whole list costs more than a beat.
const RARELY: Duration = Duration::from_secs(600);
const SLOWLY: Duration = Duration::from_secs(60);
/// Pauses vary by a quarter, so that those who came together don't stay together.
const SPREAD: f64 = 0.25;

impl Looking {
    pub fn new(heartbeat: Duration, now: Moment) -> Self {
        Self { heartbeat, due: now }
    }

    pub fn due(&self) -> Moment {
        self.due
    }

    /// `jitter` is in `0.0..1.0`.
    #[must_use]
    pub fn looked(mut self, found: &Uniqueness, joined: bool, now: Moment, jitter: f64) -> Self {
        let pause = match found {
            Uniqueness::Duplicate(_) => self.heartbeat.max(SLOWLY),
            _ if joined => (self.heartbeat * 10).max(RARELY),
            _ => self.heartbeat,
        };
        self.due = now + pause.mul_f64(1.0 - SPREAD + 2.0 * SPREAD * jitter.clamp(0.0, 1.0));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(node: &str, engine: &str, since: &str) -> NodeRecord {
        NodeRecord {
            since: since.into(),
            node: node.into(),
            boot: format!("boot of {node}"),
            engine: engine.into(),
            version: "0.1.0".into(),
            hostname: node.into(),
        }
    }

    fn seen(address: &str, record: NodeRecord) -> Recorded {
        Recorded { address: address.parse().expect("an address"), record }
    }

    fn found(
        address: &str,
        own: &NodeRecord,
        joined: bool,
        former: &[&str],
        list: &[Recorded],
    ) -> Option<DuplicateKind> {
        let address: NodeAddress = address.parse().expect("an address");
        let former: Vec<NodeAddress> = former.iter().map(|text| text.parse().expect("an address")).collect();
        judge(&Own { address: &address, record: own, joined, former: &former }, list).map(|found| found.kind)
    }

    #[test]
    fn engines_that_tell_no_id_are_not_the_same() {
        let own = record("n1", "", "2026-11-26T08:00:05Z");
        let list = [seen("b:1", record("n2", "", "2026-11-26T08:00:00Z"))];
        assert_eq!(found("a:1", &own, false, &[], &list), None);
        let copy = [seen("b:1", record("n1", "", "2026-11-26T08:00:00Z"))];
        assert_eq!(found("a:1", &own, false, &[], &copy), Some(DuplicateKind::Node));
    }

    #[test]
    fn the_second_one_is_told_and_the_first_is_not() {
        use DuplicateKind::{Address, Engine, Node};
        let own = record("n1", "e1", "2026-11-26T08:00:05Z");
        let at = |address: &str, node: &str, engine: &str, since: &str| [seen(address, record(node, engine, since))];
        let (earlier, later) = ("2026-11-26T08:00:00Z", "2026-11-26T09:00:00Z");
        for (list, joined, former, kind) in [
            (at("a:1", "n2", "e2", earlier), true, &[][..], Some(Address)),
            (at("a:1", "n2", "e2", later), true, &[], None),
            (at("a:1", "n2", "e2", later), false, &[], Some(Address)),
            (at("a:1", "n1", "e9", earlier), false, &[], None),
            (at("b:1", "n2", "e1", earlier), true, &[], Some(Engine)),
            (at("b:1", "n1", "e2", earlier), true, &[], Some(Node)),
            (at("b:1", "n1", "e1", earlier), true, &["b:1"], None),
            (at("b:1", "n2", "e2", earlier), false, &[], None),
        ] {
            assert_eq!(found("a:1", &own, joined, former, &list), kind, "{list:?} {joined} {former:?}");
        }
    }

    proptest! {
        /// Of two nodes that are both in and clash, one stays.
        #[test]
        fn one_of_two_leaves(nodes in ("[ab]", "[ab]"), engines in ("[ab]", "[ab]"), times in ("[0-3]", "[0-3]"), one_address: bool) {
            let (a, b) = (record(&nodes.0, &engines.0, &times.0), record(&nodes.1, &engines.1, &times.1));
            let mut b = b;
            b.boot.push('2');
            let (here, there) = ("a:1", if one_address { "a:1" } else { "b:1" });
            let clash = if one_address { a.node != b.node } else { a.node == b.node || a.engine == b.engine };
            let leaves = [
                found(here, &a, true, &[], &[seen(there, b.clone())]).is_some(),
                found(there, &b, true, &[], &[seen(here, a.clone())]).is_some(),
            ];
            prop_assert_eq!(leaves.iter().filter(|leaves| **leaves).count(), usize::from(clash));
        }
    }

    #[test]
    fn looks_before_and_after_joining_then_rarely_and_slowly_at_another() {
        let now = Moment::default();
        let mut looking = Looking::new(Duration::from_secs(5), now);
        let mut pauses = Vec::new();
        let other = Duplicate {
            kind: DuplicateKind::Engine,
            address: "a:1".parse().expect("an address"),
            other: record("n", "e", ""),
        };
        for (found, joined) in [
            (Uniqueness::Unique, false),
            (Uniqueness::Unique, true),
            (Uniqueness::Duplicate(other), true),
            (Uniqueness::Unique, false),
        ] {
            looking = looking.looked(&found, joined, now, 0.5);
            pauses.push(looking.due().since(now).as_secs());
        }
        assert_eq!(pauses, [5, 600, 60, 5]);
    }
}
