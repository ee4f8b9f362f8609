//! `engine status --json`.

use super::fault;
use super::status::Findings;
use crate::model::{CpuSet, JobKind, UnitReport, masked};
use crate::policy::operator_status::{Verdict, why_not_asked};
use crate::systemd::ManagerError;
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};

pub fn render(found: &Findings) -> Value {
    json!({
        "verdict": match found.verdict() {
            Verdict::Works => "works",
            Verdict::DoesNotWork => "does-not-work",
            Verdict::CannotTell => "unknown",
        },
        "unit": service(&found.unit),
        "socket": found.socket.as_ref().map(brief),
        "engine": engine(found),
        "bus": found.plumbing.as_ref().map(|plumbing| &plumbing.bus),
        "polkit": found.plumbing.as_ref().map(|plumbing| plumbing.polkit),
        "note": found.note,
    })
}

pub fn unavailable(error: &ManagerError) -> Value {
    json!({ "verdict": "unknown", "error": error.to_string(), "remedy": fault::remedy(error) })
}

pub fn job_word(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Start => "start",
        JobKind::Stop => "stop",
        JobKind::Restart => "restart",
        JobKind::Other => "other",
    }
}

fn brief(unit: &UnitReport) -> Value {
    json!({
        "name": unit.name,
        "load": unit.load_word,
        "active": unit.active_word,
        "sub": unit.state.sub,
        "since": unit.since.map(rfc3339),
        "enabled": unit.file_state,
    })
}

fn service(unit: &UnitReport) -> Value {
    let job = unit.state.job.map(|job| json!({ "id": job.id, "kind": job_word(job.kind) }));
    let environment: Vec<String> = unit.environment.iter().map(|entry| masked::assignment(entry)).collect();
    let cpus = CpuSet::of_mask(&unit.cpu_affinity);
    json!({
        "name": unit.name,
        "description": unit.description,
        "load": unit.load_word,
        "active": unit.active_word,
        "sub": unit.state.sub,
        "since": unit.since.map(rfc3339),
        "enabled": unit.file_state,
        "main_pid": unit.main_pid,
        "restarts": unit.restarts,
        "result": unit.result,
        "status": unit.status_text,
        "job": job,
        "drop_ins": unit.drop_ins,
        "needs_daemon_reload": unit.needs_daemon_reload,
        "start_limit": {
            "burst": unit.limits.start_burst,
            "interval_seconds": unit.limits.start_interval.map(|span| span.as_secs_f64()),
        },
        "watchdog_seconds": unit.limits.watchdog.map(|span| span.as_secs_f64()),
        "start_timeout_seconds": unit.limits.start.map(|span| span.as_secs_f64()),
        "stop_timeout_seconds": unit.limits.stop.map(|span| span.as_secs_f64()),
        "environment": environment,
        "cpu_affinity": (!cpus.is_empty()).then(|| cpus.to_string()),
    })
}

fn engine(found: &Findings) -> Value {
    match &found.engine {
        None => json!({ "asked": false, "why_not": why_not_asked(&found.unit.state) }),
        Some(Err(error)) => json!({ "asked": true, "error": fault::of_probe(error) }),
        Some(Ok(engine)) => json!({
            "asked": true,
            "id": engine.id,
            "version": engine.version,
            "containers_running": engine.containers_running,
            "live_restore": engine.live_restore,
            "containerd": engine.containerd,
            "warnings": engine.warnings,
        }),
    }
}

fn rfc3339(since_epoch: Duration) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since_epoch).to_string()
}
