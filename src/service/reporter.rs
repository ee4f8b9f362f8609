//! Everything that is known of the node, at one moment: for the local API and for metrics.

use super::beat::Beats;
use super::clock::Clock;
use super::watchdog::STALE_AFTER;
use super::{Outlook, TICK};
use crate::model::moment::utc;
use crate::model::report::{
    AgentReport, ConfigurationReport, DrainReport, EmbeddedReport, EngineReport, ErrorReport, LeaseReport, NodeReport,
    RefusalReport, RegistrationReport, Report, RestartReport, SCHEMA, Stamp, SupervisionReport, SystemdReport,
    WatchdogReport,
};
use crate::model::{
    AddressState, Doing, Drain, EngineHealth, Hosting, Moment, Reach, Readers, Reading, RegistrationStatus, Standing,
    Supervised, Tenure, UnitView,
};
use crate::policy::overall::{self, Facts};
use crate::policy::summary::{Known, summary};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::sleep;

/// What the settings say, as far as it is repeated in a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// The discovery service, without its secrets.
    pub server: String,
    pub advertise: String,
    pub heartbeat: Duration,
    pub ttl: Duration,
    pub unit: String,
    pub readers: Readers,
}

/// Only looks. Each of those who ask has one.
#[derive(Clone)]
pub struct Reporter {
    pub outlook: watch::Receiver<Outlook>,
    pub supervised: watch::Receiver<Supervised>,
    pub units: watch::Receiver<UnitView>,
    pub address: watch::Receiver<AddressState>,
    pub reach: watch::Receiver<Option<Reach>>,
    pub standing: watch::Receiver<Standing>,
    pub tenure: watch::Receiver<Tenure>,
    pub hosting: watch::Receiver<Hosting>,
    pub drain: watch::Receiver<Option<Drain>>,
    pub reading: watch::Receiver<Reading>,
    pub configured: watch::Receiver<Configured>,
    pub beats: Beats,
    /// The clock of leases, which the registrar's moments are of.
    pub clock: Clock,
    pub started: SystemTime,
    pub watchdog_timeout: Option<Duration>,
}

/// One moment by both clocks.
#[derive(Clone, Copy)]
struct Now {
    moment: Moment,
    date: SystemTime,
}

impl Now {
    fn stamp(self, moment: Moment) -> Stamp {
        let ago = self.moment.since(moment);
        let at = self.date.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH);
        Stamp { at: utc(at).to_string(), seconds_ago: ago.as_secs_f64() }
    }

    fn stamp_of_date(self, date: SystemTime) -> Stamp {
        let ago = self.date.duration_since(date).unwrap_or_default();
        Stamp { at: utc(date).to_string(), seconds_ago: ago.as_secs_f64() }
    }
}

impl Reporter {
    /// What holds now is no news for [`changed`](Self::changed).
    pub fn mark_seen(&mut self) {
        self.outlook.mark_unchanged();
        self.supervised.mark_unchanged();
        self.units.mark_unchanged();
        self.address.mark_unchanged();
        self.reach.mark_unchanged();
        self.standing.mark_unchanged();
        self.tenure.mark_unchanged();
        self.hosting.mark_unchanged();
        self.drain.mark_unchanged();
        self.reading.mark_unchanged();
        self.configured.mark_unchanged();
    }

    /// Returns when something is other than it was when this returned last, or after `patience`.
    pub async fn changed(&mut self, patience: Duration) {
        // Cancel-safe: `changed` marks nothing seen until it returns, and a sleep holds no state. A sender that is gone
        // leaves the last value, and the others.
        tokio::select! {
            Ok(()) = self.outlook.changed() => {}
            Ok(()) = self.supervised.changed() => {}
            Ok(()) = self.units.changed() => {}
            Ok(()) = self.address.changed() => {}
            Ok(()) = self.reach.changed() => {}
            Ok(()) = self.standing.changed() => {}
            Ok(()) = self.tenure.changed() => {}
            Ok(()) = self.hosting.changed() => {}
            Ok(()) = self.drain.changed() => {}
            Ok(()) = self.reading.changed() => {}
            Ok(()) = self.configured.changed() => {}
            () = sleep(patience) => {}
        }
        // whoever asks looks at all of it next
        self.mark_seen();
    }

