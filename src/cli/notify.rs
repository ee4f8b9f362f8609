//! What `serve` tells systemd.

use crate::discovery_server::ServerStatus;
use crate::systemd::notify::{Message, Notifier, SdNotify, watchdog_timeout};
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// Tells systemd what the server's status says, and that the runtime turns. Never ends.
pub async fn follow(mut status: watch::Receiver<Option<ServerStatus>>) -> Infallible {
    let watchdog = watchdog_timeout();
    let beat = watchdog.map_or(Duration::from_secs(3600), |timeout| timeout / 3);
    loop {
        tokio::select! {
            // cancel-safe: an unseen change stays unseen
            Ok(()) = status.changed() => {
                let text = status.borrow_and_update().as_ref().map(ToString::to_string);
                if let Some(text) = text {
                    // saying READY again does no harm
                    SdNotify.notify(&[Message::Ready, Message::Status(text)]);
                }
            }
            () = sleep(beat) => {}
        }
        if watchdog.is_some() {
            SdNotify.notify(&[Message::Watchdog]);
        }
    }
}

pub fn stopping() {
    SdNotify.notify(&[Message::Stopping]);
}
