//! Follows which address is to be advertised: at the start, at each change of the network, and every minute.

use super::TICK;
use super::beat::Beat;
use super::clock::Clock;
use crate::model::{AddressState, Moment};
use crate::network::Network;
use crate::policy::advertise::Locating;
use crate::telemetry::{Event, emit};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// Changes come in swarms (a link, its addresses, its routes): they are looked at once, this long after the first.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// Looked at without any word of a change, in case one was lost.
const INTERVAL: Duration = Duration::from_secs(60);
/// Before changes are listened to again after that failed.
const RETRY: Duration = Duration::from_secs(5);

pub struct Locator {
    pub network: Box<dyn Network>,
    pub wanted: Locating,
    pub states: watch::Sender<AddressState>,
    pub beat: Beat,
    pub clock: Clock,
}

impl Locator {
    pub async fn run(mut self, stop: CancellationToken) {
        let mut look_at = self.clock.now();
        loop {
            self.beat.tick();
            let now = self.clock.now();
            if look_at <= now && !self.wanted.is_fixed() {
                look_at = now + INTERVAL;
                // Cancel-safe: a look changes nothing.
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.look() => {}
                }
            }
            self.wanted = self.wanted.clone().passed(self.clock.now());
            self.publish();
            // Cancel-safe: `run` waits only, and a change that it did not report is reported by the next call.
            tokio::select! {
                () = stop.cancelled() => return,
                look = self.pause(look_at) => look_at = look,
            }
        }
    }

    async fn look(&mut self) {
        self.wanted = match self.network.look().await {
            Ok(view) => self.wanted.clone().seen(&view, self.clock.now()),
            Err(error) => {
                tracing::debug!(%error, "no look at the network");
                self.wanted.clone().unseen(&error.to_string())
            }
        };
    }

    /// Waits for something to do; gives when to look next.
    async fn pause(&mut self, look_at: Moment) -> Moment {
        if self.wanted.is_fixed() {
            self.beat.rest().await;
            return look_at;
        }
        let wake = self.wanted.due().into_iter().fold(look_at.min(self.clock.next_turn()), Ord::min);
        tokio::select! {
            changed = self.network.changed() => match changed {
                Ok(()) => look_at.min(self.clock.now() + DEBOUNCE),
                Err(error) => {
                    tracing::debug!(%error, "changes of the network are not heard of");
                    sleep(RETRY.min(TICK)).await;
                    look_at.min(self.clock.now())
                }
            },
            () = sleep_until(self.clock.instant(wake)) => look_at,
        }
    }

    fn publish(&self) {
        let next = self.wanted.state();
        self.states.send_if_modified(|current| {
            let changed = current != next;
            if changed {
                report(next);
                current.clone_from(next);
            }
            changed
        });
    }
}

fn report(state: &AddressState) {
    match state {
        AddressState::Unknown => {}
        AddressState::Resolved(address) => emit(&Event::AddressFound { address: &address.to_string() }),
        AddressState::Missing(_) | AddressState::Ambiguous { .. } => {
            emit(&Event::AddressMissing { reason: &state.to_string() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::beat::Beats;
    use crate::service::tests::fakes::Host;
    use crate::service::watchdog::STALE_AFTER;

    fn start(host: &Host, wanted: &str) -> (watch::Receiver<AddressState>, Beats, CancellationToken) {
        let clock = Clock::of_loops();
        let beats = Beats::new(clock);
        let (states, seen) = watch::channel(AddressState::Unknown);
        let wanted = Locating::new(wanted.parse().unwrap());
        let locator = Locator { network: Box::new(host.clone()), wanted, states, beat: beats.add("locator"), clock };
        let stop = CancellationToken::new();
        tokio::spawn(locator.run(stop.clone()));
        (seen, beats, stop)
    }

    async fn after(milliseconds: u64, seen: &watch::Receiver<AddressState>) -> String {
        sleep(Duration::from_millis(milliseconds)).await;
        seen.borrow().to_string()
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_waited_for_followed_and_missed() {
        let host = Host::default();
        let (seen, _beats, _stop) = start(&host, "eth0:1");
        assert_eq!(after(1, &seen).await, "interface eth0 has no address yet");
        host.set(&["10.0.0.5"]);
        assert_eq!(after(250, &seen).await, "10.0.0.5:1");
        host.set(&["10.0.0.6"]);
        assert_eq!(after(250, &seen).await, "10.0.0.6:1");
        host.set(&[]);
        assert_eq!(after(2000, &seen).await, "10.0.0.6:1", "it may come back");
        assert_eq!(after(300, &seen).await, "interface eth0 has no address yet");
    }

    #[tokio::test(start_paused = true)]
    async fn a_swarm_of_changes_is_one_look() {
        let host = Host::default();
        let (seen, _beats, _stop) = start(&host, "eth0:1");
        for _ in 0..19 {
            host.set(&["10.0.0.5"]);
            after(10, &seen).await;
        }
        assert_eq!((after(100, &seen).await.as_str(), *host.looks.lock().unwrap()), ("10.0.0.5:1", 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_deaf_locator_still_looks_and_beats() {
        let host = Host::deaf();
        let (seen, beats, _stop) = start(&host, "eth0:1");
        host.set(&["10.0.0.5"]);
        assert_eq!(after(61_000, &seen).await, "10.0.0.5:1");
        assert!(beats.stale(STALE_AFTER).is_empty());
        assert!(*host.looks.lock().unwrap() < 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_literal_address_needs_no_look() {
        let host = Host::default();
        let (seen, _beats, stop) = start(&host, "10.0.0.5:1");
        assert_eq!((after(100_000, &seen).await.as_str(), *host.looks.lock().unwrap()), ("10.0.0.5:1", 0));
        stop.cancel();
    }
}
