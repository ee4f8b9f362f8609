//! What the repairer looks at and does on this machine.

use crate::engine::{Inspector, shims};
use crate::model::{ActiveState, Condition, Culprit, JobResult, LoadState, Sighting, UnitReport, UnitState, UnitView};
use crate::policy::condition::{diagnose_unit, was_stopped};
use crate::policy::gate::may_connect;
use crate::policy::pressure::{Pressure, starvation};
use crate::service::engine_restart::{Order, Recovery, RestartFault, restart};
use crate::state::{Leaf, copied_evidence};
use crate::systemd::UnitSource;
use crate::systemd::manager::Manager;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long one question to the engine may take.
const ASK: Duration = Duration::from_secs(5);
/// Beside what the unit may take to stop and to start.
const SLACK: Duration = Duration::from_secs(60);
const SHORTEST_LIMIT: Duration = Duration::from_secs(300);
const LONGEST_LIMIT: Duration = Duration::from_secs(3600);
const PROC: &str = "/proc";

/// What stands around the engine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Surroundings {
    /// containerd's unit, where there is one.
    pub runtime: Option<UnitState>,
    /// containerd's unit is failed because somebody stopped it.
    pub runtime_stopped: bool,
    /// The engine's unit is failed because somebody stopped it.
    pub stopped: bool,
    /// What the machine is short of.
    pub starved: Option<String>,
}

#[async_trait::async_trait]
pub trait Hands: Send + Sync {
    async fn surroundings(&self) -> Surroundings;

    /// The containers, without the engine's help.
    async fn containers(&self) -> Sighting;

    /// What there is to be seen of an engine in this condition, in files.
    async fn evidence(&self, seen: Condition) -> Vec<Leaf>;

    /// Restarts the unit of the culprit if it is still as it was `seen`, and proves that the engine works.
    async fn restart(&self, culprit: Culprit, seen: Condition) -> Result<Recovery, RestartFault>;
}

/// This machine.
pub struct Host {
    pub units: Arc<dyn UnitSource>,
    pub engine: String,
    pub containerd: String,
    pub socket: PathBuf,
    pub state_directory: PathBuf,
}

/// Copies what the units logged; we may not read the journal ourselves.
const EVIDENCE_UNIT: &str = "swarm-agent-evidence.service";
const EVIDENCE_LIMIT: Duration = Duration::from_secs(10);

#[async_trait::async_trait]
impl Hands for Host {
    async fn surroundings(&self) -> Surroundings {
        let runtime = self.look_at(&self.containerd).await.filter(|unit| unit.load != LoadState::NotFound);
        let engine = self.look_at(&self.engine).await;
        let runtime_stopped = self.was_stopped(&self.containerd, runtime.as_ref()).await;
        let stopped = self.was_stopped(&self.engine, engine.as_ref()).await;
        Surroundings { runtime, runtime_stopped, stopped, starved: starvation(&pressure()) }
    }

    async fn containers(&self) -> Sighting {
        let scopes = match Manager::connect().await {
            Ok(manager) => manager.running("docker-*.scope").await.ok(),
            Err(_) => None,
        };
        let ids = |scopes: Vec<String>| scopes.iter().filter_map(|scope| shims::of_scope(scope)).collect();
        let shims = tokio::task::spawn_blocking(|| shims::visible(Path::new(PROC))).await.ok().flatten();
        Sighting { scopes: scopes.map(ids), shims }
    }

    async fn evidence(&self, seen: Condition) -> Vec<Leaf> {
        let mut files = vec![("pressure.txt", told(&pressure()))];
        match Manager::connect().await {
            Ok(manager) => {
                let mut units = String::new();
                for name in [&self.engine, &self.containerd] {
                    let report = manager.report(name).await;
                    units += &report.map_or_else(|error| format!("{name}: {error}\n\n"), |report| properties(&report));
                }
                files.push(("units.txt", units));
                files.extend(self.logs(&manager).await);
                let engine = manager.report(&self.engine).await;
                // a connection that is not accepted would start an engine that somebody stops now
                if seen != Condition::Hung && engine.is_ok_and(|engine| may_connect(&engine.state)) {
                    files.push(("info.json", self.info().await));
                }
            }
            Err(error) => files.push(("units.txt", format!("{error}\n"))),
        }
        files
    }

