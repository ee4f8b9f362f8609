//! Every event that the journal can hold: its fixed MESSAGE_ID, its level, its words and its fields, in one
//! place. Transitions are events; a successful heartbeat is none.

use humantime::format_duration;
use std::fmt;
use std::time::Duration;

/// What makes a kind of event recognisable for programs: `journalctl MESSAGE_ID=…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub name: &'static str,
    /// 32 lower-case hex digits; never changed once released.
    pub id: &'static str,
    pub level: Level,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Error,
    Warning,
    Info,
}

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
    EngineWorking {
        unit: &'a str,
        health: &'a str,
    },
    EngineNotWorking {
        unit: &'a str,
        state: &'a str,
        health: &'a str,
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
    Drained {
        drain: &'a crate::model::Drain,
    },
    Undrained {
        reason: &'a str,
    },
    MetricsFailed {
        address: &'a str,
        error: &'a str,
    },
    ApiFailed {
        path: &'a str,
        error: &'a str,
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
    Failed {
        error: &'a str,
    },
}

impl Event<'_> {
    pub fn kind(&self) -> Kind {
        let (name, level, id) = match self {
            Self::Started { .. } => ("started", Level::Info, "51ecac1345d5406cba6d69d14e64dc3f"),
            Self::Stopping { .. } => ("stopping", Level::Info, "924717748dd64fc0a5bb6da698a73e3b"),
            Self::Registered { .. } => ("registered", Level::Info, "85b5644e72d04c59bd3c5c9fb974a129"),
            Self::Deregistered { .. } => ("deregistered", Level::Info, "8bfeaae4420446b1aea74afe5cd15536"),
            Self::DiscoveryFailing { .. } => ("discovery-failing", Level::Warning, "47e224d664d34669a3b3b9d060d3aa65"),
            Self::DiscoveryRecovered { .. } => ("discovery-recovered", Level::Info, "9b04529235f34a61b294be51b003d4b1"),
            Self::LeaseAtRisk { .. } => ("lease-at-risk", Level::Warning, "8f3d0b0e6a5c4f0f9d1b7a52c8e4d613"),
            Self::LeaseExpired { .. } => ("lease-expired", Level::Warning, "81cfa6cbca97447f86e38ab59a4099fe"),
            Self::LeaveFailed { .. } => ("leave-failed", Level::Warning, "36756da8fcbe4301a2ae4eb6872f5e72"),
            Self::EngineWorking { .. } => ("engine-working", Level::Info, "188fe8233e874294bce850e6174431a7"),
            Self::EngineNotWorking { .. } => ("engine-not-working", Level::Warning, "b1e1fe9d0a474db088fced3e0f5cb312"),
            Self::EngineInDoubt { .. } => ("engine-in-doubt", Level::Warning, "95c5bdc920d54f948ba2f7eb3195aefb"),
            Self::AddressFound { .. } => ("address-found", Level::Info, "33eb9a22e1604b268f74115097112175"),
            Self::AddressMissing { .. } => ("address-missing", Level::Warning, "54d18486c9734ca1a4747071c5ef5fb4"),
            Self::AdvertisedUnreachable { .. } => {
                ("advertised-unreachable", Level::Warning, "d26e4f09155b45b6ac5f7a1ae56e6a9a")
            }
            Self::AdvertisedReachable { .. } => {
                ("advertised-reachable", Level::Info, "e4cc01ff73a34959be8fb7c20e5c83f4")
            }
            Self::ManagerLost { .. } => ("manager-lost", Level::Warning, "ef8ce093926b498a9f191db0e4c328e5"),
            Self::ManagerBack { .. } => ("manager-back", Level::Info, "85911b1e240c464fb5c7d926c353a965"),
            Self::LoopStale { .. } => ("loop-stale", Level::Error, "73052f551eb8487e9fa195c6a1112866"),
            Self::LoopFresh { .. } => ("loop-fresh", Level::Info, "244f5dd0c69f4906812b28c3a8f8ffe4"),
            Self::Reloaded { .. } => ("reloaded", Level::Info, "268611bd15654738a0a1b57e8d7a93ae"),
            Self::ReloadRejected { .. } => ("reload-rejected", Level::Error, "960ca8d39d05450fa009fa1d88dfbb12"),
            Self::HostingFailed { .. } => ("hosting-failed", Level::Warning, "d0432ff3057346eba01dce8dbca26655"),
            Self::HostingRecovered => ("hosting-recovered", Level::Info, "7ba85c2d0f2d4b45bf949f6a79a015e5"),
            Self::Drained { .. } => ("drained", Level::Info, "00000000000000000000000000000000"),
            Self::Undrained { .. } => ("undrained", Level::Info, "00000000000000000000000000000001"),
            Self::MetricsFailed { .. } => ("metrics-failed", Level::Warning, "00000000000000000000000000000002"),
            Self::ApiFailed { .. } => ("api-failed", Level::Warning, "14a7be51c90e4017b385494c9fa1286d"),
            Self::ConfigInvalid { .. } => ("config-invalid", Level::Error, "19fe88b4af50459c9e94e3208a6d059c"),
            Self::StateTrouble { .. } => ("state-trouble", Level::Warning, "bbd4841693c542c3b034a5263af84323"),
            Self::LogDropped { .. } => ("log-dropped", Level::Warning, "29ce3f816d68493f9ebb0f0d22194742"),
            Self::Failed { .. } => ("failed", Level::Error, "ca625452734543a9a28bc3116a09304d"),
        };
        Kind { name, id, level }
    }

    fn fields(&self) -> Fields<'_> {
        let none = Fields::default();
        match *self {
            Self::Started { version, address, server } => {
                Fields { version: Some(version), address: Some(address), server: Some(server), ..none }
            }
            Self::Registered { address, server }
            | Self::LeaseAtRisk { address, server, .. }
            | Self::LeaseExpired { address, server } => Fields { address: Some(address), server: Some(server), ..none },
            Self::Deregistered { address, server, reason } | Self::LeaveFailed { address, server, reason } => {
                Fields { address: Some(address), server: Some(server), reason: Some(reason), ..none }
            }
            Self::DiscoveryFailing { server, failures, error, .. } => {
                Fields { server: Some(server), failures: Some(failures.into()), reason: Some(error), ..none }
            }
            Self::DiscoveryRecovered { server, failures, .. } => {
                Fields { server: Some(server), failures: Some(failures.into()), ..none }
            }
            Self::EngineWorking { unit, health } | Self::EngineInDoubt { unit, health } => {
                Fields { unit: Some(unit), reason: Some(health), ..none }
            }
            Self::EngineNotWorking { unit, state, health } => {
                Fields { unit: Some(unit), engine_state: Some(state), reason: Some(health), ..none }
            }
            Self::AddressFound { address } => Fields { address: Some(address), ..none },
            Self::AddressMissing { reason } => Fields { reason: Some(reason), ..none },
            Self::AdvertisedUnreachable { address, finding } | Self::AdvertisedReachable { address, finding } => {
                Fields { address: Some(address), reason: Some(finding), ..none }
            }
            Self::ManagerLost { unit, reason } => Fields { unit: Some(unit), reason: Some(reason), ..none },
            Self::ManagerBack { unit } => Fields { unit: Some(unit), ..none },
            Self::LoopStale { name, .. } | Self::LoopFresh { name } => Fields { task: Some(name), ..none },
            Self::ConfigInvalid { place, key, message } => {
                Fields { place: Some(place), key: Some(key), reason: Some(message), ..none }
            }
            Self::StateTrouble { path, error } => Fields { place: Some(path), reason: Some(error), ..none },
            Self::ApiFailed { path, error } => Fields { place: Some(path), reason: Some(error), ..none },
            Self::Drained { .. } | Self::Undrained { .. } | Self::MetricsFailed { .. } => none,
            Self::HostingFailed { reason } => Fields { reason: Some(reason), ..none },
            Self::Reloaded { changed, .. } => Fields { key: Some(changed).filter(|keys| !keys.is_empty()), ..none },
            Self::Failed { error } => Fields { reason: Some(error), ..none },
            Self::Stopping { .. } | Self::LogDropped { .. } | Self::HostingRecovered | Self::ReloadRejected { .. } => {
                none
            }
        }
    }
}

