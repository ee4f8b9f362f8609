//! The files with which the discovery server speaks TLS.

use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFiles {
    /// `server.tls-cert`, with the certificates between it and its CA.
    pub certificate: PathBuf,
    /// `server.tls-key`
    pub key: PathBuf,
    /// `server.tls-client-ca`: with it a client must have a certificate of that CA.
    pub client_ca: Option<PathBuf>,
}
