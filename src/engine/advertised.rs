//! The advertised address as another host would use it: `GET /info` over TCP, with TLS if the way there has it.

use super::Door;
use super::tls;
use crate::model::{Answer, NodeAddress, ReachFault, TlsFiles};
use crate::tls::TlsClient;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// An `/info` is a few KB, and more with many warnings and plugins.
const LIMIT: usize = 1 << 20;
/// Bounds one question: the files of TLS, resolving and connecting included.
const TIMEOUT: Duration = Duration::from_secs(5);

pub struct TcpDoor {
    timeout: Duration,
    tls: Option<TlsFiles>,
    /// Held while files are read: a file system that hangs shall not collect threads.
    reading: Arc<Mutex<()>>,
}

impl TcpDoor {
    /// Without files the address is asked without TLS; with them, never.
    pub fn new(tls: Option<TlsFiles>) -> Self {
        Self { timeout: TIMEOUT, tls, reading: Arc::default() }
    }

    async fn question(&self, address: &NodeAddress) -> Result<Answer, ReachFault> {
        let Some(files) = self.tls.clone() else {
            return Ok(plain(ask(connect(address).await?, address).await));
        };
        let client = self.read(files).await?;
        let stream = tls::handshake(&client, connect(address).await?, address).await?;
        match ask(stream, address).await {
            Err(error) if error.is_parse() => Ok(Answer::NoEngine),
            answer => answer.map_err(|error| tls::unanswered(&client, &error)),
        }
    }

    async fn read(&self, files: TlsFiles) -> Result<TlsClient, ReachFault> {
        let turn = Arc::clone(&self.reading).lock_owned().await;
        let reading = spawn_blocking(move || {
            let _turn = turn;
            tls::read(files)
        });
        reading.await.unwrap_or_else(|error| Err(ReachFault::Connect(error.to_string())))
    }
}

#[async_trait::async_trait]
impl Door for TcpDoor {
    async fn knock(&self, address: &NodeAddress) -> Result<Answer, ReachFault> {
        timeout(self.timeout, self.question(address)).await.unwrap_or(Err(ReachFault::Timeout(self.timeout)))
    }
}

async fn connect(address: &NodeAddress) -> Result<TcpStream, ReachFault> {
    let host = address.host();
    let found = lookup_host((host.as_str(), address.port())).await;
    let places = found.map_err(|error| ReachFault::Name(error.to_string()))?;
    let mut last = ReachFault::Name("it has no address".to_owned());
    for place in places {
        match TcpStream::connect(place).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = ReachFault::Connect(said(&error)),
        }
    }
    Err(last)
}

fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => error.to_string(),
    }
}

/// What an answer to a question without TLS may mean.
fn plain(answer: Result<Answer, hyper::Error>) -> Answer {
    match answer {
        Ok(Answer::Status(400)) | Err(_) => Answer::NoPlainHttp,
        Ok(answer) => answer,
    }
}

/// An error if what comes is not HTTP.
async fn ask<S>(stream: S, address: &NodeAddress) -> Result<Answer, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = Uri::from_static("/info");
    // host and port are always fit for a header
    let host = HeaderValue::from_str(&address.to_string()).unwrap_or(HeaderValue::from_static("engine"));
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(super::AGENT));
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LIMIT).collect().await.map(|body| body.to_bytes());
        Ok(read(status, &body.unwrap_or_default()))
    };
    tokio::pin!(exchange, driver);
    // Cancel-safe: both futures live on. A driver that ends may have delivered the answer first; if it has not,
    // it knows better why.
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        ended = &mut driver => exchange.await.map_err(|error| ended.err().unwrap_or(error)),
    }
}

#[derive(Deserialize)]
struct Info {
    #[serde(rename = "ID")]
    id: String,
}

fn read(status: StatusCode, body: &[u8]) -> Answer {
    if !status.is_success() {
        return Answer::Status(status.as_u16());
    }
    serde_json::from_slice::<Info>(body).map_or(Answer::NoEngine, |info| Answer::Engine { id: info.id })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// What is made of a server that answers with these bytes.
    async fn knock_at(answer: &'static [u8]) -> Result<Answer, ReachFault> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = NodeAddress::new([127, 0, 0, 1].into(), listener.local_addr().unwrap().port());
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            stream.write_all(answer).await.unwrap();
        };
        let door = TcpDoor::new(None);
        tokio::join!(server, door.knock(&address)).1
    }

    #[tokio::test]
    async fn tells_apart_what_may_stand_at_an_address() {
        let engine = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"ID\":\"AB\"}";
        let tls = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
        assert_eq!(knock_at(engine).await, Ok(Answer::Engine { id: "AB".into() }));
        assert_eq!(knock_at(tls).await, Ok(Answer::NoPlainHttp));
        assert_eq!(knock_at(b"\x15\x03\x01\x00\x02\x02\x46").await, Ok(Answer::NoPlainHttp));
        assert_eq!(knock_at(b"").await, Ok(Answer::NoPlainHttp));
        assert_eq!(knock_at(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK").await, Ok(Answer::NoEngine));
    }

    #[tokio::test]
    async fn says_why_nobody_answers() {
        let door = TcpDoor { timeout: Duration::from_millis(100), ..TcpDoor::new(None) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = NodeAddress::new([127, 0, 0, 1].into(), listener.local_addr().unwrap().port());
        assert_eq!(door.knock(&address).await, Err(ReachFault::Timeout(Duration::from_millis(100))));
        drop(listener);
        assert_eq!(door.knock(&address).await, Err(ReachFault::Connect("connection refused".into())));
    }
}
