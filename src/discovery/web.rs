//! HTTP as the backends need it: one lean client, bounded answers, errors without secrets.

mod client;
mod lines;
mod proxy;

pub use self::lines::Lines;

use self::client::{Secure, Token};
use self::proxy::Proxies;
use super::BackendError;
use crate::model::{AuthFiles, Timeouts, TlsFiles, TlsNames, WayOut};
use crate::tls::{Renewed, Unready};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Client, Request, RequestBuilder, Response, StatusCode};
use std::error::Error;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// An error message is no place for a page of HTML.
const MESSAGE_LIMIT: usize = 200;

/// One server: its client, its name for errors, and what must not appear in them.
pub struct Web {
    /// Makes the requests, and sends them if the server is spoken to without TLS. It trusts no CA.
    plain: Client,
    /// Sends them if it is spoken to over TLS: never the other one.
    secure: Option<Arc<Renewed<Secure>>>,
    names: TlsNames,
    access: Option<Arc<Access>>,
    server: String,
    secret: Option<String>,
    timeouts: Timeouts,
    in_plain_words: bool,
    proxies: Proxies,
}

/// The header by which the server may know us.
struct Access {
    auth: AuthFiles,
    header: HeaderName,
    /// Without a file, nothing is sent.
    token: Option<Renewed<Token>>,
}

/// What one request is sent with.
#[derive(Default)]
struct Papers {
    secure: Option<Arc<Secure>>,
    token: Option<Arc<Token>>,
}

/// What came back for a request, success or not.
pub struct Answer {
    pub status: StatusCode,
    headers: HeaderMap,
    body: Result<Vec<u8>, BackendError>,
    retry_after: Option<Duration>,
    papers: Papers,
}

impl Answer {
    /// One that came in another way.
    pub fn new(status: StatusCode, body: Vec<u8>) -> Self {
        Self { status, headers: HeaderMap::new(), body: Ok(body), retry_after: None, papers: Papers::default() }
    }

    /// What came with it, if that came whole.
    pub fn body(&self) -> Option<&[u8]> {
        self.body.as_deref().ok()
    }

    /// Plain HTTP came to a port for TLS, as Go's servers say.
    pub fn wants_tls(&self) -> bool {
        const WORDS: &[u8] = b"HTTP request to an HTTPS server";
        self.body().is_some_and(|body| body.windows(WORDS.len()).any(|part| part == WORDS))
    }

    /// The `code` of a JSON error, as our server has it.
    pub fn code(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Coded {
            code: String,
        }
        serde_json::from_slice::<Coded>(self.body.as_ref().ok()?).ok().map(|said| said.code)
    }

    /// None also for one that is no text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Web {
    /// `server` is what errors call it; `secret` is blanked out of what the server says. Files are read at the first
    /// request.
    pub fn new(server: String, tls: bool, secret: Option<String>, way: &WayOut) -> Result<Self, BackendError> {
        let files = way.tls.clone().unwrap_or_else(|| TlsFiles::of_the_system(TlsNames::DISCOVERY));
        let (names, timeouts) = (files.names, way.timeouts);
        let proxies = Proxies::new(&way.proxy, timeouts);
        let plain = client::plain(timeouts, &proxies)?;
        let secure = tls.then(|| Arc::new(client::secure(files, timeouts, proxies.clone())));
        Ok(Self { plain, secure, names, access: None, server, secret, timeouts, in_plain_words: false, proxies })
    }

    /// Lets the server know us by a token in this header, behind these words, if there is one. With it, a 401 or a 403
    /// says what to do.
    #[must_use]
    pub fn with_token(self, auth: &AuthFiles, header: HeaderName, words: &'static str) -> Self {
        let token = auth.token.clone().map(|path| client::token(auth.names.token, path, words));
        Self { access: Some(Arc::new(Access { auth: auth.clone(), header, token })), ..self }
    }

    /// Another server of the same service, over the same clients.
    pub fn sibling(&self, server: String) -> Self {
        let Self { plain, secure, names, access, secret, timeouts, in_plain_words, proxies, .. } = self;
        let (plain, secure, access) = (plain.clone(), secure.clone(), access.clone());
        Self {
            plain,
            secure,
            names: *names,
            access,
            server,
            secret: secret.clone(),
            timeouts: *timeouts,
            in_plain_words: *in_plain_words,
            proxies: proxies.clone(),
        }
    }

