//! `swarm-agent serve`: the discovery server.

use super::config_args::ConfigArgs;
use super::exit::Failure;
use super::log_args::LogArgs;
use super::{log, notify};
use crate::config::settings::ServerSettings;
use crate::config::{Flag, load_server};
use crate::discovery_server::{self, Serving};
use crate::telemetry::{Event, Restraint, emit};
use std::pin::pin;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Serve discovery to the agents of one or more clusters
#[derive(clap::Args)]
#[command(long_about = "Serve discovery to the agents of one or more clusters.

Agents register their engine's address here and `swarm-agent list` reads it, by the token protocol over HTTP. \
Everything is kept in the state directory; a restart loses nothing.

Example, a server for the whole network and its first cluster:

    swarm-agent serve --listen 0.0.0.0:8970 --state-directory /var/lib/swarm-discovery
    swarm-agent create http://127.0.0.1:8970

Prometheus reads a cluster as http_sd_configs from http://HOST:8970/v1/clusters/TOKEN/targets?port=9323.

Whoever reaches the address can make clusters, and whoever knows a token can change that cluster's list: keep \
the address inside your network.")]
pub struct Serve {
    /// Where the clusters are kept; made if it is missing
    #[arg(long, value_name = "DIR")]
    state_directory: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

impl Serve {
    pub fn run(self, outer: &LogArgs) -> Result<(), Failure> {
        let directory = self.state_directory.map(|value| Flag {
            name: "--state-directory".to_owned(),
            key: "server.state-directory".to_owned(),
            value,
        });
        let sources = self.config.sources_below(outer.flag()).with_flags(directory);
        let settings = load_server(&sources).map_err(|errors| log::invalid_configuration(&errors))?.settings;
        let telemetry = log::init(settings.log_level)?;
        super::runtime()?.block_on(serve(&settings, &telemetry.restraint()))
    }
}

async fn serve(settings: &ServerSettings, restraint: &Restraint) -> Result<(), Failure> {
    // the handlers are in place before anybody is told that we serve
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::other)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::other)?;
    let stop = CancellationToken::new();
    let (send, status) = watch::channel(None);
    let listener = discovery_server::listen(settings.listen).await.map_err(|error| log::failed(&error))?;
    let what = Serving { listener, state_directory: settings.state_directory.clone(), cluster: None };
    let mut serving = pin!(discovery_server::run(what, send, stop.clone()));
    // Cancel-safe: the server is pinned outside and goes on below; a signal ends the wait once.
    let early = tokio::select! {
        outcome = &mut serving => Some(outcome),
        never = notify::follow(status, restraint) => match never {},
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    let outcome = match early {
        Some(outcome) => outcome,
        None => {
            emit(&Event::ServerStopping);
            notify::stopping();
            stop.cancel();
            serving.await
        }
    };
    outcome.map_err(|error| log::failed(&error))
}
