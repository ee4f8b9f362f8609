//! What an operator is told of the engine in one word, and whether it may be asked.

use super::gate::may_connect;
use crate::model::{ActiveState, JobKind, LoadState, ProbeFault, UnitState};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The unit is active and the engine answers.
    Works,
    /// Stopped, failed, masked, absent, on its way, or active and not answering.
    DoesNotWork,
    /// Our own permissions or plumbing: no statement about the engine.
    CannotTell,
}

/// Why the engine is not to be asked in this state of its unit, if so: a connection could start it.
pub fn why_not_asked(unit: &UnitState) -> Option<&'static str> {
    if may_connect(unit) {
        return None;
    }
    Some(match (unit.job.map(|job| job.kind), unit.active) {
        (Some(JobKind::Stop), _) => "it is being stopped",
        (Some(JobKind::Restart), _) => "it is being restarted",
        (_, ActiveState::Activating) => "it is starting",
        (_, ActiveState::Deactivating) => "it is stopping",
        (_, ActiveState::Failed) => "it has failed, and a connection could start it",
        (_, ActiveState::Inactive) => match unit.load {
            LoadState::NotFound => "systemd knows no such unit",
            LoadState::Masked => "the unit is masked",
            LoadState::Loaded | LoadState::Other => "it is stopped, and a connection would start it",
        },
        _ => "the unit is not active",
    })
}

/// `asked` is what came of asking the engine, if it was asked.
pub fn verdict<T>(asked: Option<&Result<T, ProbeFault>>) -> Verdict {
    match asked {
        None => Verdict::DoesNotWork,
        Some(Ok(_)) => Verdict::Works,
        Some(Err(ProbeFault::Permission { .. })) => Verdict::CannotTell,
        Some(Err(_)) => Verdict::DoesNotWork,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Job;
    use ActiveState::{Activating, Active, Failed, Inactive, Reloading};
    use LoadState::{Loaded, Masked, NotFound};

    #[test]
    fn the_engine_is_asked_only_while_its_unit_stays_active() {
        for (load, active, job, part) in [
            (Loaded, Active, None, None),
            (Loaded, Reloading, Some(JobKind::Other), None),
            (Loaded, Active, Some(JobKind::Stop), Some("being stopped")),
            (Loaded, Active, Some(JobKind::Restart), Some("being restarted")),
            (Loaded, Activating, Some(JobKind::Start), Some("starting")),
            (Loaded, Failed, None, Some("failed")),
            (Loaded, Inactive, None, Some("would start it")),
            (Masked, Inactive, None, Some("masked")),
            (NotFound, Inactive, None, Some("no such unit")),
        ] {
            let unit = UnitState { load, active, sub: String::new(), job: job.map(|kind| Job { id: 1, kind }) };
            let why = why_not_asked(&unit);
            assert!(
                why.is_some() == part.is_some() && why.unwrap_or("").contains(part.unwrap_or("")),
                "{unit:?}: {why:?}"
            );
        }
    }

    #[test]
    fn our_own_permissions_are_no_verdict_on_the_engine() {
        let denied: Result<(), _> = Err(ProbeFault::Permission { socket: "/run/docker.sock".into() });
        assert_eq!(verdict(Some(&denied)), Verdict::CannotTell);
        assert_eq!(verdict::<()>(None), Verdict::DoesNotWork);
        assert_eq!(verdict(Some(&Ok(()))), Verdict::Works);
        assert_eq!(verdict::<()>(Some(&Err(ProbeFault::Closed))), Verdict::DoesNotWork);
    }
}
