//! Signals of the service manager.

use crate::service::registrar::Farewell;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listeners for the whole life of the agent.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    restart: Signal,
    reload: Signal,
}

impl Signals {
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            restart: signal(SignalKind::user_defined2())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the signal that ends the agent. The unit's RestartKillSignal= makes a restart known by SIGUSR2.
    pub async fn end(&mut self) -> Farewell {
        loop {
            // Cancel-safe: `recv` of a signal loses none.
            tokio::select! {
                _ = self.terminate.recv() => return Farewell::Leave,
                _ = self.interrupt.recv() => return Farewell::Leave,
                _ = self.restart.recv() => return Farewell::Keep,
                _ = self.reload.recv() => {
                    tracing::info!("SIGHUP: configuration is read at the start only; use systemctl restart swarm-agent");
                }
            }
        }
    }
}
