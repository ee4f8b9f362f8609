//! The flags that let a command in at a discovery service.

use super::exit::Failure;
use crate::config::{CREDENTIAL_FLAGS, Credentials, Flag};
use crate::model::{CREDENTIAL, DiscoveryUrl, WayOut};
use std::path::Path;
use std::time::Duration;

#[derive(clap::Args)]
pub struct CredentialArgs {
    /// Check the server's certificate against the CAs in FILE, and not against the system's
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    tls_ca: Option<String>,
    /// Show the server the client certificate in FILE
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    tls_cert: Option<String>,
    /// The key of the client certificate
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    tls_key: Option<String>,
    /// Send the bearer token in FILE, or to Consul the ACL token
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    token_file: Option<String>,
}

/// For stores only.
#[derive(clap::Args)]
pub struct UserArgs {
    /// The user of etcd or ZooKeeper
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    user: Option<String>,
    /// Its password is in FILE
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    password_file: Option<String>,
}

const HEADING: &str = "Credentials";

impl CredentialArgs {
    pub fn flags(&self) -> Result<Vec<Flag>, Failure> {
        let Self { tls_ca, tls_cert, tls_key, token_file } = self;
        let files =
            [("--tls-ca", tls_ca), ("--tls-cert", tls_cert), ("--tls-key", tls_key), ("--token-file", token_file)];
        files.into_iter().filter_map(|(flag, value)| Some(file(flag, value.as_ref()?))).collect()
    }
}

impl UserArgs {
    pub fn flags(&self) -> Result<Vec<Flag>, Failure> {
        let user = self.user.iter().map(|user| Ok(flag("--user", user.clone())));
        user.chain(self.password_file.iter().map(|path| file("--password-file", path))).collect()
    }
}

/// On the command line a path may be a relative one.
fn file(name: &'static str, text: &str) -> Result<Flag, Failure> {
    if text.starts_with(CREDENTIAL) {
        return Ok(flag(name, text.to_owned()));
    }
    let path = std::path::absolute(Path::new(text));
    let path = path.map_err(|error| Failure::usage(format!("{name} {text:?} can't be used: {error}")))?;
    Ok(flag(name, path.display().to_string()))
}

fn flag(name: &'static str, value: String) -> Flag {
    let key = CREDENTIAL_FLAGS.iter().find(|(_, flag)| *flag == name).map(|(key, _)| (*key).to_owned());
    Flag { name: name.to_owned(), key: key.unwrap_or_default(), value }
}

/// How the service is reached; says so if a secret goes there for everybody to read.
pub fn way(url: &DiscoveryUrl, credentials: Credentials, timeout: Duration) -> WayOut {
    let Credentials { tls, auth } = credentials;
    let way = WayOut { tls, auth, ..WayOut::direct(super::timeouts(timeout)) };
    if let Some(setting) = way.exposes(url) {
        super::remark(&exposed(setting, url));
    }
    way
}

/// What people are told of a secret in plain text.
pub fn exposed(setting: &str, url: &DiscoveryUrl) -> String {
    format!("the secret of {setting} goes to {url} without TLS: everybody on the way can read it")
}
