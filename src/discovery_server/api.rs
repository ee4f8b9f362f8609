//! The token protocol, served under `/v1`.
//!
//! | request | answer |
//! | --- | --- |
//! | `POST /v1/clusters` | 200, the token of a new cluster as plain text |
//! | `POST /v1/clusters/TOKEN?ttl=180`, body `10.0.0.1:2375` | 200 when it is on disk; ttl in whole seconds, 180 if it is missing |
//! | the same with a header `X-Swarm-Record: {"node": …}` | 200, and who the node is is listed with `records=1` |
//! | `DELETE /v1/clusters/TOKEN` | 200, the cluster is gone with its entries and its token |
//! | `DELETE /v1/clusters/TOKEN/ADDRESS` | 200, whether the entry was there or not |
//! | the same with a header `X-Swarm-Node: ID` | 200, and an entry stays that another node is recorded for |
//! | `PUT /v1/clusters/TOKEN/ADDRESS/drained?ttl=180`, body `kernel update` | 200: until the ttl ends the node is drained, for this reason, which may be empty |
//! | `GET /healthz`, `GET /v1/healthz` | 200 `ok` |
//!
//! What is read of a cluster is served by `feeds`. Anything else is a `Refusal`. With a tokens file each but the last takes
//! a bearer token, see `access`.
//!
//! A drained node is `{"address": "10.0.0.1:2375", "drained": true, "reason": "kernel update"}`, without a reason it is
//! `null`. No node is in a list twice: while its entry lives it is a string, and a registration takes the mark down.
//! Marks are not stored. An agent puts its own up anew at each heartbeat, so that a server that was restarted knows
//! of it again within one.

use super::access::{self, Guard};
use super::feeds::{self, Feeds};
use super::keeper::Keeper;
use super::limits;
use super::refusal::Refusal;
use crate::model::address::AddressError;
use crate::model::drained::{self, ReasonError};
use crate::model::{NodeAddress, NodeRecord, Token};
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use rand::TryRng;
use rand::rngs::SysRng;
use std::io;
use std::time::Duration;

/// Who the node is. One that can't be read takes nothing away from the beat.
const RECORD: &str = "x-swarm-record";
/// The node that wants its entry out.
const NODE: &str = "x-swarm-node";

pub fn router(keeper: Keeper, guard: Guard, feeds: Feeds) -> Router {
    Router::new()
        .route("/healthz", get(healthy))
        .route("/v1/healthz", get(healthy))
        .route("/v1/clusters", post(create))
        .route("/v1/clusters/{token}", post(register).delete(drop_cluster))
        .route("/v1/clusters/{token}/{address}", delete(remove))
        .route("/v1/clusters/{token}/{address}/drained", put(mark).layer(DefaultBodyLimit::max(limits::REASON_BODY)))
        .merge(feeds::router(feeds))
        .fallback(async || Refusal::NoSuchPath)
        .method_not_allowed_fallback(async || Refusal::NoSuchMethod)
        .layer(DefaultBodyLimit::max(limits::BODY))
        .layer(from_fn_with_state(guard, access::admit))
        .layer(from_fn(in_time))
        .with_state(keeper)
}

async fn healthy() -> &'static str {
    "ok\n"
}

