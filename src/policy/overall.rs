//! All that is known of a node in one word, and what somebody should look at.

use super::summary;
use crate::model::report::Overall;
use crate::model::{Drain, EngineHealth, Hosting, Reach, Reading, RegistrationStatus, Standing, Supervised, UnitView};

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub standing: &'a Standing,
    pub engine: &'a EngineHealth,
    pub unit: &'a UnitView,
    pub supervised: &'a Supervised,
    pub reach: Option<&'a Reach>,
    pub hosting: &'a Hosting,
    pub drain: Option<&'a Drain>,
    pub configuration: &'a Reading,
    /// Tasks of the agent that are stuck.
    pub stuck: &'a [&'static str],
}

/// The problems read as lines; there is none only if all is well.
pub fn judge(facts: &Facts<'_>) -> (Overall, Vec<String>) {
    let mut problems = Vec::new();
    problems.extend(unregistered(facts));
    problems.extend(discovery(&facts.standing.status));
    problems.extend(engine(facts));
    problems.extend(summary::supervised(facts.supervised));
    problems.extend(address(facts));
    if let UnitView::Unknown(why) = facts.unit {
        problems.push(format!("systemd can't be asked: {why}"));
    }
    if let Hosting::Failed(_) = facts.hosting {
        problems.push(facts.hosting.to_string());
    }
    problems.extend(facts.stuck.iter().map(|task| format!("task {task} of the agent is stuck")));
    problems
        .extend(facts.configuration.errors.iter().map(|error| format!("configuration not reloaded: {}", error.text)));
    let registered = facts.standing.status.registered();
    if !registered && problems.is_empty() {
        problems.push("the address or the engine is not known yet".to_owned());
    }
    let overall = match (registered, problems.is_empty()) {
        (false, _) => Overall::NotRegistered,
        (true, true) => Overall::Healthy,
        (true, false) => Overall::Degraded,
    };
    (overall, problems)
}

/// Why there is no entry, unless the engine or the discovery service says it.
fn unregistered(facts: &Facts<'_>) -> Option<String> {
    if facts.standing.status.registered() {
        return None;
    }
    match (facts.drain, &facts.standing.why) {
        (Some(drain), _) => Some(drain.to_string()),
        (None, why) => why.clone(),
    }
}

fn discovery(status: &RegistrationStatus) -> Option<String> {
    match status {
        RegistrationStatus::Joining { error: Some(error) } => Some(format!("can't register: {error}")),
        RegistrationStatus::Unconfirmed { error, at_risk: false } => {
            Some(format!("the last heartbeat failed: {error}"))
        }
        RegistrationStatus::Unconfirmed { error, at_risk: true } => Some(format!("the lease is at risk: {error}")),
        RegistrationStatus::Leaving { error: Some(error) } => Some(format!("can't deregister: {error}")),
        RegistrationStatus::Joining { error: None } => Some("the registration is on its way".to_owned()),
        RegistrationStatus::Resumed => Some("the entry of a former process is not renewed yet".to_owned()),
        RegistrationStatus::Absent | RegistrationStatus::Present | RegistrationStatus::Leaving { error: None } => None,
    }
}

fn engine(facts: &Facts<'_>) -> Option<String> {
    match facts.engine {
        EngineHealth::Healthy(_) => None,
        // its plumbing is a problem of its own
        EngineHealth::Unknown(why) if matches!(facts.unit, UnitView::Unknown(lost) if lost == why) => None,
        health => Some(format!("engine {health}")),
    }
}

