//! Follows the engine's unit over the bus, and follows it again when the bus went away.

use super::TICK;
use super::beat::Beat;
use super::clock::Clock;
use crate::model::{Limiter, UnitView};
use crate::systemd::{Observation, UnitSource};
use crate::telemetry::{Event, emit};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Between two attempts to reach the manager.
const RETRY: Duration = Duration::from_secs(1);
/// That the manager can't be reached is said this often at most.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

const _: () = assert!(RETRY.as_secs() < TICK.as_secs());

pub struct Supervisor {
    pub units: Arc<dyn UnitSource>,
    pub unit: String,
    pub states: watch::Sender<UnitView>,
    pub beat: Beat,
    pub clock: Clock,
}

impl Supervisor {
    pub async fn run(self, stop: CancellationToken) {
        // Cancel-safe: following is observation only.
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.follow_for_ever() => {}
        }
    }

    async fn follow_for_ever(&self) {
        let mut warnings = Limiter::new(WARN_INTERVAL);
        let mut lost_was_said = false;
        loop {
            self.beat.tick();
            let why = self.units.follow(&mut |observation| self.observe(observation, &mut lost_was_said)).await;
            if warnings.allow(self.clock.now()) {
                emit(&Event::ManagerLost { unit: &self.unit, reason: &why });
                lost_was_said = true;
            }
            self.publish(UnitView::Unknown(why));
            self.beat.tick();
            sleep(RETRY).await;
        }
    }

    /// Gives when this loop has to turn next.
    fn observe(&self, observation: Observation, lost_was_said: &mut bool) -> Instant {
        self.beat.tick();
        if let Observation::State(state) = observation {
            if std::mem::take(lost_was_said) {
                emit(&Event::ManagerBack { unit: &self.unit });
            }
            self.publish(UnitView::Known(state));
        }
        self.clock.instant(self.clock.next_turn())
    }

    fn publish(&self, view: UnitView) {
        self.states.send_if_modified(|current| {
            let changed = *current != view;
            *current = view;
            changed
        });
    }
}
