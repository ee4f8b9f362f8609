//! What an operator's command asks of systemd: one attempt each, within a time limit, with typed errors.

use super::calls::{Listed, MANAGER, MANAGER_PATH, PROPERTIES, Properties, SYSTEMD, UNIT, call, job_kind, load};
use super::fault::ManagerError;
use crate::model::{Job, JobResult, LoadState, UnitLimits, UnitReport, UnitRun, UnitState};
use futures_util::StreamExt;
use std::time::Duration;
use tokio::time::timeout;
use zbus::{Connection, MatchRule, MessageStream, ObjectPath, OwnedObjectPath, connection, message};

const SERVICE: &str = "org.freedesktop.systemd1.Service";
const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
const POLKIT: &str = "org.freedesktop.PolicyKit1";
const POLKIT_UNIT: &str = "polkit.service";

/// Bounds connecting, and each call. polkit may have to be started before systemd can answer.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// One connection to systemd's manager over the system bus.
pub struct Manager {
    connection: Connection,
}

/// What stands between an operator and systemd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plumbing {
    /// The unit behind the system bus: `dbus.service`, or `dbus-broker.service`.
    pub bus: String,
    /// Whether polkit runs, or is there to be started when it is needed. Without it only root may do things.
    pub polkit: bool,
}

impl Manager {
    pub async fn connect() -> Result<Self, ManagerError> {
        let connecting = connection::Builder::system().method_timeout(TIMEOUT).build();
        match timeout(TIMEOUT, connecting).await {
            Ok(Ok(connection)) => Ok(Self { connection }),
            Ok(Err(error)) => Err(ManagerError::Unreachable(error.to_string())),
            Err(_) => Err(ManagerError::NoAnswer(TIMEOUT)),
        }
    }

    /// All about a service, also about one that is masked or unknown.
    pub async fn report(&self, unit: &str) -> Result<UnitReport, ManagerError> {
        loop {
            let looked = self.try_report(unit).await.map_err(|error| ManagerError::of(error, unit))?;
            if let Some(report) = looked {
                return Ok(report);
            }
        }
    }

    /// The names of running units that match a shell pattern.
    pub async fn running(&self, pattern: &str) -> Result<Vec<String>, ManagerError> {
        let wanted = (&["running"][..], &[pattern][..]);
        let listed = async {
            let reply = call(&self.connection, MANAGER_PATH, (MANAGER, "ListUnitsByPatterns"), &wanted).await?;
            reply.body().deserialize::<Vec<Listed>>()
        };
        let units = listed.await.map_err(|error| ManagerError::of(error, pattern))?;
        Ok(units.into_iter().map(|unit| unit.0).collect())
    }

    /// Clears `failed`, and the counter of starts that systemd's start limit goes by.
    pub async fn reset_failed(&self, unit: &str) -> Result<(), ManagerError> {
        match call(&self.connection, MANAGER_PATH, (MANAGER, "ResetFailedUnit"), &(unit,)).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.refused(error, unit).await),
        }
    }

    /// Queues a restart. The job's end can't be missed: it is listened for before the job exists.
    pub async fn restart(&self, unit: &str) -> Result<UnitJob, ManagerError> {
        self.queue("RestartUnit", unit).await
    }

    /// Queues a start; the same.
    pub async fn start(&self, unit: &str) -> Result<UnitJob, ManagerError> {
        self.queue("StartUnit", unit).await
    }

    /// Queues a reload of the service's own configuration; the same.
    pub async fn reload(&self, unit: &str) -> Result<UnitJob, ManagerError> {
        self.queue("ReloadUnit", unit).await
    }

    async fn queue(&self, method: &str, unit: &str) -> Result<UnitJob, ManagerError> {
        match self.try_queue(method, unit).await {
            Ok(job) => Ok(job),
            Err(error) => Err(self.refused(error, unit).await),
        }
    }

    pub async fn plumbing(&self) -> Result<Plumbing, ManagerError> {
        // an alias stands for the bus that is installed
        let bus = self.report("dbus.service").await?.name;
        Ok(Plumbing { bus, polkit: self.polkit_may_run().await })
    }

    /// Nothing if a job ended between our questions, and so did the state that it led from.
    async fn try_report(&self, unit: &str) -> zbus::Result<Option<UnitReport>> {
        let path = load(&self.connection, unit).await?;
        let of_unit = call(&self.connection, &path, (PROPERTIES, "GetAll"), &(UNIT,)).await?;
        let of_service = call(&self.connection, &path, (PROPERTIES, "GetAll"), &(SERVICE,)).await;
        let (unit_body, service_body) = (of_unit.body(), of_service.as_ref().map(|reply| reply.body()));
        let mut unit = Properties(unit_body.deserialize()?);
        // a socket unit has no service's properties
        let mut service = Properties(match &service_body {
            Ok(body) => body.deserialize()?,
            Err(_) => Default::default(),
        });
        let job = match unit.job() {
            Some((id, path)) => match job_kind(&self.connection, &path).await? {
                Some(kind) => Some(Job { id, kind }),
                None => return Ok(None),
            },
            None => None,
        };
        Ok(Some(report(&mut unit, &mut service, job)))
    }

    async fn try_queue(&self, method: &str, unit: &str) -> zbus::Result<UnitJob> {
        let rule = MatchRule::builder()
            .msg_type(message::Type::Signal)
            .sender(SYSTEMD)
            .path(MANAGER_PATH)
            .interface(MANAGER)
            .member("JobRemoved")
            .arg(2, unit)
            .build()?;
        let removals = MessageStream::for_match_rule(rule, &self.connection, None).await?;
        call(&self.connection, MANAGER_PATH, (MANAGER, "Subscribe"), &()).await?;
        let reply = call(&self.connection, MANAGER_PATH, (MANAGER, method), &(unit, "replace")).await?;
        Ok(UnitJob { unit: unit.to_owned(), path: reply.body().deserialize()?, removals })
    }

    /// systemd has just asked polkit, which would have started it: one that does not run now can't be started. What kept
    /// polkit from starting arrives here as the answer, as if it were about our unit.
    async fn refused(&self, error: zbus::Error, unit: &str) -> ManagerError {
        match ManagerError::of(error, unit) {
            ManagerError::Denied { .. } => ManagerError::Denied { polkit: self.polkit_runs().await },
            other if other.is_plumbing() || nix::unistd::geteuid().is_root() => other,
            _ if !self.polkit_may_run().await => ManagerError::Denied { polkit: false },
            other => other,
        }
    }

    async fn polkit_may_run(&self) -> bool {
        let unit = self.report(POLKIT_UNIT).await;
        self.polkit_runs().await || unit.is_ok_and(|unit| unit.state.load == LoadState::Loaded)
    }

    async fn polkit_runs(&self) -> bool {
        let asked = self.connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "NameHasOwner", &(POLKIT,)).await;
        asked.and_then(|reply| reply.body().deserialize()).unwrap_or(false)
    }
}