/// The entry's MESSAGE.
impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { version, address, server } => {
                write!(f, "swarm-agent {version} started: {address} goes to {server} while the engine works")
            }
            Self::Stopping { keeps_entry: true } => f.write_str("restarting: the entry stays for the next process"),
            Self::Stopping { keeps_entry: false } => f.write_str("stopping"),
            Self::Registered { address, server } => write!(f, "registered {address} at {server}"),
            Self::Deregistered { address, server, reason } => {
                write!(f, "deregistered {address} at {server}: {reason}")
            }
            Self::DiscoveryFailing { failures, lasted, error, .. } => failing(f, *failures, *lasted, error),
            Self::DiscoveryRecovered { server, failures, lasted } => recovered(f, server, *failures, *lasted),
            Self::LeaseAtRisk { address, server, left } => {
                write!(f, "lease at risk: the entry {address} at {server} expires in {}", seconds(*left))
            }
            Self::LeaseExpired { address, server } => {
                write!(f, "the entry {address} at {server} was not renewed within its ttl and has expired")
            }
            Self::LeaveFailed { address, server, reason } => {
                write!(f, "{address} could not be taken out at {server} and stays there until its ttl ends: {reason}")
            }
            Self::EngineWorking { health, .. }
            | Self::EngineNotWorking { health, .. }
            | Self::EngineInDoubt { health, .. } => write!(f, "engine {health}"),
            Self::AddressFound { address } => write!(f, "the address to advertise is {address}"),
            Self::AddressMissing { reason } => write!(f, "no address to advertise: {reason}; waiting for one"),
            Self::AdvertisedUnreachable { address, finding } | Self::AdvertisedReachable { address, finding } => {
                write!(f, "{finding} ({address})")
            }
            Self::ManagerLost { unit, reason } => write!(f, "the state of {unit} can't be told: {reason}; trying on"),
            Self::ManagerBack { unit } => write!(f, "the state of {unit} can be told again"),
            Self::LoopStale { name, limit } => {
                write!(f, "task {name} has not turned for {}: systemd is pinged no more", format_duration(*limit))
            }
            Self::LoopFresh { name } => write!(f, "task {name} turns again"),
            Self::Reloaded { changed, at_restart } => reloaded(f, changed, at_restart),
            Self::ReloadRejected { errors } => {
                let plural = if *errors == 1 { "" } else { "s" };
                write!(f, "configuration not reloaded: {errors} error{plural}; the old settings stay")
            }
            Self::HostingFailed { reason } => {
                write!(f, "the agent's own discovery server does not work: {reason}; trying on")
            }
            Self::HostingRecovered => f.write_str("the agent's own discovery server works again"),
            Self::Drained { drain } => write!(f, "{drain}"),
            Self::Undrained { reason } => write!(f, "undrained {reason}"),
            Self::MetricsFailed { address, error } => write!(f, "metrics can't be served at {address}: {error}"),
            Self::ApiFailed { path, error } => {
                write!(f, "{path}: {error}; `swarm-agent reload` does not work until this does; trying on")
            }
            Self::ConfigInvalid { message, .. } => f.write_str(message),
            Self::StateTrouble { path, error } => write!(f, "{path}: {error}"),
            Self::LogDropped { count } => write!(f, "{count} log entries were dropped: the journal was too slow"),
            Self::Failed { error } => f.write_str(error),
        }
    }
}