    /// For a server that says in plain text why it refuses.
    #[must_use]
    pub fn in_plain_words(self) -> Self {
        Self { in_plain_words: true, ..self }
    }

    /// For making requests.
    pub fn client(&self) -> &Client {
        &self.plain
    }

    /// Sends one request and returns the body of a 2xx answer, if it is no longer than `limit`.
    pub async fn send(&self, request: RequestBuilder, limit: usize) -> Result<Vec<u8>, BackendError> {
        let answer = self.ask(request, limit).await?;
        self.success(answer)
    }

    /// Sends one request, for a caller to whom some failures are answers.
    pub async fn ask(&self, request: RequestBuilder, limit: usize) -> Result<Answer, BackendError> {
        Ok(self.follow(request).await?.rest(limit).await)
    }

    /// Sends one request whose answer may go on for as long as the timeout of the request allows.
    pub async fn follow(&self, request: RequestBuilder) -> Result<Lines<'_>, BackendError> {
        let mut request = request.build().map_err(|error| self.failed(error, &Papers::default()))?;
        let begun = Instant::now();
        let (papers, passage) = tokio::join!(self.papers(), self.proxies.passage(request.url(), &self.server));
        let (papers, passage) = (papers?, passage?);
        // what reading took is part of the attempt
        let bound = request.timeout().copied().unwrap_or(self.timeouts.total);
        *request.timeout_mut() = Some(bound.saturating_sub(begun.elapsed()));
        let answer = match self.execute(request, &papers).await {
            Ok(answer) => answer,
            Err(error) => return Err(passage.failed(&error).await.unwrap_or_else(|| self.failed(error, &papers))),
        };
        passage.check(&answer)?;
        Ok(Lines::new(self, answer, papers))
    }

    /// The same for a request that the server may answer as late as it was asked to.
    pub async fn ask_patiently(
        &self,
        request: RequestBuilder,
        limit: usize,
        patience: Duration,
    ) -> Result<Answer, BackendError> {
        let total = patience.saturating_add(self.timeouts.total);
        self.ask(request.timeout(total), limit).await.map_err(|error| match error {
            BackendError::Timeout { server, timeout } if timeout == self.timeouts.total => {
                BackendError::Timeout { server, timeout: total }
            }
            other => other,
        })
    }

    /// The body of a 2xx answer.
    pub fn success(&self, answer: Answer) -> Result<Vec<u8>, BackendError> {
        let Answer { status, headers, body, retry_after, papers } = answer;
        if status.is_success() {
            return body;
        }
        let plain = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
        // the status says enough: a body that broke or is too long takes nothing away from it
        let message = body.ok().and_then(|body| match plain && self.in_plain_words {
            true => Some(self.line(&String::from_utf8_lossy(&body), &papers)),
            false => self.message(&body, &papers),
        });
        let message = message.unwrap_or_default();
        let (server, refused) = (self.server.clone(), matches!(status.as_u16(), 401 | 403));
        Err(match self.access.as_ref().filter(|_| refused) {
            Some(access) => BackendError::Denied { server, status: status.as_u16(), message, remedy: access.remedy() },
            None => BackendError::Status { server, status: status.as_u16(), message, retry_after },
        })
    }

    /// Of the files as they are now.
    async fn papers(&self) -> Result<Papers, BackendError> {
        let token = self.access.as_ref().and_then(|access| access.token.as_ref());
        let secure = async {
            match &self.secure {
                Some(secure) => secure.current().await.map(Some),
                None => Ok(None),
            }
        };
        let token = async {
            match token {
                Some(token) => token.current().await.map(Some),
                None => Ok(None),
            }
        };
        let (secure, token) = tokio::join!(secure, token);
        let unready = |unready| match unready {
            Unready::File(fault) => BackendError::Credentials(fault),
            Unready::Tls(fault) => BackendError::Tls { server: self.server.clone(), cause: fault.told(&self.names) },
        };
        Ok(Papers { secure: secure.map_err(unready)?, token: token.map_err(unready)? })
    }

    async fn execute(&self, mut request: Request, papers: &Papers) -> Result<Response, reqwest::Error> {
        if let (Some(access), Some(token)) = (&self.access, &papers.token) {
            request.headers_mut().insert(access.header.clone(), token.value.clone());
        }
        let client = papers.secure.as_ref().map_or(&self.plain, |secure| &secure.client);
        client.execute(request).await
    }

    pub fn no_room(&self) -> BackendError {
        BackendError::NoRoom { server: self.server.clone() }
    }

    pub fn no_answer(&self, within: Duration) -> BackendError {
        BackendError::Timeout { server: self.server.clone(), timeout: within }
    }

    pub fn broken(&self, cause: impl Into<String>) -> BackendError {
        BackendError::Broken { server: self.server.clone(), cause: cause.into() }
    }

    pub fn garbled(&self, what: impl Into<String>) -> BackendError {
        BackendError::Garbled { server: self.server.clone(), what: what.into() }
    }

    /// It understood, and did not do it.
    pub fn refused(&self, reason: String) -> BackendError {
        BackendError::Refused { server: self.server.clone(), reason }
    }

    /// What the server says in its JSON error, on one line and shortened.
    fn message(&self, body: &[u8], papers: &Papers) -> Option<String> {
        Some(self.line(&said(body)?, papers))
    }

    fn line(&self, said: &str, papers: &Papers) -> String {
        let mut said = said.trim_end().to_owned();
        let token = papers.token.as_ref().map(|token| token.secret.expose());
        for secret in self.secret.as_deref().into_iter().chain(token) {
            said = said.replace(secret, "…");
        }
        let line = said.chars().map(|c| if c.is_control() { ' ' } else { c });
        let mut short: String = line.clone().take(MESSAGE_LIMIT).collect();
        if line.count() > MESSAGE_LIMIT {
            short.push('…');
        }
        short
    }

    fn failed(&self, error: reqwest::Error, papers: &Papers) -> BackendError {
        let server = self.server.clone();
        if error.is_timeout() {
            let timeout = if error.is_connect() { self.timeouts.connect } else { self.timeouts.total };
            return BackendError::Timeout { server, timeout: timeout.min(self.timeouts.total) };
        }
        let secure = papers.secure.as_deref();
        if let Some(fault) = secure.and_then(|secure| secure.tls.fault(&error)) {
            return BackendError::Tls { server, cause: fault.told(&self.names) };
        }
        let cause = cause(&error);
        if error.is_builder() {
            BackendError::Client(cause)
        } else if error.is_connect() {
            BackendError::Connect { server, cause }
        } else if no_http(&error) {
            let hint = if secure.is_none() { " (if it speaks TLS, the URL must say so)" } else { "" };
            BackendError::Garbled { server, what: format!("{cause}{hint}") }
        } else if secure.is_some_and(|secure| secure.tls.asked_in_vain()) {
            // the alert that says so can get lost
            let key = self.names.certificate;
            let cause = format!("{cause}; it asks for a client certificate, and none is set ({key})");
            BackendError::Broken { server, cause }
        } else {
            BackendError::Broken { server, cause }
        }
    }
}

