//! Keeps up in the discovery service that the node is drained, where the service has room for that.

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
                self.beat.tick();
                if let Err(error) = &put {
                    tracing::debug!(%error, "it is not put up that the node is drained");
                }
                let room = !matches!(put, Err(BackendError::NoRoom { .. }));
                due = self.clock.now() + if room { self.heartbeat } else { NO_ROOM };
            }
            let turn = self.clock.next_turn();
            let wake = if up.is_some() { due.min(turn) } else { turn };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::{Backend, Claim, Release, Scope, Seen, Sight};
    use crate::model::Hold;
    use crate::service::beat::Beats;
    use std::sync::{Arc, Mutex};
    use tokio::time::sleep;

    /// Notes what is put up.
    #[derive(Default)]
    struct Board {
        marks: Mutex<Vec<String>>,
        has_room: bool,
    }

    #[async_trait::async_trait]
    impl Backend for Board {
        async fn register(&self, _: &Claim<'_>) -> Result<Option<Hold>, BackendError> {
            unreachable!("a marker registers nothing")
        }
        async fn deregister(&self, _: &Release<'_>) -> Result<(), BackendError> {
            unreachable!("a marker deregisters nothing")
        }
        async fn watch(&self, _: Scope, _: Option<&Seen>) -> Result<Sight, BackendError> {
            unreachable!("a marker lists nothing")
        }
        async fn mark_drained(
            &self,
            address: &NodeAddress,
            reason: Option<&str>,
            ttl: Duration,
        ) -> Result<(), BackendError> {
            self.marks.lock().unwrap().push(format!("{address} {} {}", reason.unwrap_or("-"), ttl.as_secs()));
            if self.has_room { Ok(()) } else { Err(BackendError::NoRoom { server: "disco".into() }) }
        }
    }

    struct Running {
        board: Arc<Board>,
        drain: watch::Sender<Option<Drain>>,
        standing: watch::Sender<Standing>,
        /// Kept, or the marker would hear that it is gone.
        _address: watch::Sender<AddressState>,
    }

    fn start(has_room: bool) -> Running {
        let (board, clock) = (Arc::new(Board { has_room, ..Board::default() }), Clock::of_loops());
        let (drain, drain_seen) = watch::channel(None);
        let (standing, standing_seen) = watch::channel(Standing::none());
        let (address, address_seen) = watch::channel(AddressState::Resolved("10.0.0.5:1".parse().unwrap()));
        let marker = Marker {
            site: Site { backend: board.clone(), server: "disco".into(), url: "http://disco/v1/clusters/t".into() },
            heartbeat: Duration::from_secs(60),
            ttl: Duration::from_secs(180),
            drain: drain_seen,
            standing: standing_seen,
            address: address_seen,
            beat: Beats::new(clock).add("marker"),
            clock,
        };
        tokio::spawn(marker.run(CancellationToken::new()));
        Running { board, drain, standing, _address: address }
    }

    impl Running {
        fn drain(&self, reason: Option<&str>) {
            let reason = reason.map(str::to_owned);
            let drain = Drain { since: std::time::SystemTime::UNIX_EPOCH, until: None, reason, by: "ann".into() };
            self.drain.send_replace(Some(drain));
        }

        fn marks(&self) -> Vec<String> {
            self.board.marks.lock().unwrap().clone()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_drained_node_is_shown_once_its_entry_is_out_and_at_each_heartbeat() {
        let running = start(true);
        running.standing.send_modify(|standing| standing.status = RegistrationStatus::Present);
        sleep(Duration::from_secs(200)).await;
        running.drain(None);
        sleep(Duration::from_secs(200)).await;
        assert!(running.marks().is_empty(), "a node is one or the other");
        running.standing.send_modify(|standing| standing.status = RegistrationStatus::Absent);
        sleep(Duration::from_secs(121)).await;
        assert_eq!(running.marks(), ["10.0.0.5:1 - 180"; 3]);
        running.drain(Some("kernel"));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(running.marks()[3..], ["10.0.0.5:1 kernel 180"], "a new reason at once");
        running.drain.send_replace(None);
        sleep(Duration::from_secs(600)).await;
        assert_eq!(running.marks().len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_without_room_is_asked_rarely() {
        let running = start(false);
        running.drain(None);
        sleep(Duration::from_secs(4 * 3600 - 60)).await;
        assert_eq!(running.marks().len(), 4);
    }
}
