//! The advertised address as another host would use it: `GET /info` over TCP, without TLS.

use super::Door;
use crate::model::{Answer, NodeAddress, ReachFault};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::io;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// An `/info` is a few KB, and more with many warnings and plugins.
const LIMIT: usize = 1 << 20;

pub struct TcpDoor {
    /// Bounds one question, resolving and connecting included.
    pub timeout: Duration,
}

#[async_trait::async_trait]
impl Door for TcpDoor {
    async fn knock(&self, address: &NodeAddress) -> Result<Answer, ReachFault> {
        let asked = async {
            let stream = connect(address).await?;
            Ok(ask(stream, address).await.unwrap_or(Answer::NoHttp))
        };
        timeout(self.timeout, asked).await.unwrap_or(Err(ReachFault::Timeout(self.timeout)))
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

/// None if what comes is not HTTP.
async fn ask(stream: TcpStream, address: &NodeAddress) -> Option<Answer> {
    let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = Uri::from_static("/info");
    request.headers_mut().insert(HOST, HeaderValue::from_str(&address.to_string()).ok()?);
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(super::AGENT));
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    let exchange = async {
        let response = sender.send_request(request).await.ok()?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LIMIT).collect().await.map(|body| body.to_bytes());
        Some(read(status, &body.unwrap_or_default()))
    };
    tokio::pin!(exchange, driver);
    // Cancel-safe: both futures live on. A driver that ends may have delivered the answer first.
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        _ = &mut driver => exchange.await,
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
        let door = TcpDoor { timeout: Duration::from_secs(5) };
        tokio::join!(server, door.knock(&address)).1
    }

    #[tokio::test]
    async fn tells_apart_what_may_stand_at_an_address() {
        let engine = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"ID\":\"AB\"}";
        let tls = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
        assert_eq!(knock_at(engine).await, Ok(Answer::Engine { id: "AB".into() }));
        assert_eq!(knock_at(tls).await, Ok(Answer::Status(400)));
        assert_eq!(knock_at(b"\x15\x03\x01\x00\x02\x02\x46").await, Ok(Answer::NoHttp));
        assert_eq!(knock_at(b"").await, Ok(Answer::NoHttp));
        assert_eq!(knock_at(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK").await, Ok(Answer::NoEngine));
    }

    #[tokio::test]
    async fn says_why_nobody_answers() {
        let door = TcpDoor { timeout: Duration::from_millis(100) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = NodeAddress::new([127, 0, 0, 1].into(), listener.local_addr().unwrap().port());
        assert_eq!(door.knock(&address).await, Err(ReachFault::Timeout(Duration::from_millis(100))));
        drop(listener);
        assert_eq!(door.knock(&address).await, Err(ReachFault::Connect("connection refused".into())));
    }
}
