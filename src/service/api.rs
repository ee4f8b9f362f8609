//! The agent's local API: HTTP on a unix socket.
//!
//! | request | who | answer |
//! | --- | --- | --- |
//! | `GET /status` | readers | 200, a [`Report`](crate::model::report::Report) |
//! | `GET /status?watch=N` | readers | 200, a report a line: at once, at each change, and every N seconds |
//! | `GET /metrics` | readers | 200, the metrics in Prometheus's text format |
//! | `GET /healthz` | readers | 200 `ok` while every task of the agent turns, 503 with the names of those that don't |
//! | `POST /reload` | operators | 200 with what changed, 422 with what is wrong ([`ReloadOutcome`]) |
//! | `POST /drain`, body `{"reason": TEXT, "seconds": N}` or none | operators | 200 with what holds now ([`DrainOutcome`]), 400 |
//! | `POST /undrain` | operators | 200 with what holds now ([`DrainOutcome`]) |
//! | `POST /engine/reset` | operators | 200, `{"forgotten": N}`: the agent may restart the engine again, and N restarts count no more |
//!
//! Operators are root, the agent's own user and members of group `swarm-agent`; readers are everybody, or operators only
//! (`status.readable-by`). Errors are `{"error": "a text for people", "code": "a_name_for_programs"}`.

use super::beat::Beat;
use super::drainer::{Done, DrainOrder};
use super::readings::{self, Readings, refuse};
use super::repairer::ResetOrder;
use crate::http::local::{LocalSocket, Peer};
use crate::http::{self, Bounds};
use crate::model::report::DrainOutcome;
use crate::model::{DrainWish, Readers, ReloadOutcome};
use crate::telemetry::{Event, emit};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

const BOUNDS: Bounds =
    Bounds { connections: 64, each: 8, head: Duration::from_secs(30), drain: Duration::from_secs(1) };
/// A reason of 200 characters, escaped, and then some.
const BODY_BYTES: usize = 4096;
/// Its members may give orders.
const GROUP: &str = "swarm-agent";

/// An order to read the configuration anew, with the way back for what came of it.
pub type ReloadOrder = oneshot::Sender<ReloadOutcome>;

pub struct Api {
    pub socket: PathBuf,
    pub desk: Desk,
    pub beat: Beat,
}

/// What requests are answered from.
#[derive(Clone)]
pub struct Desk {
    pub reloads: mpsc::Sender<ReloadOrder>,
    pub drains: mpsc::Sender<DrainOrder>,
    pub resets: mpsc::Sender<ResetOrder>,
    pub readings: Readings,
    /// The agent's own user, which systemd runs `ExecReload=` as.
    pub own_uid: u32,
}

/// The body of `POST /drain`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct DrainRequest {
    reason: Option<String>,
    seconds: Option<u64>,
}

impl Api {
    pub async fn run(mut self, stop: CancellationToken) {
        self.desk.readings.stop = stop.clone();
        let mut said = false;
        loop {
            self.beat.tick();
            match LocalSocket::bind(&self.socket) {
                Ok(socket) => return self.serve(socket, stop).await,
                Err(error) if !said => {
                    emit(&Event::ApiFailed { path: &self.socket.display().to_string(), error: &error.to_string() });
                    said = true;
                }
                Err(_) => {}
            }
            // Cancel-safe: a sleep holds no state.
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.beat.rest() => {}
            }
        }
    }

    async fn serve(&self, socket: LocalSocket, stop: CancellationToken) {
        // made when somebody asks, which is rare: until then its code takes no memory
        let place = self.socket.display().to_string();
        let tell = |trouble| emit(&Event::of_socket(&place, &trouble));
        let mut serving = pin!(http::serve(socket, http::plain(|| router(self.desk.clone())), BOUNDS, tell, stop));
        loop {
            // Cancel-safe: the server is pinned outside.
            tokio::select! {
                () = &mut serving => return,
                () = self.beat.rest() => self.beat.tick(),
            }
        }
    }
}

