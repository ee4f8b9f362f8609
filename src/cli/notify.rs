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

/// Tells systemd what the server's status says and what was wrong with the last reload, and that the runtime turns; and
/// the journal, what it was spared. Never ends.
pub async fn follow(
    mut status: watch::Receiver<Option<ServerStatus>>,
    mut reloads: watch::Receiver<Option<String>>,
    restraint: &Restraint,
) -> Infallible {
    let watchdog = watchdog_timeout();
    let beat = watchdog.map_or(TURN, |timeout| TURN.min(timeout / 3));
    let mut said = String::new();
    loop {
        tokio::select! {
            // cancel-safe: an unseen change stays unseen
            Ok(()) = status.changed() => {}
            Ok(()) = reloads.changed() => {}
            () = sleep(beat) => {}
        }
        let text = line(status.borrow_and_update().as_ref(), reloads.borrow_and_update().as_deref());
        if let Some(text) = text.filter(|text| *text != said) {
            // saying READY again does no harm, but it must not end a reload that is under way
            let ready = said.is_empty().then_some(Message::Ready);
            SdNotify.notify(&ready.into_iter().chain([Message::Status(text.clone())]).collect::<Vec<_>>());
            said = text;
        }
        restraint.tell(&said);
        if watchdog.is_some() {
            SdNotify.notify(&[Message::Watchdog]);
        }
    }
}

fn line(status: Option<&ServerStatus>, trouble: Option<&str>) -> Option<String> {
    let status = status?;
    Some(match trouble {
        Some(trouble) => format!("{status}; the configuration was not reloaded: {trouble}"),
        None => status.to_string(),
    })
}

pub fn stopping() {
    SdNotify.notify(&[Message::Stopping]);
}
