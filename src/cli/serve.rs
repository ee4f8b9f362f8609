//! `swarm-agent serve`: the discovery server.

use super::config_args::ConfigArgs;
use super::exit::Failure;
use super::log_args::LogArgs;
use super::{log, notify};
use crate::config::settings::ServerSettings;
use crate::config::{Flag, Loaded, Sources, load_server};
use crate::discovery_server::{self, Protection, Reloader, ServerStatus, Serving};
use crate::systemd::notify::{Message, Notifier, SdNotify};
use crate::telemetry::{Event, Telemetry, emit};
use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
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
the address inside your network, or let the server speak TLS (server.tls-cert, server.tls-key), ask for client \
certificates (server.tls-client-ca) and for bearer tokens (server.tokens-file, `swarm-agent token new`).

SIGHUP reads the configuration, the tokens and the TLS files anew (systemctl reload swarm-discovery). With errors the old \
settings stay, and status and journal say so. New TLS files need no signal.")]
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
        let loaded = load_server(&sources).map_err(|errors| log::invalid_configuration(&errors))?;
        let telemetry = log::init(loaded.settings.log_level)?;
        let runtime = super::runtime()?;
        let outcome = runtime.block_on(serve(sources, loaded, &telemetry));
        // a look at files on a disk that hangs does not hold the end up
        runtime.shutdown_timeout(Duration::from_millis(200));
        outcome
    }
}

async fn serve(sources: Sources, loaded: Loaded<ServerSettings>, telemetry: &Telemetry) -> Result<(), Failure> {
    // the handlers are in place before anybody is told that we serve
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::other)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::other)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(Failure::other)?;
    let stop = CancellationToken::new();
    let (send, status) = watch::channel(None);
    let (said, reloads) = watch::channel(None);
    let protection = Protection::read(&loaded.settings).map_err(|error| log::failed(&error))?;
    let listener = discovery_server::listen(loaded.settings.listen).await.map_err(|error| log::failed(&error))?;
    let what = Serving {
        listener,
        state_directory: loaded.settings.state_directory.clone(),
        cluster: None,
        protection: protection.clone(),
    };
    let reloader = Reloader::new(sources, loaded, protection, telemetry.verbosity());
    let mut serving = pin!(discovery_server::run(what, send, stop.clone()));
    let restraint = telemetry.restraint();
    // Cancel-safe: the server is pinned outside and goes on below; a signal ends the wait once.
    let early = tokio::select! {
        outcome = &mut serving => Some(outcome),
        never = notify::follow(status.clone(), reloads, &restraint) => match never {},
        never = reload(&mut hangup, reloader, status, said) => match never {},
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

/// Never ends. What came of the last reload goes into the status if it was nothing good.
async fn reload(
    hangup: &mut Signal,
    mut reloader: Reloader,
    mut status: watch::Receiver<Option<ServerStatus>>,
    said: watch::Sender<Option<String>>,
) -> Infallible {
    // READY must not be told before it is true; a server that ended is found out elsewhere
    let _ = status.wait_for(Option::is_some).await;
    loop {
        hangup.recv().await;
        SdNotify.notify(&[Message::Reloading]);
        said.send_replace(reloader.reload().await);
        // systemd waits for it, whatever came of it
        SdNotify.notify(&[Message::Ready]);
    }
}
