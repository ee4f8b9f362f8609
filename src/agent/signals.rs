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

/// What a signal asks for.
pub enum Wanted {
    End(Farewell),
    Reload,
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

    /// The unit's RestartKillSignal= makes a restart known by SIGUSR2.
    pub async fn next(&mut self) -> Wanted {
        // Cancel-safe: `recv` of a signal loses none.
        tokio::select! {
            _ = self.terminate.recv() => Wanted::End(Farewell::Leave),
            _ = self.interrupt.recv() => Wanted::End(Farewell::Leave),
            _ = self.restart.recv() => Wanted::End(Farewell::Keep),
            _ = self.reload.recv() => Wanted::Reload,
        }
    }
}