    async fn restart(&self, culprit: Culprit, seen: Condition) -> Result<Recovery, RestartFault> {
        let unit = match culprit {
            Culprit::Engine => &self.engine,
            Culprit::Runtime => &self.containerd,
        };
        let manager = Manager::connect().await?;
        let engine = manager.report(&self.engine).await?;
        // somebody may have been quicker
        if was_stopped(&engine)
            || !diagnose_unit(&engine.state).is_none_or(|now| now == seen)
            || seen.is_up() != is_active(&engine)
        {
            return Err(RestartFault::Overtaken(engine.name, engine.active_word));
        }
        let before = if culprit == Culprit::Engine { engine } else { manager.report(unit).await? };
        if before.state.active == ActiveState::Inactive || was_stopped(&before) {
            return Err(RestartFault::Overtaken(before.name, "stopped".to_owned()));
        }
        let own = before.limits.stop.unwrap_or_default() + before.limits.start.unwrap_or_default() + SLACK;
        let order = Order { engine: self.engine.clone(), before, limit: own.clamp(SHORTEST_LIMIT, LONGEST_LIMIT) };
        let inspector = Inspector::new(self.socket.clone(), ASK);
        restart(manager, &inspector, &order, &mut |progress| tracing::debug!(?progress, "the restart goes on")).await
    }
}

impl Host {
    async fn look_at(&self, unit: &str) -> Option<UnitState> {
        match self.units.look_at(unit).await {
            UnitView::Known(unit) => Some(unit),
            UnitView::Unknown(_) => None,
        }
    }

    /// What can't be told is no failure to mend.
    async fn was_stopped(&self, unit: &str, state: Option<&UnitState>) -> bool {
        if state.is_none_or(|state| state.active != ActiveState::Failed) {
            return false;
        }
        match Manager::connect().await {
            Ok(manager) => manager.report(unit).await.is_ok_and(|report| was_stopped(&report)),
            Err(_) => true,
        }
    }

    async fn logs(&self, manager: &Manager) -> Vec<Leaf> {
        let copied = async { manager.start(EVIDENCE_UNIT).await?.result(EVIDENCE_LIMIT).await };
        let why = match copied.await {
            Ok(Some(JobResult::Done)) => {
                let directory = self.state_directory.clone();
                return tokio::task::spawn_blocking(move || copied_evidence(&directory)).await.unwrap_or_default();
            }
            Ok(Some(result)) => format!("{EVIDENCE_UNIT} ended with {result}"),
            Ok(None) => format!("{EVIDENCE_UNIT} took too long"),
            Err(error) => format!("{EVIDENCE_UNIT}: {error}"),
        };
        vec![("journal.txt", format!("not copied: {why}\n"))]
    }

    async fn info(&self) -> String {
        let answer = match Inspector::new(self.socket.clone(), ASK).prove().await {
            Ok(engine) => json!({
                "id": engine.id,
                "version": engine.version,
                "containers_running": engine.containers_running,
                "live_restore": engine.live_restore,
                "containerd": engine.containerd,
                "warnings": engine.warnings,
            }),
            Err(fault) => json!({ "error": fault.to_string(), "kind": fault.kind() }),
        };
        format!("{answer:#}\n")
    }
}

fn is_active(report: &UnitReport) -> bool {
    may_connect(&report.state)
}

fn pressure() -> Pressure {
    // the kernel's own files: there is no disk to wait for
    let read = |name: &str| fs::read_to_string(format!("{PROC}/pressure/{name}")).ok();
    Pressure { cpu: read("cpu"), memory: read("memory"), io: read("io") }
}

fn told(pressure: &Pressure) -> String {
    let files = [("cpu", &pressure.cpu), ("memory", &pressure.memory), ("io", &pressure.io)];
    let told =
        files.map(|(name, text)| format!("{name}:\n{}\n", text.as_deref().unwrap_or("this kernel does not tell")));
    told.concat()
}

/// As `systemctl show` would say it, without the environment, which may hold secrets.
fn properties(report: &UnitReport) -> String {
    let state = &report.state;
    let job = state.job.map(|job| job.kind.to_string()).unwrap_or_else(|| "none".to_owned());
    let since = report.since.map_or(0, |since| since.as_secs());
    let invocation: String = report.invocation.iter().map(|byte| format!("{byte:02x}")).collect();
    let fields = [
        ("Id", report.name.clone()),
        ("LoadState", report.load_word.clone()),
        ("ActiveState", report.active_word.clone()),
        ("SubState", state.sub.clone()),
        ("Job", job),
        ("StateChange", format!("@{since}")),
        ("Result", report.result.clone()),
        ("MainPID", report.main_pid.unwrap_or(0).to_string()),
        ("NRestarts", report.restarts.to_string()),
        ("StatusText", report.status_text.clone()),
        ("InvocationID", invocation),
        ("DropInPaths", report.drop_ins.join(" ")),
        ("NeedDaemonReload", report.needs_daemon_reload.to_string()),
    ];
    fields.iter().map(|(name, value)| format!("{name}={value}\n")).collect::<String>() + "\n"
}
