//! May an operator's restart of the engine go ahead?
//!
//! The guards are looked at in this order: the unit is there and not masked; nothing else is under way; the engine runs
//! or has failed (one that somebody stopped is started, not restarted); no container dies that nobody knew of.

use crate::model::{ActiveState, JobKind, LoadState, UnitState};

/// What is known before the restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation<'a> {
    pub unit: &'a UnitState,
    /// Running containers, counted without the engine or by it, whichever is more.
    pub containers: usize,
    /// Whether containers outlive their engine; only an engine that answers tells.
    pub live_restore: Option<bool>,
}

/// What the operator has said, and can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Consent {
    /// Containers may die.
    pub containers: bool,
    /// Whatever else is under way may be broken off.
    pub force: bool,
    /// There is somebody to ask.
    pub can_ask: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Go,
    /// Go if the operator says yes to containers that may die.
    Ask,
    Refuse(Refusal),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Absent,
    Masked,
    /// systemd could not read the unit's file.
    Unloadable,
    Busy(JobKind),
    Stopped,
    InTransition(ActiveState),
    ContainersAtRisk {
        count: usize,
        live_restore: Option<bool>,
    },
}

pub fn decide(situation: &Situation<'_>, consent: Consent) -> Decision {
    match refused_by_unit(situation.unit, consent.force) {
        Some(refusal) => Decision::Refuse(refusal),
        None => decide_on_containers(situation, consent),
    }
}

/// Whether containers may die with the engine.
pub fn at_risk(containers: usize, live_restore: Option<bool>) -> bool {
    containers > 0 && live_restore != Some(true)
}

fn refused_by_unit(unit: &UnitState, force: bool) -> Option<Refusal> {
    match unit.load {
        LoadState::NotFound => return Some(Refusal::Absent),
        LoadState::Masked => return Some(Refusal::Masked),
        LoadState::Loaded => {}
        LoadState::Other => return Some(Refusal::Unloadable),
    }
    match (unit.job, unit.active) {
        // nobody's job: a restart would start what was stopped on purpose
        (None, ActiveState::Inactive) => Some(Refusal::Stopped),
        (Some(job), _) if !force => Some(Refusal::Busy(job.kind)),
        (None, ActiveState::Active | ActiveState::Failed) | (Some(_), _) => None,
        (None, other) if !force => Some(Refusal::InTransition(other)),
        (None, _) => None,
    }
}

fn decide_on_containers(situation: &Situation<'_>, consent: Consent) -> Decision {
    let Situation { containers, live_restore, .. } = *situation;
    match (at_risk(containers, live_restore), consent) {
        (false, _) | (true, Consent { containers: true, .. }) => Decision::Go,
        (true, Consent { can_ask: true, .. }) => Decision::Ask,
        (true, _) => Decision::Refuse(Refusal::ContainersAtRisk { count: containers, live_restore }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Job;
    use ActiveState::{Activating, Active, Deactivating, Failed, Inactive};
    use LoadState::{Loaded, Masked, NotFound, Other};

    const NOBODY: Consent = Consent { containers: false, force: false, can_ask: false };
    const YES: Consent = Consent { containers: true, ..NOBODY };
    const FORCE: Consent = Consent { force: true, ..NOBODY };
    const TERMINAL: Consent = Consent { can_ask: true, ..NOBODY };

    fn decided(load: LoadState, active: ActiveState, job: Option<JobKind>, consent: Consent) -> Decision {
        let unit = UnitState { load, active, sub: String::new(), job: job.map(|kind| Job { id: 7, kind }) };
        decide(&Situation { unit: &unit, containers: 0, live_restore: None }, consent)
    }

    #[test]
    fn the_unit_decides_first() {
        let refused = |refusal| Decision::Refuse(refusal);
        for (load, active, job, plain, forced) in [
            (Loaded, Active, None, Decision::Go, Decision::Go),
            (Loaded, Failed, None, Decision::Go, Decision::Go),
            (Loaded, Inactive, None, refused(Refusal::Stopped), refused(Refusal::Stopped)),
            (NotFound, Inactive, None, refused(Refusal::Absent), refused(Refusal::Absent)),
            (Masked, Inactive, None, refused(Refusal::Masked), refused(Refusal::Masked)),
            // masked while it runs
            (Masked, Active, None, refused(Refusal::Masked), refused(Refusal::Masked)),
            (Other, Active, None, refused(Refusal::Unloadable), refused(Refusal::Unloadable)),
            (Loaded, Active, Some(JobKind::Stop), refused(Refusal::Busy(JobKind::Stop)), Decision::Go),
            (Loaded, Inactive, Some(JobKind::Start), refused(Refusal::Busy(JobKind::Start)), Decision::Go),
            (Loaded, Activating, Some(JobKind::Restart), refused(Refusal::Busy(JobKind::Restart)), Decision::Go),
            // auto-restart
            (Loaded, Activating, None, refused(Refusal::InTransition(Activating)), Decision::Go),
            (Loaded, Deactivating, None, refused(Refusal::InTransition(Deactivating)), Decision::Go),
        ] {
            assert_eq!(decided(load, active, job, NOBODY), plain, "{load:?} {active:?} {job:?}");
            assert_eq!(decided(load, active, job, FORCE), forced, "{load:?} {active:?} {job:?} by force");
        }
    }

    #[test]
    fn containers_die_only_with_consent() {
        let unit = |active| UnitState { load: Loaded, active, sub: String::new(), job: None };
        let refused = |count, live_restore| Decision::Refuse(Refusal::ContainersAtRisk { count, live_restore });
        for (containers, live_restore, consent, expected) in [
            (0, None, NOBODY, Decision::Go),
            (0, Some(false), NOBODY, Decision::Go),
            (2, Some(true), NOBODY, Decision::Go),
            (2, Some(false), NOBODY, refused(2, Some(false))),
            (2, None, NOBODY, refused(2, None)),
            // force is about jobs, not about containers
            (2, None, FORCE, refused(2, None)),
            (2, Some(false), TERMINAL, Decision::Ask),
            (2, None, TERMINAL, Decision::Ask),
            (2, Some(false), YES, Decision::Go),
            (2, None, Consent { can_ask: true, ..YES }, Decision::Go),
        ] {
            for active in [Active, Failed] {
                let unit = unit(active);
                let situation = Situation { unit: &unit, containers, live_restore };
                assert_eq!(decide(&situation, consent), expected, "{containers} {live_restore:?} {consent:?}");
            }
        }
    }

    #[test]
    fn a_stopped_engine_is_not_even_asked_about() {
        let unit = UnitState { load: Loaded, active: Inactive, sub: String::new(), job: None };
        let situation = Situation { unit: &unit, containers: 2, live_restore: None };
        assert_eq!(decide(&situation, Consent { can_ask: true, ..YES }), Decision::Refuse(Refusal::Stopped));
    }
}