/// A start or a restart that systemd has taken on.
pub struct UnitJob {
    unit: String,
    path: OwnedObjectPath,
    removals: MessageStream,
}

impl UnitJob {
    /// How it ended, or nothing if it is still under way after this time. No end is missed between two calls.
    pub async fn result(&mut self, patience: Duration) -> Result<Option<JobResult>, ManagerError> {
        timeout(patience, self.next_result()).await.map_or(Ok(None), |ended| ended.map(Some))
    }

    async fn next_result(&mut self) -> Result<JobResult, ManagerError> {
        loop {
            let message = match self.removals.next().await {
                Some(message) => message.map_err(|error| ManagerError::of(error, &self.unit))?,
                None => return Err(ManagerError::Lost("closed by the bus".to_owned())),
            };
            let body = message.body();
            let (_id, path, _unit, result): (u32, ObjectPath<'_>, &str, &str) =
                body.deserialize().map_err(|error| ManagerError::of(error, &self.unit))?;
            if *self.path == *path {
                return Ok(JobResult::from(result));
            }
        }
    }
}

fn report(unit: &mut Properties<'_>, service: &mut Properties<'_>, job: Option<Job>) -> UnitReport {
    UnitReport {
        name: unit.text("Id").to_owned(),
        description: unit.text("Description").to_owned(),
        state: UnitState {
            load: LoadState::from(unit.text("LoadState")),
            active: unit.text("ActiveState").into(),
            sub: unit.text("SubState").to_owned(),
            job,
        },
        load_word: unit.text("LoadState").to_owned(),
        active_word: unit.text("ActiveState").to_owned(),
        since: unit.span("StateChangeTimestamp"),
        file_state: unit.text("UnitFileState").to_owned(),
        result: service.text("Result").to_owned(),
        status_text: service.text("StatusText").to_owned(),
        main_pid: u32::try_from(service.number("MainPID")).ok().filter(|pid| *pid != 0),
        restarts: u32::try_from(service.number("NRestarts")).unwrap_or(u32::MAX),
        drop_ins: unit.texts("DropInPaths"),
        needs_daemon_reload: unit.flag("NeedDaemonReload"),
        limits: UnitLimits {
            start_burst: u32::try_from(unit.number("StartLimitBurst")).unwrap_or(u32::MAX),
            start_interval: unit.span("StartLimitIntervalUSec"),
            watchdog: service.span("WatchdogUSec"),
            start: service.span("TimeoutStartUSec"),
            stop: service.span("TimeoutStopUSec"),
        },
        environment: service.texts("Environment"),
        cpu_affinity: service.bytes("CPUAffinity"),
        invocation: unit.bytes("InvocationID"),
        triggered_by: unit.texts("TriggeredBy"),
        run: UnitRun {
            inactive_exit: unit.number("InactiveExitTimestampMonotonic"),
            main_start: service.number("ExecMainStartTimestampMonotonic"),
            main_exit: service.number("ExecMainExitTimestampMonotonic"),
            active_enter: unit.number("ActiveEnterTimestampMonotonic"),
            active_exit: unit.number("ActiveExitTimestampMonotonic"),
            restart: service.text("Restart").to_owned(),
        },
    }
}
