//! HTTP as the backends need it: one lean client, bounded answers, errors without secrets.

mod proxy;

use self::proxy::Proxies;
use super::BackendError;
use crate::model::{Timeouts, WayOut};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// An error message is no place for a page of HTML.
const MESSAGE_LIMIT: usize = 200;
const USER_AGENT: &str = concat!("swarm-agent/", env!("CARGO_PKG_VERSION"));
/// A peer that vanished without a word is noticed before the next beat is sent into the void.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// One server: its client, its name for errors, and what must not appear in them.
pub struct Web {
    client: Client,
    server: String,
    secret: Option<String>,
    timeouts: Timeouts,
    proxies: Proxies,
}

/// What came back for a request, success or not.
pub struct Answer {
    pub status: StatusCode,
    body: Result<Vec<u8>, BackendError>,
    retry_after: Option<Duration>,
}

impl Answer {
    /// The `code` of a JSON error, as our server has it.
    pub fn code(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Coded {
            code: String,
        }
        serde_json::from_slice::<Coded>(self.body.as_ref().ok()?).ok().map(|said| said.code)
    }
}

impl Web {
    /// `server` is what errors call it; `secret` is blanked out of what the server says.
    pub fn new(server: String, tls: bool, secret: Option<String>, way: &WayOut) -> Result<Self, BackendError> {
        let proxies = Proxies::new(&way.proxy, way.timeouts);
        Ok(Self { client: client(tls, way.timeouts, &proxies)?, server, secret, timeouts: way.timeouts, proxies })
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Sends one request and returns the body of a 2xx answer, if it is no longer than `limit`.
    pub async fn send(&self, request: RequestBuilder, limit: usize) -> Result<Vec<u8>, BackendError> {
        let answer = self.ask(request, limit).await?;
        self.success(answer)
    }

    /// Sends one request, for a caller to whom some failures are answers.
    pub async fn ask(&self, request: RequestBuilder, limit: usize) -> Result<Answer, BackendError> {
        let request = request.build().map_err(|error| self.failed(error))?;
        let passage = self.proxies.passage(request.url(), &self.server).await?;
        let mut answer = match self.client.execute(request).await {
            Ok(answer) => answer,
            Err(error) => return Err(passage.failed(&error).await.unwrap_or_else(|| self.failed(error))),
        };
        passage.check(&answer)?;
        let (status, retry_after) = (answer.status(), retry_after(&answer));
        Ok(Answer { status, body: self.body(&mut answer, limit).await, retry_after })
    }

    /// The body of a 2xx answer.
    pub fn success(&self, answer: Answer) -> Result<Vec<u8>, BackendError> {
        let Answer { status, body, retry_after } = answer;
        if status.is_success() {
            return body;
        }
        // the status says enough: a body that broke or is too long takes nothing away from it
        let message = body.ok().and_then(|body| self.message(&body)).unwrap_or_default();
        Err(BackendError::Status { server: self.server.clone(), status: status.as_u16(), message, retry_after })
    }

    pub fn no_room(&self) -> BackendError {
        BackendError::NoRoom { server: self.server.clone() }
    }

    pub fn garbled(&self, what: impl Into<String>) -> BackendError {
        BackendError::Garbled { server: self.server.clone(), what: what.into() }
    }

    async fn body(&self, answer: &mut Response, limit: usize) -> Result<Vec<u8>, BackendError> {
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.failed(error))? {
            if body.len() + chunk.len() > limit {
                return Err(self.garbled(format!("it is longer than {limit} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// What the server says in its JSON error, on one line and shortened.
    fn message(&self, body: &[u8]) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Said {
            error: String,
        }
        let mut said = serde_json::from_slice::<Said>(body).ok()?.error;
        if let Some(secret) = &self.secret {
            said = said.replace(secret, "…");
        }
        let line = said.chars().map(|c| if c.is_control() { ' ' } else { c });
        let mut short: String = line.clone().take(MESSAGE_LIMIT).collect();
        if line.count() > MESSAGE_LIMIT {
            short.push('…');
        }
        Some(short)
    }

    fn failed(&self, error: reqwest::Error) -> BackendError {
        let server = self.server.clone();
        if error.is_timeout() {
            let timeout = if error.is_connect() { self.timeouts.connect } else { self.timeouts.total };
            return BackendError::Timeout { server, timeout: timeout.min(self.timeouts.total) };
        }
        let cause = cause(&error);
        if error.is_builder() {
            BackendError::Client(cause)
        } else if error.is_connect() {
            BackendError::Connect { server, cause }
        } else if no_http(&error) {
            BackendError::Garbled { server, what: cause }
        } else {
            BackendError::Broken { server, cause }
        }
    }
}

fn client(tls: bool, timeouts: Timeouts, proxies: &Proxies) -> Result<Client, BackendError> {
    proxies
        .put_into(Client::builder())
        .tls_backend_preconfigured(tls_config(tls)?)
        .user_agent(USER_AGENT)
        .connect_timeout(timeouts.connect)
        .timeout(timeouts.total)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .pool_max_idle_per_host(1)
        // a heartbeat may be longer than any idle timeout: the server ends what it doesn't want kept
        .pool_idle_timeout(None)
        .tcp_keepalive(KEEPALIVE)
        .build()
        .map_err(|error| BackendError::Client(cause(&error)))
}

/// The provider is named here, so that no process-wide default is needed. The system's roots (some
/// hundred KiB) are loaded only for a server that is spoken to over TLS.
fn tls_config(tls: bool) -> Result<rustls::ClientConfig, BackendError> {
    let client = |error: rustls::Error| BackendError::Client(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(client)?;
    if !tls {
        return Ok(builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth());
    }
    let verifier = rustls_platform_verifier::Verifier::new(provider).map_err(client)?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

/// Whole seconds only. The date form needs a wall clock that agrees with the server's.
fn retry_after(answer: &Response) -> Option<Duration> {
    answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The innermost cause, as a fragment: `connection refused`. The layers above it only say that
/// something went wrong, and reqwest's own names the URL and with it the token.
fn cause(error: &reqwest::Error) -> String {
    let mut text = None;
    let mut next = error.source();
    while let Some(inner) = next {
        text = Some(inner.to_string());
        next = inner.source();
    }
    match text {
        Some(text) => fragment(&text),
        None if error.is_builder() => "the URL is not usable".to_owned(),
        None => "the request failed".to_owned(),
    }
}

fn fragment(text: &str) -> String {
    let text = text.split(" (os error ").next().unwrap_or(text);
    let mut rest = text.chars();
    match rest.next() {
        Some(first) if !rest.clone().next().is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(rest).collect()
        }
        _ => text.to_owned(),
    }
}

/// Whether the peer answered with something that is not HTTP.
fn no_http(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(inner) = next {
        if inner.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return true;
        }
        next = inner.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> Web {
        let timeouts = Timeouts { connect: Duration::from_secs(1), total: Duration::from_secs(2) };
        Web::new("http://disco:8970".into(), false, Some("s3cret".into()), &WayOut::direct(timeouts))
            .expect("a client without roots")
    }

    #[test]
    fn causes_read_as_fragments() {
        for (text, shown) in [
            ("Connection refused (os error 111)", "connection refused"),
            ("invalid peer certificate: UnknownIssuer", "invalid peer certificate: UnknownIssuer"),
            ("EOF while reading", "EOF while reading"),
            ("", ""),
        ] {
            assert_eq!(fragment(text), shown);
        }
    }

    #[test]
    fn a_servers_message_is_one_short_line_without_the_token() {
        let said = |text: &str| web().message(text.as_bytes());
        assert_eq!(said(r#"{"error":"no cluster s3cret\nhere","code":"x"}"#).as_deref(), Some("no cluster … here"));
        assert_eq!(said("<html>").as_deref(), None);
        let long = said(&format!(r#"{{"error":"{}"}}"#, "x".repeat(1000)));
        assert_eq!(long.map(|said| said.chars().count()), Some(MESSAGE_LIMIT + 1));
    }
}
