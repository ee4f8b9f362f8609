//! What should be in the discovery service, from everything that has a say in it.

use crate::model::{AddressState, AdvertiseCheck, Drain, Finding, NodeAddress, Reach};
use crate::policy::gate::Verdict;

/// The address to register if the verdict is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub verdict: Verdict,
    pub address: Option<NodeAddress>,
    /// Why it is not open although the engine may work; reads after "not registered: ".
    pub why: Option<String>,
}

/// The operator's word, then the engine's verdict, then the address, then the proof that it leads to the engine.
pub fn wish(
    drain: Option<&Drain>,
    engine: Verdict,
    address: &AddressState,
    check: AdvertiseCheck,
    reach: Option<&Reach>,
) -> Wish {
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
            let wish = wish(None, engine, state, check, reach.as_ref());
            assert_eq!((wish.verdict, wish.why.as_deref()), (verdict, why), "{engine:?} {state:?} {check:?} {reach:?}");
        }
    }
    #[test]
    fn a_drained_node_leaves_whatever_else_is_true() {
        let drain = Drain { since: std::time::SystemTime::UNIX_EPOCH, until: None, reason: None, by: "root".into() };
        let here = AddressState::Resolved(address("10.0.0.5:1"));
        for engine in [Closed, Open, Undecided] {
            for state in [&here, &AddressState::Unknown] {
                let wish = wish(Some(&drain), engine, state, Warn, None);
                assert_eq!((wish.verdict, wish.why.as_deref()), (Closed, Some("drained by root")));
            }
        }
    }
}
