//! A TLS server in front of a real discovery server, on a thread of its own.

use super::certs::{Ca, Pair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// What it does with a request.
#[derive(Clone)]
pub enum Conduct {
    Forward(SocketAddr),
    /// The whole answer.
    Say(String),
}

impl Conduct {
    pub fn say(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Say(format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}connection: close\r\n\r\n{body}"))
    }
}

/// Who it is, whom it lets in, and what it does.
#[derive(Clone)]
struct State {
    acceptor: TlsAcceptor,
    conduct: Conduct,
}

pub struct Front {
    pub address: SocketAddr,
    state: watch::Sender<State>,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Front {
    /// With `clients`, only those with a certificate from it are let in.
    pub fn start(own: &Pair, clients: Option<&Ca>, conduct: Conduct) -> Self {
        let (state, changes) = watch::channel(State { acceptor: acceptor(own, clients), conduct });
        let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket for the runtime");
        let address = listener.local_addr().expect("an address");
        let hears = Arc::clone(&heard);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(serve(listener, changes, hears));
        });
        Self { address, state, heard }
    }

    /// From now on; connections that were kept are closed.
    pub fn become_another(&self, own: &Pair, clients: Option<&Ca>) {
        self.state.send_modify(|state| state.acceptor = acceptor(own, clients));
    }

    pub fn behave(&self, conduct: Conduct) {
        self.state.send_modify(|state| state.conduct = conduct);
    }

    /// What clients said through TLS since the last time.
    pub fn heard(&self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut *self.heard.lock().expect("nobody panics"))).into_owned()
    }
}

fn acceptor(own: &Pair, clients: Option<&Ca>) -> TlsAcceptor {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(ca.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let chain = vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
    TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()))
}

/// Until the front is dropped.
async fn serve(listener: std::net::TcpListener, mut changes: watch::Receiver<State>, heard: Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::from_std(listener).expect("a socket of the runtime");
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.expect("a connection");
                tokio::spawn(connection(stream, changes.clone(), Arc::clone(&heard)));
            }
            gone = async { while changes.changed().await.is_ok() {} } => return gone,
        }
    }
}

async fn connection(stream: TcpStream, mut changes: watch::Receiver<State>, heard: Arc<Mutex<Vec<u8>>>) {
    let State { acceptor, conduct } = changes.borrow_and_update().clone();
    let exchange = async {
        let Ok(mut stream) = acceptor.accept(stream).await else { return };
        match conduct {
            Conduct::Forward(server) => {
                let Ok(server) = TcpStream::connect(server).await else { return };
                forward(stream, server, &heard).await;
            }
            Conduct::Say(answer) => {
                let mut buffer = vec![0; 65536];
                let Ok(count) = stream.read(&mut buffer).await else { return };
                heard.lock().expect("nobody panics").extend(&buffer[..count]);
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        }
    };
    tokio::select! {
        () = exchange => {}
        _ = changes.changed() => {}
    }
}

async fn forward<S: AsyncRead + AsyncWrite>(client: S, server: TcpStream, heard: &Mutex<Vec<u8>>) {
    let ((mut client_reads, mut client_writes), (mut server_reads, mut server_writes)) =
        (tokio::io::split(client), tokio::io::split(server));
    let up = async {
        let mut buffer = vec![0; 65536];
        while let Ok(count @ 1..) = client_reads.read(&mut buffer).await {
            heard.lock().expect("nobody panics").extend(&buffer[..count]);
            if server_writes.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        _ = tokio::io::copy(&mut server_reads, &mut client_writes) => {}
    }
}
