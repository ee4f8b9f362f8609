//! When the engine is repaired: a restart that ends a fault, and never makes things worse.
//!
//! Only a unit that failed, or one that is active and surely hangs, is ever restarted. Guards come in this order: the mode,
//! whose fault it is, how long the unit has been up, the cooldown, our own budget, the containers that would die. (That
//! no job is under way is part of the [`Condition`].) Each refusal is given once, until another takes its place or the
//! engine works.
//!
//! An attempt counts from the moment it is decided on, so that the history can be on the disk before anything is done.
//! Time is the caller's: it has to go on while the machine sleeps, and a time that goes back changes nothing.
//!
//! The diagram in `docs/supervision.md` is made from this code by its tests.

use crate::model::{
    Attempt, Condition, Culprit, Doing, Moment, Refusal, Repair, Risk, SupervisionMode, SupervisionSettings,
};
use std::time::Duration;

/// Attempts are kept for this long, or for the window, so that a window which was short for a while forgets nothing.
const KEPT: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    Condition(Condition),
    /// The answer to [`Act::Assess`].
    Risk(Risk),
    /// The restart has come to its end, a good or a bad one; the condition has to be said anew.
    Ended,
    /// An operator gives the whole budget back.
    Reset,
    Settings(SupervisionSettings),
    /// Time has passed.
    Tick,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Count the containers, and answer with [`Input::Risk`].
    Assess,
    /// Keep the history, then restart, then say [`Input::Ended`].
    Restart(Repair),
    /// What would be done now if the mode were not dry-run.
    Would(Repair),
    Refuse(Repair, Refusal),
    /// All restarts are used up: nothing is done until then, or until an operator resets.
    GiveUp {
        repair: Repair,
        until: Moment,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervision {
    settings: SupervisionSettings,
    /// In the order of time.
    history: Vec<Attempt>,
    condition: Condition,
    /// The unit has been active since.
    up_since: Option<Moment>,
    phase: Phase,
    /// What was refused last, and not taken back.
    refused: Option<(Repair, Refusal)>,
    /// The latest moment ever seen.
    now: Moment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Watching,
    /// Containers at risk are looked at again then.
    Waiting {
        until: Moment,
    },
    Assessing,
    Restarting(Repair),
    GivenUp {
        until: Moment,
    },
}

impl Supervision {
    /// With what was kept of the attempts of earlier processes.
    pub fn new(settings: SupervisionSettings, kept: Vec<Attempt>, now: Moment) -> Self {
        // nothing was done in the future
        let mut history: Vec<_> =
            kept.into_iter().map(|attempt| Attempt { at: attempt.at.min(now), ..attempt }).collect();
        history.sort_by_key(|attempt| attempt.at);
        let (condition, phase) = (Condition::Unseen, Phase::Watching);
        Self { settings, history, condition, up_since: None, phase, refused: None, now }
    }

    pub fn step(mut self, input: Input, now: Moment) -> (Self, Option<Act>) {
        self.now = self.now.max(now);
        let (now, kept) = (self.now, self.settings.window.max(KEPT));
        self.history.retain(|attempt| now.since(attempt.at) < kept);
        match input {
            Input::Condition(condition) => self.see(condition),
            Input::Risk(risk) if self.phase == Phase::Assessing => {
                self.phase = Phase::Watching;
                let act = self.decide(Some(risk));
                return (self, act);
            }
            Input::Ended if self.under_repair().is_some() => {
                self.phase = Phase::Watching;
                self.see(Condition::Unseen);
            }
            Input::Reset => {
                self.history.clear();
                self.reconsider();
            }
            Input::Settings(settings) => {
                self.settings = settings;
                self.reconsider();
            }
            Input::Risk(_) | Input::Ended | Input::Tick => {}
        }
        let act = self.decide(None);
        (self, act)
    }

    /// What has to be kept for the next process.
    pub fn history(&self) -> &[Attempt] {
        &self.history
    }

    pub fn condition(&self) -> Condition {
        self.condition
    }

    pub fn doing(&self) -> Doing {
        match self.phase {
            Phase::Assessing => Doing::Assessing,
            Phase::Restarting(repair) => Doing::Restarting(repair.culprit),
            Phase::Watching | Phase::Waiting { .. } | Phase::GivenUp { .. } => Doing::Nothing,
        }
    }

    /// What the restart under way is to end.
    pub fn under_repair(&self) -> Option<Repair> {
        if let Phase::Restarting(repair) = self.phase { Some(repair) } else { None }
    }

    /// Restarts that the budget counts now.
    pub fn in_window(&self) -> usize {
        self.counted().count()
    }

    /// All restarts are used up, until then.
    pub fn given_up_until(&self) -> Option<Moment> {
        match self.phase {
            Phase::GivenUp { until } if self.now < until => Some(until),
            _ => None,
        }
    }

    /// Why nothing is done about an engine that needs it.
    pub fn refusal(&self) -> Option<(Repair, Refusal)> {
        self.refused
    }

    /// When a tick may change something.
    pub fn wake_at(&self) -> Option<Moment> {
        match self.phase {
            Phase::Waiting { until } | Phase::GivenUp { until } => Some(until),
            Phase::Watching => self.refused.and_then(|(_, refusal)| refusal.until()),
            Phase::Assessing | Phase::Restarting(_) => None,
        }
    }

    fn see(&mut self, condition: Condition) {
        self.up_since = condition.is_up().then_some(self.up_since.unwrap_or(self.now));
        self.condition = condition;
        if condition == Condition::Working {
            self.refused = None;
        }
        if condition.culprit().is_none() && matches!(self.phase, Phase::Assessing | Phase::Waiting { .. }) {
            self.phase = Phase::Watching;
        }
    }

    /// What was refused is looked at anew.
    fn reconsider(&mut self) {
        self.refused = None;
        if matches!(self.phase, Phase::GivenUp { .. } | Phase::Waiting { .. }) {
            self.phase = Phase::Watching;
        }
    }

    fn decide(&mut self, risk: Option<Risk>) -> Option<Act> {
        let repair = Repair { culprit: self.condition.culprit()?, condition: self.condition };
        match self.phase {
            Phase::Restarting(_) | Phase::Assessing => return None,
            Phase::GivenUp { until } | Phase::Waiting { until } if self.now < until => return None,
            Phase::GivenUp { .. } | Phase::Waiting { .. } | Phase::Watching => self.phase = Phase::Watching,
        }
        match (self.guard(repair.culprit), risk) {
            (Some(Refusal::Budget { until }), _) => {
                self.phase = Phase::GivenUp { until };
                self.refused = Some((repair, Refusal::Budget { until }));
                Some(Act::GiveUp { repair, until })
            }
            (Some(refusal), _) => self.refuse(repair, refusal),
            (None, None) => {
                self.phase = Phase::Assessing;
                Some(Act::Assess)
            }
            (None, Some(risk)) if risk.is_there() && !self.settings.despite_containers => {
                self.phase = Phase::Waiting { until: self.now + self.settings.cooldown };
                self.refuse(repair, Refusal::ContainersAtRisk(risk))
            }
            (None, Some(_)) => Some(self.attempt(repair)),
        }
    }

    /// The first guard that says no, but for the containers.
    fn guard(&self, culprit: Culprit) -> Option<Refusal> {
        if self.settings.mode == SupervisionMode::Off {
            return Some(Refusal::Off);
        }
        if culprit == Culprit::Runtime && !self.settings.runtime {
            return Some(Refusal::RuntimeIsNotOurs);
        }
        let young = self.up_since.map(|since| since + self.settings.cooldown);
        if let Some(until) = young.filter(|until| self.now < *until) {
            return Some(Refusal::Young { until });
        }
        let count = self.in_window();
        let last = self.counted().next_back().map_or(self.now, |attempt| attempt.at);
        if count >= self.settings.budget {
            return Some(Refusal::Budget { until: last + self.settings.window });
        }
        let until = last + self.spacing(count);
        (self.now < until).then_some(Refusal::Cooldown { until })
    }

    fn counted(&self) -> impl DoubleEndedIterator<Item = &Attempt> {
        let dry = self.settings.mode == SupervisionMode::DryRun;
        self.history
            .iter()
            .filter(move |attempt| attempt.dry == dry && self.now.since(attempt.at) < self.settings.window)
    }

    /// After the first restart of a window one cooldown, then twice as long each time.
    fn spacing(&self, attempts: usize) -> Duration {
        let doublings = attempts.checked_sub(1).and_then(|times| u32::try_from(times).ok());
        let Some(doublings) = doublings else { return Duration::ZERO };
        let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
        let longest = self.settings.window.max(self.settings.cooldown);
        self.settings.cooldown.saturating_mul(factor).min(longest)
    }

    fn refuse(&mut self, repair: Repair, refusal: Refusal) -> Option<Act> {
        let said = self.refused.is_some_and(|(for_what, why)| for_what == repair && why.name() == refusal.name());
        self.refused = Some((repair, refusal));
        (!said).then_some(Act::Refuse(repair, refusal))
    }

    fn attempt(&mut self, repair: Repair) -> Act {
        let dry = self.settings.mode == SupervisionMode::DryRun;
        self.refused = None;
        self.history.push(Attempt { at: self.now, dry });
        if dry {
            return Act::Would(repair);
        }
        self.phase = Phase::Restarting(repair);
        Act::Restart(repair)
    }
}

#[cfg(test)]
mod tests;
