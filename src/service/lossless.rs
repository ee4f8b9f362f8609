//! One restart of the engine that no container notices, for which live-restore is on if it was off.
//!
//! The engine's configuration file is changed in a layer in memory over its folder: on the disk nothing is written, so that
//! nothing has to be mended after a power cut.

use crate::engine::Inspector;
use crate::host::overlay::Overlay;
use crate::host::processes::{born, command_line};
use crate::model::{ActiveState, JobResult, ProbeFault, RunningContainer, Survey, UnitReport};
use crate::policy::lossless::{self, Loss, Obstacle};
use crate::service::engine_restart::{Order, Progress, RestartFault, restart};
use crate::systemd::ManagerError;
use crate::systemd::manager::Manager;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const PROC: &str = "/proc";
/// A reload that did nothing by then does nothing any more: the engine hangs.
const RELOAD: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(200);
const LIMIT: Duration = Duration::from_secs(600);

pub struct Plan {
    pub unit: String,
    pub inspector: Inspector,
    /// In memory.
    pub scratch: PathBuf,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub containers: Vec<RunningContainer>,
    pub losses: Vec<Loss>,
    pub took: Duration,
    /// It was on before, and stays so.
    pub was_on: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum LosslessFault {
    #[error("nothing was changed: {0}")]
    Obstacle(#[from] Obstacle),
    #[error("nothing was changed: {unit} is {state}")]
    NotActive { unit: String, state: String },
    #[error("nothing was changed: the engine can't be asked ({0}); one that hangs can't be prepared")]
    Unasked(ProbeFault),
    #[error(transparent)]
    Manager(#[from] ManagerError),
    #[error("{what}: {cause}")]
    Files { what: &'static str, cause: io::Error },
    #[error(
        "the engine did not take its configuration up within {} of its reload: it hangs, or reads another file",
        humantime::format_duration(RELOAD)
    )]
    NotTaken,
    #[error("the reload of the engine ended with {0}")]
    Reload(JobResult),
    #[error(transparent)]
    Restart(#[from] RestartFault),
    /// Behind a good restart.
    #[error("restarted, but live-restore stays on until the engine's next start: {0}")]
    LeftOn(Box<LosslessFault>),
    #[error("restarted, but the engine can't be asked for its containers: {0}")]
    Unproved(ProbeFault),
}

impl Plan {
    pub async fn run(&self, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<Outcome, LosslessFault> {
        let manager = Manager::connect().await?;
        let before = manager.report(&self.unit).await?;
        let active = before.state.job.is_none() && before.state.active == ActiveState::Active;
        let Some(pid) = before.main_pid.filter(|_| active) else {
            return Err(LosslessFault::NotActive { unit: before.name, state: before.active_word });
        };
        let survey = self.survey().await.map_err(LosslessFault::Unasked)?;
        let words = command_line(Path::new(PROC), pid).unwrap_or_default();
        let file = PathBuf::from(lossless::may(&survey, &words)?);
        if survey.live_restore == Some(true) {
            return self.restart(manager, before, survey, progress).await;
        }
        let text = match fs::read_to_string(&file) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(cause) => return Err(LosslessFault::Files { what: "the engine's configuration", cause }),
        };
        let [on, off] =
            [true, false].map(|on| lossless::with_live_restore(&file.to_string_lossy(), text.as_deref(), on));
        let (on, off) = (on?, off?);
        // a folder that is missing would have to be made
        let folder = file.parent().unwrap_or(Path::new("/"));
        let made = !folder.exists();
        if made {
            fs::create_dir(folder).map_err(|cause| LosslessFault::Files { what: "the engine's folder", cause })?;
        }
        let layer = Overlay::over(folder, &self.scratch)
            .map_err(|cause| LosslessFault::Files { what: "no layer over the engine's configuration", cause })?;
        let outcome = self.under(&file, &on, (manager, before, survey), progress).await;
        // also where it failed: what was on for us is off again, and the file is as it was
        let undone = self.take_up(&file, &off, false).await;
        let lifted = layer.lift().map_err(|cause| LosslessFault::Files { what: "the layer can't be lifted", cause });
        if made {
            // what somebody has put in meanwhile keeps it
            let _ = fs::remove_dir(folder);
        }
        let outcome = outcome?;
        lifted?;
        undone.map(|()| outcome).map_err(|fault| LosslessFault::LeftOn(Box::new(fault)))
    }

    /// With live-restore on for the time of it.
    async fn under(
        &self,
        file: &Path,
        on: &str,
        (manager, before, survey): (Manager, UnitReport, Survey),
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Outcome, LosslessFault> {
        self.take_up(file, on, true).await?;
        let outcome = self.restart(manager, before, survey, progress).await?;
        Ok(Outcome { was_on: false, ..outcome })
    }

    /// Lets the engine read this configuration, and sees that it did.
    async fn take_up(&self, file: &Path, text: &str, on: bool) -> Result<(), LosslessFault> {
        fs::write(file, text).map_err(|cause| LosslessFault::Files { what: "the layer can't be written", cause })?;
        let manager = Manager::connect().await?;
        match manager.reload(&self.unit).await?.result(RELOAD).await? {
            Some(JobResult::Done) | None => {}
            Some(result) => return Err(LosslessFault::Reload(result)),
        }
        let begin = Instant::now();
        while begin.elapsed() < RELOAD {
            if self.inspector.prove().await.is_ok_and(|engine| engine.live_restore == Some(on)) {
                return Ok(());
            }
            sleep(STEP).await;
        }
        Err(LosslessFault::NotTaken)
    }

    async fn restart(
        &self,
        manager: Manager,
        before: UnitReport,
        survey: Survey,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Outcome, LosslessFault> {
        let order = Order { engine: self.unit.clone(), before, limit: LIMIT };
        let recovery = restart(manager, &self.inspector, &order, progress).await?;
        let after = self.survey().await.map_err(LosslessFault::Unproved)?;
        let losses = lossless::losses(&survey.containers, &after.containers);
        Ok(Outcome { containers: survey.containers, losses, took: recovery.took, was_on: true })
    }

    async fn survey(&self) -> Result<Survey, ProbeFault> {
        let mut survey = self.inspector.survey().await?;
        for container in &mut survey.containers {
            container.born = born(Path::new(PROC), container.pid);
        }
        Ok(survey)
    }
}
