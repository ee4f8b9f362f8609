//! TLS for the server's connections: the files, and the handshake.
//!
//! Each handshake looks first whether the files are others now. What can't be used is told once and changes nothing.

use super::limits;
use super::refusal::Refusal;
use crate::http::{Opening, Wire};
use crate::model::{Digest, ServerFiles, TlsFileFault, TlsFileProblem};
use crate::telemetry::{Event, emit};
use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::debug;

/// A bundle of all CAs of the world is a quarter of it.
const LIMIT: u64 = 1 << 20;
/// The first byte of a TLS connection: a record of the handshake.
const HANDSHAKE_RECORD: u8 = 0x16;
/// For a look at the files; a disk that hangs must not keep clients out.
const LOOK: Duration = Duration::from_secs(1);
/// Files that could not be used are tried again after this, also if they look the same.
const RETRY: Duration = Duration::from_secs(10);

const CERTIFICATE: &str = "server.tls-cert";
const KEY: &str = "server.tls-key";
const CLIENT_CA: &str = "server.tls-client-ca";

/// The server's certificate and what it asks of clients, as the files have them.
#[derive(Clone)]
pub struct Keyring(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// To look at the files: one at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
}

struct State {
    usable: Usable,
    /// Of the files that were read last, usable or not.
    stamps: Stamps,
    tried: Instant,
    trouble: Option<TlsFileFault>,
}

/// Files that were read and can be used.
pub struct Usable {
    files: ServerFiles,
    config: Arc<ServerConfig>,
    /// Of all that was in them.
    digest: Digest,
    stamps: Stamps,
}

type Stamps = [Option<Stamp>; 3];

/// What tells that a file is another: it was written to, replaced or made readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Usable {
    /// Blocks.
    pub fn read(files: ServerFiles) -> Result<Self, TlsFileFault> {
        // before the files: what changes meanwhile is seen at the next look
        let stamps = stamps(&files);
        let content = Content::read(&files)?;
        let config = Arc::new(content.config(&files)?);
        Ok(Self { config, digest: content.digest(), stamps, files })
    }
}

impl Keyring {
    pub fn new(usable: Usable) -> Self {
        let state = Mutex::new(State::new(usable));
        Self(Arc::new(Shared { state, turn: Arc::default() }))
    }

    /// For the handshakes from now on.
    pub fn replace(&self, usable: Usable) {
        Self::put(self.state(), usable);
    }

    fn put(mut state: MutexGuard<'_, State>, usable: Usable) {
        let news = state.usable.digest != usable.digest || state.trouble.is_some();
        let path = usable.files.certificate.display().to_string();
        *state = State::new(usable);
        drop(state);
        if news {
            emit(&Event::CertificateRead { path: &path });
        }
    }

    /// Why the files as they are now are not in use.
    pub fn trouble(&self) -> Option<TlsFileFault> {
        self.state().trouble.clone()
    }

    /// For the next handshake: what the files say now, if that can be used.
    pub async fn current(&self) -> Arc<ServerConfig> {
        let keyring = self.clone();
        let look = async move {
            // it goes along, so that of looks that hang there is only one
            let turn = Arc::clone(&keyring.0.turn).lock_owned().await;
            tokio::task::spawn_blocking(move || (keyring.look(), turn)).await
        };
        if timeout(LOOK, look).await.is_err() {
            debug!("the TLS files could not be looked at in time");
        }
        Arc::clone(&self.state().usable.config)
    }

    /// Reads the files again if they are others now. Blocks, but never with the lock.
    fn look(&self) {
        let (files, known, due) = {
            let state = self.state();
            let due = state.trouble.is_some() && state.tried.elapsed() >= RETRY;
            (state.usable.files.clone(), state.stamps, due)
        };
        let stamps = stamps(&files);
        if stamps == known && !due {
            return;
        }
        let read = Usable::read(files.clone());
        let state = self.state();
        match read {
            // a reload has named others meanwhile
            _ if state.usable.files != files => {}
            Ok(usable) => Self::put(state, usable),
            Err(fault) => Self::keep(state, stamps, fault),
        }
    }

