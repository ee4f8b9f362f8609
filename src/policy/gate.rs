//! The health gate: may the engine be advertised?
//!
//! The unit's state comes first, probes of the engine second. The engine's socket is connected to only
//! while the unit is active: a connection would start an engine that somebody stopped.

use crate::model::{ActiveState, EngineHealth, EngineInfo, Job, JobKind, LoadState, Moment, ProbeFault};
use crate::model::{UnitState, UnitView};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateSettings {
    /// Good probes in a row to enter.
    pub healthy_after: u32,
    /// Bad probes in a row to leave.
    pub unhealthy_after: u32,
    /// How long the entry stays during a restart job of the unit.
    pub grace: Duration,
    /// Between two probes while all is well.
    pub probe_interval: Duration,
}

/// After a transition of the unit the engine is asked this often, until it is decided.
const UNDECIDED_INTERVAL: Duration = Duration::from_secs(1);
/// An engine that has just become active is left alone for this long. dockerd is READY some 10 ms before it accepts; a
/// connection that is still waiting when somebody stops the engine again would make its socket unit start it anew.
const SETTLE: Duration = Duration::from_millis(250);
/// After a bad probe the engine is asked this often.
const DOUBT_INTERVAL: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is proved either way yet: an entry from before is left as it is.
    Undecided,
    Open,
    Closed,
}

#[derive(Debug, Clone)]
pub enum Input {
    Unit(UnitView),
    Probe(Result<EngineInfo, ProbeFault>),
    /// Time has passed.
    Tick,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    settings: GateSettings,
    verdict: Verdict,
    phase: Phase,
    /// Why the unit's state is not known at the moment, if it is not.
    blind: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// The unit has not been seen yet.
    Unseen,
    /// The unit does not run; the health says how.
    Down(EngineHealth),
    /// A restart job runs: what was advertised stays until `until`.
    Restarting { job: u32, until: Moment },
    /// The unit is active: probes decide.
    Up(Up),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Up {
    good: u32,
    bad: u32,
    last: Option<Result<EngineInfo, ProbeFault>>,
    probe_at: Moment,
    /// No decision since the last transition of the unit.
    undecided: bool,
    /// After a restart: proof must come until then.
    grace_until: Option<Moment>,
}

impl Gate {
    pub fn new(settings: GateSettings) -> Self {
        Self { settings, verdict: Verdict::Undecided, phase: Phase::Unseen, blind: None }
    }

    pub fn step(mut self, input: Input, now: Moment) -> Self {
        match input {
            Input::Unit(UnitView::Known(unit)) => {
                self.blind = None;
                self.see(&unit, now);
            }
            Input::Unit(UnitView::Unknown(why)) => self.blind = Some(why),
            Input::Probe(result) => self.judge(result, now),
            Input::Tick => {}
        }
        self.end_grace(now);
        self
    }

    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// When the engine is to be probed next; never while the unit is not active.
    pub fn probe_at(&self) -> Option<Moment> {
        match &self.phase {
            Phase::Up(up) => Some(up.probe_at),
            _ => None,
        }
    }

    /// When the gate wants a tick although nothing happened.
    pub fn grace_ends(&self) -> Option<Moment> {
        match &self.phase {
            Phase::Restarting { until, .. } if self.verdict != Verdict::Closed => Some(*until),
            Phase::Up(up) => up.grace_until,
            _ => None,
        }
    }

    pub fn health(&self) -> EngineHealth {
        match (&self.phase, &self.blind) {
            (Phase::Up(up), blind) => self.up_health(up, blind.as_ref()),
            (_, Some(why)) => EngineHealth::Unknown(why.clone()),
            (Phase::Unseen, None) => EngineHealth::Undecided,
            (Phase::Down(health), None) => health.clone(),
            (Phase::Restarting { .. }, None) => EngineHealth::Restarting,
        }
    }

    fn up_health(&self, up: &Up, blind: Option<&String>) -> EngineHealth {
        let need = self.settings.healthy_after;
        match (&up.last, blind) {
            (Some(Err(ProbeFault::NotConnected)), Some(why)) => EngineHealth::Unknown(why.clone()),
            // our own permissions: nothing is known of the engine, and without proof it is not advertised
            (Some(Err(fault @ ProbeFault::Permission { .. })), _) => EngineHealth::Unknown(fault.to_string()),
            (Some(Err(fault)), _) => {
                EngineHealth::Faulty { fault: fault.clone(), bad: up.bad, limit: self.settings.unhealthy_after }
            }
            (Some(Ok(info)), _) if self.verdict == Verdict::Open => EngineHealth::Healthy(info.clone()),
            _ => EngineHealth::Proving { good: up.good, need },
        }
    }

    fn see(&mut self, unit: &UnitState, now: Moment) {
        match Seen::of(unit, &self.phase, self.verdict) {
            Seen::Running => self.rise(now),
            Seen::Restart(job) => self.restart(job, now),
            Seen::Down(health) => {
                self.verdict = Verdict::Closed;
                self.phase = Phase::Down(health);
            }
        }
    }