async fn create(State(keeper): State<Keeper>) -> Result<Response, Refusal> {
    let token = new_token().map_err(|error| Refusal::BadRequest(error.to_string()))?;
    keeper.create(token.clone()).await?;
    let text = token.as_str().to_owned();
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

async fn register(
    State(keeper): State<Keeper>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let token = token(&path?.0)?;
    let ttl = ttl(uri.query())?;
    let address = address(&body.map_err(unread)?).map_err(Refusal::BadAddress)?;
    keeper.register(token.clone(), &address, ttl).await?;
    if let Some(record) = headers.get(RECORD).and_then(|value| NodeRecord::from_json(value.as_bytes())) {
        keeper.record(&token, &address, record);
    }
    Ok(StatusCode::OK)
}

async fn drop_cluster(
    State(keeper): State<Keeper>,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Refusal> {
    keeper.drop_cluster(token(&path?.0)?).await?;
    Ok(StatusCode::OK)
}

async fn remove(
    State(keeper): State<Keeper>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let Path((cluster, address)) = path?;
    let token = token(&cluster)?;
    let address = address.parse().map_err(Refusal::BadPath)?;
    // what is no text is nobody's id
    let node = headers.get(NODE).map(|node| String::from_utf8_lossy(node.as_bytes()));
    keeper.remove(token, &address, node.as_deref()).await?;
    Ok(StatusCode::OK)
}

async fn mark(
    State(keeper): State<Keeper>,
    path: Result<Path<(String, String)>, PathRejection>,
    uri: Uri,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let Path((cluster, node)) = path?;
    let token = token(&cluster)?;
    let address = node.parse().map_err(Refusal::BadPath)?;
    let ttl = ttl(uri.query())?;
    let body = body.map_err(|rejection| match unread(rejection) {
        Refusal::TooLarge => Refusal::BadReason(ReasonError::TooLong),
        other => other,
    })?;
    let text = std::str::from_utf8(&body).map_err(|_| Refusal::BadReason(ReasonError::NotText))?;
    keeper.mark(&token, &address, drained::reason(text).map_err(Refusal::BadReason)?, ttl)?;
    Ok(StatusCode::OK)
}

/// A client that is slow with its body holds a connection, but not for ever. An order that is
/// under way by then is still carried out. Readers send no body, and may wait on purpose: that has bounds of its own.
async fn in_time(request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    match tokio::time::timeout(limits::REQUEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Refusal::TooSlow.into_response(),
    }
}

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        Self::BadRequest(rejection.body_text())
    }
}

fn unread(rejection: BytesRejection) -> Refusal {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::TooLarge,
        _ => Refusal::BadRequest(rejection.body_text()),
    }
}

/// 128 bits straight from the system's generator: whoever guesses a token owns the cluster's list.
pub fn new_token() -> io::Result<Token> {
    let mut bytes = [0; 16];
    SysRng.try_fill_bytes(&mut bytes).map_err(io::Error::other)?;
    format!("{:032x}", u128::from_be_bytes(bytes)).parse().map_err(io::Error::other)
}

pub fn token(text: &str) -> Result<Token, Refusal> {
    text.parse().map_err(|_| Refusal::BadToken)
}

/// The first of that name; empty if it has no value.
pub fn parameter<'q>(query: Option<&'q str>, name: &str) -> Option<&'q str> {
    query.unwrap_or_default().split('&').find_map(|pair| match pair.split_once('=') {
        Some((key, value)) if key == name => Some(value),
        None if pair == name => Some(""),
        _ => None,
    })
}

fn ttl(query: Option<&str>) -> Result<Duration, Refusal> {
    let Some(text) = parameter(query, "ttl") else { return Ok(Duration::from_secs(limits::DEFAULT_TTL)) };
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(seconds) if digits && (limits::MIN_TTL..=limits::MAX_TTL).contains(&seconds) => {
            Ok(Duration::from_secs(seconds))
        }
        _ => Err(Refusal::BadTtl),
    }
}

/// The white space that shells and editors leave around a line is no part of it.
fn address(body: &[u8]) -> Result<NodeAddress, AddressError> {
    String::from_utf8_lossy(body).trim().parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_is_whole_seconds_within_bounds() {
        for (query, seconds) in [
            (None, Some(180)),
            (Some(""), Some(180)),
            (Some("x=1"), Some(180)),
            (Some("ttl=1"), Some(1)),
            (Some("a=b&ttl=86400"), Some(86_400)),
            (Some("ttl=0"), None),
            (Some("ttl=86401"), None),
            (Some("ttl=1.5"), None),
            (Some("ttl=+5"), None),
            (Some("ttl=-5"), None),
            (Some("ttl=3m"), None),
            (Some("ttl="), None),
            (Some("ttl"), None),
            (Some("ttl=99999999999999999999"), None),
        ] {
            assert_eq!(ttl(query), seconds.map(Duration::from_secs).ok_or(Refusal::BadTtl), "{query:?}");
        }
    }

    #[test]
    fn tokens_are_32_hex_digits_and_differ() -> io::Result<()> {
        let (a, b) = (new_token()?, new_token()?);
        assert_ne!(a, b);
        let a = a.as_str();
        assert!(a.len() == 32 && a.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{a}");
        Ok(())
    }
}
