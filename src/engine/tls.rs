//! TLS to the engine behind the advertised address: from files to a connection, and from errors to what to do.

use crate::model::{ClientFiles, NodeAddress, ReachFault, TlsFault, TlsFileFault, TlsFileProblem, TlsFiles};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, CertificateError, InvalidMessage, SignatureScheme};
use rustls::{ClientConfig, InconsistentKeys, RootCertStore};
use std::error::Error;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A bundle of all CAs of the world is a quarter of it.
const LIMIT: u64 = 1 << 20;

const CA: &str = "engine.tls-ca";
const CERTIFICATE: &str = "engine.tls-cert";
const KEY: &str = "engine.tls-key";

/// What one question takes: the files may be others at the next.
pub struct TlsClient {
    config: Arc<ClientConfig>,
    identity: Arc<Identity>,
    files: TlsFiles,
}

/// Who we are, and whether the engine asked. rustls tells nobody before the server is verified.
#[derive(Debug)]
struct Identity {
    own: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.own.clone()
    }

    fn has_certs(&self) -> bool {
        self.own.is_some()
    }
}

impl TlsClient {
    /// Reads the files, and blocks.
    pub fn read(files: TlsFiles) -> Result<Self, ReachFault> {
        let provider = Arc::new(ring::default_provider());
        let own = files.client.as_ref().map(|client| identity(client, &provider)).transpose();
        let own = own.map_err(ReachFault::Files)?.map(Arc::new);
        let identity = Arc::new(Identity { own, asked: AtomicBool::new(false) });
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| ReachFault::Tls(TlsFault::Broken(error.to_string())))?;
        let builder = match &files.ca {
            Some(ca) => builder.with_root_certificates(roots(ca).map_err(ReachFault::Files)?),
            None => {
                let verifier = rustls_platform_verifier::Verifier::new(provider)
                    .map_err(|error| ReachFault::Tls(TlsFault::NoRoots(error.to_string())))?;
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        let mut config = builder.with_client_cert_resolver(identity.clone());
        // each question is a handshake of its own, so that what it proves is true now
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), identity, files })
    }

    pub async fn handshake(
        &self,
        stream: TcpStream,
        address: &NodeAddress,
    ) -> Result<TlsStream<TcpStream>, ReachFault> {
        let host = address.host();
        let Ok(name) = ServerName::try_from(host.clone()) else {
            let why = format!("{host} is no name that a certificate can be for");
            return Err(ReachFault::Tls(TlsFault::Broken(why)));
        };
        let connected = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await;
        connected.map_err(|error| ReachFault::Tls(self.broken(&error, &host)))
    }

    /// Why a request over an established connection had no answer: with TLS 1.3 an engine looks at our certificate
    /// only then.
    pub fn unanswered(&self, error: &hyper::Error, address: &NodeAddress) -> ReachFault {
        match io_cause(error) {
            Some(cause) if rustls_cause(cause).is_some() => ReachFault::Tls(self.broken(cause, &address.host())),
            // its alert can get lost when it resets the connection
            _ if self.asked() && self.files.client.is_none() => ReachFault::Tls(TlsFault::WantsCertificate),
            _ => ReachFault::Connect("the connection was closed without an answer".to_owned()),
        }
    }

    fn asked(&self) -> bool {
        self.identity.asked.load(Ordering::Relaxed)
    }

    fn broken(&self, error: &io::Error, host: &str) -> TlsFault {
        match rustls_cause(error) {
            Some(rustls::Error::InvalidCertificate(error)) => self.bad_certificate(error, host),
            Some(rustls::Error::AlertReceived(alert)) => self.alert(*alert),
            Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => TlsFault::NoTls,
            Some(error) => TlsFault::Broken(error.to_string()),
            None if error.kind() == ErrorKind::UnexpectedEof => {
                TlsFault::Broken("the connection was closed during the handshake".to_owned())
            }
            None => TlsFault::Broken(super::advertised::said(error)),
        }
    }

    fn alert(&self, alert: AlertDescription) -> TlsFault {
        let said = words(alert);
        match &self.files.client {
            None if self.asked() => TlsFault::WantsCertificate,
            Some(client) if self.asked() => {
                TlsFault::RefusesCertificate { certificate: client.certificate.clone(), said }
            }
            _ => TlsFault::Alert(said),
        }
    }

    fn bad_certificate(&self, error: &CertificateError, host: &str) -> TlsFault {
        match error {
            CertificateError::ExpiredContext { not_after, .. } => TlsFault::Expired(date(*not_after)),
            CertificateError::NotValidYetContext { not_before, .. } => TlsFault::NotYetValid(date(*not_before)),
            CertificateError::UnknownIssuer => TlsFault::UnknownIssuer(self.files.ca.clone()),
            CertificateError::NotValidForNameContext { presented, .. } => TlsFault::WrongName {
                wanted: host.to_owned(),
                names: presented.iter().map(|name| bare(name)).collect(),
            },
            other => TlsFault::BadCertificate(other.to_string()),
        }
    }
}

