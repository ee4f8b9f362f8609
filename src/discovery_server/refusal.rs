//! Why a request was not done: what the client reads, and with which status.

use crate::model::address::AddressError;
use crate::model::drained::ReasonError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The answer is `{"error": "a text for people", "code": "a_name_for_programs"}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "the server wants a bearer token, as `Authorization: Bearer …`; whoever runs it makes one: `swarm-agent token new`"
    )]
    NoBearer,
    #[error("the server does not know this bearer token (any more)")]
    UnknownBearer,
    /// Whether or not there is such a cluster.
    #[error("bearer token {name} does not allow that: it takes the right `{right}` {place}")]
    Forbidden { name: String, right: &'static str, place: &'static str },
    #[error("the server speaks HTTPS only: write https:// in the URL")]
    HttpsOnly,
    #[error("no cluster has this token here; make one with `swarm-agent create`, or check discovery.url")]
    UnknownCluster,
    #[error("a cluster token is 1 to 128 characters of A-Z, a-z, 0-9, `-` and `_`")]
    BadToken,
    #[error("ttl is in whole seconds from {min} to {max}, for example ttl=180", min = super::limits::MIN_TTL, max = super::limits::MAX_TTL)]
    BadTtl,
    #[error("the body is not a node address: {0}")]
    BadAddress(AddressError),
    #[error("the address in the path is not a node address: {0}")]
    BadPath(AddressError),
    #[error("the body can't be kept as the reason: {0}")]
    BadReason(ReasonError),
    #[error("wait is a time with its unit, for example wait=55s; longer ones than {} s are cut to that", super::limits::MAX_WAIT.as_secs())]
    BadWait,
    #[error("port is a number from 1 to 65535, for example port=9323")]
    BadPort,
    #[error("the request can't be read: {0}")]
    BadRequest(String),
    #[error("the body is longer than {} bytes; a node address is host:port", super::limits::BODY)]
    TooLarge,
    #[error("the cluster is full: it holds {} nodes, drained ones included", super::limits::ENTRIES)]
    ClusterFull,
    #[error("the server is full: it holds {} clusters", super::limits::CLUSTERS)]
    ServerFull,
    #[error("too many changes wait to be stored; try again")]
    Busy,
    #[error("too many requests wait for changes, of this client or together; ask without `index`, or try again later")]
    TooManyWatchers,
    #[error("the server can't write its store (its log says why); try again later")]
    Store,
    #[error("the server is stopping")]
    Stopping,
    #[error("the request took longer than {} s", super::limits::REQUEST.as_secs())]
    TooSlow,
    #[error("there is nothing at this path; the token protocol is served under /v1/clusters")]
    NoSuchPath,
    #[error("this method has no meaning here")]
    NoSuchMethod,
}

impl Refusal {
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoBearer => "bearer_missing",
            Self::UnknownBearer => "bearer_unknown",
            Self::Forbidden { .. } => "forbidden",
            Self::HttpsOnly => "https_only",
            Self::UnknownCluster => "unknown_cluster",
            Self::BadToken => "bad_token",
            Self::BadTtl => "bad_ttl",
            Self::BadAddress(_) | Self::BadPath(_) => "bad_address",
            Self::BadReason(_) => "bad_reason",
            Self::BadWait => "bad_wait",
            Self::BadPort => "bad_port",
            Self::BadRequest(_) => "bad_request",
            Self::TooLarge => "too_large",
            Self::ClusterFull => "cluster_full",
            Self::ServerFull => "server_full",
            Self::Busy => "busy",
            Self::TooManyWatchers => "too_many_watchers",
            Self::Store => "store_failed",
            Self::Stopping => "stopping",
            Self::TooSlow => "too_slow",
            Self::NoSuchPath => "no_such_path",
            Self::NoSuchMethod => "no_such_method",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::UnknownCluster | Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::NoBearer | Self::UnknownBearer => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::HttpsOnly
            | Self::BadToken
            | Self::BadTtl
            | Self::BadAddress(_)
            | Self::BadPath(_)
            | Self::BadReason(_)
            | Self::BadWait
            | Self::BadPort
            | Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NoSuchMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::ClusterFull
            | Self::ServerFull
            | Self::Busy
            | Self::TooManyWatchers
            | Self::Store
            | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Seconds after which another try makes sense.
    fn retry_after(&self) -> Option<HeaderValue> {
        match self {
            Self::Busy | Self::Stopping => Some(HeaderValue::from_static("1")),
            Self::Store | Self::TooManyWatchers => Some(HeaderValue::from_static("10")),
            _ => None,
        }
    }

    /// What RFC 6750 wants to be said besides.
    fn challenge(&self) -> Option<HeaderValue> {
        Some(HeaderValue::from_static(match self {
            Self::NoBearer => "Bearer",
            Self::UnknownBearer => "Bearer error=\"invalid_token\"",
            Self::Forbidden { .. } => "Bearer error=\"insufficient_scope\"",
            _ => return None,
        }))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.to_string(), "code": self.code() });
        let mut response = (self.status(), axum::Json(body)).into_response();
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        if let Some(challenge) = self.challenge() {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