    pub fn readers(&self) -> Readers {
        self.configured.borrow().readers
    }

    /// The tasks that are stuck; what systemd's watchdog is told of.
    pub fn stuck(&self) -> Vec<&'static str> {
        self.beats.stale(STALE_AFTER)
    }

    pub fn report(&self) -> Report {
        let now = Now { moment: self.clock.now(), date: self.clock.date() };
        let (drain, stuck) = (self.drain.borrow().clone(), self.stuck());
        let (state, problems) = overall::judge(&Facts {
            standing: &self.standing.borrow(),
            engine: &self.outlook.borrow().health,
            unit: &self.units.borrow(),
            supervised: &self.supervised.borrow(),
            reach: self.reach.borrow().as_ref(),
            hosting: &self.hosting.borrow(),
            drain: drain.as_ref(),
            configuration: &self.reading.borrow(),
            stuck: &stuck,
        });
        Report {
            schema: SCHEMA,
            state,
            summary: self.summary(),
            problems,
            agent: AgentReport {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: std::process::id(),
                started: now.stamp(Moment::default()),
            },
            node: self.node(),
            registration: self.registration(now),
            engine: self.engine(),
            supervision: self.supervision(now),
            systemd: self.systemd(stuck),
            drain: drain.map(|drain| drain_report(&drain, now)),
            embedded_server: embedded(&self.hosting.borrow()),
            configuration: self.configuration(now),
        }
    }

    fn summary(&self) -> String {
        let outlook = self.outlook.borrow();
        summary(&Known {
            server: &self.configured.borrow().server,
            standing: &self.standing.borrow(),
            verdict: outlook.verdict,
            engine: &outlook.health,
            supervised: &self.supervised.borrow(),
            reach: self.reach.borrow().as_ref(),
            hosting: &self.hosting.borrow(),
            configuration: &self.reading.borrow(),
        })
    }

    fn node(&self) -> NodeReport {
        let (address, reach) = (self.address.borrow(), self.reach.borrow());
        let resolved = address.resolved();
        // what was found at a former address says nothing of this one
        let finding = reach.as_ref().filter(|reach| Some(&reach.address) == resolved).map(|reach| &reach.finding);
        NodeReport {
            hostname: hostname(),
            advertise: self.configured.borrow().advertise.clone(),
            address: resolved.map(ToString::to_string),
            why: resolved.is_none().then(|| address.to_string()),
            reach: finding.map(|finding| finding.name().to_owned()),
            reach_text: finding.map(ToString::to_string),
        }
    }

    fn registration(&self, now: Now) -> RegistrationReport {
        let (standing, tenure, configured) = (self.standing.borrow(), self.tenure.borrow(), self.configured.borrow());
        let text = |address: &Option<crate::model::NodeAddress>| address.as_ref().map(ToString::to_string);
        let at_risk = matches!(standing.status, RegistrationStatus::Unconfirmed { at_risk: true, .. });
        let lease = |renewed: Moment| LeaseReport {
            renewed: now.stamp(renewed),
            left_seconds: (renewed + configured.ttl).since(now.moment).as_secs_f64(),
            at_risk,
        };
        let last_error = tenure.last_error.as_ref();
        RegistrationReport {
            state: standing.status.name().to_owned(),
            registered: standing.status.registered(),
            server: configured.server.clone(),
            address: text(&standing.address),
            replaces: text(&standing.replaces),
            why: standing.why.clone(),
            since: tenure.since.map(|since| now.stamp(since)),
            lease: tenure.renewed.map(lease),
            heartbeat_seconds: configured.heartbeat.as_secs_f64(),
            ttl_seconds: configured.ttl.as_secs_f64(),
            next_in_seconds: tenure.next.map(|next| next.since(now.moment).as_secs_f64()),
            last_error: last_error.map(|error| ErrorReport { when: now.stamp(error.at), text: error.text.clone() }),
        }
    }

    fn engine(&self) -> EngineReport {
        let health = &self.outlook.borrow().health;
        let info = if let EngineHealth::Healthy(info) = health { Some(info) } else { None };
        EngineReport {
            unit: self.configured.borrow().unit.clone(),
            state: health.name().to_owned(),
            text: health.to_string(),
            version: info.map(|info| info.version.clone()),
            id: info.map(|info| info.id.clone()),
            containers_running: info.map(|info| info.containers_running),
        }
    }

    fn supervision(&self, now: Now) -> SupervisionReport {
        let supervised = self.supervised.borrow();
        let refused = supervised.refused.as_ref();
        let (used, budget) = supervised.restarts;
        SupervisionReport {
            mode: supervised.mode.name().to_owned(),
            condition: supervised.condition.name().to_owned(),
            text: supervised.condition.to_string(),
            detail: supervised.detail.clone(),
            restarting: matches!(supervised.doing, Doing::Restarting(_)),
            refused: refused.map(|(guard, why)| RefusalReport { guard: guard.name().to_owned(), text: why.clone() }),
            restarts_in_window: used,
            restarts_budget: budget,
            last_restart: supervised.last.as_ref().map(|last| RestartReport {
                when: now.stamp(last.at),
                condition: last.repair.condition.name().to_owned(),
                recovered: last.works,
                outcome: last.outcome.clone(),
            }),
        }
    }

    fn systemd(&self, stuck: Vec<&'static str>) -> SystemdReport {
        let units = self.units.borrow();
        let (state, why) = match &*units {
            UnitView::Known(state) => (Some(state), None),
            UnitView::Unknown(why) => (None, Some(why.clone())),
        };
        let job = state.and_then(|state| state.job);
        SystemdReport {
            connected: why.is_none(),
            why,
            unit_state: state.map(|state| format!("{} ({})", state.active, state.sub)),
            unit_job: job.map(|job| job.kind.to_string()),
            watchdog: WatchdogReport {
                timeout_seconds: self.watchdog_timeout.map(|timeout| timeout.as_secs_f64()),
                margin_seconds: self.watchdog_margin().as_secs_f64(),
                stuck: stuck.into_iter().map(str::to_owned).collect(),
            },
        }
    }

    /// Until the task that turned longest ago counts as stuck.
    pub fn watchdog_margin(&self) -> Duration {
        STALE_AFTER.saturating_sub(self.beats.longest())
    }

    fn configuration(&self, now: Now) -> ConfigurationReport {
        let reading = self.reading.borrow();
        ConfigurationReport {
            loaded: now.stamp_of_date(reading.loaded),
            errors: reading.errors.iter().map(|error| error.text.clone()).collect(),
            at_restart: reading.at_restart.clone(),
        }
    }

    pub fn drain_report(&self, drain: &Drain) -> DrainReport {
        drain_report(drain, Now { moment: self.clock.now(), date: self.clock.date() })
    }
}

fn drain_report(drain: &Drain, now: Now) -> DrainReport {
    DrainReport {
        since: now.stamp_of_date(drain.since),
        until: drain.until.map(|until| utc(until).to_string()),
        reason: drain.reason.clone(),
        by: drain.by.clone(),
    }
}

fn embedded(hosting: &Hosting) -> Option<EmbeddedReport> {
    let serving = match hosting {
        Hosting::Elsewhere => return None,
        Hosting::Serving { .. } => true,
        Hosting::Starting | Hosting::Failed(_) => false,
    };
    Some(EmbeddedReport { serving, text: hosting.to_string() })
}

/// Asked each time: somebody may change it.
pub(super) fn hostname() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

const _: () = assert!(TICK.as_secs() < STALE_AFTER.as_secs());
