//! Asks the engine whether it works, and tells what the gate makes of it.

use super::Outlook;
use super::beat::Beat;
use super::clock::Clock;
use crate::engine::Engine;
use crate::model::{EngineHealth, EngineInfo, ProbeFault, UnitView};
use crate::policy::gate::{Gate, GateSettings, Input, Verdict, may_connect};
use crate::systemd::UnitSource;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::{Event, emit};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

pub struct Prober {
    pub units: Arc<dyn UnitSource>,
    pub unit: String,
    pub engine: Box<dyn Engine>,
    pub settings: GateSettings,
    pub states: watch::Receiver<UnitView>,
    pub outlook: watch::Sender<Outlook>,
    pub metrics: Arc<Metrics>,
    pub beat: Beat,
    pub clock: Clock,
}

/// What came of one attempt to probe.
enum Attempt {
    Probed(Result<EngineInfo, ProbeFault>),
    /// The unit is not in a state in which its socket may be connected to.
    NotNow(UnitView),
}

impl Prober {
    pub async fn run(mut self, stop: CancellationToken) {
        let mut gate = Gate::new(self.settings);
        loop {
            self.beat.tick();
            let now = self.clock.now();
            gate = gate.step(Input::Tick, now);
            self.publish(&gate);
            let due = gate.probe_at().is_some_and(|at| at <= now);
            let wake =
                [gate.probe_at(), gate.grace_ends()].into_iter().flatten().fold(self.clock.next_turn(), Ord::min);
            // Each arm is cancel-safe: `changed` marks nothing seen until it returns, an attempt keeps what is
            // outstanding in the engine, and a sleep holds no state. A change of the unit comes first: it acts at
            // once, whatever a probe is waiting for.
            let input = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = self.states.changed() => match changed {
                    Ok(()) => Input::Unit(self.states.borrow_and_update().clone()),
                    Err(_) => return,
                },
                attempt = attempt(&*self.units, &mut *self.engine, &self.metrics), if due => match attempt {
                    Attempt::Probed(result) => Input::Probe(result),
                    Attempt::NotNow(view) => Input::Unit(view),
                },
                () = sleep_until(self.clock.instant(wake)), if !due => Input::Tick,
            };
            gate = gate.step(input, self.clock.now());
        }
    }

    fn publish(&self, gate: &Gate) {
        let next = Outlook { verdict: gate.verdict(), health: gate.health() };
        self.outlook.send_if_modified(|current| {
            let changed = *current != next;
            if changed {
                report(&self.unit, current, &next);
                *current = next;
            }
            changed
        });
    }
}

async fn attempt(units: &dyn UnitSource, engine: &mut dyn Engine, metrics: &Metrics) -> Attempt {
    if engine.connected() {
        return Attempt::Probed(probe(engine, false, metrics).await);
    }
    // asked again right before connecting: the state that we follow may be a moment old
    match units.look().await {
        UnitView::Known(unit) if may_connect(&unit) => Attempt::Probed(probe(engine, true, metrics).await),
        UnitView::Unknown(_) => Attempt::Probed(Err(ProbeFault::NotConnected)),
        view => Attempt::NotNow(view),
    }
}

async fn probe(engine: &mut dyn Engine, may_connect: bool, metrics: &Metrics) -> Result<EngineInfo, ProbeFault> {
    let asked = Instant::now();
    let answer = engine.probe(may_connect).await;
    metrics.probe(asked.elapsed(), answer.as_ref().err().map(ProbeFault::kind));
    answer
}

/// Transitions for the journal.
fn report(unit: &str, old: &Outlook, new: &Outlook) {
    let health = new.health.to_string();
    let in_doubt = |outlook: &Outlook| matches!(outlook.health, EngineHealth::Faulty { .. });
    match (old.verdict, new.verdict) {
        (Verdict::Undecided | Verdict::Closed, Verdict::Open) => emit(&Event::EngineWorking { unit, health: &health }),
        (Verdict::Undecided | Verdict::Open, Verdict::Closed) => {
            emit(&Event::EngineNotWorking { unit, state: new.health.name(), health: &health });
        }
        (Verdict::Closed, Verdict::Closed) if lasting(&new.health) && !same_kind(&old.health, &new.health) => {
            emit(&Event::EngineNotWorking { unit, state: new.health.name(), health: &health });
        }
        (Verdict::Open, Verdict::Open) if in_doubt(new) && !in_doubt(old) => {
            emit(&Event::EngineInDoubt { unit, health: &health });
        }
        (Verdict::Open, Verdict::Open) if in_doubt(old) && matches!(new.health, EngineHealth::Healthy(_)) => {
            emit(&Event::EngineWorking { unit, health: &health });
        }
        _ => tracing::debug!(unit, "engine {health}"),
    }
}

fn same_kind(old: &EngineHealth, new: &EngineHealth) -> bool {
    lasting(old) && old.name() == new.name()
}

/// States in which a unit stays until somebody does something.
fn lasting(health: &EngineHealth) -> bool {
    use EngineHealth::{Absent, Failed, Faulty, Masked, Stopped};
    matches!(health, Absent | Failed | Masked | Stopped) || matches!(health, Faulty { bad, limit, .. } if bad >= limit)
}
