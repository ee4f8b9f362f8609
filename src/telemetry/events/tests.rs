//! What holds for every kind of event.

mod catalog;

use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// One of each kind, with as little in it as there can be.
fn sparse() -> Vec<Event<'static>> {
    let (e, lasted) = ("", Duration::ZERO);
    vec![
        Event::Started { version: e, address: e, server: e },
        Event::Stopping { keeps_entry: true },
        Event::Failed { error: e },
        Event::Drained { by: e, reason: e, until: None },
        Event::Undrained { by: None },
        Event::Reloaded { changed: e, at_restart: e },
        Event::ReloadRejected { errors: 0 },
        Event::ConfigInvalid { place: e, key: e, message: e },
        Event::StateTrouble { path: e, error: e },
        Event::ApiFailed { path: e, error: e },
        Event::MetricsFailed { address: e, error: e },
        Event::LoopStale { name: e, limit: lasted },
        Event::LoopFresh { name: e },
        Event::TaskCutOff { name: e },
        Event::Registered { address: e, server: e },
        Event::Deregistered { address: e, server: e, reason: e },
        Event::DiscoveryFailing { server: e, failures: 0, lasted, error: e },
        Event::DiscoveryRecovered { server: e, failures: 0, lasted },
        Event::LeaseAtRisk { address: e, server: e, left: lasted },
        Event::LeaseExpired { address: e, server: e },
        Event::LeaveFailed { address: e, server: e, reason: e },
        Event::EntryAbandoned { address: e, reason: e },
        Event::Duplicate { address: e, reason: e },
        Event::DuplicateGone { address: e },
        Event::CredentialsUnusable { key: e, place: e, reason: e },
        Event::CredentialsUsable { key: e, place: e },
        Event::SecretExposed { key: e, server: e },
        Event::EngineWorking { unit: e, health: e },
        Event::EngineInDoubt { unit: e, health: e },
        Event::EngineNotWorking { unit: e, state: e, health: e },
        Event::ManagerLost { unit: e, reason: e },
        Event::ManagerBack { unit: e },
        Event::EngineDiagnosed { unit: e, condition: e, text: e },
        Event::RepairBegun { unit: e, condition: e, text: e, number: 0, budget: 0, incident: e },
        Event::RepairDone { unit: e, condition: e, text: e },
        Event::RepairCalledOff { unit: e, condition: e, text: e },
        Event::RepairFailed { unit: e, condition: e, text: e },
        Event::RepairRefused { unit: e, condition: e, why: e, text: e },
        Event::RepairWould { unit: e, condition: e, text: e },
        Event::RepairGivenUp { unit: e, condition: e, until: e, text: e },
        Event::BudgetReset { unit: e, forgotten: 0 },
        Event::AddressFound { address: e },
        Event::AddressMissing { reason: e },
        Event::AdvertisedUnreachable { address: e, finding: e },
        Event::AdvertisedReachable { address: e, finding: e },
        Event::HostingFailed { reason: e },
        Event::HostingRecovered,
        Event::ServerListening { address: e },
        Event::ServerStopping,
        Event::ServerExposed { address: e, reason: e },
        Event::CertificateRead { path: e },
        Event::CertificateKept { path: e, error: e },
        Event::StoreOpened { clusters: 0, nodes: 0 },
        Event::StoreFailing { error: e },
        Event::StoreRecovered,
        Event::AcceptFailing { place: e, error: e },
        Event::ClientCrowded { place: e, uid: 0 },
        Event::RequestsCutOff { place: e, count: 0 },
        Event::HeldBack { count: 0, lasted, kinds: e, now: e },
        Event::LogDropped { count: 0 },
        Event::LogLevelKept { error: e },
        Event::LibraryWarning { module: e, message: e },
    ]
}

/// Keeps the fields of the last entry, and its level.
#[derive(Clone, Default)]
struct Last(Arc<Mutex<BTreeMap<String, String>>>);

impl<S: tracing::Subscriber> Layer<S> for Last {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields(BTreeMap::from([("level".to_owned(), event.metadata().level().to_string())]));
        event.record(&mut fields);
        *self.0.lock().unwrap() = fields.0;
    }
}

struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

/// What `emit` makes of the event.
fn logged(event: &Event<'_>) -> BTreeMap<String, String> {
    let last = Last::default();
    tracing::subscriber::with_default(Registry::default().with(last.clone()), || emit(event));
    last.0.lock().unwrap().clone()
}

#[test]
fn each_kind_has_its_own_name_and_id() {
    let all = |of: fn(&Declared) -> &'static str| DECLARED.iter().map(of).collect::<BTreeSet<_>>();
    assert_eq!(all(|declared| declared.kind.name).len(), DECLARED.len());
    assert_eq!(all(|declared| declared.kind.id).len(), DECLARED.len());
    for Declared { kind, .. } in DECLARED {
        let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        assert!(kind.id.len() == 32 && kind.id.bytes().all(hex), "{kind:?}");
        assert!(kind.name.bytes().all(|c| c.is_ascii_lowercase() || c == b'-'), "{kind:?}");
        assert_eq!(Kind::named(kind.name), Some(kind));
    }
}

#[test]
fn an_entry_says_its_kind() {
    let events = sparse();
    let kinds: Vec<_> = events.iter().map(Event::kind).collect();
    assert_eq!(kinds, DECLARED.iter().map(|declared| declared.kind).collect::<Vec<_>>());
    for event in &events {
        let (kind, fields) = (event.kind(), logged(event));
        let level = match kind.level {
            Level::Critical | Level::Error => "ERROR",
            Level::Warning => "WARN",
            Level::Info => "INFO",
        };
        let expected = [("message_id", kind.id), ("swarm_agent_event", kind.name), ("level", level)];
        for (field, value) in expected {
            assert_eq!(fields.get(field).map(String::as_str), Some(value), "{event:?}");
        }
        assert_eq!(fields.get("message"), Some(&event.to_string()));
    }
}

#[test]
fn some_messages_have_two_sides() {
    let held = |count| Event::HeldBack {
        count,
        lasted: Duration::from_millis(600_400),
        kinds: "engine-not-working 17, registered 17",
        now: "not registered, engine failed",
    };
    for (event, message) in [
        (
            held(34),
            "34 entries were held back in the last 10m (engine-not-working 17, registered 17); now: not registered, engine failed",
        ),
        (
            held(1),
            "1 entry was held back in the last 10m (engine-not-working 17, registered 17); now: not registered, engine failed",
        ),
        (Event::Drained { by: "root", reason: "", until: None }, "drained by root until it is undrained"),
        (
            Event::Drained { by: "ann", reason: "new disk", until: Some("2026-11-26 06:00 UTC") },
            "drained by ann until 2026-11-26 06:00 UTC: new disk",
        ),
        (Event::Undrained { by: Some("ann") }, "undrained by ann"),
        (Event::Undrained { by: None }, "undrained: the time of the drain is over"),
        (Event::StoreOpened { clusters: 1, nodes: 3 }, "opened the store: 1 cluster, 3 nodes"),
        (
            Event::of_socket("/run/a.sock", &SocketTrouble::CutOff(1)),
            "cut off 1 connection to /run/a.sock that did not finish in time",
        ),
        (
            Event::of_socket("[::]:8970", &SocketTrouble::Accept("too many open files".to_owned())),
            "can't accept connections at [::]:8970: too many open files",
        ),
    ] {
        assert_eq!(event.to_string(), message);
    }
}
