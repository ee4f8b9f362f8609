//! What is known of our entry in the discovery service.

use super::{Moment, NodeAddress};
use std::fmt;

/// An entry that a process of ours put in and did not take out; kept in the state directory, so that
/// the next process can resume or remove it.
#[derive(Clone, PartialEq, Eq)]
pub struct HeldEntry {
    /// The discovery URL, token included.
    pub url: String,
    pub address: NodeAddress,
    pub hold: Option<Hold>,
    /// The boot that it was put in by, if that is over.
    pub earlier_boot: Option<String>,
}

/// What keeps an entry in, besides its address, where the service has such a thing: a lease, a session. Whoever has it
/// can renew the entry and take it out. Only the backend that gave it can read it.
#[derive(Clone, PartialEq, Eq)]
pub struct Hold(pub String);

/// A session may be a secret.
impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hold(…)")
    }
}

/// The URL stays out: it holds a token.
impl fmt::Debug for HeldEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeldEntry({} at …)", self.address)
    }
}

/// Where our entry stands, as `STATUS=` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrationStatus {
    /// Not in the discovery service, and that is as it should be.
    Absent,
    /// A former process put it in; it is renewed or taken out as soon as the engine is judged.
    Resumed,
    /// On the way in; `error` is why the last attempt failed, if one did.
    Joining {
        error: Option<String>,
    },
    Present,
    /// In, but the last beat failed: the entry lives until its ttl ends. `at_risk`: that is soon.
    Unconfirmed {
        error: String,
        at_risk: bool,
    },
    /// On the way out.
    Leaving {
        error: Option<String>,
    },
}

/// Where our entry stands, and under which address; what `STATUS=` needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The entry's address; none before there was one.
    pub address: Option<NodeAddress>,
    /// The address that it replaces, while that is still in.
    pub replaces: Option<NodeAddress>,
    pub status: RegistrationStatus,
    /// Why there is to be no entry although the engine works; reads after "not registered: ".
    pub why: Option<String>,
}

impl Standing {
    pub fn none() -> Self {
        Self { address: None, replaces: None, status: RegistrationStatus::Absent, why: None }
    }
}

/// Our entry over time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tenure {
    /// Since when the entry is in.
    pub since: Option<Moment>,
    /// When the last beat that was accepted was sent: the lease counts from then.
    pub renewed: Option<Moment>,
    /// When the last beat was accepted, also if the entry has gone since.
    pub last_beat: Option<Moment>,
    /// The next request.
    pub next: Option<Moment>,
    /// The last request that failed, also if later ones did not.
    pub last_error: Option<LastError>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    pub at: Moment,
    pub text: String,
}

impl RegistrationStatus {
    /// A word for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Resumed => "resumed",
            Self::Joining { .. } => "joining",
            Self::Present => "present",
            Self::Unconfirmed { .. } => "unconfirmed",
            Self::Leaving { .. } => "leaving",
        }
    }

    /// There is an entry, and its lease has not ended as far as we know.
    pub fn registered(&self) -> bool {
        matches!(self, Self::Present | Self::Unconfirmed { .. })
    }
}
