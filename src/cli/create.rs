//! `swarm-agent create`: a new cluster at a discovery server.

use super::exit::Failure;
use super::timeouts;
use crate::discovery::token;
use crate::model::ServerUrl;
use std::io::IsTerminal;
use std::time::Duration;

/// Make a new cluster at a discovery server and print its token
#[derive(clap::Args)]
#[command(long_about = "Make a new cluster at a discovery server and print its token.

The token alone goes to stdout, so that a script can take it:

    token=$(swarm-agent create http://disco.example:8970)

Each host of the cluster then has in its configuration

    [discovery]
    url = \"http://disco.example:8970/v1/clusters/TOKEN\"

Whoever knows the token can read and change the cluster's list of nodes.")]
pub struct Create {
    /// The discovery server, for example http://disco.example:8970
    #[arg(value_name = "SERVER_URL", default_value = "http://127.0.0.1:8970")]
    server: ServerUrl,
    /// Print {"token": …, "url": …}
    #[arg(long)]
    json: bool,
    /// Give up after this long
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

impl Create {
    pub fn run(self) -> Result<(), Failure> {
        let made = token::create(&self.server, timeouts(self.timeout));
        let token = super::runtime()?.block_on(made).map_err(Failure::discovery)?;
        let url = format!("{}/{}", self.server.clusters(), token.as_str());
        if self.json {
            return super::print(&format!("{}\n", serde_json::json!({ "token": token.as_str(), "url": url })));
        }
        super::print(&format!("{}\n", token.as_str()))?;
        if std::io::stderr().is_terminal() {
            super::remark(&format!("configure each host with: discovery.url = \"{url}\""));
        }
        Ok(())
    }
}