    fn keep(mut state: MutexGuard<'_, State>, stamps: Stamps, fault: TlsFileFault) {
        (state.stamps, state.tried) = (stamps, Instant::now());
        let known = state.trouble.replace(fault.clone());
        drop(state);
        if known.as_ref() != Some(&fault) {
            emit(&Event::CertificateKept { path: &fault.path.display().to_string(), error: &fault.to_string() });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // a panic elsewhere can't leave it half changed: it is replaced in one go
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The handshake, bounded in time, and `router` behind it. Whoever speaks plain HTTP is told so, and no more.
pub fn open(keyring: Keyring, stream: TcpStream, router: Router) -> Opening {
    Box::pin(async move {
        let outcome = timeout(limits::HANDSHAKE, handshake(&keyring, stream, router)).await;
        match outcome {
            Ok(Ok(opened)) => return Some(opened),
            Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
            Err(_) => debug!("a TLS handshake took too long"),
        }
        None
    })
}

async fn handshake(keyring: &Keyring, stream: TcpStream, router: Router) -> io::Result<(Wire, Router)> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    if first != [HANDSHAKE_RECORD] {
        return Ok((Box::new(stream), https_only()));
    }
    let acceptor = TlsAcceptor::from(keyring.current().await);
    Ok((Box::new(acceptor.accept(stream).await?), router))
}

fn https_only() -> Router {
    Router::new().fallback(async || ([(header::CONNECTION, "close")], Refusal::HttpsOnly).into_response())
}

impl State {
    fn new(usable: Usable) -> Self {
        Self { stamps: usable.stamps, usable, tried: Instant::now(), trouble: None }
    }
}

/// What is in the files.
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Content {
    fn read(files: &ServerFiles) -> Result<Self, TlsFileFault> {
        Ok(Self {
            certificate: bytes(CERTIFICATE, &files.certificate)?,
            key: bytes(KEY, &files.key)?,
            client_ca: files.client_ca.as_ref().map(|path| bytes(CLIENT_CA, path)).transpose()?,
        })
    }

    fn digest(&self) -> Digest {
        Digest::of(&[&*self.certificate, &*self.key, self.client_ca.as_deref().unwrap_or_default()].concat())
    }

    fn config(&self, files: &ServerFiles) -> Result<ServerConfig, TlsFileFault> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(CERTIFICATE, &files.certificate, &error))?;
        let builder = match files.client_ca.as_deref().zip(self.client_ca.as_deref()) {
            None => builder.with_no_client_auth(),
            Some((path, pem)) => {
                let roots = Arc::new(roots(path, pem)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| unusable(CLIENT_CA, path, &error))?)
            }
        };
        let chain = certificates(CERTIFICATE, &files.certificate, &self.certificate)?;
        let no_key = || fault(KEY, &files.key, TlsFileProblem::NoKey);
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| no_key())?;
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                fault(KEY, &files.key, TlsFileProblem::OtherKey(files.certificate.clone()))
            }
            // what the provider says of a key that it can't read
            rustls::Error::General(_) => no_key(),
            error => unusable(CERTIFICATE, &files.certificate, &error),
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn roots(path: &Path, pem: &[u8]) -> Result<RootCertStore, TlsFileFault> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(CLIENT_CA, path, pem)? {
        roots.add(certificate).map_err(|error| unusable(CLIENT_CA, path, &error))?;
    }
    Ok(roots)
}

/// At least one.
fn certificates(setting: &'static str, path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsFileFault> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(fault(setting, path, TlsFileProblem::NoCertificate)),
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(setting, path, &error)),
    }
}

fn unusable(setting: &'static str, path: &Path, error: &dyn fmt::Display) -> TlsFileFault {
    fault(setting, path, TlsFileProblem::BadCertificate(error.to_string()))
}

fn bytes(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsFileFault> {
    let unreadable = |error: io::Error| {
        let problem = match error.kind() {
            ErrorKind::NotFound => TlsFileProblem::Missing,
            ErrorKind::PermissionDenied => TlsFileProblem::Unreadable(
                "permission denied; give it to group swarm-discovery (chgrp swarm-discovery, chmod 640), and its \
                 folder too"
                    .to_owned(),
            ),
            _ => TlsFileProblem::Unreadable(error.to_string()),
        };
        fault(setting, path, problem)
    };
    // before it is opened: a FIFO would block
    let found = fs::metadata(path).map_err(unreadable)?;
    if !found.is_file() {
        return Err(fault(setting, path, TlsFileProblem::NotAFile));
    }
    if found.len() > LIMIT {
        return Err(fault(setting, path, TlsFileProblem::TooLarge(LIMIT)));
    }
    fs::read(path).map_err(unreadable)
}

fn fault(setting: &'static str, path: &Path, problem: TlsFileProblem) -> TlsFileFault {
    TlsFileFault { setting, path: path.to_owned(), problem }
}

/// None for what can't be looked at, or is not there.
fn stamps(files: &ServerFiles) -> Stamps {
    let stamp = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        Some(Stamp {
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    };
    [stamp(&files.certificate), stamp(&files.key), files.client_ca.as_deref().and_then(stamp)]
}
