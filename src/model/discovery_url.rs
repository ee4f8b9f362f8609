//! Where a cluster's list of nodes lives.

use super::Listing;
use super::destination::Destination;
use super::store_url::{StoreKind, StoreUrl};
use super::token::{Token, TokenError};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// What `discovery.url` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discovery {
    /// `embedded`: the agent hosts the discovery server itself, with one cluster.
    Embedded,
    At(DiscoveryUrl),
}

/// The word in place of a URL.
const EMBEDDED: &str = "embedded";

impl FromStr for Discovery {
    type Err = DiscoveryUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == EMBEDDED { Ok(Self::Embedded) } else { text.parse().map(Self::At) }
    }
}

/// The server without the token: what a log may say.
impl fmt::Display for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str(EMBEDDED),
            Self::At(url) => url.fmt(f),
        }
    }
}

impl Discovery {
    /// With a token that is none, so that it can't be mistaken for one that works.
    pub fn to_masked_string(&self) -> String {
        match self {
            Self::Embedded => EMBEDDED.to_owned(),
            Self::At(url) => url.to_masked_string(),
        }
    }
}

/// A discovery service and the cluster in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiscoveryUrl {
    /// The token protocol over HTTP: `http(s)://host[:port]/path/clusters/TOKEN` or
    /// `token://host[:port]/path/TOKEN` (which is https).
    Token(TokenUrl),
    /// `etcd://…`, `consul://…`, `zk://…`.
    Store(StoreUrl),
    /// `nodes://a:1,b[1:9]:2375`, or the same without a scheme: the list itself. Read-only.
    Nodes(NodesUrl),
    /// `file:///path`: a file with one entry a line. Read-only.
    File(PathBuf),
}

/// A list of nodes that was written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodesUrl {
    /// As it was written, without the scheme.
    pub text: String,
    pub listing: Listing,
}

/// A cluster at a discovery server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUrl {
    pub server: ServerUrl,
    pub token: Token,
}

/// A discovery server: scheme, authority and the path under which the protocol is served.
/// `http://disco:8970/v1` has the path `/v1`; requests go to `/v1/clusters…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    tls: bool,
    authority: String,
    path: String,
}

/// Where our own server serves the protocol.
const SERVED_UNDER: &str = "/v1";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryUrlError {
    #[error("it is empty; write http://HOST:PORT/v1/clusters/TOKEN (`swarm-agent create` makes a token)")]
    Empty,
    #[error(
        "scheme `{0}` is not known; known are http, https, token, etcd, consul, zk (and etcds, consuls, zks for TLS), nodes and file"
    )]
    Scheme(String),
    #[error("scheme `{0}` is not that of a discovery server; write http://HOST:PORT")]
    ServerScheme(String),
    #[error("`{0}` has no scheme; write http://HOST:PORT/v1/clusters/TOKEN")]
    NoScheme(String),
    #[error(
        "without a scheme it is a list of nodes (host:port,host:port), and it has none: {0}; for a discovery server write http://HOST:PORT/v1/clusters/TOKEN"
    )]
    NoNodesNoScheme(String),
    #[error("no entry of the list is a node: {0}")]
    NoNodes(String),
    #[error("the path is missing; write file:///etc/nodes, for example")]
    NoPath,
    #[error("`{0}` is not a host or host:port (port 1 to 65535, IPv6 in brackets)")]
    Authority(String),
    #[error("user and password don't belong in a URL")]
    Credentials,
    #[error("user and password don't belong in a URL; set discovery.auth.user and discovery.auth.password-file")]
    StoreCredentials,
    #[error(
        "consul:// takes one server: write this host's own Consul agent (consul://127.0.0.1:8500), which finds the \
         others by itself"
    )]
    SeveralAgents,
    #[error("the prefix `{0}` can't be used: it has an empty part, `.`, `..` or white space")]
    Prefix(String),
    #[error("a query or fragment (`?`, `#`) has no meaning here")]
    Extra,
    #[error("the path must end in /clusters/TOKEN, for example /v1/clusters/0a1b2c")]
    NoCluster,
    #[error(
        "token://TOKEN meant a hosted service that was shut down in 2019; run `swarm-agent serve` and write token://HOST:PORT/v1/TOKEN, or http://HOST:PORT/v1/clusters/TOKEN"
    )]
    BareToken,
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl FromStr for DiscoveryUrl {
    type Err = DiscoveryUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(DiscoveryUrlError::Empty);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return without_scheme(text);
        };
        match scheme {
            "http" | "https" => cluster_url(scheme == "https", rest).map(Self::Token),
            "token" => token_url(rest).map(Self::Token),
            "nodes" => nodes_url(rest).map(Self::Nodes).map_err(DiscoveryUrlError::NoNodes),
            // a NUL can stand in TOML and in no path
            "file" if rest.is_empty() || rest.contains('\0') => Err(DiscoveryUrlError::NoPath),
            "file" => Ok(Self::File(PathBuf::from(rest))),
            other => match StoreKind::of_scheme(other) {
                Some((kind, tls)) => StoreUrl::parse(kind, tls, rest).map(Self::Store),
                None => Err(DiscoveryUrlError::Scheme(other.to_owned())),
            },
        }
    }
}