fn router(desk: Desk) -> Router {
    let reads = Router::new()
        .route("/status", get(readings::status))
        .route("/metrics", get(readings::metrics))
        .route("/healthz", get(readings::health))
        .with_state(desk.readings.clone())
        .layer(from_fn_with_state(desk.clone(), only_readers));
    let orders = Router::new()
        .route("/reload", post(reload))
        .route("/drain", post(drain))
        .route("/undrain", post(undrain))
        .route("/engine/reset", post(reset))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(from_fn_with_state(desk.clone(), only_operators))
        .with_state(desk);
    reads
        .merge(orders)
        .fallback(async || refuse(StatusCode::NOT_FOUND, "no_such_path", "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "no_such_method", "this path takes another method")
        })
}

async fn only_readers(State(desk): State<Desk>, peer: Extension<Peer>, request: Request, next: Next) -> Response {
    match desk.readings.reporter.readers() {
        Readers::Everyone => next.run(request).await,
        Readers::Group => only_operators(State(desk), peer, request, next).await,
    }
}

async fn only_operators(State(desk): State<Desk>, peer: Extension<Peer>, request: Request, next: Next) -> Response {
    let Extension(peer) = peer;
    let known = peer.uid == 0 || peer.uid == desk.own_uid;
    // the user database may be slow
    let may = known || tokio::task::spawn_blocking(move || peer.is_member_of(GROUP)).await.unwrap_or(false);
    match may {
        true => next.run(request).await,
        false => refuse(
            StatusCode::FORBIDDEN,
            "denied",
            "this is for root and members of group swarm-agent: use sudo, or adduser USER swarm-agent",
        ),
    }
}

async fn reload(State(desk): State<Desk>) -> Response {
    let (answer, answered) = oneshot::channel();
    let outcome = match desk.reloads.send(answer).await {
        Ok(()) => answered.await.ok(),
        Err(_) => None,
    };
    match outcome {
        Some(outcome @ ReloadOutcome::Reloaded { .. }) => Json(outcome).into_response(),
        Some(outcome @ ReloadOutcome::Rejected { .. }) => {
            (StatusCode::UNPROCESSABLE_ENTITY, Json(outcome)).into_response()
        }
        None => stopping(),
    }
}

async fn reset(State(desk): State<Desk>) -> Response {
    let (answer, answered) = oneshot::channel();
    let forgotten = match desk.resets.send(answer).await {
        Ok(()) => answered.await.ok(),
        Err(_) => None,
    };
    match forgotten {
        Some(forgotten) => Json(serde_json::json!({ "forgotten": forgotten })).into_response(),
        None => stopping(),
    }
}

async fn drain(State(desk): State<Desk>, peer: Extension<Peer>, body: Result<Bytes, BytesRejection>) -> Response {
    let request = match body {
        Ok(body) if body.is_empty() => Ok(DrainRequest::default()),
        Ok(body) => serde_json::from_slice::<DrainRequest>(&body).map_err(|error| error.to_string()),
        Err(rejection) => Err(rejection.body_text()),
    };
    let wish = request.and_then(|DrainRequest { reason, seconds }| {
        DrainWish::new(reason.as_deref(), seconds.map(Duration::from_secs)).map_err(|error| error.to_string())
    });
    match wish {
        Ok(wish) => order(desk, peer.0, Some(wish)).await,
        Err(error) => refuse(StatusCode::BAD_REQUEST, "bad_request", &error),
    }
}

async fn undrain(State(desk): State<Desk>, peer: Extension<Peer>) -> Response {
    order(desk, peer.0, None).await
}

async fn order(desk: Desk, peer: Peer, wish: Option<DrainWish>) -> Response {
    // the user database may be slow
    let by = tokio::task::spawn_blocking(move || peer.name()).await.unwrap_or_else(|_| format!("uid {}", peer.uid));
    let (answer, answered) = oneshot::channel();
    let done = match desk.drains.send(DrainOrder { wish, by, answer }).await {
        Ok(()) => answered.await.ok(),
        Err(_) => None,
    };
    match done {
        Some(Done { drain, not_kept }) => {
            let drain = drain.map(|drain| desk.readings.reporter.drain_report(&drain));
            Json(DrainOutcome { drain, not_kept }).into_response()
        }
        None => stopping(),
    }
}

fn stopping() -> Response {
    refuse(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the agent is stopping")
}
