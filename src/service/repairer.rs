//! Watches over the engine: says what is the matter with it, and restarts it where that helps and harms nobody.
//!
//! What is to be done is decided by `policy::restart` alone. Here things are looked at, remembered, done and told, in that
//! order: a look before each decision, the history on the disk and the evidence beside it before each restart.

mod hands;
mod story;
mod told;

pub use hands::{Hands, Host, Surroundings};
pub use story::{Incident, Kind, Line, Story};

use super::beat::Beat;
use super::clock::Clock;
use super::engine_restart::{Recovery, RestartFault};
use super::{Outlook, TICK};
use crate::model::{
    Condition, Doing, EngineHealth, EngineInfo, Limiter, Moment, Refusal, Repair, Repaired, Sighting, Supervised,
    SupervisionSettings, UnitView,
};
use crate::policy::condition::{Signs, diagnose};
use crate::policy::restart::{Act, Input, Supervision};
use crate::policy::risk::assess;
use crate::state::{Here, IncidentLog, Memory, SupervisionRecord};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::{Event, emit};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

/// Between two looks around an engine that works.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// What the engine said last is written down this often at most, unless a repair depends on it.
const KEEP_INTERVAL: Duration = Duration::from_secs(60);
/// That the state directory is in trouble is said this often at most.
const TROUBLE_INTERVAL: Duration = Duration::from_secs(3600);
/// What there is to be seen is gathered within this time, or left unseen.
const EVIDENCE_LIMIT: Duration = Duration::from_secs(20);

/// An operator gives the budget back; the way back tells how many restarts were forgotten.
pub type ResetOrder = oneshot::Sender<usize>;

/// What a reload may change.
#[derive(Clone)]
pub struct Tools {
    pub hands: Arc<dyn Hands>,
    pub settings: SupervisionSettings,
    /// The engine's unit.
    pub unit: String,
    pub containerd: String,
}

pub struct Repairer {
    pub tools: watch::Receiver<Tools>,
    pub units: watch::Receiver<UnitView>,
    pub outlook: watch::Receiver<Outlook>,
    pub orders: mpsc::Receiver<ResetOrder>,
    pub record: Arc<dyn SupervisionRecord>,
    pub incidents: Arc<dyn IncidentLog>,
    /// What a former process knew.
    pub memory: Memory,
    pub supervised: watch::Sender<Supervised>,
    pub metrics: Arc<Metrics>,
    /// This boot.
    pub boot: String,
    /// How long it had lasted when the clock began.
    pub booted: Duration,
    pub beat: Beat,
    pub clock: Clock,
}

/// Something that takes its time.
enum Finding {
    Around(Surroundings),
    Containers(Sighting),
    /// None: it could not be written down, so it was not done.
    Ended(Option<Box<Result<Recovery, RestartFault>>>),
}

/// The loop's own state.
struct Watch {
    supervision: Supervision,
    around: Surroundings,
    /// None: something has happened since.
    looked_at: Option<Moment>,
    errand: Option<BoxFuture<'static, Finding>>,
    /// What the engine said last.
    engine: Option<EngineInfo>,
    /// The same as it was written down, and when.
    kept: (Option<EngineInfo>, Moment),
    sighting: Sighting,
    story: Story,
    /// The condition that was told last.
    told: Condition,
    /// Since when nothing can be told.
    blind_since: Option<Moment>,
    /// Why nothing is done, in words.
    refused: Option<(Refusal, String)>,
    last: Option<Repaired>,
    trouble: Limiter,
}

