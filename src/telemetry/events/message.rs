//! What the entry of an event says to people.

use super::Event;
use humantime::format_duration;
use std::fmt;
use std::time::Duration;

/// The entry's MESSAGE.
impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { version, address, server } => {
                write!(f, "swarm-agent {version} started: {address} goes to {server} while the engine works")
            }
            Self::Stopping { keeps_entry: true } => f.write_str("restarting: the entry stays for the next process"),
            Self::Stopping { keeps_entry: false } | Self::ServerStopping => f.write_str("stopping"),
            Self::Drained { by, reason, until } => drained(f, by, reason, *until),
            Self::Undrained { by: Some(by) } => write!(f, "undrained by {by}"),
            Self::Undrained { by: None } => f.write_str("undrained: the time of the drain is over"),
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
            Self::EntryAbandoned { address, reason } => {
                write!(f, "the entry {address} of a former process is left to its ttl: {reason}")
            }
            Self::EngineDiagnosed { unit, text, .. } => write!(f, "{unit}: {text}"),
            Self::RepairBegun { unit, text, number, budget, .. } => {
                write!(f, "restarting {unit} (restart {number} of {budget}): {text}")
            }
            Self::RepairDone { unit, text, .. } => write!(f, "{unit} was restarted: {text}"),
            Self::RepairCalledOff { unit, text, .. } => write!(f, "the restart of {unit} is called off: {text}"),
            Self::RepairFailed { unit, text, .. } => write!(f, "the restart of {unit} did not help: {text}"),
            Self::RepairRefused { unit, text, .. } => write!(f, "{unit} is not restarted: {text}"),
            Self::RepairWould { unit, text, .. } => write!(f, "{unit} would be restarted now (dry-run): {text}"),
            Self::RepairGivenUp { unit, until, text, .. } => {
                write!(f, "giving up on {unit} until {until}, because {text}")
            }
            Self::BudgetReset { unit, .. } => write!(f, "an operator gave all restarts of {unit} back"),
            Self::Duplicate { address, reason } => {
                write!(f, "{address} is not registered: {reason}; looking again slowly")
            }
            Self::DuplicateGone { address } => write!(f, "nobody else claims to be {address} any more"),
            Self::CredentialsUnusable { reason, .. } => write!(f, "{reason}; what was read before stays in use"),
            Self::CredentialsUsable { key, place } => write!(f, "{place} ({key}) can be used again"),
            Self::SecretExposed { key, server } => {
                write!(f, "the secret of {key} goes to {server} without TLS: everybody on the way can read it")
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
            Self::TaskCutOff { name } => write!(f, "task {name} did not end in time and was cut off"),
            Self::Reloaded { changed, at_restart } => reloaded(f, changed, at_restart),
            Self::ReloadRejected { errors } => {
                write!(f, "configuration not reloaded: {errors} error{}; the old settings stay", plural(*errors))
            }
            Self::HostingFailed { reason } => {
                write!(f, "the agent's own discovery server does not work: {reason}; trying on")
            }
            Self::HostingRecovered => f.write_str("the agent's own discovery server works again"),
            Self::ApiFailed { path, error } => {
                write!(f, "{path}: {error}; commands that ask the agent don't work until this does; trying on")
            }
            Self::MetricsFailed { address, error } => {
                write!(f, "the metrics can't be served at {address}: {error}; trying on")
            }
            Self::ServerListening { address } => write!(f, "listening on {address}"),
            Self::ServerExposed { address, reason } => write!(f, "others can reach {address}, and {reason}"),
            Self::CertificateRead { path } => write!(f, "the TLS files are in use as they are now: {path}"),
            Self::CertificateKept { error, .. } => {
                write!(f, "the TLS files from before stay in use: {error}; trying on")
            }
            Self::StoreOpened { clusters, nodes } => {
                write!(f, "opened the store: {clusters} cluster{}, {nodes} node{}", plural(*clusters), plural(*nodes))
            }
            Self::StoreFailing { error } => {
                write!(f, "can't store changes; entries that are known stay listed, others are refused: {error}")
            }
            Self::StoreRecovered => f.write_str("the store can be written again"),
            Self::AcceptFailing { place, error } => write!(f, "can't accept connections at {place}: {error}"),
            Self::ClientCrowded { place, uid } => {
                write!(f, "user {uid} has too many connections to {place}: further ones are closed")
            }
            Self::RequestsCutOff { place, count } => {
                write!(f, "cut off {count} connection{} to {place} that did not finish in time", plural(*count))
            }
            Self::ConfigInvalid { message, .. } => f.write_str(message),
            Self::StateTrouble { path, error } => write!(f, "{path}: {error}"),
            Self::LogDropped { count } => write!(f, "{count} log entries were dropped: the journal was too slow"),
            Self::HeldBack { count, lasted, kinds, now } => held_back(f, *count, *lasted, kinds, now),
            Self::LogLevelKept { error } => write!(f, "the log level stays as it is: {error}"),
            Self::LibraryWarning { module, message } => write!(f, "{module}: {message}"),
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

fn drained(f: &mut fmt::Formatter<'_>, by: &str, reason: &str, until: Option<&str>) -> fmt::Result {
    let until = until.unwrap_or("it is undrained");
    match reason {
        "" => write!(f, "drained by {by} until {until}"),
        reason => write!(f, "drained by {by} until {until}: {reason}"),
    }
}

fn held_back(f: &mut fmt::Formatter<'_>, count: u32, lasted: Duration, kinds: &str, now: &str) -> fmt::Result {
    let entries = if count == 1 { "entry was" } else { "entries were" };
    write!(f, "{count} {entries} held back in the last {} ({kinds}); now: {now}", seconds(lasted))
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn seconds(duration: Duration) -> impl fmt::Display {
    format_duration(Duration::from_secs(duration.as_secs()))
}
