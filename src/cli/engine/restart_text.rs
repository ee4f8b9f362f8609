//! What `engine restart` says: before, meanwhile, and after.

use super::fault;
use super::risk::Scene;
use super::status_json::job_word;
use crate::cli::exit::{self, Failure};
use crate::cli::remark;
use crate::model::{Container, JobResult, ProbeFault, UnitReport};
use crate::policy::operator_restart::Refusal;
use crate::service::engine_restart::{Progress, Recovery, RestartFault};
use serde_json::{Value, json};
use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

/// Progress on stderr: one line that is written over on a terminal, and only what matters elsewhere.
pub struct Screen {
    terminal: bool,
    talk: bool,
}

impl Screen {
    pub fn new(talk: bool) -> Self {
        Self { terminal: talk && std::io::stderr().is_terminal(), talk }
    }

    pub fn say(&mut self, text: &str) {
        if self.talk {
            self.clear();
            remark(text);
        }
    }

    pub fn show(&mut self, progress: &Progress) {
        match progress {
            Progress::BusLost { why } => {
                self.say(&format!("{why}; systemd goes on with the restart, and so does the wait for it"));
            }
            Progress::Waiting { elapsed, state } => self.line(*elapsed, state),
            Progress::Proving { elapsed, fault } => self.line(*elapsed, &format!("active, but {fault}")),
        }
    }

    pub fn clear(&mut self) {
        if self.terminal {
            self.put("\r\x1b[K");
        }
    }

    fn line(&mut self, elapsed: Duration, text: &str) {
        if self.terminal {
            let text: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
            self.put(&format!("\r\x1b[K{:>4} s  {text}", elapsed.as_secs()));
        }
    }

    fn put(&self, text: &str) {
        let mut out = std::io::stderr().lock();
        // a closed stderr leaves nobody to tell
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// Lists what may die, and asks. Whatever is not a plain yes is a no.
pub fn said_yes(scene: &Scene) -> bool {
    remark(&endangered(scene));
    let mut out = std::io::stderr().lock();
    // a closed stderr leaves nobody to tell
    let _ = write!(out, "Restart {} all the same? Type yes: ", scene.unit.name).and_then(|()| out.flush());
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).is_ok_and(|_| answer.trim() == "yes")
}

fn endangered(scene: &Scene) -> String {
    let why = match scene.live_restore() {
        Some(_) => "live-restore is off",
        None => "the engine does not say whether live-restore is on",
    };
    format!("{} would die ({why}):{}", plural(scene.count()), list(&scene.containers))
}

fn plural(count: usize) -> String {
    format!("{count} running container{}", if count == 1 { "" } else { "s" })
}

fn list(containers: &[Container]) -> String {
    let clean = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    let lines = containers.iter().map(|container| {
        let name = container.name.as_deref().unwrap_or("(name unknown: the engine was not asked or does not answer)");
        let image = container.image.as_deref().map(|image| format!("  {image}")).unwrap_or_default();
        clean(&format!("  {:12}  {name}{image}", container.short_id()))
    });
    lines.map(|line| format!("\n{line}")).collect()
}

pub fn beginning(scene: &Scene, limit: Duration) -> String {
    let kept = match (scene.count(), scene.at_risk()) {
        (0, _) => "no container runs".to_owned(),
        (count, true) => format!("{} may die", plural(count)),
        (count, false) => format!("{} outlive it (live-restore)", plural(count)),
    };
    format!("restarting {}: {kept}; waiting up to {}", scene.unit.name, humantime::format_duration(limit))
}

/// Why not, and what to do.
pub fn refusal(refusal: Refusal, scene: &Scene) -> String {
    let unit = &scene.unit.name;
    match refusal {
        Refusal::Absent => format!("systemd knows no {unit}; is Docker installed? --unit names another"),
        Refusal::Masked => format!("{unit} is masked, so it can't be started again; systemctl unmask {unit}"),
        Refusal::Unloadable => {
            format!("systemd could not read {unit} ({}); systemctl status {unit} says why", scene.unit.load_word)
        }
        Refusal::Busy(kind) => format!(
            "a {} job is under way for {unit}, and a restart would break it off; wait for it (systemctl list-jobs), or \
             use --force",
            job_word(kind)
        ),
        Refusal::Stopped => {
            format!("{unit} is stopped, and what somebody stopped is not restarted; systemctl start {unit}")
        }
        Refusal::InTransition(state) => format!(
            "{unit} is {state} ({}), and systemd may be about to start it by itself; wait, or use --force",
            scene.unit.state.sub
        ),
        Refusal::ContainersAtRisk { .. } => {
            format!("{}\nnot restarted: there is nobody to ask; --yes restarts all the same", endangered(scene))
        }
    }
}

pub fn refusal_word(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Absent => "absent",
        Refusal::Masked => "masked",
        Refusal::Unloadable => "unloadable",
        Refusal::Busy(_) => "busy",
        Refusal::Stopped => "stopped",
        Refusal::InTransition(_) => "in-transition",
        Refusal::ContainersAtRisk { .. } => "containers-at-risk",
    }
}

