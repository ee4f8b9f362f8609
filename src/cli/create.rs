//! `swarm-agent create`: a new cluster at a discovery server.

use super::config_args::FileArgs;
use super::credential_args::{self, CredentialArgs};
use super::discovery_args;
use super::exit::Failure;
use crate::config::named_cluster;
use crate::discovery::token;
use crate::model::discovery_url::DiscoveryUrlError;
use crate::model::{Discovery, DiscoveryUrl, ServerUrl, WayOut};
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
    /// The discovery server, for example http://disco.example:8970; without it, the server in
    /// SWARM_DISCOVERY, or http://127.0.0.1:8970
    // a text, so that an error can't repeat a token that stands behind the server
    #[arg(value_name = "SERVER_URL")]
    server: Option<String>,
    /// Print {"token": …, "url": …}
    #[arg(long)]
    json: bool,
    /// Give up after this long
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = super::positive_duration)]
    timeout: Duration,
    #[command(flatten)]
    credentials: CredentialArgs,
    #[command(flatten)]
    files: FileArgs,
}

impl Create {
    pub fn run(self) -> Result<(), Failure> {
        let server = self.server()?;
        // credentials are judged by the URL of a cluster
        let url = format!("{}/new", server.clusters()).parse::<DiscoveryUrl>().map_err(Failure::other)?;
        let cluster = named_cluster(Discovery::At(url.clone()), self.credentials.flags()?);
        let cluster = cluster.map_err(|errors| Failure::usage(errors.to_string()))?;
        let way = credential_args::way(&url, cluster.credentials, self.timeout);
        let to: Vec<_> = server.destination().into_iter().collect();
        let way = WayOut { proxy: discovery_args::proxy(&to, &self.files)?, ..way };
        let made = token::create(&server, &way);
        let token = super::runtime()?.block_on(made).map_err(Failure::discovery)?;
        let url = format!("{}/{}", server.clusters(), token.as_str());
        if self.json {
            return super::print(&format!("{}\n", serde_json::json!({ "token": token.as_str(), "url": url })));
        }
        super::print(&format!("{}\n", token.as_str()))?;
        if std::io::stderr().is_terminal() {
            super::remark(&format!("configure each host with: discovery.url = \"{url}\""));
        }
        Ok(())
    }

    fn server(&self) -> Result<ServerUrl, Failure> {
        let in_environment = std::env::var(VARIABLE).ok().filter(|text| self.server.is_none() && !text.is_empty());
        let (name, server) = match (&self.server, &in_environment) {
            (Some(text), _) => ("SERVER_URL", server_of(text, false)),
            (None, Some(text)) => (VARIABLE, server_of(text, true)),
            (None, None) => ("the default", DEFAULT.parse()),
        };
        server.map_err(|error| Failure::usage(format!("{name} can't be used: {error}")))
    }
}

const VARIABLE: &str = "SWARM_DISCOVERY";
const DEFAULT: &str = "http://127.0.0.1:8970";

/// The server of a URL that may name a cluster. `token://host/v1` is a server if somebody asks for a
/// cluster there, and a cluster where clusters are named.
fn server_of(text: &str, names_cluster: bool) -> Result<ServerUrl, DiscoveryUrlError> {
    match text.parse() {
        Ok(DiscoveryUrl::Token(url)) if names_cluster || !text.starts_with("token:") => Ok(url.server),
        _ => text.parse(),
    }
}

#[cfg(test)]
mod tests {
    use super::server_of;

    #[test]
    fn a_cluster_names_its_server() {
        for (text, names_cluster, server) in [
            ("http://disco:8970", false, Some("http://disco:8970/v1/clusters")),
            ("http://disco:8970/v1/clusters/abc", false, Some("http://disco:8970/v1/clusters")),
            ("token://disco/v1/abc", true, Some("https://disco/v1/clusters")),
            ("token://disco/v1", false, Some("https://disco/v1/clusters")),
            ("nodes://a:1", true, None),
            ("a:1", true, None),
        ] {
            assert_eq!(server_of(text, names_cluster).ok().map(|url| url.clusters()).as_deref(), server, "{text}");
        }
    }
}
