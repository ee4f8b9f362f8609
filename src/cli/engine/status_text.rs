//! `engine status` for people.

use super::fault;
use super::status::Findings;
use super::status_json::job_word;
use crate::cli::table::{Table, Tone};
use crate::cli::words;
use crate::model::{ActiveState, CpuSet, EngineDetails, UnitReport, masked};
use crate::policy::operator_status::why_not_asked;

pub fn render(found: &Findings) -> Table {
    let mut table = Table::default();
    service(&mut table, &found.unit);
    if let Some(socket) = &found.socket {
        table.title(socket.name.clone());
        state(&mut table, socket);
    }
    engine(&mut table, found);
    if let Some(plumbing) = &found.plumbing {
        table.title("how systemd is asked");
        table.row("bus", plumbing.bus.clone());
        match plumbing.polkit {
            true => table.row("polkit", "there"),
            false => table.toned("polkit", "absent or masked: only root may restart the engine", Tone::Doubt),
        }
    }
    if let Some(note) = &found.note {
        table.toned("note", note.clone(), Tone::Doubt);
    }
    table
}

fn service(table: &mut Table, unit: &UnitReport) {
    table.title(format!("{} - {}", unit.name, unit.description));
    state(table, unit);
    if let Some(job) = unit.state.job {
        table.toned("job", format!("{} (number {})", job_word(job.kind), job.id), Tone::Doubt);
    }
    if !unit.file_state.is_empty() {
        table.row("enabled", unit.file_state.clone());
    }
    if let Some(pid) = unit.main_pid {
        table.row("main PID", pid.to_string());
    }
    table.row("restarts", format!("{} by systemd", unit.restarts));
    let good = unit.result == "success";
    table.toned("last result", unit.result.clone(), if good { Tone::Plain } else { Tone::Bad });
    if !unit.status_text.is_empty() {
        table.row("status", unit.status_text.clone());
    }
    settings(table, unit);
}

fn settings(table: &mut Table, unit: &UnitReport) {
    table.list("drop-ins", unit.drop_ins.iter().cloned(), Tone::Plain);
    if unit.needs_daemon_reload {
        table.toned("unit file", "changed on disk: systemctl daemon-reload", Tone::Doubt);
    }
    table.row("start limit", start_limit(unit));
    table.row("watchdog", unit.limits.watchdog.map_or("none: systemd does not see a hang".into(), words::span));
    table.row("time to stop", unit.limits.stop.map_or("without limit".into(), words::span));
    table.list("environment", unit.environment.iter().map(|entry| masked::assignment(entry)), Tone::Plain);
    let cpus = CpuSet::of_mask(&unit.cpu_affinity);
    table.row("CPU affinity", if cpus.is_empty() { "all CPUs".to_owned() } else { cpus.to_string() });
}

fn start_limit(unit: &UnitReport) -> String {
    match unit.limits.start_interval {
        Some(interval) if unit.limits.start_burst > 0 => {
            format!("{} starts in {}", unit.limits.start_burst, words::span(interval))
        }
        _ => "none".to_owned(),
    }
}

fn state(table: &mut Table, unit: &UnitReport) {
    let tone = match unit.state.active {
        ActiveState::Active => Tone::Good,
        ActiveState::Failed => Tone::Bad,
        _ => Tone::Doubt,
    };
    let load = if unit.load_word == "loaded" { String::new() } else { format!("{}, ", unit.load_word) };
    let since = unit.since.map(words::since).unwrap_or_default();
    table.toned("state", format!("{load}{} ({}){since}", unit.active_word, unit.state.sub), tone);
}

fn engine(table: &mut Table, found: &Findings) {
    table.title("the engine itself");
    match &found.engine {
        None => {
            let why = why_not_asked(&found.unit.state).unwrap_or_default();
            table.toned("answers", format!("not asked: {why}"), Tone::Doubt);
        }
        Some(Err(error)) => table.toned("answers", fault::of_probe(error), Tone::Bad),
        Some(Ok(details)) => answers(table, details),
    }
}

fn answers(table: &mut Table, engine: &EngineDetails) {
    table.toned("answers", "yes, to /_ping and /info", Tone::Good);
    table.row("ID", engine.id.clone());
    table.row("version", engine.version.clone());
    table.row("containers", format!("{} running", engine.containers_running));
    table.row(
        "live-restore",
        match engine.live_restore {
            Some(true) => "on: containers outlive a restart of the engine",
            Some(false) => "off: a restart of the engine ends its containers",
            None => "unknown",
        },
    );
    if let Some(commit) = &engine.containerd {
        table.row("containerd", commit.clone());
    }
    table.list("warnings", engine.warnings.iter().cloned(), Tone::Doubt);
}

#[cfg(test)]
mod tests;
