//! What a kind of event is, and which there are.

use super::Event;
use super::kinds::{address, discovery, engine, journal, repair, server, service};

/// What makes a kind of event recognisable for programs: `journalctl MESSAGE_ID=…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub name: &'static str,
    /// 32 lower-case hex digits; never changed once released.
    pub id: &'static str,
    pub level: Level,
    /// It answers an operator, or there can be only few of it: it is never held back.
    pub always: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Somebody has to come.
    Critical,
    Error,
    Warning,
    Info,
}

/// What the catalog says of a kind, for an operator who sees it for the first time. `@FIELD@` stands for a field of the
/// entry, which each of its kind must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    pub subject: &'static str,
    pub happened: &'static str,
    pub matters: &'static str,
    pub remedy: &'static str,
}

/// A kind of event with its text. The agent runs without the texts: they are for the files that follow from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declared {
    pub kind: Kind,
    pub text: Text,
}

impl Kind {
    pub(super) const fn error(name: &'static str, id: &'static str) -> Self {
        Self { name, id, level: Level::Error, always: false }
    }

    pub(super) const fn critical(name: &'static str, id: &'static str) -> Self {
        Self { name, id, level: Level::Critical, always: false }
    }

    pub(super) const fn warning(name: &'static str, id: &'static str) -> Self {
        Self { name, id, level: Level::Warning, always: false }
    }

    pub(super) const fn info(name: &'static str, id: &'static str) -> Self {
        Self { name, id, level: Level::Info, always: false }
    }

    pub(super) const fn always(self) -> Self {
        Self { always: true, ..self }
    }

    pub(super) const fn means(self, text: Text) -> Declared {
        Declared { kind: self, text }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name)
    }
}

/// From one list: the kind of each event, and all of them.
macro_rules! kinds {
    ($($event:ident: $declared:path,)+) => {
        impl Event<'_> {
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$event { .. } => const { $declared.kind },)+
                }
            }
        }

        /// By name; without the texts.
        static KINDS: &[Kind] = &[$($declared.kind),+];

        /// Every kind, in the order of the catalog.
        pub const DECLARED: &[Declared] = &[$($declared),+];
    };
}

kinds! {
    Started: service::STARTED,
    Stopping: service::STOPPING,
    Failed: service::FAILED,
    Drained: service::DRAINED,
    Undrained: service::UNDRAINED,
    Reloaded: service::RELOADED,
    ReloadRejected: service::RELOAD_REJECTED,
    ConfigInvalid: service::CONFIG_INVALID,
    StateTrouble: service::STATE_TROUBLE,
    ApiFailed: service::API_FAILED,
    MetricsFailed: service::METRICS_FAILED,
    LoopStale: service::LOOP_STALE,
    LoopFresh: service::LOOP_FRESH,
    TaskCutOff: service::TASK_CUT_OFF,
    Registered: discovery::REGISTERED,
    Deregistered: discovery::DEREGISTERED,
    DiscoveryFailing: discovery::DISCOVERY_FAILING,
    DiscoveryRecovered: discovery::DISCOVERY_RECOVERED,
    LeaseAtRisk: discovery::LEASE_AT_RISK,
    LeaseExpired: discovery::LEASE_EXPIRED,
    LeaveFailed: discovery::LEAVE_FAILED,
    EntryAbandoned: discovery::ENTRY_ABANDONED,
    Duplicate: discovery::DUPLICATE,
    DuplicateGone: discovery::DUPLICATE_GONE,
    CredentialsUnusable: discovery::CREDENTIALS_UNUSABLE,
    CredentialsUsable: discovery::CREDENTIALS_USABLE,
    SecretExposed: discovery::SECRET_EXPOSED,
    EngineWorking: engine::ENGINE_WORKING,
    EngineInDoubt: engine::ENGINE_IN_DOUBT,
    EngineNotWorking: engine::ENGINE_NOT_WORKING,
    ManagerLost: engine::MANAGER_LOST,
    ManagerBack: engine::MANAGER_BACK,
    EngineDiagnosed: repair::ENGINE_DIAGNOSED,
    RepairBegun: repair::REPAIR_BEGUN,
    RepairDone: repair::REPAIR_DONE,
    RepairCalledOff: repair::REPAIR_CALLED_OFF,
    RepairFailed: repair::REPAIR_FAILED,
    RepairRefused: repair::REPAIR_REFUSED,
    RepairWould: repair::REPAIR_WOULD,
    RepairGivenUp: repair::REPAIR_GIVEN_UP,
    BudgetReset: repair::BUDGET_RESET,
    AddressFound: address::ADDRESS_FOUND,
    AddressMissing: address::ADDRESS_MISSING,
    AdvertisedUnreachable: address::ADVERTISED_UNREACHABLE,
    AdvertisedReachable: address::ADVERTISED_REACHABLE,
    HostingFailed: server::HOSTING_FAILED,
    HostingRecovered: server::HOSTING_RECOVERED,
    ServerListening: server::SERVER_LISTENING,
    ServerStopping: server::SERVER_STOPPING,
    ServerExposed: server::SERVER_EXPOSED,
    CertificateRead: server::CERTIFICATE_READ,
    CertificateKept: server::CERTIFICATE_KEPT,
    StoreOpened: server::STORE_OPENED,
    StoreFailing: server::STORE_FAILING,
    StoreRecovered: server::STORE_RECOVERED,
    AcceptFailing: server::ACCEPT_FAILING,
    ClientCrowded: server::CLIENT_CROWDED,
    RequestsCutOff: server::REQUESTS_CUT_OFF,
    HeldBack: journal::HELD_BACK,
    LogDropped: journal::LOG_DROPPED,
    LogLevelKept: journal::LOG_LEVEL_KEPT,
    LibraryWarning: journal::LIBRARY_WARNING,
}
