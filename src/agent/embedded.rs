//! The agent's own discovery server: its one cluster, its socket and its store.

use crate::config::settings::AgentSettings;
use crate::discovery_server::{self, Protection, ServerError, Serving};
use crate::model::{Hosting, ServerUrl, Token, TokenUrl};
use crate::service::embedded::Host;
use crate::state::{ClusterFile, StateError};
use crate::systemd::sockets::{self, KeptSockets};
use crate::telemetry::{Event, emit};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Below the state directory.
const STORE: &str = "discovery";

/// The cluster of this host, by the URL under which the host itself reaches it. The token is made once and kept.
/// Reads and writes a file: not for the runtime once it serves.
pub fn cluster(settings: &AgentSettings) -> io::Result<TokenUrl> {
    let file = ClusterFile::new(&settings.state_directory);
    let (kept, trouble) = file.load();
    trouble.iter().for_each(report);
    let token = match &kept {
        Some(url) => url.token.clone(),
        None => discovery_server::new_token()?,
    };
    let server = ServerUrl::plain(reached_at(settings.discovery.embedded_listen));
    let cluster = TokenUrl { server, token };
    if kept.as_ref() != Some(&cluster)
        && let Err(error) = file.keep(&cluster)
    {
        report(&error);
    }
    Ok(cluster)
}

fn report(error: &StateError) {
    emit(&Event::StateTrouble { path: &error.path.display().to_string(), error: &error.cause.to_string() });
}

/// Where this host reaches what listens there.
fn reached_at(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    (ip, listen.port()).into()
}

/// Closes what systemd kept for a server that is no longer wanted.
pub fn forget_socket(kept: &mut KeptSockets) {
    if !kept.is_empty() {
        *kept = KeptSockets::default();
        sockets::forget();
    }
}

pub struct OwnServer {
    listen: SocketAddr,
    token: Token,
    store: PathBuf,
    /// Held also between attempts, so that clients wait rather than be refused.
    socket: Option<StdListener>,
}

impl OwnServer {
    /// `kept`: what systemd kept over a restart.
    pub fn new(settings: &AgentSettings, cluster: &TokenUrl, kept: &mut KeptSockets) -> Self {
        let listen = settings.discovery.embedded_listen;
        let socket = kept.take(listen);
        forget_socket(kept);
        Self { listen, token: cluster.token.clone(), store: settings.state_directory.join(STORE), socket }
    }

    async fn socket(&mut self) -> Result<TcpListener, ServerError> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => discovery_server::listen(self.listen).await?.into_std().map_err(ServerError::Socket)?,
        };
        let socket = self.socket.insert(socket);
        sockets::keep(socket);
        let own = socket.try_clone().and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
        own.and_then(TcpListener::from_std).map_err(ServerError::Socket)
    }

    async fn run(&mut self, hosting: &watch::Sender<Hosting>, stop: CancellationToken) -> Result<(), ServerError> {
        let listener = self.socket().await?;
        let serving = Serving {
            listener,
            state_directory: self.store.clone(),
            cluster: Some(self.token.clone()),
            protection: Protection::none(),
        };
        let (send, mut seen) = watch::channel(None);
        let follow = async {
            while seen.changed().await.is_ok() {
                if let Some(discovery_server::ServerStatus { address, clusters, nodes, .. }) = *seen.borrow_and_update()
                {
                    hosting.send_replace(Hosting::Serving { address, clusters, nodes });
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            outcome = discovery_server::run(serving, send, stop) => outcome,
            // never ends
            () = follow => Ok(()),
        }
    }
}

#[async_trait::async_trait]
impl Host for OwnServer {
    async fn serve(&mut self, hosting: &watch::Sender<Hosting>, stop: CancellationToken) -> Result<(), String> {
        let Err(error) = self.run(hosting, stop).await else { return Ok(()) };
        // a cluster of one is soon complete again: the agent registers anew
        if let ServerError::Store(store) = &error
            && let Some(moved) = store.set_damaged_aside()
        {
            return Err(match moved {
                Ok(aside) => format!("its store was damaged and is set aside as {}; it begins anew", aside.display()),
                Err(cause) => format!("{error}; it could not be set aside: {cause}"),
            });
        }
        Err(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_reaches_its_server_also_if_it_listens_everywhere() {
        for (listen, reached) in [
            ("127.0.0.1:8971", "127.0.0.1:8971"),
            ("0.0.0.0:8971", "127.0.0.1:8971"),
            ("[::]:8971", "[::1]:8971"),
            ("10.0.0.5:80", "10.0.0.5:80"),
        ] {
            assert_eq!(listen.parse().map(reached_at).map(|at| at.to_string()).as_deref(), Ok(reached));
        }
    }
}