    fn rise(&mut self, now: Moment) {
        let grace_until = match &self.phase {
            Phase::Up(_) => return,
            Phase::Restarting { until, .. } if self.verdict != Verdict::Closed => Some(*until),
            _ => None,
        };
        let probe_at = if self.phase == Phase::Unseen { now } else { now + SETTLE };
        self.phase = Phase::Up(Up { good: 0, bad: 0, last: None, probe_at, undecided: true, grace_until });
    }

    /// The grace counts from the first restart since the engine was last proved, so that an engine which
    /// is restarted again and again does not stay advertised.
    fn restart(&mut self, job: u32, now: Moment) {
        let until = match &self.phase {
            Phase::Restarting { until, .. } => *until,
            Phase::Up(Up { grace_until: Some(until), .. }) => *until,
            _ => now + self.settings.grace,
        };
        self.phase = Phase::Restarting { job, until };
    }

    fn end_grace(&mut self, now: Moment) {
        if self.grace_ends().is_some_and(|end| now >= end) {
            self.verdict = Verdict::Closed;
            if let Phase::Up(up) = &mut self.phase {
                up.grace_until = None;
            }
        }
    }

    fn judge(&mut self, result: Result<EngineInfo, ProbeFault>, now: Moment) {
        let Phase::Up(up) = &mut self.phase else { return };
        match &result {
            Ok(_) => {
                (up.good, up.bad) = (up.good.saturating_add(1), 0);
                up.grace_until = None;
            }
            Err(_) => (up.good, up.bad) = (0, up.bad.saturating_add(1)),
        }
        let decided = match (&result, self.verdict) {
            (Ok(_), Verdict::Open) => Some(Verdict::Open),
            (Ok(_), _) if up.good >= self.settings.healthy_after => Some(Verdict::Open),
            (Err(_), _) if up.bad >= self.settings.unhealthy_after => Some(Verdict::Closed),
            _ => None,
        };
        if let Some(verdict) = decided {
            self.verdict = verdict;
            up.undecided = false;
        }
        up.probe_at = now + interval(&self.settings, up, self.verdict, result.is_ok());
        up.last = Some(result);
    }
}

fn interval(settings: &GateSettings, up: &Up, verdict: Verdict, good: bool) -> Duration {
    let proving = good && verdict != Verdict::Open;
    let wanted = match (up.undecided || proving, good) {
        (true, _) => UNDECIDED_INTERVAL,
        (false, false) => DOUBT_INTERVAL,
        (false, true) => settings.probe_interval,
    };
    wanted.min(settings.probe_interval)
}

/// Whether the engine's socket may be connected to while the unit is in this state.
pub fn may_connect(unit: &UnitState) -> bool {
    let stopping = unit.job.is_some_and(|job| matches!(job.kind, JobKind::Stop | JobKind::Restart));
    matches!(unit.active, ActiveState::Active | ActiveState::Reloading) && !stopping
}

/// What a state of the unit means to the gate.
enum Seen {
    Running,
    Restart(u32),
    Down(EngineHealth),
}

impl Seen {
    fn of(unit: &UnitState, phase: &Phase, verdict: Verdict) -> Self {
        if let Some(job) = restart_job(unit, phase, verdict) {
            return Self::Restart(job);
        }
        let stopping = unit.job.is_some_and(|job| job.kind == JobKind::Stop);
        Self::Down(match unit.active {
            ActiveState::Active | ActiveState::Reloading if !stopping => return Self::Running,
            ActiveState::Active | ActiveState::Reloading | ActiveState::Deactivating => EngineHealth::Stopping,
            ActiveState::Activating => EngineHealth::Starting,
            ActiveState::Failed => EngineHealth::Failed,
            ActiveState::Inactive => match unit.load {
                LoadState::NotFound => EngineHealth::Absent,
                LoadState::Masked => EngineHealth::Masked,
                LoadState::Loaded | LoadState::Other => EngineHealth::Stopped,
            },
            ActiveState::Other => EngineHealth::Unknown(format!("the unit is {}", unit.active)),
        })
    }
}

/// The restart job that takes an advertised engine down and up again, if that is what happens.
///
/// systemd turns a restart job into a start job of the same id once the stop is done, and a quick
/// restart may be seen only then. A crash is no restart: the unit is down before systemd queues a job.
fn restart_job(unit: &UnitState, phase: &Phase, verdict: Verdict) -> Option<u32> {
    let Job { id, kind } = unit.job?;
    let running = matches!(unit.active, ActiveState::Active | ActiveState::Reloading);
    match (phase, kind) {
        (Phase::Restarting { .. }, JobKind::Restart) => Some(id),
        (Phase::Restarting { job, .. }, JobKind::Start | JobKind::Other) if *job == id => Some(id),
        (Phase::Up(_) | Phase::Unseen, JobKind::Restart) => Some(id),
        (Phase::Up(_), JobKind::Start) if !running && verdict == Verdict::Open => Some(id),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
