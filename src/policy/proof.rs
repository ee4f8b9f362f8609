//! When to ask the advertised address, and what to make of the answers.

use crate::model::{Answer, Finding, Moment, NodeAddress, ReachFault};
use std::time::Duration;

/// Between two questions while all is well.
const INTERVAL: Duration = Duration::from_secs(300);
/// Between two while it is not, so that an opened port is soon seen.
const BAD_INTERVAL: Duration = Duration::from_secs(30);
/// Before what was good counts as bad, it is asked again after this.
const SECOND_OPINION: Duration = Duration::from_secs(5);

const WANTS_TLS: &str = "it seems to want TLS; set engine.tls-ca to the engine's CA and, if it has --tlsverify, \
                         engine.tls-cert and engine.tls-key to a client certificate";

/// What is known of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    address: NodeAddress,
    finding: Option<Finding>,
    doubted: bool,
    due: Moment,
}

impl Proof {
    pub fn new(address: NodeAddress, now: Moment) -> Self {
        Self { address, finding: None, doubted: false, due: now }
    }

    pub fn address(&self) -> &NodeAddress {
        &self.address
    }

    /// None before the first answer.
    pub fn finding(&self) -> Option<&Finding> {
        self.finding.as_ref()
    }

    /// When to ask.
    pub fn due(&self) -> Moment {
        self.due
    }

    /// The engine has come back, maybe with other ports.
    pub fn again(self, now: Moment) -> Self {
        Self { due: now, ..self }
    }

    pub fn answered(mut self, finding: Finding, now: Moment) -> Self {
        let was_good = self.finding.as_ref().is_some_and(|finding| !finding.is_bad());
        if finding.is_bad() && was_good && !self.doubted {
            (self.doubted, self.due) = (true, now + SECOND_OPINION);
            return self;
        }
        self.due = now + if finding.is_bad() { BAD_INTERVAL } else { INTERVAL };
        self.doubted = false;
        self.finding = Some(finding);
        self
    }
}

/// What an answer proves of the engine whose own socket shows the ID `own`.
///
/// Only that ID is proof.
pub fn judge(answer: Result<Answer, ReachFault>, own: &str) -> Finding {
    match answer {
        Ok(Answer::Engine { id }) if !id.is_empty() && id == own => Finding::Proved,
        Ok(Answer::Engine { id }) if id.is_empty() || own.is_empty() => {
            Finding::Unproven("an engine answers without its ID".to_owned())
        }
        Ok(Answer::Engine { .. }) => Finding::Foreign("another engine".to_owned()),
        Ok(Answer::NoEngine) => Finding::Foreign("something that is no engine".to_owned()),
        Ok(Answer::NoPlainHttp) => Finding::Unproven(WANTS_TLS.to_owned()),
        Ok(Answer::Status(status)) if status < 500 => Finding::Unproven(format!("it answers {status} to /info")),
        Ok(Answer::Status(status)) => Finding::Unreachable(format!("it answers {status} to /info")),
        Err(ReachFault::Files(fault)) => Finding::Unasked(fault.to_string()),
        Err(fault) => Finding::Unreachable(fault.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{TlsFault, TlsFileFault, TlsFileProblem};

    fn at(seconds: u64) -> Moment {
        Moment::after_origin(Duration::from_secs(seconds))
    }

    fn refused() -> Finding {
        Finding::Unreachable("refused".into())
    }

    #[test]
    fn the_first_answer_counts_and_a_bad_one_is_asked_again_soon() {
        let proof = Proof::new("10.0.0.5:1".parse().unwrap(), at(7));
        assert_eq!((proof.due(), proof.finding()), (at(7), None));
        let proof = proof.answered(refused(), at(10));
        assert_eq!((proof.due(), proof.finding()), (at(40), Some(&refused())));
        let proof = proof.answered(Finding::Proved, at(40));
        assert_eq!((proof.due(), proof.finding()), (at(340), Some(&Finding::Proved)));
    }

    #[test]
    fn only_the_same_id_is_proof() {
        let engine = |id: &str| Ok(Answer::Engine { id: id.into() });
        let refused = Err(ReachFault::Connect("connection refused".into()));
        let wrong = Err(ReachFault::Tls(TlsFault::Alert("no protocol".into())));
        let problem = TlsFileProblem::Missing;
        let unread = Err(ReachFault::Files(TlsFileFault { setting: "engine.tls-ca", path: "/ca.pem".into(), problem }));
        let wants_tls = "advertised address not proved: it seems to want TLS; set engine.tls-ca to the engine's CA and, \
                         if it has --tlsverify, engine.tls-cert and engine.tls-key to a client certificate";
        for (answer, own, said) in [
            (engine("AB"), "AB", "advertised address proved"),
            (engine("CD"), "AB", "advertised address answers as another engine"),
            (engine(""), "", "advertised address not proved: an engine answers without its ID"),
            (engine("AB"), "", "advertised address not proved: an engine answers without its ID"),
            (Ok(Answer::NoEngine), "AB", "advertised address answers as something that is no engine"),
            (Ok(Answer::NoPlainHttp), "AB", wants_tls),
            (Ok(Answer::Status(400)), "AB", "advertised address not proved: it answers 400 to /info"),
            (Ok(Answer::Status(403)), "AB", "advertised address not proved: it answers 403 to /info"),
            (Ok(Answer::Status(502)), "AB", "advertised address unreachable: it answers 502 to /info"),
            (refused, "AB", "advertised address unreachable: connection refused"),
            (wrong, "AB", "advertised address unreachable: it refuses TLS with us (no protocol)"),
            (unread, "AB", "advertised address can't be asked: /ca.pem (engine.tls-ca) does not exist"),
        ] {
            assert_eq!(judge(answer, own).to_string(), said);
        }
    }

    #[test]
    fn one_lost_packet_does_not_make_a_good_address_bad() {
        for good in [Finding::Proved, Finding::Unproven("TLS".into())] {
            let proof = Proof::new("10.0.0.5:1".parse().unwrap(), at(0)).answered(good.clone(), at(0));
            let once = proof.answered(refused(), at(300));
            assert_eq!((once.due(), once.finding()), (at(305), Some(&good)));
            assert_eq!(once.clone().answered(good.clone(), at(305)).due(), at(605));
            assert_eq!(once.answered(refused(), at(305)).finding(), Some(&refused()));
        }
    }
}
