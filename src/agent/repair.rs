//! From settings to the repairer.

use super::board::Board;
use crate::config::settings::AgentSettings;
use crate::model::{Attempt, Moment};
use crate::service::clock::uptime;
use crate::service::repairer::{Host, Repairer, ResetOrder, Tools};
use crate::state::{Here, IncidentFolder, Memory, SupervisionFile};
use crate::systemd::UnitSource;
use crate::telemetry::{Event, emit};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// What a reload may change.
pub fn tools(settings: &AgentSettings, units: &Arc<dyn UnitSource>) -> Tools {
    let (unit, containerd) = (settings.engine.unit.clone(), settings.containerd_unit.clone());
    let socket = settings.engine.socket.clone();
    let host = Host {
        units: Arc::clone(units),
        engine: unit.clone(),
        containerd: containerd.clone(),
        socket,
        state_directory: settings.state_directory.clone(),
    };
    Tools { hands: Arc::new(host), settings: settings.supervision, unit, containerd }
}

pub fn repairer(
    settings: &AgentSettings,
    tools: watch::Receiver<Tools>,
    orders: mpsc::Receiver<ResetOrder>,
    board: &Board,
) -> Repairer {
    let booted = uptime().saturating_sub(board.clock.now().since_origin());
    let boot = board.host.as_ref().map(|host| host.boot.clone()).unwrap_or_default();
    let record = SupervisionFile::new(&settings.state_directory);
    let here = Here { boot: boot.clone(), uptime: uptime(), date: board.clock.date() };
    let memory = record.load(&here).unwrap_or_else(|error| {
        let cause = format!("{}; all restarts of the engine count as used up", error.cause);
        emit(&Event::StateTrouble { path: &error.path.display().to_string(), error: &cause });
        // what is not known may have been the whole budget, just now
        let used = Attempt { at: Moment::after_origin(here.uptime), dry: false };
        Memory { attempts: vec![used; settings.supervision.budget], engine: None }
    });
    Repairer {
        tools,
        units: board.units.subscribe(),
        outlook: board.outlook.subscribe(),
        orders,
        record: Arc::new(record),
        incidents: Arc::new(IncidentFolder::new(&settings.state_directory)),
        memory,
        supervised: board.supervised.clone(),
        metrics: Arc::clone(&board.metrics),
        boot,
        booted,
        beat: board.beats.add("repairer"),
        clock: board.clock,
    }
}
