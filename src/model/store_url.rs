//! A cluster in a general key-value store: etcd, Consul, ZooKeeper.

use super::discovery_url::DiscoveryUrlError;
use std::fmt;

/// `etcd://a,b:2379/prefix`: one or more servers of one store, and where in it the clusters lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreUrl {
    pub kind: StoreKind,
    pub tls: bool,
    /// `host:port`, IPv6 in brackets; at least one, none twice.
    pub endpoints: Vec<String>,
    /// Without a `/` at either end; may be empty.
    prefix: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    Etcd,
    Consul,
    Zookeeper,
}

/// What a cluster keeps in a store, each in a folder of its own. Classic Swarm reads the nodes only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    Nodes,
    Drained,
    /// Who each node is.
    Records,
}

impl StoreKind {
    /// The kind and whether it is spoken to over TLS.
    pub fn of_scheme(scheme: &str) -> Option<(Self, bool)> {
        Some(match scheme {
            "etcd" => (Self::Etcd, false),
            "etcds" => (Self::Etcd, true),
            "consul" => (Self::Consul, false),
            "consuls" => (Self::Consul, true),
            "zk" => (Self::Zookeeper, false),
            "zks" => (Self::Zookeeper, true),
            _ => return None,
        })
    }

    pub(super) fn secure_scheme(self) -> &'static str {
        match self {
            Self::Etcd => "etcds",
            Self::Consul => "consuls",
            Self::Zookeeper => "zks",
        }
    }

    fn port(self, tls: bool) -> u16 {
        match (self, tls) {
            (Self::Etcd, _) => 2379,
            (Self::Consul, false) => 8500,
            (Self::Consul, true) => 8501,
            (Self::Zookeeper, false) => 2181,
            (Self::Zookeeper, true) => 2281,
        }
    }
}

impl Folder {
    fn name(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Drained => "drained",
            Self::Records => "records",
        }
    }
}

impl StoreUrl {
    /// Reads what stands behind the scheme.
    pub(super) fn parse(kind: StoreKind, tls: bool, rest: &str) -> Result<Self, DiscoveryUrlError> {
        if rest.contains(['?', '#']) {
            return Err(DiscoveryUrlError::Extra);
        }
        let (authorities, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authorities.contains('@') {
            return Err(DiscoveryUrlError::StoreCredentials);
        }
        let mut endpoints: Vec<String> = Vec::new();
        for authority in authorities.split(',') {
            let endpoint = super::discovery_url::with_port(authority.trim(), kind.port(tls))?;
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
        }
        let prefix = path.trim_matches('/');
        let bad = |segment: &str| {
            matches!(segment, "" | "." | "..") || segment.contains(|c: char| c.is_control() || c.is_whitespace())
        };
        if !prefix.is_empty() && prefix.split('/').any(bad) {
            return Err(DiscoveryUrlError::Prefix(prefix.to_owned()));
        }
        Ok(Self { kind, tls, endpoints, prefix: prefix.to_owned() })
    }

    /// `prefix/docker/swarm/nodes`, without a `/` at either end: where classic Swarm has its entries, and beside it.
    pub fn folder(&self, folder: Folder) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("{}{slash}docker/swarm/{}", self.prefix, folder.name())
    }

    /// Whether both name one cluster: the same place in a store, with a server in common.
    pub fn same_cluster(&self, other: &Self) -> bool {
        let common = self.endpoints.iter().any(|endpoint| other.endpoints.contains(endpoint));
        self.kind == other.kind && self.prefix == other.prefix && common
    }

    fn scheme(&self) -> &'static str {
        match (self.kind, self.tls) {
            (StoreKind::Etcd, false) => "etcd",
            (StoreKind::Consul, false) => "consul",
            (StoreKind::Zookeeper, false) => "zk",
            (kind, true) => kind.secure_scheme(),
        }
    }
}

/// The URL as it is; it holds no secret.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.endpoints.join(","))?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DiscoveryUrl;

    fn store(text: &str) -> Result<StoreUrl, DiscoveryUrlError> {
        match text.parse::<DiscoveryUrl>()? {
            DiscoveryUrl::Store(url) => Ok(url),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn several_servers_and_a_prefix() -> Result<(), DiscoveryUrlError> {
        let url = store("etcd://a,b:4001, [fd00::1],a/team/one/")?;
        assert_eq!(url.endpoints, ["a:2379", "b:4001", "[fd00::1]:2379"]);
        assert_eq!(url.folder(Folder::Nodes), "team/one/docker/swarm/nodes");
        assert_eq!(url.to_string(), "etcd://a:2379,b:4001,[fd00::1]:2379/team/one");
        let plain = store("consuls://c")?;
        assert_eq!((plain.tls, plain.folder(Folder::Drained).as_str()), (true, "docker/swarm/drained"));
        assert_eq!(store("zk://z")?.to_string(), "zk://z:2181");
        Ok(())
    }

    #[test]
    fn one_cluster_may_be_spelled_in_two_ways() -> Result<(), DiscoveryUrlError> {
        assert!(store("etcd://a,b/x")?.same_cluster(&store("etcds://b,c/x/")?));
        for other in ["etcd://a,b/y", "etcd://c/x", "consul://a:2379/x"] {
            assert!(!store("etcd://a,b/x")?.same_cluster(&store(other)?), "{other}");
        }
        Ok(())
    }

    #[test]
    fn says_what_is_wrong() {
        use DiscoveryUrlError as E;
        for (text, error) in [
            ("etcd://", E::Authority(String::new())),
            ("etcd://a,,b/x", E::Authority(String::new())),
            ("etcd://a:0", E::Authority("a:0".into())),
            ("zk://u:p@a", E::StoreCredentials),
            ("consul://a/x?token=1", E::Extra),
            ("zk://a/x//y", E::Prefix("x//y".into())),
            ("zk://a/../y", E::Prefix("../y".into())),
        ] {
            assert_eq!(store(text), Err(error), "{text}");
        }
    }
}
