//! `swarm-agent engine status`: what `systemctl show docker` tells, as an operator wants to read it.

use super::target::{Target, TargetArgs};
use super::{fault, status_json, status_text};
use crate::cli::exit::{self, Failure};
use crate::cli::table::colours;
use crate::engine::Inspector;
use crate::model::{EngineDetails, ProbeFault, UnitReport};
use crate::policy::operator_status::{Verdict, verdict, why_not_asked};
use crate::systemd::ManagerError;
use crate::systemd::manager::{Manager, Plumbing};
use std::time::Duration;

/// Show the state of this host's Docker Engine: its unit, its socket, and what it says itself
#[derive(clap::Args)]
#[command(long_about = "Show the state of this host's Docker Engine: its unit, its socket, and what it says itself.

The engine itself is asked only while its unit is active: a connection would start one that somebody stopped. \
Credentials in the environment are masked. Any user may run this; the engine's socket may need more.

Exit status: 0 the engine is active and answers; 1 it does not work (stopped, failed, masked, absent, starting, not \
answering); 69 it can't be told (the bus is away, or you may not open the socket).")]
pub struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// How long the engine may take to answer
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    target: TargetArgs,
}

/// All that is shown.
pub struct Findings {
    pub unit: UnitReport,
    pub socket: Option<UnitReport>,
    /// What the engine said, if it was asked.
    pub engine: Option<Result<EngineDetails, ProbeFault>>,
    pub plumbing: Option<Plumbing>,
    pub note: Option<String>,
}

impl Findings {
    pub fn verdict(&self) -> Verdict {
        verdict(self.engine.as_ref())
    }
}

impl Status {
    pub fn run(self) -> Result<(), Failure> {
        let target = self.target.resolve()?;
        let found = crate::cli::runtime()?.block_on(find(&target, self.timeout));
        let found = found.map_err(|error| {
            if let Some(note) = &target.note {
                crate::cli::remark(&format!("note: {note}"));
            }
            let failure = fault::of_manager(&error);
            if self.json {
                // what a script reads is on stdout either way
                let _ = crate::cli::print(&format!("{:#}\n", status_json::unavailable(&error)));
            }
            failure
        })?;
        if self.json {
            crate::cli::print(&format!("{:#}\n", status_json::render(&found)))?;
        } else {
            crate::cli::print(&status_text::render(&found).render(colours()))?;
        }
        match found.verdict() {
            Verdict::Works => Ok(()),
            Verdict::DoesNotWork => Err(Failure::said(exit::FAILURE)),
            Verdict::CannotTell => Err(Failure::said(exit::UNAVAILABLE)),
        }
    }
}

async fn find(target: &Target, timeout: Duration) -> Result<Findings, ManagerError> {
    let manager = Manager::connect().await?;
    let unit = manager.report(&target.unit).await?;
    let socket = socket_of(&manager, &unit).await;
    let engine = match why_not_asked(&unit.state) {
        None => Some(Inspector::new(target.socket.clone(), timeout).prove().await),
        Some(_) => None,
    };
    let plumbing = manager.plumbing().await.ok();
    Ok(Findings { unit, socket, engine, plumbing, note: target.note.clone() })
}

/// A unit that is masked names no socket, so the one of its name is looked for.
async fn socket_of(manager: &Manager, unit: &UnitReport) -> Option<UnitReport> {
    let name = match unit.socket() {
        Some(name) => name.to_owned(),
        None => format!("{}.socket", unit.name.strip_suffix(".service")?),
    };
    manager.report(&name).await.ok().filter(|socket| socket.load_word != "not-found")
}
