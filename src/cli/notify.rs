//! What `serve` tells systemd.

use crate::discovery_server::ServerStatus;
use crate::systemd::notify::{Message, Notifier, SdNotify, watchdog_timeout};
use crate::telemetry::Restraint;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// The loop turns this often at least.
const TURN: Duration = Duration::from_secs(60);

/// Tells systemd what the server's status says, and that the runtime turns; and the journal, what it was spared. Never
/// ends.
pub async fn follow(mut status: watch::Receiver<Option<ServerStatus>>, restraint: &Restraint) -> Infallible {
    let watchdog = watchdog_timeout();
    let beat = watchdog.map_or(TURN, |timeout| TURN.min(timeout / 3));
    let mut said = String::new();
    loop {
        tokio::select! {
            // cancel-safe: an unseen change stays unseen
            Ok(()) = status.changed() => {
                let text = status.borrow_and_update().as_ref().map(ToString::to_string);
                if let Some(text) = text {
                    // saying READY again does no harm
                    SdNotify.notify(&[Message::Ready, Message::Status(text.clone())]);
                    said = text;
                }
            }
            () = sleep(beat) => {}
        }
        restraint.tell(&said);
        if watchdog.is_some() {
            SdNotify.notify(&[Message::Watchdog]);
        }
    }
}

pub fn stopping() {
    SdNotify.notify(&[Message::Stopping]);
}
