//! The channels between the tasks, for as long as the agent runs: tasks come and go with reloads.

use crate::model::{AddressState, Hosting, Reach, Standing, UnitView};
use crate::service::Outlook;
use crate::service::beat::Beats;
use crate::service::clock::Clock;
use crate::service::registrar::Farewell;
use tokio::sync::watch;

/// Each has one writer at a time: the task that it is handed to. The root itself writes `farewell` and `trouble`, and what
/// a task that is no longer wanted had to say.
pub struct Board {
    pub units: watch::Sender<UnitView>,
    pub outlook: watch::Sender<Outlook>,
    pub address: watch::Sender<AddressState>,
    pub reach: watch::Sender<Option<Reach>>,
    pub standing: watch::Sender<Standing>,
    pub hosting: watch::Sender<Hosting>,
    /// Why the last reload was rejected, if it was.
    pub trouble: watch::Sender<Option<String>>,
    /// What the registrar does with the entry at the end.
    pub farewell: watch::Sender<Farewell>,
    pub beats: Beats,
    pub clock: Clock,
}

impl Board {
    pub fn new() -> Self {
        Self {
            units: watch::Sender::new(unasked()),
            outlook: watch::Sender::new(Outlook::undecided()),
            address: watch::Sender::new(AddressState::Unknown),
            reach: watch::Sender::new(None),
            standing: watch::Sender::new(Standing::none()),
            hosting: watch::Sender::new(Hosting::Elsewhere),
            trouble: watch::Sender::new(None),
            farewell: watch::Sender::new(Farewell::Keep),
            beats: Beats::new(Clock::of_loops()),
            clock: Clock::of_leases(),
        }
    }
}

/// The engine's unit before it was looked at.
pub fn unasked() -> UnitView {
    UnitView::Unknown("systemd was not asked yet".to_owned())
}
