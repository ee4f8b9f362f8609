//! `STATUS=`: all that is known of a node in one true line.

use super::gate::Verdict;
use crate::model::{
    Condition, Doing, EngineHealth, Finding, Hosting, Reach, Reading, RegistrationStatus, Standing, Supervised,
};

/// What the line is made of.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The discovery service, without its secrets.
    pub server: &'a str,
    pub standing: &'a Standing,
    pub verdict: Verdict,
    pub engine: &'a EngineHealth,
    pub supervised: &'a Supervised,
    pub reach: Option<&'a Reach>,
    pub hosting: &'a Hosting,
    pub configuration: &'a Reading,
}

pub fn summary(known: &Known<'_>) -> String {
    let hosting = match known.hosting {
        Hosting::Elsewhere => String::new(),
        hosting => format!("; {hosting}"),
    };
    let trouble = known.configuration.errors.first();
    let trouble = trouble.map(|error| format!("; configuration not reloaded: {}", error.text)).unwrap_or_default();
    let registered = registered(known.standing, known.server);
    let supervised = supervised(known.supervised).map(|text| format!("; {text}")).unwrap_or_default();
    format!("{registered}, engine {}{supervised}{}{hosting}{trouble}", known.engine, doubt(known))
}

/// What the supervisor of the engine makes of it, unless that is said already.
pub fn supervised(supervised: &Supervised) -> Option<String> {
    let detail = supervised.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
    let of_condition = match supervised.condition {
        Condition::RuntimeGone => Some(format!("containerd is gone{detail}")),
        Condition::RuntimeStopped => Some("containerd is stopped".to_owned()),
        Condition::RuntimeHung => Some(format!("containerd hangs{detail}")),
        Condition::Starved => Some(format!("this machine is starved{detail}")),
        _ => None,
    };
    let of_repair = match (supervised.doing, &supervised.refused) {
        (Doing::Restarting(culprit), _) => Some(format!("the agent restarts {culprit}")),
        (_, Some((_, why))) => Some(format!("not restarted: {why}")),
        _ => None,
    };
    match (of_condition, of_repair) {
        (Some(condition), Some(repair)) => Some(format!("{condition}; {repair}")),
        (condition, repair) => condition.or(repair),
    }
}

fn registered(standing: &Standing, server: &str) -> String {
    let Some(address) = &standing.address else {
        let why = standing.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        return format!("not registered{why}");
    };
    let instead = standing.replaces.as_ref().map(|old| format!(" in place of {old}")).unwrap_or_default();
    match (&standing.status, &standing.why) {
        (RegistrationStatus::Absent, None) => "not registered".to_owned(),
        (RegistrationStatus::Absent, Some(why)) => format!("not registered: {why}"),
        (RegistrationStatus::Resumed, _) => format!("resuming {address} at {server}"),
        (RegistrationStatus::Joining { error: None }, _) => format!("registering {address} at {server}{instead}"),
        (RegistrationStatus::Joining { error: Some(error) }, _) if instead.is_empty() => {
            format!("not registered: {error}")
        }
        (RegistrationStatus::Joining { error: Some(error) }, _) => format!("not yet {address}{instead}: {error}"),
        (RegistrationStatus::Present, _) => format!("registered {address} at {server}"),
        (RegistrationStatus::Unconfirmed { error, at_risk: false }, _) => {
            format!("registered {address}, last beat failed: {error}")
        }
        (RegistrationStatus::Unconfirmed { error, at_risk: true }, _) => {
            format!("registered {address}, lease at risk: {error}")
        }
        (RegistrationStatus::Leaving { error: None }, _) => format!("deregistering {address} at {server}"),
        (RegistrationStatus::Leaving { error: Some(error) }, _) => format!("{address} can't be taken out: {error}"),
    }
}

