//! The clients of one server, and what they show it.

use super::proxy::Proxies;
use super::{BackendError, cause};
use crate::model::{Secret, Timeouts, TlsFault, TlsFileFault, TlsFileProblem, TlsFiles};
use crate::tls::{Renewed, TlsClient, Unready, files};
use reqwest::Client;
use reqwest::header::HeaderValue;
use rustls::{ClientConfig, RootCertStore};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const USER_AGENT: &str = concat!("swarm-agent/", env!("CARGO_PKG_VERSION"));
/// A peer that vanished without a word is noticed before the next beat is sent into the void.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A client, and with it a kept connection, as long as the files are the same.
pub struct Secure {
    pub client: Client,
    pub tls: TlsClient,
}

pub struct Token {
    pub value: HeaderValue,
    pub secret: Secret,
}

pub fn plain(timeouts: Timeouts, proxies: &Proxies) -> Result<Client, BackendError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BackendError::Client(error.to_string()))?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    client(config, timeouts, proxies).map_err(|error| BackendError::Client(cause(&error)))
}

pub fn secure(files: TlsFiles, timeouts: Timeouts, proxies: Proxies) -> Renewed<Secure> {
    Renewed::new(files.sources(), move || {
        let tls = TlsClient::read(files.clone())?;
        let client = client(tls.config().clone(), timeouts, &proxies);
        Ok(Secure { client: client.map_err(|error| Unready::Tls(TlsFault::Broken(cause(&error))))?, tls })
    })
}

/// Sent behind these words.
pub fn token(setting: &'static str, path: PathBuf, words: &'static str) -> Renewed<Token> {
    Renewed::new(vec![(setting, path.clone())], move || {
        let secret = files::secret(setting, &path).map_err(Unready::File)?;
        let no_header = TlsFileFault { setting, path: path.clone(), problem: TlsFileProblem::NotOneLine };
        let mut value = HeaderValue::from_bytes(format!("{words}{}", secret.expose()).as_bytes())
            .map_err(|_| Unready::File(no_header))?;
        value.set_sensitive(true);
        Ok(Token { value, secret })
    })
}

fn client(config: ClientConfig, timeouts: Timeouts, proxies: &Proxies) -> Result<Client, reqwest::Error> {
    proxies
        .put_into(Client::builder())
        .tls_backend_preconfigured(config)
        .user_agent(USER_AGENT)
        .connect_timeout(timeouts.connect)
        .timeout(timeouts.total)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .pool_max_idle_per_host(1)
        // a heartbeat may be longer than any idle timeout: the server ends what it doesn't want kept
        .pool_idle_timeout(None)
        .tcp_keepalive(KEEPALIVE)
        .build()
}
