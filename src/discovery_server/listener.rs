//! Connections: how many, how slow, and how they end.

use super::limits;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Requests are small; hyper would let a head grow to hundreds of KiB.
const BUFFER_BYTES: usize = 16 << 10;
const HEADERS: usize = 64;
/// Out of file descriptors, say: waiting is all that helps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
const COMPLAINT: Duration = Duration::from_secs(60);

/// Serves until `stop`, then lets requests under way finish for a short while.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(limits::CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut complained = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            // neither waiting for a slot nor accepting loses anything when dropped
            accepted = accept(&listener, &slots) => match accepted {
                Ok((stream, slot)) => {
                    connections.spawn(connection(stream, router.clone(), stop.clone(), slot));
                }
                Err(error) => {
                    complain(&mut complained, &error);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits::DRAIN, drained).await.is_err() {
        warn!(connections = connections.len(), "cut off requests that did not finish in time");
        connections.shutdown().await;
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, Option<OwnedSemaphorePermit>)> {
    // the semaphore is never closed, so there is always a permit
    let slot = slots.clone().acquire_owned().await.ok();
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken, _slot: Option<OwnedSemaphorePermit>) {
    // an answer is one small packet; without this it may wait for the client's delayed acknowledgement
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "can't tune a connection");
    }
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEAD)
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

fn complain(last: &mut Option<tokio::time::Instant>, error: &std::io::Error) {
    if last.is_none_or(|last| last.elapsed() >= COMPLAINT) {
        warn!(%error, "can't accept connections");
        *last = Some(tokio::time::Instant::now());
    }
}
