//! Connections: how many, how slow, and how they end.

use crate::model::SocketTrouble;
use axum::{Extension, Router};
use futures_util::future::{BoxFuture, ready};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Requests are small; hyper would let a head grow to hundreds of KiB.
const BUFFER_BYTES: usize = 16 << 10;
const HEADERS: usize = 64;
/// Out of file descriptors, say: waiting is all that helps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
const COMPLAINT: Duration = Duration::from_secs(60);

/// What clients may take of a server.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub connections: usize,
    /// Of them by one client that [`Socket::client`] tells apart; a quarter of all stays free for those that it does not.
    pub each: usize,
    /// Until the next request's head is in; it also ends kept connections that are idle.
    pub head: Duration,
    /// For requests under way when the server stops.
    pub drain: Duration,
}

/// A socket that listens.
pub trait Socket: Send + Sync {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Who is at the other end; handlers get it as an `Extension`.
    type Peer: Clone + Send + Sync + 'static;

    /// Whose share of the connections this one takes; None if it is one of those that must always find one.
    fn client(_: &Self::Peer) -> Option<u32> {
        None
    }

    /// Cancel-safe: a connection that was not returned is still there to be accepted.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Self::Peer)>> + Send;
}

impl Socket for TcpListener {
    type Stream = TcpStream;
    type Peer = SocketAddr;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = Self::accept(self).await?;
        // an answer is one small packet; without this it may wait for the client's delayed acknowledgement
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "can't tune a connection");
        }
        Ok((stream, peer))
    }
}

/// A connection as requests are read from it. Behind a pointer, so that there is one HTTP server in the program and not
/// one for each kind of socket.
pub type Wire = Box<dyn Stream>;

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// What a new connection goes through on its own task, such as a handshake, and who then answers its requests. None
/// closes it. It bounds its own time.
pub type Opening = BoxFuture<'static, Option<(Wire, Router)>>;

/// Nothing has to happen first. `router` is called for each connection.
pub fn plain<S: Stream + 'static>(router: impl Fn() -> Router) -> impl Fn(S) -> Opening {
    move |stream| Box::pin(ready(Some((Box::new(stream) as Wire, router()))))
}

/// Serves until `stop`, then lets requests under way finish for a short while. `open` is called for each connection;
/// `tell` hears of trouble, at most once a minute of each kind.
pub async fn serve<S: Socket>(
    socket: S,
    open: impl Fn(S::Stream) -> Opening,
    bounds: Bounds,
    tell: impl Fn(SocketTrouble),
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(bounds.connections));
    let mut shares = Shares::new(bounds);
    let mut connections = JoinSet::new();
    let (mut complained, mut crowded) = (None, None);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            // neither waiting for a slot nor accepting loses anything when dropped
            accepted = accept(&socket, &slots) => match accepted {
                Ok((stream, peer, slot)) => match shares.take(S::client(&peer)) {
                    Ok(share) => {
                        let opening = open(stream);
                        connections.spawn(connection(opening, peer, bounds, stop.clone(), (slot, share)));
                    }
                    Err(uid) if due(&mut crowded) => tell(SocketTrouble::Crowded { uid }),
                    // closed
                    Err(_) => {}
                },
                Err(error) => {
                    if due(&mut complained) {
                        tell(SocketTrouble::Accept(error.to_string()));
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(socket);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(bounds.drain, drained).await.is_err() {
        tell(SocketTrouble::CutOff(connections.len()));
        connections.shutdown().await;
    }
}

/// Who has how many connections. One client must not keep the others out.
struct Shares {
    each: usize,
    together: Arc<Semaphore>,
    clients: BTreeMap<u32, Arc<Semaphore>>,
}

/// A connection's place, given back when it is dropped.
type Share = Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>;

impl Shares {
    fn new(bounds: Bounds) -> Self {
        let together = Arc::new(Semaphore::new(bounds.connections - bounds.connections / 4));
        Self { each: bounds.each, together, clients: BTreeMap::new() }
    }

    /// Fails with the client if it has its share already.
    fn take(&mut self, client: Option<u32>) -> Result<Share, u32> {
        let Some(client) = client else { return Ok(None) };
        self.clients.retain(|_, share| share.available_permits() < self.each);
        let share = self.clients.entry(client).or_insert_with(|| Arc::new(Semaphore::new(self.each)));
        let own = share.clone().try_acquire_owned();
        match (own, self.together.clone().try_acquire_owned()) {
            (Ok(own), Ok(common)) => Ok(Some((own, common))),
            _ => Err(client),
        }
    }
}

type Accepted<S> = (<S as Socket>::Stream, <S as Socket>::Peer, Option<OwnedSemaphorePermit>);

async fn accept<S: Socket>(socket: &S, slots: &Arc<Semaphore>) -> io::Result<Accepted<S>> {
    // the semaphore is never closed, so there is always a permit
    let slot = slots.clone().acquire_owned().await.ok();
    let (stream, peer) = socket.accept().await?;
    Ok((stream, peer, slot))
}

async fn connection<P: Clone + Send + Sync + 'static>(
    opening: Opening,
    peer: P,
    bounds: Bounds,
    stop: CancellationToken,
    _place: (Option<OwnedSemaphorePermit>, Share),
) {
    let opened = tokio::select! {
        opened = opening => opened,
        // nothing has been asked yet
        () = stop.cancelled() => None,
    };
    let Some((stream, router)) = opened else { return };
    let router = router.layer(Extension(peer));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(BUFFER_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = pin!(served);
    let outcome = tokio::select! {
        outcome = served.as_mut() => outcome,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = outcome {
        debug!(%error, "a connection broke");
    }
}

/// Whether there may be a complaint now; then it counts as made.
fn due(last: &mut Option<tokio::time::Instant>) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= COMPLAINT);
    if due {
        *last = Some(tokio::time::Instant::now());
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_share_and_all_together_leave_room() {
        let second = Duration::from_secs(1);
        let mut shares = Shares::new(Bounds { connections: 16, each: 3, head: second, drain: second });
        let mut held: Vec<Share> = (0..3).map(|_| shares.take(Some(7)).unwrap()).collect();
        assert_eq!(shares.take(Some(7)).err(), Some(7));
        held.pop();
        assert!(shares.take(Some(7)).is_ok(), "what was given back can be taken again");
        for client in 8..20 {
            held.extend((0..3).filter_map(|_| shares.take(Some(client)).ok()));
        }
        assert_eq!(held.len(), 12, "a quarter is left");
        assert!(matches!(shares.take(None), Ok(None)), "for those who must always find a place");
        held.clear();
        assert!(shares.take(Some(30)).is_ok());
        assert_eq!(shares.clients.len(), 1, "who has left is forgotten");
    }
}