/// Nobody has to mend what merely can't be proved.
fn address(facts: &Facts<'_>) -> Option<String> {
    let reach = facts.reach.filter(|reach| reach.finding.is_bad())?;
    let said = facts.standing.why.as_ref().is_some_and(|why| *why == reach.finding.to_string());
    (!said && matches!(facts.engine, EngineHealth::Healthy(_)))
        .then(|| format!("{} ({})", reach.finding, reach.address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ActiveState, Complaint, EngineInfo, Finding, LoadState, UnitState};
    use std::time::SystemTime;

    struct Scene {
        standing: Standing,
        engine: EngineHealth,
        unit: UnitView,
        reach: Option<Reach>,
        hosting: Hosting,
        drain: Option<Drain>,
        configuration: Reading,
        stuck: Vec<&'static str>,
    }

    impl Scene {
        fn well() -> Self {
            let address = "10.0.0.5:2375".parse().ok();
            let info = EngineInfo {
                id: "AB".into(),
                version: "20.10.24".into(),
                containers_running: 3,
                ..EngineInfo::default()
            };
            let state =
                UnitState { load: LoadState::Loaded, active: ActiveState::Active, sub: "running".into(), job: None };
            Self {
                standing: Standing { address, status: RegistrationStatus::Present, ..Standing::none() },
                engine: EngineHealth::Healthy(info),
                unit: UnitView::Known(state),
                reach: None,
                hosting: Hosting::Elsewhere,
                drain: None,
                configuration: Reading::valid(SystemTime::UNIX_EPOCH),
                stuck: Vec::new(),
            }
        }

        fn judged(&self) -> (Overall, String) {
            let (overall, problems) = judge(&Facts {
                standing: &self.standing,
                engine: &self.engine,
                supervised: &Supervised::nothing(),
                unit: &self.unit,
                reach: self.reach.as_ref(),
                hosting: &self.hosting,
                drain: self.drain.as_ref(),
                configuration: &self.configuration,
                stuck: &self.stuck,
            });
            (overall, problems.join(" | "))
        }
    }

    fn after(change: impl FnOnce(&mut Scene)) -> (Overall, String) {
        let mut scene = Scene::well();
        change(&mut scene);
        scene.judged()
    }

    #[test]
    fn a_node_is_healthy_only_if_nothing_is_wrong() {
        assert_eq!(after(|_| {}), (Overall::Healthy, String::new()));
        let unproven = |finding| Some(Reach { address: "10.0.0.5:2375".parse().unwrap(), finding });
        assert_eq!(after(|s| s.reach = unproven(Finding::Unproven("TLS".into()))).0, Overall::Healthy);
        let degraded = [
            after(|s| s.reach = unproven(Finding::Unreachable("refused".into()))),
            after(|s| s.unit = UnitView::Unknown("no bus".into())),
            after(|s| s.hosting = Hosting::Failed("disk full".into())),
            after(|s| s.stuck = vec!["prober"]),
            after(|s| s.configuration.errors = vec![Complaint { text: "a:1: no".into(), ..Complaint::default() }]),
            after(|s| s.standing.status = RegistrationStatus::Unconfirmed { error: "x".into(), at_risk: true }),
        ];
        let said: Vec<_> = degraded.iter().map(|(_, said)| said.as_str()).collect();
        assert!(degraded.iter().all(|(overall, _)| *overall == Overall::Degraded), "{degraded:?}");
        assert_eq!(
            said,
            [
                "advertised address unreachable: refused (10.0.0.5:2375)",
                "systemd can't be asked: no bus",
                "its own discovery server does not work: disk full",
                "task prober of the agent is stuck",
                "configuration not reloaded: a:1: no",
                "the lease is at risk: x",
            ]
        );
    }

    #[test]
    fn a_node_that_is_not_registered_says_why() {
        let early = after(|s| s.standing = Standing::none());
        assert_eq!(early, (Overall::NotRegistered, "the address or the engine is not known yet".into()));
        let stopped = after(|s| {
            (s.engine, s.standing) = (EngineHealth::Stopped, Standing::none());
        });
        assert_eq!(stopped, (Overall::NotRegistered, "engine stopped".into()));
        let drained = after(|s| {
            let drain = Drain { since: SystemTime::UNIX_EPOCH, until: None, reason: None, by: "root".into() };
            s.standing = Standing { why: Some(drain.to_string()), ..Standing::none() };
            s.drain = Some(drain);
        });
        assert_eq!(drained, (Overall::NotRegistered, "drained by root".into()));
        let blind = after(|s| {
            s.unit = UnitView::Unknown("no bus".into());
            (s.engine, s.standing) = (EngineHealth::Unknown("no bus".into()), Standing::none());
        });
        assert_eq!(blind, (Overall::NotRegistered, "systemd can't be asked: no bus".into()));
        let required = after(|s| {
            let finding = Finding::Foreign("another engine".into());
            s.standing = Standing { why: Some(finding.to_string()), ..Standing::none() };
            s.reach = Some(Reach { address: "10.0.0.5:2375".parse().unwrap(), finding });
        });
        assert_eq!(required.1, "advertised address answers as another engine");
    }
}
