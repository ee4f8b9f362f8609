//! `STATUS=`: one true line at each transition; and in the journal, where transitions were held back.

use super::beat::Beat;
use super::{Outlook, TICK};
use crate::model::{Finding, Hosting, Reach, Reading, RegistrationStatus, Standing};
use crate::policy::gate::Verdict;
use crate::systemd::notify::{Message, Notifier};
use crate::telemetry::Restraint;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub struct Status {
    pub notifier: Arc<dyn Notifier>,
    pub server: String,
    pub outlook: watch::Receiver<Outlook>,
    pub standing: watch::Receiver<Standing>,
    pub reach: watch::Receiver<Option<Reach>>,
    pub hosting: watch::Receiver<Hosting>,
    pub reading: watch::Receiver<Reading>,
    /// For those who want to know what systemd was told.
    pub line: watch::Sender<String>,
    pub restraint: Restraint,
    pub beat: Beat,
}

impl Status {
    pub async fn run(mut self, stop: CancellationToken) {
        let mut said = String::new();
        loop {
            self.beat.tick();
            let line = self.line();
            if line != said {
                self.notifier.notify(&[Message::Status(line.clone())]);
                self.line.send_replace(line.clone());
                said = line;
            }
            self.restraint.tell(&said);
            // Cancel-safe: `changed` marks nothing seen until it returns. A writer that ended is reported by
            // whoever owns its task.
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = self.outlook.changed() => {}
                Ok(()) = self.standing.changed() => {}
                Ok(()) = self.reach.changed() => {}
                Ok(()) = self.hosting.changed() => {}
                Ok(()) = self.reading.changed() => {}
                () = sleep(TICK) => {}
            }
        }
    }

    fn line(&mut self) -> String {
        let outlook = self.outlook.borrow_and_update();
        let (standing, reach) = (self.standing.borrow_and_update(), self.reach.borrow_and_update());
        let doubt = doubt(&standing, &outlook, reach.as_ref());
        let hosting = match &*self.hosting.borrow_and_update() {
            Hosting::Elsewhere => String::new(),
            hosting => format!("; {hosting}"),
        };
        let reading = self.reading.borrow_and_update();
        let trouble = reading.errors.first().map(|error| format!("; configuration not reloaded: {}", error.text));
        let trouble = trouble.unwrap_or_default();
        format!("{}, engine {}{doubt}{hosting}{trouble}", registered(&standing, &self.server), outlook.health)
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
fn doubt(standing: &Standing, outlook: &Outlook, reach: Option<&Reach>) -> String {
    match reach {
        Some(Reach { address, finding })
            if *finding != Finding::Proved
                && outlook.verdict == Verdict::Open
                && standing.why.is_none()
                && standing.address.as_ref() == Some(address) =>
        {
            format!(", {finding}")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EngineHealth, EngineInfo};

    fn healthy() -> Outlook {
        let info = EngineInfo { id: String::new(), version: "20.10.24".into(), containers_running: 3 };
        Outlook { verdict: Verdict::Open, health: EngineHealth::Healthy(info) }
    }

    fn standing(status: RegistrationStatus) -> Standing {
        Standing { address: Some("10.0.0.5:2375".parse().unwrap()), status, ..Standing::none() }
    }

    fn said(standing: Standing, outlook: Outlook, reach: Option<Reach>) -> String {
        let beats = crate::service::beat::Beats::new(crate::service::clock::Clock::of_loops());
        let mut status = Status {
            notifier: Arc::new(crate::systemd::notify::SdNotify),
            server: "http://disco:8970".into(),
            outlook: watch::channel(outlook).1,
            standing: watch::channel(standing).1,
            reach: watch::channel(reach).1,
            hosting: watch::channel(Hosting::Elsewhere).1,
            reading: watch::channel(Reading::default()).1,
            line: watch::channel(String::new()).0,
            restraint: Restraint::default(),
            beat: beats.add("status"),
        };
        status.line()
    }

    #[tokio::test]
    async fn reads_like_a_sentence() {
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
        assert_eq!(said(Standing::none(), Outlook::undecided(), None), "not registered, engine not looked at yet");
    }

    #[tokio::test]
    async fn says_what_is_wrong_with_the_address() {
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
