//! MERGE: what `serve` tells systemd, until `systemd/notify.rs` is in.

use crate::discovery_server::ServerStatus;
use sd_notify::NotifyState;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;

/// Tells systemd what the server's status says, and that the runtime turns. Never ends.
pub async fn follow(mut status: watch::Receiver<Option<ServerStatus>>) -> Infallible {
    let beat = sd_notify::watchdog_enabled().map_or(Duration::MAX, |timeout| timeout / 2);
    loop {
        tokio::select! {
            // cancel-safe: an unseen change stays unseen
            Ok(()) = status.changed() => {
                let text = status.borrow_and_update().as_ref().map(ToString::to_string);
                if let Some(text) = text {
                    // saying READY again does no harm
                    tell(&[NotifyState::Ready, NotifyState::Status(&text)]);
                }
            }
            () = tokio::time::sleep(beat) => {}
        }
        if beat < Duration::MAX {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "can't notify systemd");
    }
}
