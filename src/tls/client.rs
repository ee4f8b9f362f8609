//! What a connection over TLS takes.

use super::{fault, files};
use crate::model::{TlsFault, TlsFileFault, TlsFiles};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Made of what the files held when they were read.
#[derive(Debug)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    identity: Arc<Identity>,
    files: TlsFiles,
}

/// Why nothing can be asked: what it takes is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unready {
    File(TlsFileFault),
    Tls(TlsFault),
}

/// Who we are, and whether the other side asked. rustls tells nobody before the server is verified.
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
    /// Reads the files, and blocks. The provider is named here, so that no process-wide default is needed. The system's
    /// CAs (some hundred KiB) are loaded only without a CA file.
    pub fn read(files: TlsFiles) -> Result<Self, Unready> {
        let provider = Arc::new(ring::default_provider());
        let own = files.client.as_ref().map(|client| files::identity(client, &files.names, &provider)).transpose();
        let own = own.map_err(Unready::File)?.map(Arc::new);
        let identity = Arc::new(Identity { own, asked: AtomicBool::new(false) });
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Unready::Tls(TlsFault::Broken(error.to_string())))?;
        let builder = match &files.ca {
            Some(ca) => builder.with_root_certificates(files::roots(ca, &files.names).map_err(Unready::File)?),
            None => {
                let verifier = rustls_platform_verifier::Verifier::new(provider)
                    .map_err(|error| Unready::Tls(TlsFault::NoRoots(error.to_string())))?;
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        let mut config = builder.with_client_cert_resolver(identity.clone());
        // each connection is a handshake of its own, so that what it proves is true now
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), identity, files })
    }

    pub fn config(&self) -> &ClientConfig {
        &self.config
    }

    pub fn files(&self) -> &TlsFiles {
        &self.files
    }

    /// `host` as the certificate has it: without a port, IPv6 without brackets.
    pub async fn handshake<S>(&self, stream: S, host: &str) -> Result<TlsStream<S>, TlsFault>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Ok(name) = ServerName::try_from(host.to_owned()) else {
            return Err(TlsFault::Broken(format!("{host} is no name that a certificate can be for")));
        };
        let connected = TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await;
        connected.map_err(|error| self.fault(&error).unwrap_or_else(|| fault::handshake(&error)))
    }

    /// What an error has to do with TLS. With TLS 1.3 a server looks at our certificate only after the handshake, so
    /// that any error until the first answer may be about it.
    pub fn fault(&self, error: &(dyn Error + 'static)) -> Option<TlsFault> {
        fault::rustls_cause(error).map(|cause| fault::of(cause, self))
    }

    /// It asked for a certificate, and we had none to show: that may be why a connection was closed. The alert that says
    /// so can get lost when the connection is reset.
    pub fn asked_in_vain(&self) -> bool {
        self.asked() && self.identity.own.is_none()
    }

    pub(super) fn asked(&self) -> bool {
        self.identity.asked.load(Ordering::Relaxed)
    }
}