impl FromStr for ServerUrl {
    type Err = DiscoveryUrlError;

    /// `http://disco:8970` and `http://disco:8970/v1` are the same server: `/v1` is where ours serves.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| DiscoveryUrlError::NoScheme(text.to_owned()))?;
        let tls = match scheme {
            "http" => false,
            "https" | "token" => true,
            other => return Err(DiscoveryUrlError::ServerScheme(other.to_owned())),
        };
        let (authority, path) = split_authority(rest)?;
        let path = path.trim_end_matches('/').trim_end_matches("/clusters");
        let path = if path.is_empty() { SERVED_UNDER } else { path };
        Ok(Self { tls, authority, path: path.to_owned() })
    }
}

impl ServerUrl {
    /// A server of ours that this host reaches at this address.
    pub fn plain(address: SocketAddr) -> Self {
        Self { tls: false, authority: address.to_string(), path: SERVED_UNDER.to_owned() }
    }

    pub fn tls(&self) -> bool {
        self.tls
    }

    /// `http://disco:8970/v1/clusters`: where clusters are made.
    pub fn clusters(&self) -> String {
        format!("{}://{}{}/clusters", self.scheme(), self.authority, self.path)
    }

    /// None only for an authority that would not have been read.
    pub fn destination(&self) -> Option<Destination> {
        Destination::of_authority(self.tls, &self.authority)
    }

    fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}

impl TokenUrl {
    /// `http://disco:8970/v1/clusters/TOKEN`: names the token, so it is not for logs.
    pub fn cluster(&self) -> String {
        format!("{}/{}", self.server.clusters(), self.token.as_str())
    }
}

/// Scheme and authority only: what a log may say.
impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority)
    }
}

/// The server without the token: what a log may say.
impl fmt::Display for DiscoveryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(url) => url.server.fmt(f),
            Self::Store(url) => url.fmt(f),
            Self::Nodes(url) => write!(f, "nodes://{}", url.text),
            Self::File(path) => write!(f, "file://{}", path.display()),
        }
    }
}

impl DiscoveryUrl {
    /// The whole URL, token included, as it is kept in the state directory.
    pub fn to_secret_string(&self) -> String {
        match self {
            Self::Token(url) => url.cluster(),
            Self::Store(_) | Self::Nodes(_) | Self::File(_) => self.to_string(),
        }
    }

    /// The whole URL with a token that is none, so that it can't be mistaken for one that works.
    pub fn to_masked_string(&self) -> String {
        match self {
            Self::Token(url) => format!("{}/***", url.server.clusters()),
            Self::Store(_) | Self::Nodes(_) | Self::File(_) => self.to_string(),
        }
    }

    /// Whether both name one cluster. Its server may be spelled in another way (a name for an address, say).
    pub fn same_cluster(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Token(one), Self::Token(other)) => one.token == other.token,
            (Self::Store(one), Self::Store(other)) => one.same_cluster(other),
            _ => false,
        }
    }

    /// Whether what one server may know is known to the other: the same one, spoken to in the same way.
    pub fn same_server(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Token(one), Self::Token(other)) => {
                (one.server.tls, &one.server.authority) == (other.server.tls, &other.server.authority)
            }
            (Self::Store(one), Self::Store(other)) => {
                let common = one.endpoints.iter().any(|endpoint| other.endpoints.contains(endpoint));
                (one.kind, one.tls) == (other.kind, other.tls) && common
            }
            _ => false,
        }
    }

    /// Whether it is spoken to over TLS.
    pub fn tls(&self) -> bool {
        match self {
            Self::Token(url) => url.server.tls,
            Self::Store(url) => url.tls,
            Self::Nodes(_) | Self::File(_) => false,
        }
    }

    /// Whether a request to it may be seen on a network.
    pub fn leaves_this_host(&self) -> bool {
        match self {
            Self::Token(url) => !is_loopback(&url.server.authority),
            Self::Store(url) => !url.endpoints.iter().all(|endpoint| is_loopback(endpoint)),
            Self::Nodes(_) | Self::File(_) => false,
        }
    }

    /// The servers that are asked over HTTP.
    pub fn destinations(&self) -> Vec<Destination> {
        match self {
            Self::Token(url) => url.server.destination().into_iter().collect(),
            Self::Store(url) if url.kind != StoreKind::Zookeeper => {
                url.endpoints.iter().filter_map(|endpoint| Destination::of_authority(url.tls, endpoint)).collect()
            }
            Self::Store(_) | Self::Nodes(_) | Self::File(_) => Vec::new(),
        }
    }

    /// The scheme of a list that can be read and watched only, if this is one.
    pub fn read_only(&self) -> Option<&'static str> {
        match self {
            Self::Token(_) | Self::Store(_) => None,
            Self::Nodes(_) => Some("nodes"),
            Self::File(_) => Some("file"),
        }
    }
}

