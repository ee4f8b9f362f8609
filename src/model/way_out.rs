//! How a discovery service is reached.

use super::{AuthKind, DiscoveryUrl, ProxySettings, TlsFiles};
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
    pub names: AuthNames,
}

/// How people set them, for what is said of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthNames {
    pub token: &'static str,
    pub user: &'static str,
    pub password: &'static str,
}

impl AuthNames {
    pub const DISCOVERY: Self = Self {
        token: "discovery.auth.token-file",
        user: "discovery.auth.user",
        password: "discovery.auth.password-file",
    };
}

impl Default for AuthNames {
    fn default() -> Self {
        Self::DISCOVERY
    }
}

impl WayOut {
    /// Straight, as nobody in particular, and with the system's CAs.
    pub fn direct(timeouts: Timeouts) -> Self {
        Self { timeouts, tls: None, auth: AuthFiles::default(), proxy: ProxySettings::default() }
    }

    /// The setting with a secret that everybody on the way to this service could read.
    pub fn exposes(&self, url: &DiscoveryUrl) -> Option<&'static str> {
        let AuthFiles { token, password, names, .. } = &self.auth;
        let name = match url.auth()? {
            AuthKind::Token => token.as_ref().map(|_| names.token),
            AuthKind::UserAndPassword => password.as_ref().map(|_| names.password),
        };
        name.filter(|_| !url.tls() && url.leaves_this_host())
    }

    /// To a server of our own, which no proxy has to do with.
    #[must_use]
    pub fn without_proxy(&self) -> Self {
        Self { proxy: ProxySettings::default(), ..self.clone() }
    }
}
