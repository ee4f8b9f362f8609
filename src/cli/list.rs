//! `swarm-agent list`: the nodes of a cluster.

use super::exit::{self, Failure};
use super::timeouts;
use crate::config::{Sources, load};
use crate::discovery;
use crate::model::DiscoveryUrl;
use std::time::Duration;

/// Print the nodes of a cluster
#[derive(clap::Args)]
#[command(long_about = "Print the nodes of a cluster, one address a line.

    $ swarm-agent list http://disco.example:8970/v1/clusters/TOKEN
    10.0.0.5:2375
    10.0.0.6:2375

Entries that are no node addresses are skipped, with a warning on stderr. The list is only read, never changed.")]
pub struct List {
    /// The cluster, as discovery.url names it
    // a text, so that an error can't repeat the token
    #[arg(value_name = "DISCOVERY_URL", env = "SWARM_DISCOVERY", hide_env_values = true)]
    url: Option<String>,
    /// Print a JSON array of strings
    #[arg(long)]
    json: bool,
    /// Give up after this long
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

impl List {
    pub fn run(self) -> Result<(), Failure> {
        let url = match self.url {
            Some(text) => {
                text.parse().map_err(|error| Failure::usage(format!("the discovery URL can't be used: {error}")))?
            }
            None => configured()?,
        };
        let backend = discovery::open(&url, timeouts(self.timeout)).map_err(Failure::discovery)?;
        let listing = super::runtime()?.block_on(backend.list()).map_err(Failure::discovery)?;
        for entry in &listing.unreadable {
            super::remark(&format!("warning: skipped an entry: {entry}"));
        }
        if self.json {
            return super::print(&format!("{}\n", serde_json::json!(listing.nodes)));
        }
        super::print(&listing.nodes.iter().map(|node| format!("{node}\n")).collect::<String>())
    }
}

/// `discovery.url` of this host's configuration.
fn configured() -> Result<DiscoveryUrl, Failure> {
    let sources = Sources::default().with_environment(std::env::vars_os());
    load(&sources).and_then(|merged| merged.require::<DiscoveryUrl>("discovery.url")).map_err(|errors| {
        errors.iter().for_each(|error| super::remark(&error.to_string()));
        super::remark("no cluster could be read from the configuration; give DISCOVERY_URL, or set SWARM_DISCOVERY");
        Failure::said(exit::CONFIG)
    })
}
