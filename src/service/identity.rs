//! Keeps what is recorded of this node, and looks whether somebody else in the list claims to be it.

use super::Outlook;
use super::beat::Beat;
use super::clock::Clock;
use super::registrar::Site;
use crate::discovery::Scope;
use crate::model::moment::utc;
use crate::model::{AddressState, EngineHealth, HostIdentity, NodeAddress, NodeRecord, Standing};
use crate::policy::gate::Verdict;
use crate::policy::identity::{Looking, Own, Uniqueness, judge};
use crate::telemetry::{Event, emit};
use futures_util::future::BoxFuture;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

pub struct Identity {
    pub site: Site,
    pub host: HostIdentity,
    /// Without, everybody counts as unique.
    pub looks: bool,
    pub heartbeat: Duration,
    pub outlook: watch::Receiver<Outlook>,
    pub address: watch::Receiver<AddressState>,
    pub standing: watch::Receiver<Standing>,
    pub identified: watch::Sender<Identified>,
    pub beat: Beat,
    pub clock: Clock,
}

/// Who we are, and whether we are alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    /// The address that this is about.
    pub address: Option<NodeAddress>,
    /// None while the engine is not known, or if the machine has no id.
    pub record: Option<NodeRecord>,
    pub uniqueness: Uniqueness,
}

impl Identified {
    pub fn nobody() -> Self {
        Self { address: None, record: None, uniqueness: Uniqueness::Unchecked }
    }
}

/// What a look is about.
#[derive(Debug, Clone)]
struct Subject {
    address: NodeAddress,
    record: NodeRecord,
    looking: Looking,
    found: Uniqueness,
}

impl Subject {
    fn is_that_of(&self, other: &Self) -> bool {
        self.address == other.address && self.record == other.record
    }
}

/// A look under way.
struct Look {
    subject: Subject,
    /// What it finds, and whether our entry was in by then.
    outcome: BoxFuture<'static, (Uniqueness, bool)>,
}

impl Identity {
    pub async fn run(mut self, stop: CancellationToken) {
        let (mut subject, mut look): (Option<Subject>, Option<Look>) = (None, None);
        loop {
            self.beat.tick();
            subject = self.renewed(subject);
            self.publish(subject.as_ref());
            // not for each word of the engine: a list may take longer than those are apart
            look = look.filter(|look| subject.as_ref().is_some_and(|subject| subject.is_that_of(&look.subject)));
            let due = subject.as_ref().filter(|_| self.looks).map(|subject| subject.looking.due());
            if look.is_none() && due.is_some_and(|due| due <= self.clock.now()) {
                look = subject.clone().map(|subject| self.look(subject));
            }
            let turn = self.clock.next_turn();
            let wake = due.map_or(turn, |due| due.min(turn));
            // Cancel-safe: `changed` marks nothing seen until it returns, a look stays where it is, and a sleep holds no
            // state. A writer that ended is reported by whoever owns its task.
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Ok(()) = self.outlook.changed() => {}
                Ok(()) = self.address.changed() => {}
                (found, joined) = done(&mut look) => {
                    let (now, jitter) = (self.clock.now(), rand::random_range(0.0..1.0));
                    subject = look.take().map(|Look { subject, .. }| {
                        let looking = subject.looking.looked(&found, joined, now, jitter);
                        Subject { looking, found, ..subject }
                    });
                }
                () = sleep_until(self.clock.instant(wake)), if look.is_none() => {}
            }
        }
    }

    fn look(&self, subject: Subject) -> Look {
        let outcome = Box::pin(look(self.site.clone(), subject.clone(), self.standing.clone()));
        Look { subject, outcome }
    }

    /// What is known stays while the same engine is advertised under the same address.
    fn renewed(&mut self, subject: Option<Subject>) -> Option<Subject> {
        let outlook = self.outlook.borrow_and_update();
        let address = self.address.borrow_and_update().resolved().cloned();
        let subject =
            subject.filter(|known| outlook.verdict != Verdict::Closed && Some(&known.address) == address.as_ref());
        let EngineHealth::Healthy(info) = &outlook.health else { return subject };
        if outlook.verdict != Verdict::Open || subject.as_ref().is_some_and(|known| known.record.engine == info.id) {
            return subject;
        }
        let record = NodeRecord {
            since: utc(self.clock.date()).to_string(),
            node: self.host.node.clone(),
            boot: self.host.boot.clone(),
            engine: info.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            hostname: super::reporter::hostname(),
        };
        let found = if self.looks { Uniqueness::Unchecked } else { Uniqueness::Unique };
        let looking = Looking::new(self.heartbeat, self.clock.now());
        Some(Subject { address: address?, record, looking, found })
    }

    fn publish(&self, subject: Option<&Subject>) {
        let next = subject.map_or_else(Identified::nobody, |subject| Identified {
            address: Some(subject.address.clone()),
            record: Some(subject.record.clone()),
            uniqueness: subject.found.clone(),
        });
        self.identified.send_if_modified(|current| {
            let changed = *current != next;
            if changed {
                report(&current.uniqueness, &next);
                *current = next;
            }
            changed
        });
    }
}