fn roots(path: &Path) -> Result<RootCertStore, TlsFileFault> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(CA, path)? {
        let added = roots.add(certificate);
        added.map_err(|error| fault(CA, path, TlsFileProblem::BadCertificate(error.to_string())))?;
    }
    Ok(roots)
}

fn identity(files: &ClientFiles, provider: &CryptoProvider) -> Result<CertifiedKey, TlsFileFault> {
    let chain = certificates(CERTIFICATE, &files.certificate)?;
    let no_key = || fault(KEY, &files.key, TlsFileProblem::NoKey);
    let key = PrivateKeyDer::from_pem_slice(&bytes(KEY, &files.key)?).map_err(|_| no_key())?;
    let key = provider.key_provider.load_private_key(key).map_err(|_| no_key())?;
    let identity = CertifiedKey::new(chain, key);
    match identity.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(identity),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(fault(KEY, &files.key, TlsFileProblem::OtherKey(files.certificate.clone())))
        }
        Err(error) => Err(fault(CERTIFICATE, &files.certificate, TlsFileProblem::BadCertificate(error.to_string()))),
    }
}

/// At least one.
fn certificates(setting: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileFault> {
    let bytes = bytes(setting, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if found.is_empty() => Err(fault(setting, path, TlsFileProblem::NoCertificate)),
        Ok(found) => Ok(found),
        Err(error) => Err(fault(setting, path, TlsFileProblem::BadCertificate(error.to_string()))),
    }
}

fn bytes(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsFileFault> {
    let unreadable = |error: io::Error| {
        let problem = match error.kind() {
            ErrorKind::NotFound => TlsFileProblem::Missing,
            ErrorKind::PermissionDenied => TlsFileProblem::Denied,
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

fn io_cause(error: &hyper::Error) -> Option<&io::Error> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(cause) = cause.downcast_ref() {
            return Some(cause);
        }
        next = cause.source();
    }
    None
}

fn rustls_cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// The alerts that concern certificates as people know them.
fn words(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::BadCertificate => "bad certificate",
        AlertDescription::CertificateExpired => "certificate expired",
        AlertDescription::CertificateRevoked => "certificate revoked",
        AlertDescription::CertificateRequired => "certificate required",
        AlertDescription::CertificateUnknown => "certificate unknown",
        AlertDescription::UnsupportedCertificate => "unsupported certificate",
        AlertDescription::UnknownCA => "unknown CA",
        AlertDescription::AccessDenied => "access denied",
        AlertDescription::HandshakeFailure => "handshake failure",
        AlertDescription::ProtocolVersion => "no common version of TLS",
        AlertDescription::UnrecognisedName => "unrecognised name",
        AlertDescription::InternalError => "internal error",
        other => return format!("alert {}", u8::from(other)),
    }
    .to_owned()
}

fn date(time: UnixTime) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    // years of five digits it can't write
    let time = time.filter(|time| *time < SystemTime::UNIX_EPOCH + Duration::from_secs(250_000_000_000));
    time.map_or_else(|| "the end of time".to_owned(), |time| humantime::format_rfc3339_seconds(time).to_string())
}

/// `DnsName("db1")` → `db1`. What is no name for an engine stays as it is.
fn bare(name: &str) -> String {
    let inner = |kind: &str| name.strip_prefix(kind)?.strip_prefix('(')?.strip_suffix(')');
    let inner = inner("DnsName").or_else(|| inner("IpAddress")).unwrap_or(name);
    inner.trim_matches('"').escape_debug().to_string()
}

#[cfg(test)]
mod tests;
