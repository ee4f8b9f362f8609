//! The agent's local API: HTTP on a unix socket.
//!
//! | request | who | answer |
//! | --- | --- | --- |
//! | `POST /reload` | root, group `swarm-agent` | 200 with what changed, 422 with what is wrong ([`ReloadOutcome`]) |
//!
//! Errors are `{"error": "a text for people", "code": "a_name_for_programs"}`.

use super::TICK;
use super::beat::Beat;
use crate::http::local::{LocalSocket, Peer};
use crate::http::{self, Bounds};
use crate::model::ReloadOutcome;
use crate::telemetry::{Event, emit};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const BOUNDS: Bounds = Bounds { connections: 64, head: Duration::from_secs(30), drain: Duration::from_secs(1) };
/// Its members may give orders.
const GROUP: &str = "swarm-agent";

/// An order to read the configuration anew, with the way back for what came of it.
pub type ReloadOrder = oneshot::Sender<ReloadOutcome>;

pub struct Api {
    pub socket: PathBuf,
    pub reloads: mpsc::Sender<ReloadOrder>,
    /// The agent's own user, which systemd runs `ExecReload=` as.
    pub own_uid: u32,
    pub beat: Beat,
}

#[derive(Clone)]
struct Desk {
    reloads: mpsc::Sender<ReloadOrder>,
    own_uid: u32,
}

impl Api {
    pub async fn run(self, stop: CancellationToken) {
        let desk = Desk { reloads: self.reloads.clone(), own_uid: self.own_uid };
        let mut said = false;
        loop {
            self.beat.tick();
            match LocalSocket::bind(&self.socket) {
                Ok(socket) => return self.serve(socket, &desk, stop).await,
                Err(error) if !said => {
                    emit(&Event::ApiFailed { path: &self.socket.display().to_string(), error: &error.to_string() });
                    said = true;
                }
                Err(_) => {}
            }
            // Cancel-safe: a sleep holds no state.
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(TICK) => {}
            }
        }
    }

    async fn serve(&self, socket: LocalSocket, desk: &Desk, stop: CancellationToken) {
        // made when somebody asks, which is rare: until then its code takes no memory
        let place = self.socket.display().to_string();
        let tell = |trouble| emit(&Event::of_socket(&place, &trouble));
        let mut serving = pin!(http::serve(socket, || router(desk.clone()), BOUNDS, tell, stop));
        loop {
            // Cancel-safe: the server is pinned outside.
            tokio::select! {
                () = &mut serving => return,
                () = sleep(TICK) => self.beat.tick(),
            }
        }
    }
}

fn router(desk: Desk) -> Router {
    let orders = Router::new().route("/reload", post(reload)).layer(from_fn_with_state(desk.clone(), only_operators));
    orders
        .fallback(async || refuse(StatusCode::NOT_FOUND, "no_such_path", "there is nothing at this path"))
        .with_state(desk)
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
        None => refuse(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the agent is stopping"),
    }
}

fn refuse(status: StatusCode, code: &str, error: &str) -> Response {
    (status, Json(serde_json::json!({ "error": error, "code": code }))).into_response()
}