/// Never, if there is none under way.
async fn done(look: &mut Option<Look>) -> (Uniqueness, bool) {
    match look {
        Some(look) => look.outcome.as_mut().await,
        None => std::future::pending().await,
    }
}

/// One look at the list. A list that can't be read says nothing: that the service is away is the registrar's to tell.
async fn look(site: Site, subject: Subject, standing: watch::Receiver<Standing>) -> (Uniqueness, bool) {
    let listed = site.backend.list(Scope::Records).await;
    let standing = standing.borrow();
    let joined = standing.status.registered() && standing.address.as_ref() == Some(&subject.address);
    let former: Vec<NodeAddress> =
        standing.replaces.iter().chain(&standing.address).filter(|held| **held != subject.address).cloned().collect();
    let own = Own { address: &subject.address, record: &subject.record, joined, former: &former };
    match listed {
        Ok(listing) => (judge(&own, &listing.records).map_or(Uniqueness::Unique, Uniqueness::Duplicate), joined),
        Err(error) => {
            tracing::debug!(%error, "the list was not read: whether this node is the only one of its kind is not known");
            let known = if subject.found == Uniqueness::Unchecked { Uniqueness::Unique } else { subject.found };
            (known, joined)
        }
    }
}

/// Transitions for the journal.
fn report(was: &Uniqueness, next: &Identified) {
    let address = next.address.as_ref().map(ToString::to_string).unwrap_or_default();
    match (was, &next.uniqueness) {
        (Uniqueness::Duplicate(was), Uniqueness::Duplicate(is)) if was == is => {}
        (_, Uniqueness::Duplicate(found)) => {
            emit(&Event::Duplicate { address: &address, reason: &found.to_string() });
        }
        (Uniqueness::Duplicate(_), Uniqueness::Unique) => emit(&Event::DuplicateGone { address: &address }),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EngineInfo, Recorded, RegistrationStatus};
    use crate::service::beat::Beats;
    use crate::service::tests::fakes::{Mood, World};
    use tokio::time::sleep;

    struct Running {
        world: World,
        outlooks: watch::Sender<Outlook>,
        addresses: watch::Sender<AddressState>,
        standings: watch::Sender<Standing>,
        identified: watch::Receiver<Identified>,
    }

    impl Running {
        fn start(looks: bool) -> Self {
            let (world, clock) = (World::new(Mood::Well), Clock::of_loops());
            let (outlooks, outlook) = watch::channel(outlook(Verdict::Open));
            let (addresses, address) = watch::channel(AddressState::Resolved(address("10.0.0.5:1")));
            let (standings, standing) = watch::channel(Standing::none());
            let (sender, identified) = watch::channel(Identified::nobody());
            let identity = Identity {
                site: world.site(),
                host: HostIdentity { node: "n1".into(), boot: "b1".into() },
                looks,
                heartbeat: Duration::from_secs(5),
                outlook,
                address,
                standing,
                identified: sender,
                beat: Beats::new(clock).add("identity"),
                clock,
            };
            tokio::spawn(identity.run(CancellationToken::new()));
            Self { world, outlooks, addresses, standings, identified }
        }

        async fn found(&self, after: u64) -> String {
            sleep(Duration::from_secs(after)).await;
            match &self.identified.borrow().uniqueness {
                Uniqueness::Duplicate(found) => found.to_string(),
                other => format!("{other:?}"),
            }
        }

        fn list(&self, entries: &[(&str, &str, &str)]) {
            let record = |node: &str, engine: &str| NodeRecord {
                since: "2000-01-01T00:00:00Z".into(),
                node: node.into(),
                boot: String::new(),
                engine: engine.into(),
                version: String::new(),
                hostname: "db2".into(),
            };
            let recorded = |(at, node, engine): &(&str, &str, &str)| Recorded {
                address: address(at),
                record: record(node, engine),
            };
            *self.world.records.lock().unwrap() = entries.iter().map(recorded).collect();
        }
    }

    fn address(text: &str) -> NodeAddress {
        text.parse().unwrap()
    }

    fn outlook(verdict: Verdict) -> Outlook {
        let info = EngineInfo { id: "e1".into(), version: "20".into(), containers_running: 0, ..EngineInfo::default() };
        let health = if verdict == Verdict::Open { EngineHealth::Healthy(info) } else { EngineHealth::Stopped };
        Outlook { verdict, health }
    }

    #[tokio::test(start_paused = true)]
    async fn another_machine_with_the_address_is_found_before_the_first_beat_and_when_it_has_gone() {
        let node = Running::start(true);
        node.list(&[("10.0.0.5:1", "n2", "e2")]);
        assert_eq!(node.found(1).await, "10.0.0.5:1 is registered by another machine already: host db2");
        let record = node.identified.borrow().record.clone().expect("a record");
        assert_eq!((record.node.as_str(), record.engine.as_str()), ("n1", "e1"));
        node.list(&[("10.0.0.6:1", "n2", "e2")]);
        assert_eq!(node.found(80).await, "Unique");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_came_at_the_same_time_is_found_soon_after_and_former_entries_are_ours() {
        let node = Running::start(true);
        node.list(&[("10.0.0.4:1", "n1", "e1")]);
        let (here, there) = (Some(address("10.0.0.5:1")), Some(address("10.0.0.4:1")));
        let standing = |status| Standing { address: here.clone(), replaces: there.clone(), status, why: None };
        node.standings.send_replace(standing(RegistrationStatus::Joining { error: None }));
        assert_eq!(node.found(1).await, "Unique");
        node.standings.send_replace(standing(RegistrationStatus::Present));
        node.list(&[("10.0.0.9:1", "n3", "e1")]);
        let said = node.found(7).await;
        assert!(said.starts_with("an engine with this one's id is registered at 10.0.0.9:1 already"), "{said}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_address_and_a_new_engine_are_looked_at_anew() {
        let node = Running::start(true);
        assert_eq!(node.found(1).await, "Unique");
        node.list(&[("10.0.0.7:1", "n2", "e2")]);
        node.addresses.send_replace(AddressState::Resolved(address("10.0.0.7:1")));
        assert_eq!(node.found(1).await, "10.0.0.7:1 is registered by another machine already: host db2");
        node.outlooks.send_replace(outlook(Verdict::Closed));
        assert_eq!(node.found(1).await, "Unchecked");
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_whose_containers_come_and_go_does_not_cut_the_look_off() {
        let node = Running::start(true);
        *node.world.mood.lock().unwrap() = Mood::Slow;
        for containers_running in 0..20 {
            let info =
                EngineInfo { id: "e1".into(), version: "20".into(), containers_running, ..EngineInfo::default() };
            node.outlooks.send_replace(Outlook { verdict: Verdict::Open, health: EngineHealth::Healthy(info) });
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(node.found(0).await, "Unique");
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_can_not_be_read_keeps_nobody_out_and_who_does_not_look_sees_nobody() {
        let node = Running::start(true);
        *node.world.mood.lock().unwrap() = Mood::Slow;
        node.list(&[("10.0.0.5:1", "n2", "e2")]);
        assert_eq!(node.found(16).await, "Unique");
        *node.world.mood.lock().unwrap() = Mood::Well;
        assert!(node.found(10).await.contains("db2"), "it is looked at again soon");
        *node.world.mood.lock().unwrap() = Mood::Slow;
        assert!(node.found(200).await.contains("db2"), "an outage changes nothing");

        let node = Running::start(false);
        node.list(&[("10.0.0.5:1", "n2", "e2")]);
        assert_eq!(node.found(100).await, "Unique");
    }
}