pub fn done(scene: &Scene, recovery: &Recovery) -> String {
    let unsure = if recovery.job.is_none() { "; the bus was away when the job ended" } else { "" };
    format!(
        "{} restarted in {}: engine {} answers, {} (main PID {}, before {}){unsure}\n",
        scene.unit.name,
        seconds(recovery.took),
        recovery.engine.version,
        plural(usize::try_from(recovery.engine.containers_running).unwrap_or(usize::MAX)),
        pid(&recovery.after),
        pid(&scene.unit),
    )
}

fn pid(unit: &UnitReport) -> String {
    unit.main_pid.map_or_else(|| "none".to_owned(), |pid| pid.to_string())
}

fn seconds(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

pub fn json(scene: &Scene, recovery: &Recovery) -> Value {
    json!({
        "ok": true,
        "attempted": true,
        "reason": null,
        "unit": scene.unit.name,
        "job": recovery.job.as_ref().map(ToString::to_string),
        "seconds": recovery.took.as_secs_f64(),
        "main_pid": { "before": scene.unit.main_pid, "after": recovery.after.main_pid },
        "containers": containers_json(&scene.containers),
        "live_restore": scene.live_restore(),
        "engine": { "id": recovery.engine.id, "version": recovery.engine.version,
                    "containers_running": recovery.engine.containers_running },
    })
}

pub fn containers_json(containers: &[Container]) -> Value {
    containers.iter().map(|c| json!({ "id": c.id, "name": c.name, "image": c.image })).collect()
}

pub fn failure(fault: &RestartFault) -> Failure {
    match fault {
        RestartFault::Manager(error) => fault::of_manager(error),
        RestartFault::Job { result, after } => {
            Failure::other(format!("{fault}: {}", explained(result, after.as_deref())))
        }
        RestartFault::OutOfTime { unit, .. } => {
            Failure::other(format!("{fault}; systemd goes on with it: systemctl status {unit}"))
        }
        RestartFault::Overtaken(..) => Failure::other(format!("{fault}; look at `swarm-agent engine status`")),
        RestartFault::NotRestarted(unit) => Failure::other(format!("{fault}; try again, or: systemctl status {unit}")),
        RestartFault::NotActive(unit) => {
            Failure::other(format!("{fault} (result {}); journalctl -u {}", unit.result, unit.name))
        }
        RestartFault::NotProved(probe) => {
            let code = match probe {
                ProbeFault::Permission { .. } => exit::UNAVAILABLE,
                _ => exit::FAILURE,
            };
            let text = format!("restarted, but the engine is not proved to work: {}", fault::of_probe(probe));
            Failure { code, text: Some(text) }
        }
    }
}

fn explained(result: &JobResult, after: Option<&UnitReport>) -> String {
    let unit = after.map_or("docker.service", |unit| unit.name.as_str());
    match result {
        JobResult::Failed => {
            let result = after.map_or("", |unit| unit.result.as_str());
            format!("the engine did not start (result {result}); journalctl -u {unit} -b says why")
        }
        JobResult::Timeout => format!("it took longer than systemd allows; journalctl -u {unit} -b"),
        JobResult::Canceled => "another command took its place, such as a stop; systemctl list-jobs".to_owned(),
        JobResult::Dependency => format!(
            "a unit that {unit} needs did not start; look at `systemctl status docker.socket containerd.service`"
        ),
        JobResult::Skipped => format!("it did not apply to the unit's state; systemctl status {unit}"),
        JobResult::Done | JobResult::Other(_) => format!("systemctl status {unit}"),
    }
}

pub fn fault_word(fault: &RestartFault) -> &'static str {
    match fault {
        RestartFault::Manager(error) if error.is_plumbing() => "bus",
        RestartFault::Manager(_) => "denied",
        RestartFault::Job { result, .. } => match result {
            JobResult::Failed => "job-failed",
            JobResult::Timeout => "job-timeout",
            JobResult::Canceled => "job-canceled",
            JobResult::Dependency => "job-dependency",
            JobResult::Skipped => "job-skipped",
            JobResult::Done | JobResult::Other(_) => "job-unknown",
        },
        RestartFault::OutOfTime { .. } => "out-of-time",
        RestartFault::Overtaken(..) => "overtaken",
        RestartFault::NotRestarted(_) => "not-restarted",
        RestartFault::NotActive(_) => "not-active",
        RestartFault::NotProved(_) => "not-proved",
    }
}
