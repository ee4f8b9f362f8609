//! `STATUS=`: all that is known of a node in one true line.

use super::gate::Verdict;
use crate::model::{EngineHealth, Finding, Hosting, Reach, Reading, RegistrationStatus, Standing};

/// What the line is made of.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The discovery service, without its secrets.
    pub server: &'a str,
    pub standing: &'a Standing,
    pub verdict: Verdict,
    pub engine: &'a EngineHealth,
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
    format!("{registered}, engine {}{}{hosting}{trouble}", known.engine, doubt(known))
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
    use crate::model::EngineInfo;

    fn healthy() -> EngineHealth {
        EngineHealth::Healthy(EngineInfo { id: String::new(), version: "20.10.24".into(), containers_running: 3 })
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
