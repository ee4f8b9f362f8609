//! The channels between the tasks, for as long as the agent runs: tasks come and go with reloads.

use crate::model::{
    AddressState, Drain, HostIdentity, Hosting, Reach, Reading, Standing, Supervised, Tenure, UnitView,
};
use crate::service::Outlook;
use crate::service::beat::Beats;
use crate::service::clock::Clock;
use crate::service::identity::Identified;
use crate::service::registrar::Farewell;
use crate::service::reporter::{Configured, Reporter};
use crate::telemetry::metrics::Metrics;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::Instant;

/// Each has one writer at a time: the task that it is handed to. The root itself writes `farewell`, `reading` and `configured`, and what
/// a task that is no longer wanted had to say.
pub struct Board {
    pub units: watch::Sender<UnitView>,
    pub outlook: watch::Sender<Outlook>,
    pub supervised: watch::Sender<Supervised>,
    pub address: watch::Sender<AddressState>,
    pub reach: watch::Sender<Option<Reach>>,
    pub standing: watch::Sender<Standing>,
    pub tenure: watch::Sender<Tenure>,
    pub hosting: watch::Sender<Hosting>,
    pub drain: watch::Sender<Option<Drain>>,
    pub identified: watch::Sender<Identified>,
    pub reading: watch::Sender<Reading>,
    pub configured: watch::Sender<Configured>,
    /// What the registrar does with the entry at the end.
    pub farewell: watch::Sender<Farewell>,
    pub metrics: Arc<Metrics>,
    /// None if the machine has no id.
    pub host: Option<HostIdentity>,
    pub beats: Beats,
    pub clock: Clock,
    /// The date of the start: whoever compares two scrapes sees by it whether the agent was restarted.
    pub started: SystemTime,
}

impl Board {
    /// `began` is when the runtime did.
    pub fn new(configured: Configured, began: Instant) -> Self {
        let clock = Clock::of_leases_since(began);
        Self {
            units: watch::Sender::new(unasked()),
            outlook: watch::Sender::new(Outlook::undecided()),
            supervised: watch::Sender::new(Supervised::nothing()),
            address: watch::Sender::new(AddressState::Unknown),
            reach: watch::Sender::new(None),
            standing: watch::Sender::new(Standing::none()),
            tenure: watch::Sender::new(Tenure::default()),
            hosting: watch::Sender::new(Hosting::Elsewhere),
            drain: watch::Sender::new(None),
            identified: watch::Sender::new(Identified::nobody()),
            reading: watch::Sender::new(Reading::valid(clock.date())),
            configured: watch::Sender::new(configured),
            farewell: watch::Sender::new(Farewell::Keep),
            metrics: Arc::default(),
            host: identity(),
            beats: Beats::new(clock.awake()),
            started: clock.date(),
            clock,
        }
    }

    pub fn reporter(&self, watchdog_timeout: Option<Duration>) -> Reporter {
        Reporter {
            outlook: self.outlook.subscribe(),
            supervised: self.supervised.subscribe(),
            units: self.units.subscribe(),
            address: self.address.subscribe(),
            reach: self.reach.subscribe(),
            standing: self.standing.subscribe(),
            tenure: self.tenure.subscribe(),
            hosting: self.hosting.subscribe(),
            drain: self.drain.subscribe(),
            reading: self.reading.subscribe(),
            configured: self.configured.subscribe(),
            beats: self.beats.clone(),
            clock: self.clock,
            started: self.started,
            watchdog_timeout,
        }
    }
}

fn identity() -> Option<HostIdentity> {
    let identity = crate::host::identity();
    if let Err(error) = &identity {
        tracing::debug!(%error, "nobody can tell whether this node is the only one of its kind");
    }
    identity.ok()
}

/// The engine's unit before it was looked at.
pub fn unasked() -> UnitView {
    UnitView::Unknown("systemd was not asked yet".to_owned())
}
