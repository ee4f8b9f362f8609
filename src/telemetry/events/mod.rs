//! Every event that the journal can hold, in one place: what it carries (here), its MESSAGE_ID, level and catalog text
//! (`kinds`), its words (`message`), its journal fields (`fields`). Transitions are events; a successful heartbeat is none.

mod fields;
mod kind;
mod kinds;
mod message;

pub use kind::{DECLARED, Declared, Kind, Level, Text};

/// The name under which everything goes that libraries log.
pub(super) const LIBRARY_WARNING: &str = kinds::journal::LIBRARY_WARNING.kind.name;

use crate::model::SocketTrouble;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    Started {
        version: &'a str,
        address: &'a str,
        server: &'a str,
    },
    Stopping {
        keeps_entry: bool,
    },
    /// `swarm-agent drain`; an empty reason is none, and without `until` it lasts until it is undone.
    Drained {
        by: &'a str,
        reason: &'a str,
        until: Option<&'a str>,
    },
    /// By somebody, or because its time is over.
    Undrained {
        by: Option<&'a str>,
    },
    Registered {
        address: &'a str,
        server: &'a str,
    },
    Deregistered {
        address: &'a str,
        server: &'a str,
        reason: &'a str,
    },
    DiscoveryFailing {
        server: &'a str,
        failures: u32,
        lasted: Duration,
        error: &'a str,
    },
    DiscoveryRecovered {
        server: &'a str,
        failures: u32,
        lasted: Duration,
    },
    LeaseAtRisk {
        address: &'a str,
        server: &'a str,
        left: Duration,
    },
    LeaseExpired {
        address: &'a str,
        server: &'a str,
    },
    /// The entry could not be taken out.
    LeaveFailed {
        address: &'a str,
        server: &'a str,
        reason: &'a str,
    },
    /// An entry of a former process, which is not ours to take out, or at a place that this version can't read.
    EntryAbandoned {
        address: &'a str,
        reason: &'a str,
    },
    /// A file with a certificate or a secret was replaced by one of no use.
    CredentialsUnusable {
        key: &'a str,
        place: &'a str,
        reason: &'a str,
    },
    CredentialsUsable {
        key: &'a str,
        place: &'a str,
    },
    /// In plain text, to a service on another host.
    SecretExposed {
        key: &'a str,
        server: &'a str,
    },
    EngineWorking {
        unit: &'a str,
        health: &'a str,
    },
    EngineNotWorking {
        unit: &'a str,
        state: &'a str,
        health: &'a str,
    },
    /// Another node in the list claims to be this one, and was there before.
    Duplicate {
        address: &'a str,
        reason: &'a str,
    },
    DuplicateGone {
        address: &'a str,
    },
    EngineInDoubt {
        unit: &'a str,
        health: &'a str,
    },
    /// The address to advertise is known (again), or another one.
    AddressFound {
        address: &'a str,
    },
    AddressMissing {
        reason: &'a str,
    },
    /// Nobody answers at the advertised address, or somebody else, or nobody can be asked.
    AdvertisedUnreachable {
        address: &'a str,
        finding: &'a str,
    },
    /// Somebody answers (again), and it is not known to be somebody else.
    AdvertisedReachable {
        address: &'a str,
        finding: &'a str,
    },
    ManagerLost {
        unit: &'a str,
        reason: &'a str,
    },
    ManagerBack {
        unit: &'a str,
    },
    LoopStale {
        name: &'a str,
        limit: Duration,
    },
    LoopFresh {
        name: &'a str,
    },
    /// A task did not end in time.
    TaskCutOff {
        name: &'a str,
    },
    /// The configuration was read anew and is in force.
    Reloaded {
        changed: &'a str,
        at_restart: &'a str,
    },
    /// The old settings stay.
    ReloadRejected {
        errors: usize,
    },
    /// The agent's own discovery server can't serve.
    HostingFailed {
        reason: &'a str,
    },
    HostingRecovered,
    /// The local socket can't be listened on.
    ApiFailed {
        path: &'a str,
        error: &'a str,
    },
    /// The metrics can't be served at that address.
    MetricsFailed {
        address: &'a str,
        error: &'a str,
    },
    /// A discovery server takes requests.
    ServerListening {
        address: &'a str,
    },
    ServerStopping,
    /// Others reach a server that does without what would keep strangers out.
    ServerExposed {
        address: &'a str,
        reason: &'a str,
    },
    /// Other TLS files are in use from now on.
    CertificateRead {
        path: &'a str,
    },
    /// Other TLS files are there, and of no use.
    CertificateKept {
        path: &'a str,
        error: &'a str,
    },
    StoreOpened {
        clusters: usize,
        nodes: usize,
    },
    StoreFailing {
        error: &'a str,
    },
    StoreRecovered,
    /// At one of our sockets.
    AcceptFailing {
        place: &'a str,
        error: &'a str,
    },
    ClientCrowded {
        place: &'a str,
        uid: u32,
    },
    RequestsCutOff {
        place: &'a str,
        count: usize,
    },
    ConfigInvalid {
        place: &'a str,
        key: &'a str,
        message: &'a str,
    },
    StateTrouble {
        path: &'a str,
        error: &'a str,
    },
    LogDropped {
        count: u64,
    },
    /// What was not logged because there was too much of it, and the status in its place.
    /// The condition is a word.
    EngineDiagnosed {
        unit: &'a str,
        condition: &'a str,
        text: &'a str,
    },
    RepairBegun {
        unit: &'a str,
        condition: &'a str,
        text: &'a str,
        number: usize,
        budget: usize,
        /// Its folder.
        incident: &'a str,
    },
    RepairDone {
        unit: &'a str,
        condition: &'a str,
        text: &'a str,
    },
    /// Something else came first; nothing was done.
    RepairCalledOff {
        unit: &'a str,
        condition: &'a str,
        text: &'a str,
    },
    RepairFailed {
        unit: &'a str,
        condition: &'a str,
        text: &'a str,
    },
    /// `why` is a word.
    RepairRefused {
        unit: &'a str,
        condition: &'a str,
        why: &'a str,
        text: &'a str,
    },
    RepairWould {
        unit: &'a str,
        condition: &'a str,
        text: &'a str,
    },
    RepairGivenUp {
        unit: &'a str,
        condition: &'a str,
        until: &'a str,
        text: &'a str,
    },
    BudgetReset {
        unit: &'a str,
        forgotten: usize,
    },
    HeldBack {
        count: u32,
        lasted: Duration,
        kinds: &'a str,
        now: &'a str,
    },
    LogLevelKept {
        error: &'a str,
    },
    /// Something that is not ours logged a warning or an error.
    LibraryWarning {
        module: &'a str,
        message: &'a str,
    },
    Failed {
        error: &'a str,
    },
}

