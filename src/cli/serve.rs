//! `swarm-agent serve`: the discovery server.

use super::exit::Failure;
use super::{log, notify};
use crate::config::settings::{LogLevel, ServerSettings};
use crate::discovery_server;
use std::net::SocketAddr;
use std::path::PathBuf;
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

Whoever reaches the address can make clusters, and whoever knows a token can change that cluster's list: keep \
the address inside your network.")]
pub struct Serve {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8970")]
    listen: SocketAddr,
    /// Where the clusters are kept; made if it is missing
    #[arg(long, value_name = "DIR", env = "STATE_DIRECTORY", default_value = "/var/lib/swarm-discovery")]
    state_directory: PathBuf,
}

impl Serve {
    pub fn run(self) -> Result<(), Failure> {
        log::init(); // MERGE: telemetry with settings.log_level
        // MERGE: the [server] section of the configuration, with these flags over it
        let settings =
            ServerSettings { log_level: LogLevel::Info, listen: self.listen, state_directory: self.state_directory };
        super::runtime()?.block_on(serve(&settings))
    }
}

async fn serve(settings: &ServerSettings) -> Result<(), Failure> {
    let stop = stop_on_signals()?;
    let (send, status) = watch::channel(None);
    tokio::select! {
        outcome = discovery_server::run(settings, send, stop) => outcome.map_err(Failure::other),
        never = notify::follow(status) => match never {},
    }
}

/// A token that SIGTERM or SIGINT cancels. The handlers are in place when this returns.
fn stop_on_signals() -> Result<CancellationToken, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::other)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::other)?;
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        notify::stopping();
        cancel.cancel();
    });
    Ok(stop)
}
