//! Docker's HTTP API over its unix socket: one connection, and never more than one request on it.
//!
//! A request that is not answered in time stays outstanding, and the next probe goes on waiting for it.
//! A hung engine so never collects connections of ours in its backlog; any of them would, once the unit is
//! stopped, make socket activation start it again.

use super::Engine;
use crate::model::{EngineInfo, ProbeFault};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout_at};

pub struct DockerEngine {
    socket: PathBuf,
    timeout: Duration,
    connection: Option<Connection>,
}

type Driver = Pin<Box<http1::Connection<TokioIo<UnixStream>, Empty<Bytes>>>>;
type Sender = http1::SendRequest<Empty<Bytes>>;
/// Gives the sender back with the answer: it is away exactly while a request is under way.
type Exchange = BoxFuture<'static, Result<(Sender, Answer), hyper::Error>>;

struct Connection {
    line: Line,
    /// Moves the bytes; polled beside every exchange, so that no task outlives the connection. None once it ended.
    driver: Option<Driver>,
}

enum Line {
    Idle(Sender),
    /// A request is under way, possibly since an earlier probe.
    Asked(Question, Exchange),
    /// The exchange failed; the connection is of no more use.
    Broken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Ping,
    Info,
}

struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl DockerEngine {
    /// `timeout` bounds one probe, connecting included.
    pub fn new(socket: PathBuf, timeout: Duration) -> Self {
        Self { socket, timeout, connection: None }
    }

    async fn ask(&mut self, may_connect: bool, deadline: Instant) -> Result<EngineInfo, ProbeFault> {
        if !self.connected() {
            if !may_connect {
                return Err(ProbeFault::NotConnected);
            }
            let connecting = timeout_at(deadline, connect(&self.socket)).await;
            self.connection = Some(connecting.map_err(|_| ProbeFault::PingTimeout(self.timeout))??);
        }
        // `connected` or the line above has filled it
        let Some(connection) = &mut self.connection else { return Err(ProbeFault::NotConnected) };
        connection.ask(Question::Ping);
        loop {
            match connection.answer(deadline, self.timeout).await? {
                (Question::Info, answer) => return read_info(&answer),
                (Question::Ping, answer) => alive(Question::Ping.path(), answer.status)?,
            }
            connection.ask(Question::Info);
        }
    }
}

#[async_trait::async_trait]
impl Engine for DockerEngine {
    fn connected(&mut self) -> bool {
        let closed = match &mut self.connection {
            None => return false,
            Some(connection) => {
                connection.driver.as_mut().is_none_or(|driver| driver.as_mut().now_or_never().is_some())
            }
        };
        if closed {
            self.connection = None;
        }
        !closed
    }

    async fn probe(&mut self, may_connect: bool) -> Result<EngineInfo, ProbeFault> {
        let deadline = Instant::now() + self.timeout;
        let result = self.ask(may_connect, deadline).await;
        let keep = matches!(result, Ok(_) | Err(ProbeFault::PingTimeout(_) | ProbeFault::InfoTimeout(_)))
            || matches!(result, Err(ProbeFault::Status { .. } | ProbeFault::ContainerdGone));
        if !keep {
            self.connection = None;
        }
        result
    }
}

impl Connection {
    /// Sends the question, unless one is still outstanding.
    fn ask(&mut self, question: Question) {
        self.line = match std::mem::replace(&mut self.line, Line::Broken) {
            Line::Idle(sender) => Line::Asked(question, Box::pin(exchange(sender, question))),
            busy => busy,
        };
    }

    /// The answer to the question under way.
    async fn answer(&mut self, deadline: Instant, timeout: Duration) -> Result<(Question, Answer), ProbeFault> {
        let Line::Asked(question, exchange) = &mut self.line else { return Err(ProbeFault::Closed) };
        let question = *question;
        let driver = &mut self.driver;
        let answered = async move {
            if let Some(moving) = driver {
                // Cancel-safe: both futures live on in `self`.
                tokio::select! {
                    biased;
                    answered = &mut *exchange => return answered,
                    _ = moving => {}
                }
            }
            // It may have delivered the answer before it ended; if not, to drop it fails the exchange.
            *driver = None;
            exchange.await
        };
        match timeout_at(deadline, answered).await {
            Ok(Ok((sender, answer))) => {
                self.line = Line::Idle(sender);
                Ok((question, answer))
            }
            Ok(Err(_)) => {
                self.line = Line::Broken;
                Err(ProbeFault::Closed)
            }
            Err(_) if question == Question::Ping => Err(ProbeFault::PingTimeout(timeout)),
            Err(_) => Err(ProbeFault::InfoTimeout(timeout)),
        }
    }
}

async fn exchange(mut sender: Sender, question: Question) -> Result<(Sender, Answer), hyper::Error> {
    sender.ready().await?;
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = Uri::from_static(question.path());
    request.headers_mut().insert(HOST, HeaderValue::from_static("docker"));
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(super::AGENT));
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((sender, Answer { status, body }))
}

async fn connect(socket: &Path) -> Result<Connection, ProbeFault> {
    let stream = UnixStream::connect(socket).await.map_err(|error| connect_fault(socket, &error))?;
    let (sender, driver) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| ProbeFault::Io(error.to_string()))?;
    Ok(Connection { line: Line::Idle(sender), driver: Some(Box::pin(driver)) })
}

pub(super) fn connect_fault(socket: &Path, error: &io::Error) -> ProbeFault {
    let socket = socket.display().to_string();
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ProbeFault::Refused { socket },
        io::ErrorKind::NotFound => ProbeFault::NoSocket { socket },
        io::ErrorKind::PermissionDenied => ProbeFault::Permission { socket },
        _ => ProbeFault::Io(format!("{socket}: {error}")),
    }
}

impl Question {
    fn path(self) -> &'static str {
        match self {
            Self::Ping => "/_ping",
            Self::Info => "/info",
        }
    }
}

/// A 4xx comes from an engine that lives (an authorization plugin may deny us); a 5xx from one in trouble.
pub(super) fn alive(path: &'static str, status: StatusCode) -> Result<(), ProbeFault> {
    if status.is_success() || status.is_client_error() {
        Ok(())
    } else {
        Err(ProbeFault::Status { path, status: status.as_u16() })
    }
}

/// The part of `/info` that we read; engines add and drop fields, so each may be missing.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Info {
    #[serde(rename = "ID")]
    id: String,
    server_version: String,
    containers_running: u32,
    live_restore_enabled: Option<bool>,
    cgroup_driver: Option<String>,
    containerd_commit: Commit,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Commit {
    #[serde(rename = "ID")]
    id: String,
}

fn read_info(answer: &Answer) -> Result<EngineInfo, ProbeFault> {
    alive(Question::Info.path(), answer.status)?;
    if answer.status.is_client_error() {
        return Ok(EngineInfo {
            id: String::new(),
            version: "of unknown version".to_owned(),
            containers_running: 0,
            ..EngineInfo::default()
        });
    }
    let info: Info = serde_json::from_slice(&answer.body)
        .map_err(|error| ProbeFault::Garbled { path: Question::Info.path(), what: error.to_string() })?;
    // what 20.10 says while containerd.service is stopped
    if info.containerd_commit.id == "N/A" {
        return Err(ProbeFault::ContainerdGone);
    }
    Ok(EngineInfo {
        id: info.id,
        version: info.server_version,
        containers_running: info.containers_running,
        live_restore: info.live_restore_enabled,
        scopes: info.cgroup_driver.map(|driver| driver == "systemd"),
    })
}

#[cfg(test)]
mod tests;
