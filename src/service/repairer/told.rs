//! What the repairer says: events, metrics, and the story of the incident.

use super::{Repairer, Watch};
use crate::model::moment::utc;
use crate::model::{Condition, Culprit, Moment, Refusal, Repair, Repaired, Sighting};
use crate::policy::advice::advice;
use crate::service::TICK;
use crate::service::engine_restart::{Recovery, RestartFault};
use crate::state::STORY;
use crate::telemetry::{Event, emit};
use std::time::{Duration, SystemTime};

/// So many containers are named.
const NAMED: usize = 10;

impl Watch {
    /// What else is known of the condition.
    pub(super) fn detail(&self) -> Option<String> {
        match self.supervision.condition() {
            Condition::Starved => self.around.starved.clone(),
            Condition::RuntimeGone | Condition::RuntimeHung => {
                self.around.runtime.as_ref().map(|runtime| format!("its unit is {} ({})", runtime.active, runtime.sub))
            }
            _ => None,
        }
    }
}

impl Repairer {
    pub(super) fn unit_of(&self, culprit: Culprit) -> String {
        let tools = self.tools.borrow();
        match culprit {
            Culprit::Engine => tools.unit.clone(),
            Culprit::Runtime => tools.containerd.clone(),
        }
    }

    pub(super) fn date_of(&self, until: Moment) -> SystemTime {
        self.clock.date() + until.since(self.now())
    }

    /// Transitions, for what needs somebody's eye; that it works, or was stopped, is said by the prober.
    pub(super) async fn tell(&self, watch: &mut Watch, condition: Condition) {
        watch.blind_since =
            (condition == Condition::CannotTell).then(|| watch.blind_since.unwrap_or_else(|| self.now()));
        // at the start, and while the bus comes back, that is so for a moment
        if watch.blind_since.is_some_and(|since| self.now().since(since) < TICK) {
            return;
        }
        let was = std::mem::replace(&mut watch.told, condition);
        if was == condition {
            return;
        }
        if condition == Condition::Working {
            watch.story.add(self.clock.date(), "the engine works");
            watch.story.advise(advice(condition, None, false));
            if let Some(incident) = watch.story.close(self.clock.date()) {
                self.write(&incident.name, incident.to_json()).await;
            }
        }
        if remarkable(condition) {
            let detail = match (condition, &watch.around.starved, &watch.around.runtime) {
                (Condition::Starved, Some(starved), _) => format!(" ({starved})"),
                (Condition::RuntimeGone | Condition::RuntimeHung, _, Some(unit)) => {
                    format!(" ({} is {})", self.tools.borrow().containerd, unit.active)
                }
                _ => String::new(),
            };
            let text = format!("{condition}{detail}");
            watch.story.see(self.clock.date(), &text);
            emit(&Event::EngineDiagnosed { unit: &self.tools.borrow().unit, condition: condition.name(), text: &text });
        }
    }

    pub(super) async fn refuse(&self, watch: &mut Watch, repair: Repair, refusal: Refusal) {
        let why = refusal_text(refusal, &watch.sighting, |until| self.date_of(until));
        let unit = self.unit_of(repair.culprit);
        self.metrics.repair_refused(refusal.name());
        emit(&Event::RepairRefused {
            unit: &unit,
            condition: repair.condition.name(),
            why: refusal.name(),
            text: &why,
        });
        self.decide(watch, repair, &format!("{unit} is not restarted: {why}"), Some(refusal)).await;
    }

    pub(super) async fn give_up(&self, watch: &mut Watch, repair: Repair, until: Moment) {
        let (unit, until) = (self.unit_of(repair.culprit), utc(self.date_of(until)).to_string());
        let restarts = self.tools.borrow().settings.budget;
        let window = humantime::format_duration(self.tools.borrow().settings.window).to_string();
        let because = format!("{restarts} restarts within {window} did not help: {}", repair.condition);
        self.metrics.repair_refused(Refusal::Budget { until: Moment::default() }.name());
        emit(&Event::RepairGivenUp { unit: &unit, condition: repair.condition.name(), until: &until, text: &because });
        let refusal = Refusal::Budget { until: Moment::default() };
        self.decide(watch, repair, &format!("giving up on {unit} until {until}, because {because}"), Some(refusal))
            .await;
    }

    pub(super) async fn would(&self, watch: &mut Watch, repair: Repair) {
        let unit = self.unit_of(repair.culprit);
        self.metrics.repair_would();
        emit(&Event::RepairWould {
            unit: &unit,
            condition: repair.condition.name(),
            text: &repair.condition.to_string(),
        });
        self.decide(watch, repair, &format!("{unit} would be restarted now (supervision.mode is dry-run)"), None).await;
    }

