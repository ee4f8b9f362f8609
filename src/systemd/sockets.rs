//! Listening sockets that systemd keeps for us while the service restarts (sd_notify's FDSTORE), so that no client is
//! refused meanwhile. They end with a stop of the service: nothing that connects can start it again, as a `.socket` unit
//! would.

use listenfd::ListenFd;
use sd_notify::NotifyState;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;

/// The one name under which sockets are kept; it needs `FileDescriptorStoreMax=` in the unit.
const NAME: &str = "embedded";

/// What the last process of this service left.
#[derive(Default)]
pub struct KeptSockets(Vec<TcpListener>);

impl KeptSockets {
    /// Takes what was handed to this process; once, at its start.
    pub fn passed() -> Self {
        let mut passed = ListenFd::from_env();
        let mut kept = Vec::new();
        for at in 0..passed.len() {
            match passed.take_tcp_listener(at) {
                Ok(listener) => kept.extend(listener),
                Err(error) => tracing::debug!(%error, "a file descriptor from systemd is no listening TCP socket"),
            }
        }
        Self(kept)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one that listens there; the others are closed.
    pub fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        std::mem::take(&mut self.0).into_iter().find(|listener| listener.local_addr().is_ok_and(|at| at == address))
    }
}

/// From now on systemd holds it too.
pub fn keep(listener: &TcpListener) {
    let states = [NotifyState::FdStore, NotifyState::FdName(NAME)];
    report(sd_notify::notify_with_fds(&states, &[listener.as_fd()]));
}

/// systemd closes what it holds.
pub fn forget() {
    report(sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(NAME)]));
}

/// Without it a restart refuses clients for a moment, which is no reason to stop.
fn report(outcome: io::Result<()>) {
    if let Err(error) = outcome {
        tracing::debug!(%error, "systemd does not keep the socket");
    }
}