/// Of a `host` or `host:port`, IPv6 in brackets.
fn is_loopback(authority: &str) -> bool {
    let port = authority.rfind(':').filter(|colon| authority.rfind(']').is_none_or(|bracket| bracket < *colon));
    let host = authority[..port.unwrap_or(authority.len())].trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// As for classic Swarm, a text without a scheme is a list of nodes. A `/` stands in none: that is a URL with a typo.
fn without_scheme(text: &str) -> Result<DiscoveryUrl, DiscoveryUrlError> {
    if text.contains('/') {
        return Err(DiscoveryUrlError::NoScheme(text.to_owned()));
    }
    nodes_url(text).map(DiscoveryUrl::Nodes).map_err(|why| {
        // what has no colon may be a token that lost its URL, and is not repeated
        let why = if text.contains(':') { why } else { "the port is missing".to_owned() };
        DiscoveryUrlError::NoNodesNoScheme(why)
    })
}

/// Why not, if no entry is good; one good entry makes a list, and the bad ones are skipped when it is read.
fn nodes_url(text: &str) -> Result<NodesUrl, String> {
    let numbered = text.split(',').enumerate().map(|(at, entry)| (format!("entry {}", at + 1), entry.trim()));
    let listing = Listing::of_patterns(numbered);
    match listing.unreadable.first() {
        Some(first) if listing.nodes.is_empty() => Err(first.why.clone()),
        _ => Ok(NodesUrl { text: text.to_owned(), listing }),
    }
}

fn cluster_url(tls: bool, rest: &str) -> Result<TokenUrl, DiscoveryUrlError> {
    let (authority, path) = split_authority(rest)?;
    let (base, token) = path.rsplit_once('/').ok_or(DiscoveryUrlError::NoCluster)?;
    let path = base.strip_suffix("/clusters").ok_or(DiscoveryUrlError::NoCluster)?;
    Ok(TokenUrl { server: ServerUrl { tls, authority, path: path.to_owned() }, token: token.parse()? })
}

fn token_url(rest: &str) -> Result<TokenUrl, DiscoveryUrlError> {
    if !rest.contains('/') {
        return Err(DiscoveryUrlError::BareToken);
    }
    let (authority, path) = split_authority(rest)?;
    let (path, token) = path.rsplit_once('/').ok_or(DiscoveryUrlError::NoCluster)?;
    Ok(TokenUrl { server: ServerUrl { tls: true, authority, path: path.to_owned() }, token: token.parse()? })
}

/// Authority and path (which keeps its leading `/`, or is empty).
fn split_authority(rest: &str) -> Result<(String, &str), DiscoveryUrlError> {
    if rest.contains(['?', '#']) {
        return Err(DiscoveryUrlError::Extra);
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(DiscoveryUrlError::Credentials);
    }
    with_port(authority, 1)?;
    Ok((authority.to_owned(), path))
}

/// `host:port`, with this port if it has none.
pub(super) fn with_port(authority: &str, port: u16) -> Result<String, DiscoveryUrlError> {
    let with_port = if has_port(authority) { authority.to_owned() } else { format!("{authority}:{port}") };
    match with_port.parse::<super::NodeAddress>() {
        Ok(_) => Ok(with_port),
        Err(_) => Err(DiscoveryUrlError::Authority(authority.to_owned())),
    }
}

fn has_port(authority: &str) -> bool {
    authority.rsplit_once(':').is_some_and(|(host, _)| !host.starts_with('[') || host.ends_with(']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(text: &str) -> Result<String, DiscoveryUrlError> {
        text.parse::<DiscoveryUrl>().map(|url| url.to_secret_string())
    }

    #[test]
    fn the_classic_token_url_is_https_and_splits_at_the_last_slash() {
        assert_eq!(cluster("token://disco:8970/v1/abc"), Ok("https://disco:8970/v1/clusters/abc".into()));
        assert_eq!(cluster("token://disco/abc"), Ok("https://disco/clusters/abc".into()));
        assert_eq!(
            cluster("http://[fd00::1]:8970/v1/clusters/abc"),
            Ok("http://[fd00::1]:8970/v1/clusters/abc".into())
        );
    }

    #[test]
    fn a_text_without_a_scheme_is_a_list_of_nodes() -> Result<(), DiscoveryUrlError> {
        for text in ["a:1, b[1:2]:1,a[2:1]:1", "nodes://a:1,b1:1,b2:1,junk"] {
            let url: DiscoveryUrl = text.parse()?;
            let DiscoveryUrl::Nodes(nodes) = &url else { panic!("{url:?}") };
            let shown: Vec<String> = nodes.listing.nodes.iter().map(ToString::to_string).collect();
            assert_eq!(shown, ["a:1", "b1:1", "b2:1"], "{text}");
            assert_eq!((nodes.listing.unreadable.len(), url.read_only()), (1, Some("nodes")));
        }
        assert_eq!("file:///etc/nodes".parse::<DiscoveryUrl>()?.to_string(), "file:///etc/nodes");
        Ok(())
    }

    #[test]
    fn a_log_never_sees_the_token() -> Result<(), DiscoveryUrlError> {
        let url: DiscoveryUrl = "http://disco:8970/v1/clusters/s3cret".parse()?;
        assert_eq!(url.to_string(), "http://disco:8970");
        assert_eq!(url.to_masked_string(), "http://disco:8970/v1/clusters/***");
        assert!(!format!("{url:?}").contains("s3cret"));
        Ok(())
    }

    #[test]
    fn a_server_is_named_with_or_without_its_path() -> Result<(), DiscoveryUrlError> {
        for text in
            ["http://disco:8970", "http://disco:8970/", "http://disco:8970/v1", "http://disco:8970/v1/clusters/"]
        {
            assert_eq!(text.parse::<ServerUrl>()?.clusters(), "http://disco:8970/v1/clusters", "{text}");
        }
        Ok(())
    }

    #[test]
    fn says_what_is_wrong_with_a_url() {
        use DiscoveryUrlError as E;
        for (text, error) in [
            ("", E::Empty),
            ("token://abc", E::BareToken),
            ("htp:/disco/x", E::NoScheme("htp:/disco/x".into())),
            ("disco/v1/clusters/abc", E::NoScheme("disco/v1/clusters/abc".into())),
            ("s3cret", E::NoNodesNoScheme("the port is missing".into())),
            ("file://", E::NoPath),
            ("ftp://a/b", E::Scheme("ftp".into())),
            ("http://disco:8970", E::NoCluster),
            ("http://disco:8970/v1/clusters/", E::Token(TokenError)),
            ("http://u:p@disco/v1/clusters/a", E::Credentials),
            ("http://disco:0/v1/clusters/a", E::Authority("disco:0".into())),
            ("http:///v1/clusters/a", E::Authority(String::new())),
            ("http://disco/v1/clusters/a?x", E::Extra),
        ] {
            assert_eq!(text.parse::<DiscoveryUrl>(), Err(error), "{text}");
        }
    }

    #[test]
    fn what_one_server_may_know_is_not_for_another() -> Result<(), DiscoveryUrlError> {
        let same = |one: &str, other: &str| -> Result<bool, DiscoveryUrlError> {
            Ok(one.parse::<DiscoveryUrl>()?.same_server(&other.parse()?))
        };
        assert!(same("https://a/v1/clusters/x", "token://a/v1/y")?);
        assert!(same("etcds://a,b/x", "etcds://b,c/y")?);
        for (one, other) in [
            ("https://a/v1/clusters/x", "http://a/v1/clusters/x"),
            ("https://a/v1/clusters/x", "https://b/v1/clusters/x"),
            ("etcds://a", "etcd://a"),
            ("etcd://a:1", "consul://a:1"),
            ("https://a/v1/clusters/x", "etcds://a"),
        ] {
            assert!(!same(one, other)?, "{one} {other}");
        }
        Ok(())
    }
}
