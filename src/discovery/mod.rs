//! Discovery services, one file each. An adapter makes one attempt per call, with a timeout of its
//! own, and returns a typed error; retries belong to the caller.

pub mod consul;
pub mod etcd;
pub mod file;
pub mod nodes;
mod renewal;
pub mod token;
mod web;
pub mod zookeeper;

pub use crate::model::Listing;
use crate::model::{DiscoveryUrl, Hold, NodeAddress, NodeRecord, ProxyFault, Source, StoreKind, TlsFileFault, WayOut};
use std::path::PathBuf;
use std::time::Duration;

/// Which nodes a list is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those that are registered.
    Active,
    /// The drained ones too, where the service has room for them.
    All,
    /// The active ones, and what is recorded of them, where the service has room for that.
    Records,
}

/// An entry that is to be in.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    pub address: &'a NodeAddress,
    /// How long the entry lives without another call; whole seconds on most wires, rounded up.
    pub ttl: Duration,
    /// What the last call for it gave, also to another process.
    pub hold: Option<&'a Hold>,
    /// Who the node is, for services that have room for it.
    pub record: Option<&'a NodeRecord>,
}

impl<'a> Claim<'a> {
    /// Nothing is held yet.
    pub fn new(address: &'a NodeAddress, ttl: Duration) -> Self {
        Self { address, ttl, hold: None, record: None }
    }
}

/// An entry that is to be out.
#[derive(Debug, Clone, Copy)]
pub struct Release<'a> {
    pub address: &'a NodeAddress,
    /// What the last call for it gave, also to another process. Where that is missing although the service knows such a
    /// thing, or where the service knows none, whatever is at the address goes.
    pub hold: Option<&'a Hold>,
    /// The id of our node: then an entry that is recorded as another node's stays, for ours is not there any more.
    pub node: Option<&'a str>,
}

impl<'a> Release<'a> {
    pub fn new(address: &'a NodeAddress, hold: Option<&'a Hold>) -> Self {
        Self { address, hold, node: None }
    }
}

/// Where a watcher stands: what it saw last, and how long the service may let it wait for something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub position: Position,
    pub patience: Duration,
}

/// A state of the list that was seen. Only the backend that gave it can read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position(pub String);

/// The list at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    pub listing: Listing,
    /// With it, the next call waits for a change. None: this service can't tell of changes and is asked again and again.
    pub position: Option<Position>,
}

impl Sight {
    /// Of a service that can't tell of changes.
    pub fn still(listing: Listing) -> Self {
        Self { listing, position: None }
    }
}

/// A cluster in a discovery service, as the agent sees it.
#[async_trait::async_trait]
pub trait Backend: Send + Sync {
    /// Puts the entry in, or renews it; gives what holds it, for the next call.
    async fn register(&self, claim: &Claim<'_>) -> Result<Option<Hold>, BackendError>;

    /// Takes the entry out, and ends what held it. An entry that is not there is no error.
    async fn deregister(&self, release: &Release<'_>) -> Result<(), BackendError>;

    /// The entries, sorted; those that can't be parsed come apart. Without `seen` as they are now, at once. With it, as
    /// soon as they are others than there, or when the patience ends. It always gives the whole list: a caller that
    /// missed something has it again. Nothing is written.
    async fn watch(&self, scope: Scope, seen: Option<&Seen>) -> Result<Sight, BackendError>;

    /// Puts up for `ttl` that the node is drained, in place of what was said of it before. It changes no entry. A
    /// later `register` of the address takes the mark down, else it ends by itself. A service that has no place for
    /// marks answers `NoRoom`, to each attempt.
    async fn mark_drained(
        &self,
        address: &NodeAddress,
        reason: Option<&str>,
        ttl: Duration,
    ) -> Result<(), BackendError>;
}

/// Why one attempt failed. Display names the server and never the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    #[error("no connection to {server}: {cause}")]
    Connect { server: String, cause: String },
    #[error("no answer from {server} within {}", humantime::format_duration(*.timeout))]
    Timeout { server: String, timeout: Duration },
    /// The server answered, and not with success.
    #[error("{server} answered {status}{}", detail(.message))]
    Status { server: String, status: u16, message: String, retry_after: Option<Duration> },
    #[error("the connection to {server} broke: {cause}")]
    Broken { server: String, cause: String },
    #[error("{server} gave an answer that is not understood: {what}")]
    Garbled { server: String, what: String },
    /// None of several servers did it; this says most of it.
    #[error("{telling} ({others} more {} too)", failed(*.others))]
    Everywhere { telling: Box<BackendError>, others: usize },
    #[error("the HTTP client can't be built: {0}")]
    Client(String),
    /// The server is not who it should be, or does not let us in.
    #[error("no TLS connection to {server}: {cause}")]
    Tls { server: String, cause: String },
    /// What lets us in can't be read. Nothing was asked.
    #[error("{0}")]
    Credentials(TlsFileFault),
    /// The server wants to know who we are, or does not allow it to us.
    #[error("{server} refuses ({status}{}); {remedy}", detail(.message))]
    Denied { server: String, status: u16, message: String, remedy: String },
    /// The server understood, and does not do it.
    #[error("{server} refuses: {reason}")]
    Refused { server: String, reason: String },
    #[error("{list} can only be read: nothing is registered there")]
    ReadOnly { list: String },
    #[error("{} can't be read: {cause}", path.display())]
    File { path: PathBuf, cause: String },
    /// The proxy on the way to the server, and what set it.
    #[error("the proxy {proxy} ({rule}) {fault}")]
    Proxy { proxy: String, rule: Source, fault: ProxyFault },
    /// The service can register nodes, but not say of one that it is drained.
    #[error("{server} has no room for drained nodes")]
    NoRoom { server: String },
    /// The entry is there because of somebody else.
    #[error("{entry} is held at {server} by {holder}")]
    Held { server: String, entry: String, holder: String },
}

impl BackendError {
    /// How long the server asked us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Everywhere { telling, .. } => telling.retry_after(),
            _ => None,
        }
    }

    /// Of the failures of several servers, the first that tells most.
    pub fn of_several(mut failures: Vec<Self>) -> Option<Self> {
        let others = failures.len().checked_sub(1)?;
        let most = failures.iter().map(Self::telling).max()?;
        let telling = failures.swap_remove(failures.iter().position(|error| error.telling() == most)?);
        // a file of ours that can't be read is no failure of a server
        let alone = others == 0 || matches!(telling, Self::Credentials(_));
        Some(if alone { telling } else { Self::Everywhere { telling: Box::new(telling), others } })
    }

    /// Who answered knows more than who did not.
    fn telling(&self) -> u8 {
        match self {
            Self::Connect { .. } => 0,
            Self::Timeout { .. } => 1,
            Self::Garbled { .. } | Self::Broken { .. } => 2,
            Self::Tls { .. } => 3,
            _ => 4,
        }
    }

    /// One word for each kind, for the labels of metrics: it never changes.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Timeout { .. } => "timeout",
            Self::Status { .. } => "status",
            Self::Broken { .. } => "broken",
            Self::Garbled { .. } => "garbled",
            Self::Everywhere { telling, .. } => telling.kind(),
            Self::Client(_) => "client",
            Self::Tls { .. } => "tls",
            Self::Credentials(_) => "credentials",
            Self::Denied { .. } => "denied",
            Self::Refused { .. } => "refused",
            Self::ReadOnly { .. } => "read_only",
            Self::File { .. } => "file",
            Self::Proxy { .. } => "proxy",
            Self::NoRoom { .. } => "no_room",
            Self::Held { .. } => "held",
        }
    }
}

