//! Asks the advertised address, as another host would, whether this host's engine answers there.

use super::Outlook;
use super::beat::Beat;
use super::clock::Clock;
use crate::engine::Door;
use crate::model::{AddressState, EngineHealth, Finding, NodeAddress, Reach};
use crate::policy::gate::Verdict;
use crate::policy::proof::{Proof, judge};
use crate::telemetry::{Event, emit};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

pub struct Verifier {
    pub door: Arc<dyn Door>,
    pub outlook: watch::Receiver<Outlook>,
    pub address: watch::Receiver<AddressState>,
    pub reach: watch::Sender<Option<Reach>>,
    pub beat: Beat,
    pub clock: Clock,
}

/// Who should answer, and where.
type Question = (NodeAddress, String);

impl Verifier {
    pub async fn run(mut self, stop: CancellationToken) {
        let mut proof: Option<Proof> = None;
        let mut answerable = false;
        loop {
            self.beat.tick();
            let now = self.clock.now();
            let question = self.question();
            proof = self.keep(proof).or_else(|| question.as_ref().map(|(at, _)| Proof::new(at.clone(), now)));
            if question.is_some() && !answerable {
                proof = proof.map(|proof| proof.again(now));
            }
            answerable = question.is_some();
            self.publish(proof.as_ref());
            let due = proof.as_ref().map(Proof::due).filter(|_| question.is_some());
            let asked = question.filter(|_| due.is_some_and(|at| at <= now));
            let turn = self.clock.next_turn();
            let wake = due.map_or(turn, |at| at.min(turn));
            // Cancel-safe: `changed` marks nothing seen until it returns, a question that is cut off is asked
            // again, and a sleep holds no state.
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = self.outlook.changed() => if changed.is_err() { return },
                changed = self.address.changed() => if changed.is_err() { return },
                finding = ask(&*self.door, asked.as_ref()), if asked.is_some() => {
                    proof = proof.map(|proof| proof.answered(finding, self.clock.now()));
                }
                () = sleep_until(self.clock.instant(wake)), if asked.is_none() => {}
            }
        }
    }

    /// Asked only while the engine answers on its socket: otherwise nobody can answer for it.
    fn question(&mut self) -> Option<Question> {
        let outlook = self.outlook.borrow_and_update();
        let address = self.address.borrow_and_update().resolved().cloned();
        match &outlook.health {
            EngineHealth::Healthy(info) if outlook.verdict == Verdict::Open => Some((address?, info.id.clone())),
            _ => None,
        }
    }

    /// What is known stays while the engine is advertised under the same address.
    fn keep(&self, proof: Option<Proof>) -> Option<Proof> {
        let open = self.outlook.borrow().verdict != Verdict::Closed;
        let address = self.address.borrow();
        proof.filter(|proof| open && address.resolved() == Some(proof.address()))
    }

    fn publish(&self, proof: Option<&Proof>) {
        let found = |proof: &Proof| {
            proof.finding().map(|finding| Reach { address: proof.address().clone(), finding: finding.clone() })
        };
        let next = proof.and_then(found);
        self.reach.send_if_modified(|current| {
            let changed = *current != next;
            if changed {
                report(current.as_ref(), next.as_ref());
                *current = next;
            }
            changed
        });
    }
}

async fn ask(door: &dyn Door, question: Option<&Question>) -> Finding {
    let Some((address, own)) = question else { return std::future::pending().await };
    judge(door.knock(address).await, own)
}

/// Transitions for the journal.
fn report(old: Option<&Reach>, new: Option<&Reach>) {
    let Some(new) = new else { return };
    let (address, said) = (new.address.to_string(), new.finding.to_string());
    let was = old.map(|old| &old.finding);
    match &new.finding {
        finding if finding.is_bad() => {
            // another reason is another thing to mend
            if was != Some(finding) {
                emit(&Event::AdvertisedUnreachable { address: &address, finding: &said });
            }
        }
        Finding::Proved if was.is_none() => tracing::debug!(address, "{said}"),
        _ => emit(&Event::AdvertisedReachable { address: &address, finding: &said }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Answer, EngineInfo, ReachFault};
    use crate::service::beat::Beats;
    use crate::service::tests::fakes::Street;
    use std::sync::Mutex;
    use std::time::Duration;
    use tokio::time::sleep;

    fn outlook(verdict: Verdict) -> Outlook {
        let info = EngineInfo { id: "AB".into(), version: "20".into(), containers_running: 0, ..EngineInfo::default() };
        let health = if verdict == Verdict::Open { EngineHealth::Healthy(info) } else { EngineHealth::Stopped };
        Outlook { verdict, health }
    }

    fn refused() -> Result<Answer, ReachFault> {
        Err(ReachFault::Connect("refused".into()))
    }

    #[tokio::test(start_paused = true)]
    async fn asks_while_the_engine_works_and_forgets_when_it_leaves() {
        let street = Arc::new(Street(Mutex::new((refused(), 0))));
        let clock = Clock::of_loops();
        let (outlooks, outlook_seen) = watch::channel(Outlook::undecided());
        let (addresses, address) = watch::channel(AddressState::Unknown);
        let (reach, seen) = watch::channel(None);
        let beat = Beats::new(clock).add("verifier");
        let door: Arc<dyn Door> = street.clone();
        let verifier = Verifier { door, outlook: outlook_seen, address, reach, beat, clock };
        tokio::spawn(verifier.run(CancellationToken::new()));
        let said = || seen.borrow().as_ref().map(|reach| format!("{} {}", reach.address, reach.finding.name()));
        let asked = || street.0.lock().unwrap().1;

        outlooks.send_replace(outlook(Verdict::Open));
        sleep(Duration::from_secs(60)).await;
        assert_eq!((said(), asked()), (None, 0), "no address, no question");
        addresses.send_replace(AddressState::Resolved("10.0.0.5:1".parse().unwrap()));
        sleep(Duration::from_secs(1)).await;
        assert_eq!((said().as_deref(), asked()), (Some("10.0.0.5:1 unreachable"), 1));
        street.0.lock().unwrap().0 = Ok(Answer::Engine { id: "AB".into() });
        sleep(Duration::from_secs(31)).await;
        assert_eq!((said().as_deref(), asked()), (Some("10.0.0.5:1 proved"), 2));
        sleep(Duration::from_secs(290)).await;
        assert_eq!(asked(), 2, "rarely while all is well");

        street.0.lock().unwrap().0 = refused();
        addresses.send_replace(AddressState::Resolved("10.0.0.6:1".parse().unwrap()));
        sleep(Duration::from_secs(1)).await;
        assert_eq!((said().as_deref(), asked()), (Some("10.0.0.6:1 unreachable"), 3));
        outlooks.send_replace(outlook(Verdict::Closed));
        sleep(Duration::from_secs(100)).await;
        assert_eq!((said(), asked()), (None, 3));
    }
}
