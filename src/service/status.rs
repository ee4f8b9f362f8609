//! `STATUS=`: one true line at each transition.

use super::beat::Beat;
use super::{Outlook, TICK};
use crate::model::RegistrationStatus;
use crate::systemd::notify::{Message, Notifier};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub struct Status {
    pub notifier: Arc<dyn Notifier>,
    pub address: String,
    pub server: String,
    pub outlook: watch::Receiver<Outlook>,
    pub registration: watch::Receiver<RegistrationStatus>,
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
                said = line;
            }
            // Cancel-safe: `changed` marks nothing seen until it returns. A writer that ended is reported by
            // whoever owns its task.
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = self.outlook.changed() => {}
                Ok(()) = self.registration.changed() => {}
                () = sleep(TICK) => {}
            }
        }
    }

    fn line(&mut self) -> String {
        let outlook = self.outlook.borrow_and_update();
        let registration = self.registration.borrow_and_update();
        line(&self.address, &self.server, &registration, &outlook)
    }
}

fn line(address: &str, server: &str, registration: &RegistrationStatus, outlook: &Outlook) -> String {
    let registered = match registration {
        RegistrationStatus::Absent => "not registered".to_owned(),
        RegistrationStatus::Resumed => format!("registered {address} before, to be renewed"),
        RegistrationStatus::Joining { error: None } => format!("registering {address} at {server}"),
        RegistrationStatus::Joining { error: Some(error) } => format!("not registered: {error}"),
        RegistrationStatus::Present => format!("registered {address} at {server}"),
        RegistrationStatus::Unconfirmed { error, at_risk: false } => {
            format!("registered {address}, last beat failed: {error}")
        }
        RegistrationStatus::Unconfirmed { error, at_risk: true } => {
            format!("registered {address}, lease at risk: {error}")
        }
        RegistrationStatus::Leaving { error: None } => format!("deregistering {address} at {server}"),
        RegistrationStatus::Leaving { error: Some(error) } => format!("{address} can't be taken out: {error}"),
    };
    format!("{registered}, engine {}", outlook.health)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EngineHealth, EngineInfo};
    use crate::policy::gate::Verdict;

    #[test]
    fn reads_like_a_sentence() {
        let info = EngineInfo { id: String::new(), version: "20.10.24".into(), containers_running: 3 };
        let healthy = Outlook { verdict: Verdict::Open, health: EngineHealth::Healthy(info) };
        let say = |registration, outlook: &Outlook| line("10.0.0.5:2375", "http://disco:8970", &registration, outlook);
        assert_eq!(
            say(RegistrationStatus::Present, &healthy),
            "registered 10.0.0.5:2375 at http://disco:8970, engine 20.10.24 healthy, 3 containers"
        );
        let error = "no connection to http://disco:8970: connection refused".to_owned();
        assert_eq!(
            say(RegistrationStatus::Joining { error: Some(error) }, &healthy),
            "not registered: no connection to http://disco:8970: connection refused, engine 20.10.24 healthy, 3 containers"
        );
        assert_eq!(say(RegistrationStatus::Absent, &Outlook::undecided()), "not registered, engine not looked at yet");
    }
}