fn detail(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

fn failed(others: usize) -> &'static str {
    if others == 1 { "server failed" } else { "servers failed" }
}

impl dyn Backend + '_ {
    /// The entries as they are now.
    pub async fn list(&self, scope: Scope) -> Result<Listing, BackendError> {
        self.watch(scope, None).await.map(|sight| sight.listing)
    }
}

/// Builds the backend that a URL names.
pub fn open(url: &DiscoveryUrl, way: &WayOut) -> Result<Box<dyn Backend>, BackendError> {
    match url {
        DiscoveryUrl::Token(url) => Ok(Box::new(token::TokenBackend::new(url.clone(), way)?)),
        DiscoveryUrl::Store(url) => match url.kind {
            StoreKind::Etcd => Ok(Box::new(etcd::EtcdBackend::new(url, way)?)),
            StoreKind::Consul => Ok(Box::new(consul::ConsulBackend::new(url.clone(), way)?)),
            StoreKind::Zookeeper => Ok(Box::new(zookeeper::ZookeeperBackend::new(url.clone(), way)?)),
        },
        DiscoveryUrl::Nodes(url) => Ok(Box::new(nodes::NodesBackend::new(url.clone()))),
        DiscoveryUrl::File(path) => Ok(Box::new(file::FileBackend::new(path.clone(), way.timeouts.total))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TlsFileProblem;

    #[test]
    fn of_several_failures_the_one_that_knows_most_is_told() {
        let connect = || BackendError::Connect { server: "etcd://a".into(), cause: "connection refused".into() };
        let status =
            BackendError::Status { server: "etcd://b".into(), status: 503, message: "x".into(), retry_after: None };
        assert_eq!(BackendError::of_several(vec![]), None);
        assert_eq!(BackendError::of_several(vec![connect()]), Some(connect()));
        let told = BackendError::of_several(vec![connect(), status, connect()]).expect("three failures");
        assert_eq!(told.to_string(), "etcd://b answered 503: x (2 more servers failed too)");
        assert_eq!(told.kind(), "status");
        let told = BackendError::of_several(vec![connect(), connect()]).map(|error| error.to_string());
        assert_eq!(told.as_deref(), Some("no connection to etcd://a: connection refused (1 more server failed too)"));
        // that is no server's fault
        let problem = TlsFileProblem::Missing;
        let ours = BackendError::Credentials(TlsFileFault { setting: "x", path: "/x".into(), problem });
        assert_eq!(BackendError::of_several(vec![ours.clone(), connect(), ours.clone()]), Some(ours));
    }
}