impl Repairer {
    pub async fn run(mut self, stop: CancellationToken) {
        let now = self.now();
        let memory = std::mem::take(&mut self.memory);
        let settings = self.tools.borrow_and_update().settings;
        let mut watch = Watch {
            supervision: Supervision::new(settings, memory.attempts, now),
            around: Surroundings::default(),
            looked_at: None,
            errand: None,
            kept: (memory.engine.clone(), now),
            engine: memory.engine,
            sighting: Sighting::default(),
            story: Story::default(),
            told: Condition::Unseen,
            blind_since: None,
            refused: None,
            last: None,
            trouble: Limiter::new(TROUBLE_INTERVAL),
        };
        self.unit_changed(&mut watch);
        self.outlook_changed(&mut watch);
        loop {
            self.beat.tick();
            self.look(&mut watch);
            self.publish(&mut watch);
            let wake = watch.supervision.wake_at().filter(|at| *at > self.now());
            let wake = wake.map_or(self.clock.next_turn(), |at| self.of_clock(at).min(self.clock.next_turn()));
            // Cancel-safe: `changed` marks nothing seen until it returns, an order is taken out of the channel only when
            // it is returned, an errand stays where it is, and a sleep holds no state. A writer that ended is reported
            // by whoever owns its task.
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Ok(()) = self.tools.changed() => {
                    let settings = self.tools.borrow_and_update().settings;
                    watch.looked_at = None;
                    self.step(&mut watch, Input::Settings(settings)).await;
                }
                Ok(()) = self.units.changed() => self.unit_changed(&mut watch),
                Ok(()) = self.outlook.changed() => self.outlook_changed(&mut watch),
                Some(order) = self.orders.recv() => self.reset(&mut watch, order).await,
                finding = done(&mut watch.errand) => {
                    watch.errand = None;
                    self.take(&mut watch, finding).await;
                }
                () = sleep_until(self.clock.instant(wake)) => {
                    if watch.errand.is_none() {
                        self.step(&mut watch, Input::Tick).await;
                    }
                }
            }
        }
    }

    /// Since the boot.
    fn now(&self) -> Moment {
        self.clock.now() + self.booted
    }

    fn of_clock(&self, moment: Moment) -> Moment {
        Moment::after_origin(moment.since_origin().saturating_sub(self.booted))
    }

    fn unit_changed(&mut self, watch: &mut Watch) {
        let view = self.units.borrow_and_update();
        watch.story.see(self.clock.date(), &story::of_unit(&view));
        watch.looked_at = None;
    }

    fn outlook_changed(&mut self, watch: &mut Watch) {
        let outlook = self.outlook.borrow_and_update();
        if let EngineHealth::Healthy(info) = &outlook.health {
            watch.engine = Some(info.clone());
        }
        watch.story.see(self.clock.date(), &format!("engine {}", outlook.health));
        watch.looked_at = None;
    }

    /// Looks around if something has happened, or nothing for long. A restart that is under way is not disturbed.
    fn look(&self, watch: &mut Watch) {
        let pause = if watch.supervision.condition() == Condition::Working { LOOK_INTERVAL } else { TICK };
        let due = watch.looked_at.is_none_or(|at| self.now().since(at) >= pause);
        if watch.errand.is_none() && due {
            watch.looked_at = Some(self.now());
            let hands = Arc::clone(&self.tools.borrow().hands);
            watch.errand = Some(Box::pin(async move { Finding::Around(hands.surroundings().await) }));
        }
    }

    async fn take(&mut self, watch: &mut Watch, finding: Finding) {
        match finding {
            Finding::Around(around) => {
                watch.around = around;
                // what changed meanwhile is looked at first
                if watch.looked_at.is_some() {
                    self.see(watch).await;
                }
            }
            Finding::Containers(sighting) => {
                let risk = assess(&sighting, watch.engine.as_ref());
                watch.sighting = sighting;
                // what was decided on may be over by now
                self.see(watch).await;
                self.step(watch, Input::Risk(risk)).await;
            }
            Finding::Ended(outcome) => self.ended(watch, outcome).await,
        }
        self.keep_engine(watch).await;
    }

    /// The condition as it is now.
    async fn see(&mut self, watch: &mut Watch) {
        let condition = diagnose(&Signs {
            unit: &self.units.borrow(),
            health: &self.outlook.borrow().health,
            runtime: watch.around.runtime.as_ref(),
            runtime_stopped: watch.around.runtime_stopped,
            stopped: watch.around.stopped,
            starved: watch.around.starved.is_some(),
        });
        self.tell(watch, condition).await;
        self.step(watch, Input::Condition(condition)).await;
    }

    async fn step(&mut self, watch: &mut Watch, input: Input) {
        let (supervision, act) = watch.supervision.clone().step(input, self.now());
        watch.supervision = supervision;
        if let Some(act) = act {
            self.act(watch, act).await;
        }
    }

    async fn act(&mut self, watch: &mut Watch, act: Act) {
        match act {
            Act::Assess => {
                let hands = Arc::clone(&self.tools.borrow().hands);
                watch.errand = Some(Box::pin(async move { Finding::Containers(hands.containers().await) }));
            }
            Act::Restart(repair) => self.begin(watch, repair).await,
            Act::Would(repair) => self.would(watch, repair).await,
            Act::Refuse(repair, refusal) => self.refuse(watch, repair, refusal).await,
            Act::GiveUp { repair, until } => self.give_up(watch, repair, until).await,
        }
    }

    /// The history is on the disk before anything is done, and the evidence is taken before it is gone.
    async fn begin(&mut self, watch: &mut Watch, repair: Repair) {
        let kept = self.keep(watch).await;
        self.say_restart(watch, repair, kept).await;
        if !kept {
            watch.errand = Some(Box::pin(async { Finding::Ended(None) }));
            return;
        }
        let (hands, incidents) = (Arc::clone(&self.tools.borrow().hands), Arc::clone(&self.incidents));
        let (incident, unit) = (watch.story.incident().to_owned(), self.unit_of(repair.culprit));
        let outlook = self.outlook.clone();
        watch.errand = Some(Box::pin(async move {
            if let Ok(files) = tokio::time::timeout(EVIDENCE_LIMIT, hands.evidence(repair.condition)).await
                && let Err(error) = incidents.write(&incident, files).await
            {
                tracing::debug!(%error, "the evidence could not be kept");
            }
            // what answers again meanwhile needs no restart
            let faulty = matches!(&outlook.borrow().health, EngineHealth::Faulty { bad, limit, .. } if bad >= limit);
            if repair.condition == Condition::Hung && !faulty {
                let overtaken = RestartFault::Overtaken(unit, "answering again".to_owned());
                return Finding::Ended(Some(Box::new(Err(overtaken))));
            }
            Finding::Ended(Some(Box::new(hands.restart(repair.culprit, repair.condition).await)))
        }));
    }

    async fn ended(&mut self, watch: &mut Watch, outcome: Option<Box<Result<Recovery, RestartFault>>>) {
        watch.looked_at = None;
        if let Some(outcome) = outcome {
            self.say_ended(watch, &outcome).await;
        }
        self.step(watch, Input::Ended).await;
    }

    async fn reset(&mut self, watch: &mut Watch, order: ResetOrder) {
        let forgotten = watch.supervision.history().len();
        self.step(watch, Input::Reset).await;
        self.keep(watch).await;
        emit(&Event::BudgetReset { unit: &self.tools.borrow().unit, forgotten });
        watch.story.add(self.clock.date(), "an operator gave the whole budget back");
        // whoever asked may have gone
        let _ = order.send(forgotten);
    }

    fn here(&self) -> Here {
        Here { boot: self.boot.clone(), uptime: self.now().since_origin(), date: self.clock.date() }
    }

    /// Whether it is on the disk.
    async fn keep(&self, watch: &mut Watch) -> bool {
        let memory = Memory { attempts: watch.supervision.history().to_vec(), engine: watch.engine.clone() };
        // writing may take as long as a loop may stand still
        self.beat.tick();
        let kept = self.record.keep(&memory, &self.here()).await;
        self.beat.tick();
        match kept {
            Ok(()) => watch.kept = (memory.engine, self.now()),
            Err(ref error) if watch.trouble.allow(self.now()) => {
                let cause = format!("{} (the engine is not restarted unless that can be written down)", error.cause);
                emit(&Event::StateTrouble { path: &error.path.display().to_string(), error: &cause });
            }
            Err(ref error) => tracing::debug!(%error, "the history of restarts can't be written down"),
        }
        kept.is_ok()
    }

    /// How many containers run changes often, whether they outlive their engine rarely.
    async fn keep_engine(&self, watch: &mut Watch) {
        let Some(engine) = &watch.engine else { return };
        let (kept, at) = &watch.kept;
        let lasting =
            |info: &EngineInfo| (info.id.clone(), info.live_restore, info.scopes, info.containers_running == 0);
        let news = kept.as_ref().map(lasting) != Some(lasting(engine));
        let old = kept.as_ref() != Some(engine) && self.now().since(*at) >= KEEP_INTERVAL;
        if news || old {
            // tried again after a while, whatever came of it
            watch.kept = (watch.engine.clone(), self.now());
            self.keep(watch).await;
        }
    }

    fn publish(&self, watch: &mut Watch) {
        let refusal = watch.supervision.refusal().map(|(_, refusal)| refusal);
        // said once: the same date again would be another second now and then
        if watch.refused.as_ref().map(|(refusal, _)| *refusal) != refusal {
            watch.refused = refusal.map(|refusal| (refusal, self.in_words(watch, refusal)));
        }
        let (supervision, tools) = (&watch.supervision, self.tools.borrow());
        let doing = supervision.doing();
        let next = Supervised {
            mode: tools.settings.mode,
            condition: supervision.condition(),
            detail: watch.detail(),
            doing,
            refused: watch.refused.clone().filter(|_| doing == Doing::Nothing),
            restarts: (supervision.in_window(), tools.settings.budget),
            last: watch.last.clone(),
        };
        self.supervised.send_if_modified(|current| {
            let changed = *current != next;
            *current = next;
            changed
        });
    }

    fn in_words(&self, watch: &Watch, refusal: Refusal) -> String {
        told::refusal_text(refusal, &watch.sighting, |until| self.date_of(until))
    }
}

/// Never, if there is none under way.
async fn done(errand: &mut Option<BoxFuture<'static, Finding>>) -> Finding {
    match errand {
        Some(errand) => errand.await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
