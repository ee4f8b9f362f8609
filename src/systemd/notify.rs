//! What the agent tells systemd over its notify socket.

use sd_notify::NotifyState;
use std::time::Duration;

/// What systemd is to know of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Ready,
    /// The configuration is being read anew; READY follows, whatever comes of it.
    Reloading,
    Status(String),
    Watchdog,
    Stopping,
}

/// The way to the service manager; without one (run by hand) messages go nowhere.
pub trait Notifier: Send + Sync {
    fn notify(&self, messages: &[Message]);
}

pub struct SdNotify;

impl Notifier for SdNotify {
    fn notify(&self, messages: &[Message]) {
        let states: Vec<NotifyState<'_>> = messages.iter().flat_map(to_states).collect();
        // An unset or unusable NOTIFY_SOCKET must not stop the agent; systemd's own time limits tell the operator.
        if let Err(error) = sd_notify::notify(&states) {
            tracing::debug!(%error, "cannot reach the service manager's notify socket");
        }
    }
}

/// How long systemd waits for a ping before it kills us; nothing if no watchdog is set for this process.
pub fn watchdog_timeout() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|timeout| !timeout.is_zero())
}

fn to_states(message: &Message) -> Vec<NotifyState<'_>> {
    match message {
        Message::Ready => vec![NotifyState::Ready],
        // systemd tells from the time whether this reload began after it was asked for
        Message::Reloading => {
            std::iter::once(NotifyState::Reloading).chain(NotifyState::monotonic_usec_now().ok()).collect()
        }
        Message::Status(line) => vec![NotifyState::Status(line)],
        Message::Watchdog => vec![NotifyState::Watchdog],
        Message::Stopping => vec![NotifyState::Stopping],
    }
}
