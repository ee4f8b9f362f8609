//! Requests to an agent on this host, over its unix socket.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

/// Far more than an agent has to say.
const LIMIT: usize = 4 << 20;

#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    #[error("no agent listens at {}", .0.display())]
    Absent(PathBuf),
    #[error("{}: permission denied", .0.display())]
    Denied(PathBuf),
    #[error("no answer from the agent within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    #[error("the agent at {} can't be asked: {cause}", path.display())]
    Failed { path: PathBuf, cause: String },
}

/// What an agent answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Asks the agent that listens at `socket`. `body` is JSON, or empty.
pub async fn ask(
    socket: &Path,
    method: Method,
    target: &str,
    body: String,
    timeout: Duration,
) -> Result<Answer, LocalError> {
    let asked = async {
        let stream = UnixStream::connect(socket).await?;
        exchange(stream, method, target, body).await.map_err(io::Error::other)
    };
    match tokio::time::timeout(timeout, asked).await {
        Ok(answer) => answer.map_err(|error| fault(socket, &error)),
        Err(_) => Err(LocalError::Timeout(timeout)),
    }
}

/// Asks for an answer that goes on for as long as the agent does; it has to begin within `timeout`.
pub async fn follow(socket: &Path, target: &str, timeout: Duration) -> Result<Lines, LocalError> {
    let asked = async {
        let stream = UnixStream::connect(socket).await?;
        begin(socket, stream, target).await.map_err(io::Error::other)
    };
    match tokio::time::timeout(timeout, asked).await {
        Ok(lines) => lines.map_err(|error| fault(socket, &error)),
        Err(_) => Err(LocalError::Timeout(timeout)),
    }
}

/// An answer, line by line.
pub struct Lines {
    pub status: u16,
    body: Incoming,
    buffer: Vec<u8>,
    socket: PathBuf,
}

impl Lines {
    /// None at its end. Cancel-safe: what was read of a line is kept for the next call.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, LocalError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            let failed = |cause: String| LocalError::Failed { path: self.socket.clone(), cause };
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(failed(error.to_string())),
                Some(Ok(frame)) => self.buffer.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
            }
            if self.buffer.len() > LIMIT {
                return Err(failed("a line of its answer does not end".to_owned()));
            }
        }
    }

    /// All that is left of it.
    pub async fn rest(self, timeout: Duration) -> Result<Answer, LocalError> {
        let Self { status, body, socket, .. } = self;
        match tokio::time::timeout(timeout, Limited::new(body, LIMIT).collect()).await {
            Ok(Ok(body)) => Ok(Answer { status, body: body.to_bytes().to_vec() }),
            Ok(Err(error)) => Err(LocalError::Failed { path: socket, cause: error.to_string() }),
            Err(_) => Err(LocalError::Timeout(timeout)),
        }
    }
}

async fn begin(socket: &Path, stream: UnixStream, target: &str) -> Result<Lines, Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // it ends with the body that is read from it, or is dropped
    tokio::spawn(connection);
    let answer = sender.send_request(request(Method::GET, target, String::new())?).await?;
    let status = answer.status().as_u16();
    Ok(Lines { status, body: answer.into_body(), buffer: Vec::new(), socket: socket.to_owned() })
}

fn request(method: Method, target: &str, body: String) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    Request::builder()
        .method(method)
        .uri(target)
        .header("host", "agent")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
}

async fn exchange(
    stream: UnixStream,
    method: Method,
    target: &str,
    body: String,
) -> Result<Answer, Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = request(method, target, body)?;
    let asked = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), LIMIT).collect().await?.to_bytes().to_vec();
        Ok(Answer { status, body })
    };
    // Both on this task: the connection moves only while its answer is waited for.
    tokio::pin!(connection);
    tokio::select! {
        answer = asked => answer,
        // it ended before the answer was complete
        ended = &mut connection => Err(ended.err().map_or_else(|| "it hung up".into(), Into::into)),
    }
}

fn fault(socket: &Path, error: &io::Error) -> LocalError {
    let path = socket.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => LocalError::Absent(path),
        io::ErrorKind::PermissionDenied => LocalError::Denied(path),
        _ => LocalError::Failed { path, cause: error.to_string() },
    }
}
