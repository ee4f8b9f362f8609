//! Keeps up in the discovery service that the node is drained, where the service has room for that.

use super::TICK;
use super::beat::Beat;
use super::clock::Clock;
use super::registrar::Site;
use crate::discovery::BackendError;
use crate::model::{AddressState, Drain, Moment, NodeAddress, RegistrationStatus, Standing};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

/// A service without room may be replaced by one that has some.
const NO_ROOM: Duration = Duration::from_secs(3600);

pub struct Marker {
    pub site: Site,
    pub heartbeat: Duration,
    pub ttl: Duration,
    pub drain: watch::Receiver<Option<Drain>>,
    pub standing: watch::Receiver<Standing>,
    pub address: watch::Receiver<AddressState>,
    pub beat: Beat,
    pub clock: Clock,
}

/// What is put up.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    address: NodeAddress,
    reason: Option<String>,
}

impl Marker {
    pub async fn run(mut self, stop: CancellationToken) {
        let mut up: Option<Mark> = None;
        let mut due = Moment::default();
        loop {
            self.beat.tick();
            let (mark, now) = (self.mark(), self.clock.now());
            if mark != up {
                due = now;
                up.clone_from(&mark);
            }
            if let Some(mark) = mark.filter(|_| due <= now) {
                // Cancel-safe: a mark that may or may not be up ends with its ttl.
                let put = tokio::select! {
                    () = stop.cancelled() => return,
                    put = self.site.backend.mark_drained(&mark.address, mark.reason.as_deref(), self.ttl) => put,
                };
                if let Err(error) = &put {
                    tracing::debug!(%error, "it is not put up that the node is drained");
                }
                let room = !matches!(put, Err(BackendError::NoRoom { .. }));
                due = self.clock.now() + if room { self.heartbeat } else { NO_ROOM };
            }
            let wake = if up.is_some() { due.min(self.clock.now() + TICK) } else { self.clock.now() + TICK };
            // Cancel-safe: `changed` marks nothing seen until it returns, and a sleep holds no state. A writer that ended
            // is reported by whoever owns its task.
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = self.drain.changed() => {}
                Ok(()) = self.standing.changed() => {}
                Ok(()) = self.address.changed() => {}
                () = sleep_until(self.clock.instant(wake)) => {}
            }
        }
    }

    /// Not before the entry is out: a node is one or the other.
    fn mark(&mut self) -> Option<Mark> {
        let out = self.standing.borrow_and_update().status == RegistrationStatus::Absent;
        let drain = self.drain.borrow_and_update();
        let address = self.address.borrow_and_update();
        let (drain, address) = drain.as_ref().filter(|_| out).zip(address.resolved())?;
        Some(Mark { address: address.clone(), reason: drain.reason.clone() })
    }
}
