//! One request to an agent on this host, over its unix socket.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
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

async fn exchange(
    stream: UnixStream,
    method: Method,
    target: &str,
    body: String,
) -> Result<Answer, Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "agent")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))?;
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
