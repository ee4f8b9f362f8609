//! The discovery server: the token protocol over HTTP, kept in a store on disk.
//!
//! | task | owns | hears | tells |
//! | --- | --- | --- | --- |
//! | `http::serve` | the socket | connections | one task per connection, which asks the `Keeper` |
//! | `writer` (a thread: fsync blocks) | the store | orders from the `Keeper` | answers, when they are on disk |
//! | `report` | | the roster's size | `watch<Option<ServerStatus>>` |
//!
//! The roster in memory answers every list and takes every beat; it shows changes after they are
//! committed. `policy::lease` decides when an entry ends. Marks of drained nodes are in memory only.
//!
//! Who gets in is decided in two places: by TLS before a connection's first request (`tls`), and by bearer tokens before
//! each request (`access`). Both follow the configuration while the server runs (`reload`).
//!
//! Readers that wait for a change (`feeds`) are woken by the bell of their cluster (`cluster`), and wake by themselves when
//! its next entry may end. They then look at the list's index, and answer if it is another.

mod access;
mod api;
mod clock;
mod cluster;
mod feeds;
mod keeper;
mod limits;
mod places;
mod plan;
mod refusal;
mod reload;
mod roster;
mod store;
mod tls;
mod writer;

pub use access::{Guard, new_bearer};
pub use api::new_token;
pub use reload::{Protection, Reloader};
pub use store::StoreError;
pub use tls::{Keyring, Usable};

use crate::http;
use crate::model::{TlsFileFault, Token};
use crate::telemetry::{Event, emit};
use feeds::Feeds;
use keeper::Keeper;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const REPORT_INTERVAL: Duration = Duration::from_secs(2);
/// How long the last beats may take to get to the disk. They may be lost, so a sick disk need not
/// keep the server from stopping.
const FLUSH: Duration = Duration::from_secs(5);

/// What the server does now. There is none before it can serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerStatus {
    /// Where it listens, with the port that it got.
    pub address: SocketAddr,
    pub clusters: usize,
    pub nodes: usize,
    /// Why the TLS files as they are now are not in use.
    pub tls_trouble: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("can't listen on {address}: {source}")]
    Bind { address: SocketAddr, source: io::Error },
    /// The one cluster of an embedded server.
    #[error("its cluster can't be made: {0}")]
    Cluster(String),
    #[error("{0}")]
    Tls(TlsFileFault),
    #[error("the socket can't be used: {0}")]
    Socket(#[source] io::Error),
    #[error("the thread that writes the store ended by itself")]
    WriterEnded,
    #[error("the last beats were not stored within {} s; they are covered by the grace after a restart", FLUSH.as_secs())]
    Flush,
}

impl fmt::Display for ServerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        let Self { address, clusters, nodes, tls_trouble } = self;
        write!(f, "serving {clusters} cluster{}, {nodes} node{} on {address}", plural(*clusters), plural(*nodes))?;
        match tls_trouble {
            Some(trouble) => write!(f, "; the TLS files from before are in use: {trouble}"),
            None => Ok(()),
        }
    }
}

/// What a server serves.
pub struct Serving {
    pub listener: TcpListener,
    pub state_directory: PathBuf,
    /// A cluster that is made if it is not there yet.
    pub cluster: Option<Token>,
    pub protection: Protection,
}

pub async fn listen(address: SocketAddr) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address).await.map_err(|source| ServerError::Bind { address, source })
}

/// Serves until `stop` is cancelled. The first status is sent when requests are taken.
pub async fn run(
    serving: Serving,
    status: watch::Sender<Option<ServerStatus>>,
    stop: CancellationToken,
) -> Result<(), ServerError> {
    let Serving { listener, state_directory, cluster, protection: Protection { guard, keyring } } = serving;
    let (keeper, mut writer) = writer::start(state_directory).await?;
    if let Some(token) = cluster {
        keeper.ensure(token).await.map_err(|refusal| ServerError::Cluster(refusal.to_string()))?;
    }
    let address = listener.local_addr().map_err(ServerError::Socket)?;
    let place = address.to_string();
    emit(&Event::ServerListening { address: &place });
    let router = api::router(keeper.clone(), guard, Feeds::new(keeper.clone(), stop.clone()));
    let open = |stream| match &keyring {
        Some(keyring) => tls::open(keyring.clone(), stream, router.clone()),
        None => http::plain(|| router.clone())(stream),
    };
    let tell = |trouble| emit(&Event::of_socket(&place, &trouble));
    let ended = tokio::select! {
        () = http::serve(listener, open, limits::BOUNDS, tell, stop) => false,
        () = report(&keeper, address, keyring.as_ref(), &status) => false,
        // a oneshot: nothing is lost when another arm wins
        () = writer.ended() => true,
    };
    if ended {
        return Err(ServerError::WriterEnded);
    }
    // the last keepers: the writer stores what is left and ends
    drop((keeper, router));
    tokio::time::timeout(FLUSH, writer.ended()).await.map_err(|_| ServerError::Flush)
}

/// Never ends.
async fn report(
    keeper: &Keeper,
    address: SocketAddr,
    keyring: Option<&Keyring>,
    status: &watch::Sender<Option<ServerStatus>>,
) {
    loop {
        let (clusters, nodes) = keeper.count();
        let tls_trouble = keyring.and_then(Keyring::trouble).map(|fault| fault.to_string());
        let new = Some(ServerStatus { address, clusters, nodes, tls_trouble });
        status.send_if_modified(|old| {
            let changed = *old != new;
            *old = new;
            changed
        });
        tokio::time::sleep(REPORT_INTERVAL).await;
        // also while nobody connects
        if let Some(keyring) = keyring {
            keyring.current().await;
        }
    }
}