impl<'a> Event<'a> {
    /// Trouble with a socket of ours, at this place.
    pub fn of_socket(place: &'a str, trouble: &'a SocketTrouble) -> Self {
        match trouble {
            SocketTrouble::Accept(error) => Self::AcceptFailing { place, error },
            SocketTrouble::Crowded { uid } => Self::ClientCrowded { place, uid: *uid },
            SocketTrouble::CutOff(count) => Self::RequestsCutOff { place, count: *count },
        }
    }
}

/// The target of what is worse than an error, for which tracing has no level.
pub const CRITICAL: &str = "swarm_agent::critical";

/// Logs the event. Field names are what the journal shows, in lower case.
pub fn emit(event: &Event<'_>) {
    macro_rules! at {
        ($level:expr, $fields:ident) => {
            at!(module_path!(), $level, $fields)
        };
        ($target:expr, $level:expr, $fields:ident) => {
            tracing::event!(
                target: $target,
                $level,
                message_id = event.kind().id,
                unit = $fields.unit,
                swarm_agent_event = event.kind().name,
                swarm_agent_address = $fields.address,
                swarm_agent_server = $fields.server,
                swarm_agent_reason = $fields.reason,
                swarm_agent_engine_state = $fields.engine_state,
                swarm_agent_condition = $fields.condition,
                swarm_agent_refusal = $fields.refusal,
                swarm_agent_incident = $fields.incident,
                swarm_agent_version = $fields.version,
                swarm_agent_task = $fields.task,
                swarm_agent_place = $fields.place,
                swarm_agent_key = $fields.key,
                swarm_agent_failures = $fields.failures,
                swarm_agent_by = $fields.by,
                swarm_agent_until = $fields.until,
                swarm_agent_module = $fields.module,
                swarm_agent_kinds = $fields.kinds,
                swarm_agent_status = $fields.status,
                swarm_agent_count = $fields.count,
                "{event}"
            )
        };
    }
    let fields = event.fields();
    match event.kind().level {
        Level::Critical => at!(CRITICAL, tracing::Level::ERROR, fields),
        Level::Error => at!(tracing::Level::ERROR, fields),
        Level::Warning => at!(tracing::Level::WARN, fields),
        Level::Info => at!(tracing::Level::INFO, fields),
    }
}

#[cfg(test)]
mod tests;
