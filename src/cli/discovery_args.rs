//! What `list` and `watch` share: which cluster, and how long to wait for it.

use super::config_args::FileArgs;
use super::exit::{self, Failure};
use crate::config::load;
use crate::discovery::{self, Backend};
use crate::model::DiscoveryUrl;
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
        let url = match &self.url {
            Some(text) => {
                text.parse().map_err(|error| Failure::usage(format!("the discovery URL can't be used: {error}")))?
            }
            None => self.configured()?,
        };
        discovery::open(&url, super::timeouts(self.timeout)).map_err(Failure::discovery)
    }

    /// `discovery.url` of this host's configuration.
    fn configured(&self) -> Result<DiscoveryUrl, Failure> {
        load(&self.files.sources()).and_then(|merged| merged.require::<DiscoveryUrl>("discovery.url")).map_err(
            |errors| {
                errors.iter().for_each(|error| super::remark(&error.to_string()));
                super::remark(
                    "no cluster could be read from the configuration; give DISCOVERY_URL, or set SWARM_DISCOVERY",
                );
                Failure::said(exit::CONFIG)
            },
        )
    }
}
