//! What an answer of etcd says when it does not say yes.

use crate::discovery::BackendError;
use crate::discovery::web::{Answer, Web};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// Why a member did not do what it was asked.
#[derive(Debug)]
pub enum Trouble {
    /// Another member may do better.
    Elsewhere(BackendError),
    /// It does not know, or no longer, who we are.
    Unknown(BackendError),
    /// The lease has ended.
    NoLease(BackendError),
    /// Users and passwords are for a cluster with authentication, which this one has not.
    NoAuth(BackendError),
    /// The user may not do that.
    Denied(BackendError),
    /// All members would say the same.
    Refused(BackendError),
}

// the codes of gRPC that tell what is to be done; most of the others mean trouble of the member
const INVALID_ARGUMENT: u64 = 3;
const NOT_FOUND: u64 = 5;
const PERMISSION_DENIED: u64 = 7;
const FAILED_PRECONDITION: u64 = 9;
const UNAUTHENTICATED: u64 = 16;

/// What it says, as invalid arguments, when the token is missing or from before a change of users and roles.
const NO_TOKEN: &str = "user name is empty";
const OLD_TOKEN: &str = "revision of auth store is old";
const BAD_TOKEN: &str = "invalid auth token";
const NOT_ALLOWED: &str = "permission denied";
const NO_AUTH: &str = "authentication is not enabled";

/// What is said in place of what they say.
const WRITE_ETCDS: &str = "it speaks TLS; begin the URL with etcds://";
const NO_GATEWAY: &str = "there is nothing at /v3; etcd 3.4 and newer have a gateway for HTTP there, but started with a configuration file \
    only if that has `enable-grpc-gateway: true`";

impl Trouble {
    pub fn into_error(self) -> BackendError {
        match self {
            Self::Elsewhere(error)
            | Self::Unknown(error)
            | Self::NoLease(error)
            | Self::NoAuth(error)
            | Self::Denied(error)
            | Self::Refused(error) => error,
        }
    }

    /// Of a request that got no answer.
    pub fn unanswered(error: BackendError) -> Self {
        match error {
            // our own files: they are the same for each member
            BackendError::Credentials(_) | BackendError::Client(_) => Self::Refused(error),
            error => Self::Elsewhere(error),
        }
    }

    /// Of an answer that is not a success.
    pub fn of(web: &Web, answer: Answer) -> Self {
        let said: Value = answer.body().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
        let wants_tls = answer.wants_tls();
        let mut error = match web.success(answer) {
            Err(error) => error,
            Ok(_) => web.garbled("it is no success after all"),
        };
        if let Some(code) = code(&said) {
            return Self::of_code(code, error);
        }
        if let BackendError::Status { message, status, .. } = &mut error {
            match *status {
                _ if wants_tls => WRITE_ETCDS.clone_into(message),
                404 => NO_GATEWAY.clone_into(message),
                _ => {}
            }
        }
        Self::Elsewhere(error)
    }

    fn of_code(code: u64, error: BackendError) -> Self {
        let says = |text: &str| matches!(&error, BackendError::Status { message, .. } if message.contains(text));
        match code {
            UNAUTHENTICATED => Self::Unknown(error),
            INVALID_ARGUMENT if says(NO_TOKEN) || says(OLD_TOKEN) => Self::Unknown(error),
            FAILED_PRECONDITION if says(NO_AUTH) => Self::NoAuth(error),
            PERMISSION_DENIED => Self::Denied(error),
            NOT_FOUND => Self::NoLease(error),
            INVALID_ARGUMENT | FAILED_PRECONDITION => Self::Refused(error),
            _ => Self::Elsewhere(error),
        }
    }

    /// Of a line of an answer whose head was a success; nothing can take that back.
    pub fn of_line(web: &Web, line: Vec<u8>) -> Self {
        let said: Value = serde_json::from_slice(&line).unwrap_or_default();
        let status = said.pointer("/error/http_code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
        let status = status.and_then(|code| StatusCode::from_u16(code).ok()).filter(|status| !status.is_success());
        match code(&said) {
            Some(_) => Self::of(web, Answer::new(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), line)),
            None => Self::Elsewhere(web.garbled("it is no answer of etcd")),
        }
    }

    /// Of a watch that the server ended, and why. These reasons have no code.
    pub fn of_reason(web: &Web, reason: &str) -> Self {
        let (status, code) = match reason {
            _ if reason.contains(BAD_TOKEN) => (StatusCode::UNAUTHORIZED, UNAUTHENTICATED),
            _ if reason.contains(NO_TOKEN) || reason.contains(OLD_TOKEN) => (StatusCode::BAD_REQUEST, INVALID_ARGUMENT),
            _ if reason.contains(NOT_ALLOWED) => (StatusCode::FORBIDDEN, PERMISSION_DENIED),
            "" => return Self::Elsewhere(web.broken("it ended the watch")),
            reason => return Self::Elsewhere(web.broken(format!("it ended the watch: {reason}"))),
        };
        // `rpc error: code = PermissionDenied desc = etcdserver: permission denied`
        let text = reason.rsplit(" desc = ").next().unwrap_or(reason);
        let body = json!({"message": text, "code": code}).to_string();
        Self::of(web, Answer::new(status, body.into_bytes()))
    }
}

/// Where versions of the gateway have it.
fn code(said: &Value) -> Option<u64> {
    ["/code", "/error/grpc_code", "/error/code"].iter().find_map(|place| said.pointer(place)?.as_u64())
}
