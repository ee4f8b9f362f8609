//! Which credentials a discovery service has a use for. One that has none would be left out silently, and with it what
//! somebody relied on.

use super::{Discovery, DiscoveryUrl, StoreKind};

/// What may be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    Tls,
    Token,
    UserAndPassword,
}

/// How a service is told who we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthKind {
    Token,
    UserAndPassword,
}

/// Why a credential is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// The scheme that stands for TLS.
    Plain { secure: &'static str },
    /// It takes the other kind.
    Other(AuthKind),
    /// The agent's own server, or a list.
    Nothing,
}

impl Discovery {
    pub fn misfit(&self, credential: Credential) -> Option<Misfit> {
        match self {
            Self::Embedded => Some(Misfit::Nothing),
            Self::At(url) => url.misfit(credential),
        }
    }
}

impl DiscoveryUrl {
    /// Nothing for a list, which is read as it is.
    pub fn auth(&self) -> Option<AuthKind> {
        match self {
            Self::Token(_) => Some(AuthKind::Token),
            Self::Store(url) => Some(match url.kind {
                StoreKind::Consul => AuthKind::Token,
                StoreKind::Etcd | StoreKind::Zookeeper => AuthKind::UserAndPassword,
            }),
            Self::Nodes(_) | Self::File(_) => None,
        }
    }

    pub fn misfit(&self, credential: Credential) -> Option<Misfit> {
        let Some(auth) = self.auth() else { return Some(Misfit::Nothing) };
        match (credential, auth) {
            (Credential::Tls, _) if self.tls() => None,
            (Credential::Tls, _) => Some(Misfit::Plain { secure: self.secure_scheme() }),
            (Credential::Token, AuthKind::Token) => None,
            (Credential::UserAndPassword, AuthKind::UserAndPassword) => None,
            (_, auth) => Some(Misfit::Other(auth)),
        }
    }

    fn secure_scheme(&self) -> &'static str {
        match self {
            Self::Store(url) => url.kind.secure_scheme(),
            Self::Token(_) | Self::Nodes(_) | Self::File(_) => "https",
        }
    }
}

impl Misfit {
    /// Reads after "is of no use with URL, ".
    pub fn why(self) -> &'static str {
        match self {
            Self::Plain { .. } => "which is not spoken to over TLS",
            Self::Other(AuthKind::Token) => "which takes a token",
            Self::Other(AuthKind::UserAndPassword) => "which takes a user and a password",
            Self::Nothing => "which is not asked over a network",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_for_some_services() {
        use Credential::{Tls, Token, UserAndPassword};
        for (url, credential, misfit) in [
            ("embedded", Tls, Some(Misfit::Nothing)),
            ("embedded", Token, Some(Misfit::Nothing)),
            ("http://a/v1/clusters/x", Tls, Some(Misfit::Plain { secure: "https" })),
            ("https://a/v1/clusters/x", Tls, None),
            ("token://a/v1/x", Tls, None),
            ("etcd://a", Tls, Some(Misfit::Plain { secure: "etcds" })),
            ("zk://a", Tls, Some(Misfit::Plain { secure: "zks" })),
            ("consuls://a", Tls, None),
            ("http://a/v1/clusters/x", Token, None),
            ("consul://a", Token, None),
            ("etcd://a", Token, Some(Misfit::Other(AuthKind::UserAndPassword))),
            ("zks://a", UserAndPassword, None),
            ("https://a/v1/clusters/x", UserAndPassword, Some(Misfit::Other(AuthKind::Token))),
            ("file:///a", Token, Some(Misfit::Nothing)),
        ] {
            assert_eq!(url.parse::<Discovery>().map(|url| url.misfit(credential)), Ok(misfit), "{url} {credential:?}");
        }
    }

    #[test]
    fn a_secret_is_exposed_without_tls_beyond_this_host() {
        use crate::model::{Timeouts, WayOut};
        let mut way = WayOut::direct(Timeouts { connect: std::time::Duration::ZERO, total: std::time::Duration::ZERO });
        let exposed = |way: &WayOut, url: &str| url.parse().map(|url| way.exposes(&url)).expect(url);
        assert_eq!(exposed(&way, "http://disco/v1/clusters/x"), None);
        way.auth.token = Some("/token".into());
        for url in ["https://disco/v1/clusters/x", "http://127.0.0.1:1/v1/clusters/x", "consul://[::1]", "etcd://a"] {
            assert_eq!(exposed(&way, url), None, "{url}");
        }
        for url in ["http://disco/v1/clusters/x", "http://localhost.example/v1/clusters/x", "consul://localhost,a"] {
            assert_eq!(exposed(&way, url), Some("discovery.auth.token-file"), "{url}");
        }
        way.auth.password = Some("/password".into());
        assert_eq!(exposed(&way, "zk://10.0.0.1"), Some("discovery.auth.password-file"));
    }
}
