//! A restart that no container notices: what swarm-agent-lossless.service does, and how an operator starts it.

use super::fault;
use crate::cli::exit::{self, Failure};
use crate::cli::{print, remark};
use crate::engine::Inspector;
use crate::host::overlay;
use crate::model::JobResult;
use crate::service::lossless::{Outcome, Plan};
use crate::systemd::manager::Manager;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const UNIT: &str = "swarm-agent-lossless.service";
const RUNTIME: &str = "/run/swarm-agent-lossless";
const REPORT: &str = "report.json";
/// How long one question to the engine may take.
const ASK: Duration = Duration::from_secs(5);
/// Between two looks at the job.
const STEP: Duration = Duration::from_secs(1);
/// The unit's own limit comes first.
const LIMIT: Duration = Duration::from_secs(1200);

/// Restart the engine without losing a container
#[derive(clap::Args)]
pub struct Lossless {
    /// Take back what one that was cut off has left
    #[arg(long)]
    undo: bool,
}

/// What the unit leaves for whoever started it.
#[derive(Serialize, Deserialize)]
struct Report {
    error: Option<String>,
    containers: Vec<Named>,
    losses: Vec<Loss>,
    took_seconds: f64,
    was_on: bool,
}

#[derive(Serialize, Deserialize)]
struct Named {
    id: String,
    name: String,
}

#[derive(Serialize, Deserialize)]
struct Loss {
    id: String,
    name: String,
    what: String,
}

impl Lossless {
    pub fn run(self) -> Result<(), Failure> {
        let Some(scratch) = std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from) else {
            return Err(Failure::usage(format!("this is for {UNIT}: swarm-agent engine restart --lossless starts it")));
        };
        // also one that was killed
        for folder in overlay::lift_all().map_err(Failure::other)? {
            remark(&format!("the layer over {} is lifted", folder.display()));
        }
        if self.undo {
            return Ok(());
        }
        let plan = Plan {
            unit: "docker.service".to_owned(),
            inspector: Inspector::new("/run/docker.sock".into(), ASK),
            scratch: scratch.clone(),
        };
        let outcome = crate::cli::runtime()?.block_on(plan.run(&mut |_| {}));
        let report = Report::of(outcome.map_err(|error| error.to_string()));
        let text = serde_json::to_string_pretty(&report).map_err(Failure::other)?;
        fs::write(scratch.join(REPORT), text + "\n").map_err(Failure::other)?;
        report.judged()
    }
}

impl Report {
    fn of(outcome: Result<Outcome, String>) -> Self {
        match outcome {
            Ok(outcome) => {
                let named = |container: &crate::model::RunningContainer| {
                    (container.id.chars().take(12).collect::<String>(), container.name.clone())
                };
                let loss = |loss: &crate::policy::lossless::Loss| {
                    let (id, name) = named(&loss.container);
                    Loss { id, name, what: loss.what.to_owned() }
                };
                let containers = outcome.containers.iter().map(named).map(|(id, name)| Named { id, name }).collect();
                let (took_seconds, was_on) = (outcome.took.as_secs_f64(), outcome.was_on);
                Self {
                    error: None,
                    containers,
                    losses: outcome.losses.iter().map(loss).collect(),
                    took_seconds,
                    was_on,
                }
            }
            Err(error) => Self {
                error: Some(error),
                containers: Vec::new(),
                losses: Vec::new(),
                took_seconds: 0.0,
                was_on: false,
            },
        }
    }

    fn judged(&self) -> Result<(), Failure> {
        if let Some(error) = &self.error {
            return Err(Failure::other(error));
        }
        if self.losses.is_empty() {
            return Ok(());
        }
        let lost = self.losses.iter().map(|loss| format!("{} ({}): {}", loss.name, loss.id, loss.what));
        Err(Failure::other(format!("not all containers survived: {}", lost.collect::<Vec<_>>().join("; "))))
    }

    fn text(&self) -> String {
        let count = self.containers.len();
        let kept = match count {
            0 => "no container ran".to_owned(),
            1 => "1 container runs on as the same process".to_owned(),
            count => format!("{count} containers run on as the same processes"),
        };
        let restored = if self.was_on { "live-restore stays on" } else { "live-restore is off again, as before" };
        format!("docker.service restarted in {:.1} s: {kept}; {restored}\n", self.took_seconds)
    }
}

/// As an operator.
pub fn start(json: bool) -> Result<(), Failure> {
    let result = crate::cli::runtime()?.block_on(async {
        let manager = Manager::connect().await.map_err(|error| fault::of_manager(&error))?;
        let mut job = manager.start(UNIT).await.map_err(|error| fault::of_manager(&error))?;
        let begin = std::time::Instant::now();
        while begin.elapsed() < LIMIT {
            if let Some(result) = job.result(STEP).await.map_err(|error| fault::of_manager(&error))? {
                return Ok(result);
            }
        }
        Err(Failure::other(format!("{UNIT} is still at work after {LIMIT:?}; systemctl status {UNIT}")))
    })?;
    let path = Path::new(RUNTIME).join(REPORT);
    let text = fs::read_to_string(&path).map_err(|error| {
        let remedy = format!("journalctl -u {UNIT} may say more");
        Failure::other(format!(
            "{UNIT} ended with {result}, and left no report ({}: {error}); {remedy}",
            path.display()
        ))
    })?;
    let report: Report = serde_json::from_str(&text).map_err(Failure::other)?;
    if json {
        print(&text)?;
        return report.judged().map_err(|_| Failure::said(exit::FAILURE));
    }
    report.judged()?;
    match result {
        JobResult::Done => print(&report.text()),
        result => Err(Failure::other(format!("{UNIT} ended with {result}; journalctl -u {UNIT}"))),
    }
}
