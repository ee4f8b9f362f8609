//! What should be in the discovery service, from everything that has a say in it.

use crate::model::{AddressState, AdvertiseCheck, Drain, Finding, NodeAddress, Reach};
use crate::policy::gate::Verdict;
use crate::policy::identity::Uniqueness;

/// The address to register if the verdict is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub verdict: Verdict,
    pub address: Option<NodeAddress>,
    /// Why it is not open although the engine may work; reads after "not registered: ".
    pub why: Option<String>,
}

/// What is known.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    pub drain: Option<&'a Drain>,
    pub engine: Verdict,
    pub address: &'a AddressState,
    pub check: AdvertiseCheck,
    pub reach: Option<&'a Reach>,
    /// What the list says of the address.
    pub uniqueness: &'a Uniqueness,
}

/// The operator's word, then the engine's verdict, then the address, then the proof that it leads to the engine, then the
/// list: another node may claim to be this one.
pub fn wish(known: &Known<'_>) -> Wish {
    let wish = alone(known);
    match (wish.verdict, known.uniqueness) {
        (Verdict::Open, Uniqueness::Duplicate(found)) => {
            Wish { verdict: Verdict::Closed, why: Some(found.to_string()), ..wish }
        }
        (Verdict::Open, Uniqueness::Unchecked) => Wish { verdict: Verdict::Undecided, ..wish },
        _ => wish,
    }
}

/// As if there were no other node.
fn alone(known: &Known<'_>) -> Wish {
    let Known { drain, engine, address, check, reach, .. } = *known;
    let not_open = |verdict, why| Wish { verdict, address: address.resolved().cloned(), why };
    if let Some(drain) = drain {
        return not_open(Verdict::Closed, Some(drain.to_string()));
    }
    if engine == Verdict::Closed {
        return not_open(engine, None);
    }
    let resolved = match address {
        AddressState::Resolved(resolved) => resolved,
        AddressState::Unknown => return not_open(Verdict::Undecided, None),
        // an entry from before is as wrong as a new one
        state => return not_open(Verdict::Closed, Some(state.to_string())),
    };
    if engine == Verdict::Undecided || check != AdvertiseCheck::Require {
        return not_open(engine, None);
    }
    match reach.filter(|reach| reach.address == *resolved).map(|reach| &reach.finding) {
        Some(Finding::Proved) => not_open(Verdict::Open, None),
        Some(finding) => not_open(Verdict::Closed, Some(finding.to_string())),
        None => not_open(Verdict::Undecided, Some("the advertised address is not proved yet".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NodeRecord;
    use crate::policy::identity::{Duplicate, DuplicateKind};
    use AdvertiseCheck::{Off, Require, Warn};
    use Verdict::{Closed, Open, Undecided};

    fn address(text: &str) -> NodeAddress {
        text.parse().unwrap()
    }

    #[test]
    fn opens_only_when_all_agree() {
        let here = AddressState::Resolved(address("10.0.0.5:1"));
        let missing = AddressState::Missing("gone".into());
        let reach = |text: &str, finding| Some(Reach { address: address(text), finding });
        let proved = reach("10.0.0.5:1", Finding::Proved);
        let other = reach("10.0.0.6:1", Finding::Proved);
        let refused = reach("10.0.0.5:1", Finding::Unreachable("refused".into()));
        let tls = reach("10.0.0.5:1", Finding::Unproven("TLS".into()));
        for (engine, state, check, reach, verdict, why) in [
            (Closed, &here, Warn, &None, Closed, None),
            (Closed, &missing, Require, &refused, Closed, None),
            (Undecided, &here, Require, &refused, Undecided, None),
            (Undecided, &missing, Warn, &None, Closed, Some("gone")),
            (Open, &AddressState::Unknown, Warn, &None, Undecided, None),
            (Open, &missing, Off, &None, Closed, Some("gone")),
            (Open, &here, Warn, &None, Open, None),
            (Open, &here, Warn, &refused, Open, None),
            (Open, &here, Off, &refused, Open, None),
            (Open, &here, Require, &proved, Open, None),
            (Open, &here, Require, &other, Undecided, Some("the advertised address is not proved yet")),
            (Open, &here, Require, &None, Undecided, Some("the advertised address is not proved yet")),
            (Open, &here, Require, &refused, Closed, Some("advertised address unreachable: refused")),
            (Open, &here, Require, &tls, Closed, Some("advertised address not proved: TLS")),
        ] {
            let uniqueness = &Uniqueness::Unique;
            let known = Known { drain: None, engine, address: state, check, reach: reach.as_ref(), uniqueness };
            let wish = wish(&known);
            assert_eq!((wish.verdict, wish.why.as_deref()), (verdict, why), "{engine:?} {state:?} {check:?} {reach:?}");
        }
    }

    #[test]
    fn waits_for_the_list_and_yields_to_whoever_is_in_it() {
        let here = AddressState::Resolved(address("10.0.0.5:1"));
        let other = NodeRecord {
            since: String::new(),
            node: String::new(),
            boot: String::new(),
            engine: String::new(),
            version: String::new(),
            hostname: "db2".into(),
        };
        let duplicate = Duplicate { kind: DuplicateKind::Address, address: address("10.0.0.5:1"), other };
        let why = "10.0.0.5:1 is registered by another machine already: host db2";
        for (engine, uniqueness, verdict, why) in [
            (Open, Uniqueness::Unchecked, Undecided, None),
            (Open, Uniqueness::Duplicate(duplicate.clone()), Closed, Some(why)),
            (Closed, Uniqueness::Duplicate(duplicate), Closed, None),
            (Undecided, Uniqueness::Unchecked, Undecided, None),
        ] {
            let uniqueness = &uniqueness;
            let wish = wish(&Known { drain: None, engine, address: &here, check: Warn, reach: None, uniqueness });
            assert_eq!((wish.verdict, wish.why.as_deref()), (verdict, why), "{uniqueness:?}");
        }
    }

    #[test]
    fn a_drained_node_leaves_whatever_else_is_true() {
        let drain = Drain { since: std::time::SystemTime::UNIX_EPOCH, until: None, reason: None, by: "root".into() };
        let here = AddressState::Resolved(address("10.0.0.5:1"));
        for engine in [Closed, Open, Undecided] {
            for state in [&here, &AddressState::Unknown] {
                let (drain, uniqueness) = (Some(&drain), &Uniqueness::Unique);
                let wish = wish(&Known { drain, engine, address: state, check: Warn, reach: None, uniqueness });
                assert_eq!((wish.verdict, wish.why.as_deref()), (Closed, Some("drained by root")));
            }
        }
    }
}
