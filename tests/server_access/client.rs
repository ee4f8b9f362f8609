//! One connection to the server, kept, so that a test knows which one answers.

use super::authority::{Authority, Pair};
use super::common::DEADLINE;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub struct Connection {
    stream: Box<dyn Stream>,
    /// What the server showed; nothing without TLS.
    pub certificate: Option<CertificateDer<'static>>,
    /// For each request.
    pub bearer: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The `code` of a JSON error, which must have a text, too.
    pub fn code(&self) -> String {
        let error: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"));
        assert!(error["error"].as_str().is_some_and(|text| !text.is_empty()), "{self:?}");
        error["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Over TLS to a server whose CA is known.
pub async fn tls(server: SocketAddr, ca: &Authority, own: Option<&Pair>) -> io::Result<Connection> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.pem().as_bytes()).expect("a CA")).expect("a CA");
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).expect("a certificate")];
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
            builder.with_client_auth_cert(chain, key).expect("an identity")
        }
    };
    let stream = TcpStream::connect(server).await?;
    let name = ServerName::try_from(server.ip().to_string()).expect("an address");
    let connect = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = timeout(DEADLINE, connect).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).cloned();
    Ok(Connection { stream: Box::new(stream), certificate, bearer: None })
}

pub async fn plain(server: SocketAddr) -> io::Result<Connection> {
    let stream = TcpStream::connect(server).await?;
    Ok(Connection { stream: Box::new(stream), certificate: None, bearer: None })
}

impl Connection {
    pub fn with(mut self, bearer: &str) -> Self {
        self.bearer = Some(bearer.to_owned());
        self
    }

    pub async fn ask(&mut self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        let bearer = self.bearer.as_ref().map(|token| format!("authorization: Bearer {token}\r\n"));
        self.ask_with(method, path, &bearer.unwrap_or_default(), body).await
    }

    /// With these lines in the head.
    pub async fn ask_with(&mut self, method: &str, path: &str, lines: &str, body: &str) -> io::Result<Answer> {
        let length = body.len();
        let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{lines}content-length: {length}\r\n\r\n{body}");
        self.stream.write_all(request.as_bytes()).await?;
        self.stream.flush().await?;
        timeout(DEADLINE, self.answer(method == "HEAD")).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    async fn answer(&mut self, without_body: bool) -> io::Result<Answer> {
        let mut got = Vec::new();
        let head = loop {
            if let Some(end) = got.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if self.stream.read_buf(&mut got).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let text = String::from_utf8_lossy(&got[..head]).to_ascii_lowercase();
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length: usize = length.filter(|_| !without_body).and_then(|length| length.parse().ok()).unwrap_or(0);
        while got.len() < head + length {
            if self.stream.read_buf(&mut got).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let status = text[9..12].parse().expect("a status");
        Ok(Answer { status, body: String::from_utf8_lossy(&got[head..]).into_owned(), head: text })
    }
}
