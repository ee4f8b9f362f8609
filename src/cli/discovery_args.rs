//! What `list` and `watch` share: which cluster, and how long to wait for it.

use super::config_args::FileArgs;
use super::credential_args::{self, CredentialArgs, UserArgs};
use super::exit::{self, Failure};
use crate::config::{ConfigErrors, FromValue, named_cluster, read_cluster, read_key, read_proxy};
use crate::discovery::{self, Backend};
use crate::model::{Destination, Discovery, DiscoveryUrl, ProxySettings, WayOut};
use crate::state::ClusterFile;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(clap::Args)]
pub struct DiscoveryArgs {
    /// The cluster, as discovery.url names it, or nodes (a:2375,b[1:9]:2375), or file:///path; without
    /// it, discovery.url of this host's configuration
    // a text, so that an error can't repeat the token
    #[arg(value_name = "DISCOVERY_URL", env = "SWARM_DISCOVERY", hide_env_values = true)]
    url: Option<String>,
    /// Give up on one request after this long
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = super::positive_duration)]
    timeout: Duration,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    credentials: CredentialArgs,
    #[command(flatten)]
    user: UserArgs,
}

impl DiscoveryArgs {
    pub fn open(&self) -> Result<Box<dyn Backend>, Failure> {
        let mut flags = self.credentials.flags()?;
        flags.extend(self.user.flags()?);
        let cluster = match &self.url {
            Some(text) => {
                let url = text.parse::<Discovery>();
                let url = url.map_err(|error| Failure::usage(format!("the discovery URL can't be used: {error}")))?;
                named_cluster(url, flags).map_err(|errors| Failure::usage(errors.to_string()))?
            }
            None => read_cluster(&self.files.sources().with_flags(flags)).map_err(|errors| unread(&errors))?,
        };
        // its own server is here
        let (url, proxy) = match cluster.url {
            Discovery::At(url) => {
                let proxy = proxy(&url.destinations(), &self.files)?;
                (url, proxy)
            }
            Discovery::Embedded => {
                (embedded(&self.configured::<PathBuf>("agent.state-directory")?)?, ProxySettings::default())
            }
        };
        let way = credential_args::way(&url, cluster.credentials, self.timeout);
        discovery::open(&url, &WayOut { proxy, ..way }).map_err(Failure::discovery)
    }

    /// A key of this host's configuration.
    fn configured<T: FromValue>(&self, key: &str) -> Result<T, Failure> {
        read_key(&self.files.sources(), key).map_err(|errors| unread(&errors))
    }
}

fn unread(errors: &ConfigErrors) -> Failure {
    errors.iter().for_each(|error| super::remark(&error.to_string()));
    super::remark("no cluster could be read from the configuration; give DISCOVERY_URL, or set SWARM_DISCOVERY");
    Failure::said(exit::CONFIG)
}

/// The proxies on the way to these servers. Nobody needs usable ones to reach what no proxy has to do with.
pub fn proxy(to: &[Destination], files: &FileArgs) -> Result<ProxySettings, Failure> {
    if to.iter().all(Destination::is_local) {
        return Ok(ProxySettings::default());
    }
    read_proxy(&files.sources()).map_err(|errors| {
        errors.iter().for_each(|error| super::remark(&error.to_string()));
        Failure::said(exit::CONFIG)
    })
}

/// The cluster of the agent's own discovery server, as the agent wrote it down.
pub fn embedded(state_directory: &Path) -> Result<DiscoveryUrl, Failure> {
    let failure = |code, text: String| Failure { code, text: Some(text) };
    match ClusterFile::new(state_directory).read() {
        Ok(Some(url)) => Ok(DiscoveryUrl::Token(url)),
        Ok(None) => Err(failure(
            exit::UNAVAILABLE,
            "the agent of this host hosts its cluster itself (discovery.url is embedded) and has not run yet: \
             systemctl start swarm-agent; for another cluster give DISCOVERY_URL"
                .to_owned(),
        )),
        Err(error) if error.cause.kind() == ErrorKind::PermissionDenied => Err(failure(
            exit::FAILURE,
            format!("{error}; use sudo, or become a member of group swarm-agent: adduser USER swarm-agent"),
        )),
        Err(error) => Err(failure(exit::FAILURE, error.to_string())),
    }
}
