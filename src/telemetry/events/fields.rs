//! What the entry of an event holds for programs.

use super::Event;

/// What is None has no field in the entry.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub unit: Option<&'a str>,
    pub address: Option<&'a str>,
    pub server: Option<&'a str>,
    pub reason: Option<&'a str>,
    pub engine_state: Option<&'a str>,
    pub condition: Option<&'a str>,
    pub refusal: Option<&'a str>,
    pub incident: Option<&'a str>,
    pub version: Option<&'a str>,
    pub task: Option<&'a str>,
    pub place: Option<&'a str>,
    pub key: Option<&'a str>,
    pub failures: Option<u64>,
    pub by: Option<&'a str>,
    pub until: Option<&'a str>,
    pub module: Option<&'a str>,
    pub kinds: Option<&'a str>,
    pub status: Option<&'a str>,
    pub count: Option<u64>,
}

impl Event<'_> {
    pub(super) fn fields(&self) -> Fields<'_> {
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
            Self::Duplicate { address, reason } => Fields { address: Some(address), reason: Some(reason), ..none },
            Self::AddressFound { address } | Self::DuplicateGone { address } | Self::ServerListening { address } => {
                Fields { address: Some(address), ..none }
            }
            Self::ServerExposed { address, reason } => Fields { address: Some(address), reason: Some(reason), ..none },
            Self::CertificateRead { path: place } => Fields { place: Some(place), ..none },
            Self::AddressMissing { reason } => Fields { reason: Some(reason), ..none },
            Self::AdvertisedUnreachable { address, finding } | Self::AdvertisedReachable { address, finding } => {
                Fields { address: Some(address), reason: Some(finding), ..none }
            }
            Self::ManagerLost { unit, reason } => Fields { unit: Some(unit), reason: Some(reason), ..none },
            Self::ManagerBack { unit } => Fields { unit: Some(unit), ..none },
            Self::LoopStale { name, .. } | Self::LoopFresh { name } | Self::TaskCutOff { name } => {
                Fields { task: Some(name), ..none }
            }
            Self::ConfigInvalid { place, key, message } => {
                Fields { place: Some(place), key: Some(key), reason: Some(message), ..none }
            }
            Self::CredentialsUnusable { key, place, reason } => {
                Fields { place: Some(place), key: Some(key), reason: Some(reason), ..none }
            }
            Self::CredentialsUsable { key, place } => Fields { place: Some(place), key: Some(key), ..none },
            Self::SecretExposed { key, server } => Fields { key: Some(key), server: Some(server), ..none },
            Self::StateTrouble { path: place, error }
            | Self::ApiFailed { path: place, error }
            | Self::MetricsFailed { address: place, error }
            | Self::CertificateKept { path: place, error }
            | Self::AcceptFailing { place, error } => Fields { place: Some(place), reason: Some(error), ..none },
            Self::ClientCrowded { place, .. } => Fields { place: Some(place), ..none },
            Self::RequestsCutOff { place, count } => Fields { place: Some(place), count: number(count), ..none },
            Self::EntryAbandoned { address, reason } => Fields { address: Some(address), reason: Some(reason), ..none },
            Self::HostingFailed { reason: error }
            | Self::StoreFailing { error }
            | Self::LogLevelKept { error }
            | Self::Failed { error } => Fields { reason: Some(error), ..none },
            Self::Drained { by, reason, until } => {
                Fields { by: Some(by), reason: Some(reason).filter(|reason| !reason.is_empty()), until, ..none }
            }
            Self::Undrained { by } => Fields { by, ..none },
            Self::EngineDiagnosed { unit, condition, text }
            | Self::RepairDone { unit, condition, text }
            | Self::RepairCalledOff { unit, condition, text }
            | Self::RepairFailed { unit, condition, text }
            | Self::RepairWould { unit, condition, text } => {
                Fields { unit: Some(unit), condition: Some(condition), reason: Some(text), ..none }
            }
            Self::RepairBegun { unit, condition, text, incident, .. } => Fields {
                unit: Some(unit),
                condition: Some(condition),
                reason: Some(text),
                incident: Some(incident),
                ..none
            },
            Self::RepairRefused { unit, condition, why, text } => {
                Fields { unit: Some(unit), condition: Some(condition), refusal: Some(why), reason: Some(text), ..none }
            }
            Self::RepairGivenUp { unit, condition, until, text } => {
                Fields { unit: Some(unit), condition: Some(condition), until: Some(until), reason: Some(text), ..none }
            }
            Self::BudgetReset { unit, forgotten } => Fields { unit: Some(unit), count: number(forgotten), ..none },
            Self::HeldBack { count, kinds, now, .. } => {
                Fields { count: Some(count.into()), kinds: Some(kinds), status: Some(now), ..none }
            }
            Self::LibraryWarning { module, message } => Fields { module: Some(module), reason: Some(message), ..none },
            Self::Reloaded { changed, .. } => Fields { key: Some(changed).filter(|keys| !keys.is_empty()), ..none },
            Self::LogDropped { count } => Fields { count: Some(count), ..none },
            Self::ReloadRejected { errors } => Fields { count: number(errors), ..none },
            Self::Stopping { .. }
            | Self::HostingRecovered
            | Self::ServerStopping
            | Self::StoreOpened { .. }
            | Self::StoreRecovered => none,
        }
    }
}

fn number(count: usize) -> Option<u64> {
    u64::try_from(count).ok()
}
