//! What `list` and `watch` share: which cluster, and how long to wait for it.

use super::config_args::FileArgs;
use super::exit::{self, Failure};
use crate::config::{FromValue, read_key, read_proxy};
use crate::discovery::{self, Backend};
use crate::model::{Destination, Discovery, DiscoveryUrl, Timeouts, WayOut};
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
}

impl DiscoveryArgs {
    pub fn open(&self) -> Result<Box<dyn Backend>, Failure> {
        let discovery = match &self.url {
            Some(text) => {
                text.parse().map_err(|error| Failure::usage(format!("the discovery URL can't be used: {error}")))?
            }
            None => self.configured("discovery.url")?,
        };
        let (url, way) = match discovery {
            Discovery::At(url) => {
                let way = self.way(&url)?;
                (url, way)
            }
            Discovery::Embedded => {
                let url = embedded(&self.configured::<PathBuf>("agent.state-directory")?)?;
                (url, WayOut::direct(super::timeouts(self.timeout)))
            }
        };
        discovery::open(&url, &way).map_err(Failure::discovery)
    }

    /// How it is reached.
    fn way(&self, url: &DiscoveryUrl) -> Result<WayOut, Failure> {
        way(super::timeouts(self.timeout), &url.destinations(), &self.files)
    }

    /// A key of this host's configuration.
    fn configured<T: FromValue>(&self, key: &str) -> Result<T, Failure> {
        read_key(&self.files.sources(), key).map_err(|errors| {
            errors.iter().for_each(|error| super::remark(&error.to_string()));
            super::remark(
                "no cluster could be read from the configuration; give DISCOVERY_URL, or set SWARM_DISCOVERY",
            );
            Failure::said(exit::CONFIG)
        })
    }
}

/// The way to these servers. Nobody needs usable proxies to reach what no proxy has to do with.
pub fn way(timeouts: Timeouts, to: &[Destination], files: &FileArgs) -> Result<WayOut, Failure> {
    let direct = WayOut::direct(timeouts);
    if to.iter().all(Destination::is_local) {
        return Ok(direct);
    }
    match read_proxy(&files.sources()) {
        Ok(proxy) => Ok(WayOut { proxy, ..direct }),
        Err(errors) => {
            errors.iter().for_each(|error| super::remark(&error.to_string()));
            Err(Failure::said(exit::CONFIG))
        }
    }
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
