//! How a discovery service is reached.

use super::{ProxySettings, TlsFiles};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayOut {
    pub timeouts: Timeouts,
    /// For a server that is spoken to over TLS; the system's CAs without it.
    pub tls: Option<TlsFiles>,
    pub auth: AuthFiles,
    pub proxy: ProxySettings,
}

/// Bounds for one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    /// The whole attempt, connecting included.
    pub total: Duration,
}

/// Who we are to the discovery service. Secrets lie in files, which are read anew.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuthFiles {
    /// A bearer token, or an ACL token of Consul.
    pub token: Option<PathBuf>,
    /// For etcd and ZooKeeper.
    pub user: Option<String>,
    pub password: Option<PathBuf>,
}

impl WayOut {
    /// Straight, as nobody in particular, and with the system's CAs.
    pub fn direct(timeouts: Timeouts) -> Self {
        Self { timeouts, tls: None, auth: AuthFiles::default(), proxy: ProxySettings::default() }
    }

    /// To a server of our own, which no proxy has to do with.
    #[must_use]
    pub fn without_proxy(&self) -> Self {
        Self { proxy: ProxySettings::default(), ..self.clone() }
    }
}