/// What is wrong with the advertised address, unless it is said already.
fn doubt(known: &Known<'_>) -> String {
    match known.reach {
        Some(Reach { address, finding })
            if *finding != Finding::Proved
                && known.verdict == Verdict::Open
                && known.standing.why.is_none()
                && known.standing.address.as_ref() == Some(address) =>
        {
            format!(", {finding}")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Culprit, EngineInfo, Refusal, Risk};

    fn healthy() -> EngineHealth {
        EngineHealth::Healthy(EngineInfo {
            id: String::new(),
            version: "20.10.24".into(),
            containers_running: 3,
            ..EngineInfo::default()
        })
    }

    fn standing(status: RegistrationStatus) -> Standing {
        Standing { address: Some("10.0.0.5:2375".parse().unwrap()), status, ..Standing::none() }
    }

    fn said(standing: Standing, engine: EngineHealth, reach: Option<Reach>) -> String {
        summary(&Known {
            server: "http://disco:8970",
            standing: &standing,
            verdict: if engine == healthy() { Verdict::Open } else { Verdict::Undecided },
            engine: &engine,
            supervised: &Supervised::nothing(),
            reach: reach.as_ref(),
            hosting: &Hosting::Elsewhere,
            configuration: &Reading::valid(std::time::SystemTime::UNIX_EPOCH),
        })
    }

    #[test]
    fn reads_like_a_sentence() {
        assert_eq!(
            said(standing(RegistrationStatus::Present), healthy(), None),
            "registered 10.0.0.5:2375 at http://disco:8970, engine 20.10.24 healthy, 3 containers"
        );
        let error = "no connection to http://disco:8970: connection refused".to_owned();
        let joining = standing(RegistrationStatus::Joining { error: Some(error) });
        assert_eq!(
            said(joining.clone(), healthy(), None),
            "not registered: no connection to http://disco:8970: connection refused, engine 20.10.24 healthy, 3 containers"
        );
        let replaces = Some("10.0.0.4:2375".parse().unwrap());
        assert_eq!(
            said(Standing { replaces, ..joining }, healthy(), None),
            "not yet 10.0.0.5:2375 in place of 10.0.0.4:2375: no connection to http://disco:8970: connection refused, engine 20.10.24 healthy, 3 containers"
        );
        assert_eq!(said(Standing::none(), EngineHealth::Undecided, None), "not registered, engine not looked at yet");
    }

    #[test]
    fn says_what_the_supervisor_makes_of_the_engine() {
        let refusal = Refusal::ContainersAtRisk(Risk { containers: Some(1), live_restore: None });
        let with = |condition, doing, refused: bool, detail: Option<&str>| {
            let refused = refused.then(|| (refusal, refusal.to_string()));
            let detail = detail.map(str::to_owned);
            supervised(&Supervised { condition, doing, refused, detail, ..Supervised::nothing() })
        };
        let why = "not restarted: 1 container would die (whether live-restore is on is not known)";
        assert_eq!(with(Condition::Working, Doing::Nothing, false, None), None);
        assert_eq!(with(Condition::Hung, Doing::Assessing, false, None), None);
        assert_eq!(with(Condition::Hung, Doing::Nothing, true, None).as_deref(), Some(why));
        let restarting = with(Condition::Hung, Doing::Restarting(Culprit::Engine), false, None);
        assert_eq!(restarting.as_deref(), Some("the agent restarts the engine"));
        let gone = with(Condition::RuntimeGone, Doing::Nothing, true, Some("its unit is failed"));
        assert_eq!(gone, Some(format!("containerd is gone: its unit is failed; {why}")));
    }

    #[test]
    fn says_what_is_wrong_with_the_address() {
        let why = Some("interface eth7 has no address yet".to_owned());
        assert_eq!(
            said(Standing { why, ..Standing::none() }, healthy(), None),
            "not registered: interface eth7 has no address yet, engine 20.10.24 healthy, 3 containers"
        );
        let reach = |address: &str| {
            let finding = Finding::Unreachable("connection refused".into());
            Some(Reach { address: address.parse().unwrap(), finding })
        };
        let present = || standing(RegistrationStatus::Present);
        assert_eq!(
            said(present(), healthy(), reach("10.0.0.5:2375")),
            "registered 10.0.0.5:2375 at http://disco:8970, engine 20.10.24 healthy, 3 containers, advertised address unreachable: connection refused"
        );
        assert!(said(present(), healthy(), reach("10.0.0.4:2375")).ends_with("3 containers"));
    }
}