fn reloaded(f: &mut fmt::Formatter<'_>, changed: &str, at_restart: &str) -> fmt::Result {
    match changed {
        "" => f.write_str("configuration reloaded: nothing changed")?,
        keys => write!(f, "configuration reloaded: {keys} changed")?,
    }
    match at_restart {
        "" => Ok(()),
        keys => write!(f, "; {keys} will change with a restart of the service"),
    }
}

fn failing(f: &mut fmt::Formatter<'_>, failures: u32, lasted: Duration, error: &str) -> fmt::Result {
    match failures {
        1 => write!(f, "discovery: {error}; trying on"),
        _ => write!(f, "discovery: {error}; {failures} attempts failed in {}; trying on", seconds(lasted)),
    }
}

fn recovered(f: &mut fmt::Formatter<'_>, server: &str, failures: u32, lasted: Duration) -> fmt::Result {
    let (plural, lasted) = (if failures == 1 { "" } else { "s" }, seconds(lasted));
    write!(f, "discovery at {server} recovered after {lasted} ({failures} failed attempt{plural})")
}

fn seconds(duration: Duration) -> impl fmt::Display {
    format_duration(Duration::from_secs(duration.as_secs()))
}

#[derive(Default)]
struct Fields<'a> {
    unit: Option<&'a str>,
    address: Option<&'a str>,
    server: Option<&'a str>,
    reason: Option<&'a str>,
    engine_state: Option<&'a str>,
    version: Option<&'a str>,
    task: Option<&'a str>,
    place: Option<&'a str>,
    key: Option<&'a str>,
    failures: Option<u64>,
}

/// Logs the event. Field names are what the journal shows, in lower case.
pub fn emit(event: &Event<'_>) {
    macro_rules! at {
        ($level:expr, $fields:ident) => {
            tracing::event!(
                $level,
                message_id = event.kind().id,
                unit = $fields.unit,
                swarm_agent_event = event.kind().name,
                swarm_agent_address = $fields.address,
                swarm_agent_server = $fields.server,
                swarm_agent_reason = $fields.reason,
                swarm_agent_engine_state = $fields.engine_state,
                swarm_agent_version = $fields.version,
                swarm_agent_task = $fields.task,
                swarm_agent_place = $fields.place,
                swarm_agent_key = $fields.key,
                swarm_agent_failures = $fields.failures,
                "{event}"
            )
        };
    }
    let fields = event.fields();
    match event.kind().level {
        Level::Error => at!(tracing::Level::ERROR, fields),
        Level::Warning => at!(tracing::Level::WARN, fields),
        Level::Info => at!(tracing::Level::INFO, fields),
    }
}
