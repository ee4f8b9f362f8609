//! Pings systemd's watchdog while every loop turns.

use super::TICK;
use super::beat::Beats;
use crate::systemd::notify::{Message, Notifier};
use crate::telemetry::{Event, emit};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// A loop that has not turned for this long is stale. Longer than the longest timeout of an adapter (15 s) and a
/// tick together, so that a hung server, bus or engine is never taken for a hung agent.
pub const STALE_AFTER: Duration = Duration::from_secs(22);

/// Enough for every loop that can turn.
const TURN: Duration = Duration::from_secs(1);

pub struct Watchdog {
    pub notifier: Arc<dyn Notifier>,
    pub beats: Beats,
    /// systemd's limit, if it set one; loops are watched in any case.
    pub timeout: Option<Duration>,
}

impl Watchdog {
    pub async fn run(self, stop: CancellationToken) {
        let interval = self.timeout.map_or(TICK, |timeout| (timeout / 3).min(TICK));
        let mut stale = Vec::new();
        let mut slept = Instant::now();
        loop {
            // After a pause of the whole process (a starved machine, SIGSTOP) every loop looks late: each gets its turn
            // before it is judged.
            if slept.elapsed() > interval + TICK {
                sleep(TURN).await;
            }
            let now_stale = self.beats.stale(STALE_AFTER);
            report(&stale, &now_stale);
            stale = now_stale;
            if stale.is_empty() && self.timeout.is_some() {
                self.notifier.notify(&[Message::Watchdog]);
            }
            slept = Instant::now();
            // Cancel-safe: a sleep holds no state.
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(self.beats.next_turn().min(slept + interval)) => {}
            }
        }
    }
}

fn report(before: &[&'static str], now: &[&'static str]) {
    for name in now.iter().filter(|name| !before.contains(name)) {
        emit(&Event::LoopStale { name, limit: STALE_AFTER });
    }
    for name in before.iter().filter(|name| !now.contains(name)) {
        emit(&Event::LoopFresh { name });
    }
}