    pub(super) async fn say_restart(&self, watch: &mut Watch, repair: Repair, kept: bool) {
        let unit = self.unit_of(repair.culprit);
        if !kept {
            let text = format!("{unit} is not restarted: that it was could not be written down");
            return self.decide(watch, repair, &text, None).await;
        }
        watch.story.open(self.clock.date(), &self.tools.borrow().unit, repair.condition);
        let (number, budget) = (watch.supervision.in_window(), self.tools.borrow().settings.budget);
        let incident = watch.story.incident().to_owned();
        emit(&Event::RepairBegun {
            unit: &unit,
            condition: repair.condition.name(),
            text: &repair.condition.to_string(),
            number,
            budget,
            incident: &incident,
        });
        self.decide(watch, repair, &format!("restart {unit} ({number} of {budget} restarts)"), None).await;
    }

    pub(super) async fn say_ended(&self, watch: &mut Watch, outcome: &Result<Recovery, RestartFault>) {
        let Some(repair) = watch.supervision.under_repair() else { return };
        let unit = self.unit_of(repair.culprit);
        let (works, text) = match outcome {
            Ok(recovery) => (true, format!("the engine works again after {}", seconds(recovery.took))),
            Err(fault) => (false, fault.to_string()),
        };
        let (unit, condition) = (unit.as_str(), repair.condition.name());
        let (event, word) = match outcome {
            Ok(_) => (Event::RepairDone { unit, condition, text: &text }, "recovered"),
            Err(RestartFault::Overtaken(..)) => (Event::RepairCalledOff { unit, condition, text: &text }, "called_off"),
            Err(_) => (Event::RepairFailed { unit, condition, text: &text }, "failed"),
        };
        emit(&event);
        self.metrics.repaired(word);
        watch.last = Some(Repaired { at: self.clock.now(), repair, works, outcome: text.clone() });
        watch.story.add(self.clock.date(), &text);
        let condition = if works { Condition::Working } else { repair.condition };
        watch.story.advise(advice(condition, None, !works));
        self.write_story(watch).await;
    }

    async fn decide(&self, watch: &mut Watch, repair: Repair, text: &str, refusal: Option<Refusal>) {
        watch.story.open(self.clock.date(), &self.tools.borrow().unit, repair.condition);
        watch.story.decide(self.clock.date(), text);
        watch.story.advise(advice(repair.condition, refusal, false));
        self.write_story(watch).await;
    }

    async fn write_story(&self, watch: &mut Watch) {
        if let Some(incident) = watch.story.current() {
            self.write(&incident.name, incident.to_json()).await;
        }
    }

    async fn write(&self, incident: &str, story: String) {
        // writing may take as long as a loop may stand still
        self.beat.tick();
        if let Err(error) = self.incidents.write(incident, vec![(STORY, story)]).await {
            tracing::debug!(%error, "the incident could not be written down");
        }
        self.beat.tick();
    }
}

/// Where an engine neither works nor was stopped by somebody.
fn remarkable(condition: Condition) -> bool {
    use Condition::{Broken, CannotTell, RuntimeStopped, SocketFault, Starved};
    condition.culprit().is_some() || matches!(condition, SocketFault | Starved | RuntimeStopped | Broken | CannotTell)
}

/// With the containers, and the date when it ends by itself.
pub fn refusal_text(refusal: Refusal, sighting: &Sighting, date: impl Fn(Moment) -> SystemTime) -> String {
    let ids = match refusal {
        Refusal::ContainersAtRisk(_) => names(sighting),
        _ => String::new(),
    };
    let until = refusal.until().map(|until| format!("; not before {}", utc(date(until)))).unwrap_or_default();
    format!("{refusal}{ids}{until}")
}

fn names(sighting: &Sighting) -> String {
    let mut ids: Vec<&str> = sighting.scopes.iter().chain(&sighting.shims).flatten().map(|id| short(id)).collect();
    ids.sort_unstable();
    ids.dedup();
    let more = ids.len().saturating_sub(NAMED);
    ids.truncate(NAMED);
    match (ids.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => format!(": {}", ids.join(", ")),
        (false, more) => format!(": {} and {more} more", ids.join(", ")),
    }
}

/// As `docker ps` shows it.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Risk;

    #[test]
    fn a_refusal_names_the_containers_and_its_end() {
        let date = |until: Moment| SystemTime::UNIX_EPOCH + until.since_origin();
        let until = Moment::after_origin(Duration::from_secs(60));
        let sighting = Sighting {
            scopes: Some((10..22).map(|n| format!("{n}3456789abcdef")).collect()),
            shims: Some(vec!["103456789abcdef".to_owned()]),
        };
        let risk = |containers| Refusal::ContainersAtRisk(Risk { containers, live_restore: Some(false) });
        let said = refusal_text(risk(Some(12)), &sighting, date);
        assert!(
            said.starts_with("12 containers would die (live-restore is off): 103456789abc, 113456789abc, "),
            "{said}"
        );
        assert!(said.ends_with(" and 2 more"), "{said}");
        let said = refusal_text(risk(None), &Sighting::default(), date);
        assert_eq!(said, "containers could die: how many run is not known (live-restore is off)");
        let said = refusal_text(Refusal::Young { until }, &sighting, date);
        assert!(said.ends_with("cooldown yet; not before 1970-01-01T00:01:00Z"), "{said}");
    }
}
