//! `STATUS=`: one true line at each transition; and in the journal, where transitions were held back.

use super::Outlook;
use super::beat::Beat;
use crate::model::{Hosting, Reach, Reading, Standing, Supervised};
use crate::policy::summary::{Known, summary};
use crate::systemd::notify::{Message, Notifier};
use crate::telemetry::Restraint;
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub struct Status {
    pub notifier: Arc<dyn Notifier>,
    pub server: String,
    pub outlook: watch::Receiver<Outlook>,
    pub supervised: watch::Receiver<Supervised>,
    pub standing: watch::Receiver<Standing>,
    pub reach: watch::Receiver<Option<Reach>>,
    pub hosting: watch::Receiver<Hosting>,
    pub reading: watch::Receiver<Reading>,
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
                said = line;
            }
            self.restraint.tell(&said);
            // Cancel-safe: `changed` marks nothing seen until it returns. A writer that ended is reported by
            // whoever owns its task.
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = self.outlook.changed() => {}
                Ok(()) = self.supervised.changed() => {}
                Ok(()) = self.standing.changed() => {}
                Ok(()) = self.reach.changed() => {}
                Ok(()) = self.hosting.changed() => {}
                Ok(()) = self.reading.changed() => {}
                () = self.beat.rest() => {}
            }
        }
    }

    fn line(&mut self) -> String {
        let outlook = self.outlook.borrow_and_update();
        summary(&Known {
            server: &self.server,
            standing: &self.standing.borrow_and_update(),
            verdict: outlook.verdict,
            engine: &outlook.health,
            supervised: &self.supervised.borrow_and_update(),
            reach: self.reach.borrow_and_update().as_ref(),
            hosting: &self.hosting.borrow_and_update(),
            configuration: &self.reading.borrow_and_update(),
        })
    }
}