impl Access {
    /// After a refusal.
    fn remedy(&self) -> String {
        let key = self.auth.names.token;
        match &self.auth.token {
            Some(path) => format!("is the token in {} ({key}) right, and does it allow this?", path.display()),
            None => format!("set {key} to a file with a token that it knows"),
        }
    }
}

/// The text of a JSON error: `{"error": "…"}`, or as gateways of gRPC have it, `{"message": "…"}` and
/// `{"error": {"message": "…"}}`.
fn said(body: &[u8]) -> Option<String> {
    let error: serde_json::Value = serde_json::from_slice(body).ok()?;
    let mut places = ["/error", "/message", "/error/message"].into_iter().filter_map(|place| error.pointer(place));
    places.find_map(|text| text.as_str()).map(str::to_owned)
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
        // rustls has a whole sentence for it
        let closed = inner.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == ErrorKind::UnexpectedEof);
        text = Some(if closed { "it was closed".to_owned() } else { inner.to_string() });
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
        let said = |text: &str| web().message(text.as_bytes(), &Papers::default());
        assert_eq!(said(r#"{"error":"no cluster s3cret\nhere","code":"x"}"#).as_deref(), Some("no cluster … here"));
        assert_eq!(said(r#"{"code":14,"message":"no leader"}"#).as_deref(), Some("no leader"));
        assert_eq!(said(r#"{"error":{"message":"no leader"}}"#).as_deref(), Some("no leader"));
        assert_eq!(said("<html>").as_deref(), None);
        let long = said(&format!(r#"{{"error":"{}"}}"#, "x".repeat(1000)));
        assert_eq!(long.map(|said| said.chars().count()), Some(MESSAGE_LIMIT + 1));
    }
}
