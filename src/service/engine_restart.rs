//! One restart of the engine, to its proven end: clear the start limit, RestartUnit, wait for our own job, probe.
//!
//! Whether it may be done is decided before (`policy::operator_restart`). systemd goes on with a job whose requester went
//! away, so nothing is undone when this ends early.

use crate::engine::Inspector;
use crate::model::{ActiveState, EngineDetails, JobResult, ProbeFault, UnitReport};
use crate::policy::gate::may_connect;
use crate::systemd::ManagerError;
use crate::systemd::manager::{Manager, UnitJob};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks, and two words of progress.
const STEP: Duration = Duration::from_millis(500);
/// Between two attempts to reach the bus.
const RECONNECT: Duration = Duration::from_secs(1);
/// An engine that is active has this long to answer.
const PROOF: Duration = Duration::from_secs(30);

pub struct Order {
    /// The engine's unit, which has to work in the end.
    pub engine: String,
    /// The unit to restart, as it was when that was decided on.
    pub before: UnitReport,
    /// For all of it; systemd's own limits stand beside.
    pub limit: Duration,
}

/// What goes on meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// systemd works on the job; the word is the unit's state.
    Waiting { elapsed: Duration, state: String },
    /// The bus went away; systemd goes on all the same.
    BusLost { why: String },
    /// The unit is active, the engine does not answer yet.
    Proving { elapsed: Duration, fault: ProbeFault },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Unknown if the bus was away when the job ended.
    pub job: Option<JobResult>,
    pub took: Duration,
    pub engine: EngineDetails,
    pub after: UnitReport,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestartFault {
    #[error(transparent)]
    Manager(#[from] ManagerError),
    #[error("systemd's restart job ended with {result}")]
    Job { result: JobResult, after: Option<Box<UnitReport>> },
    #[error("the restart is still under way after {}: {} is {state}", humantime::format_duration(*.limit), .unit)]
    OutOfTime { unit: String, limit: Duration, state: String },
    /// The unit, and its state.
    #[error("{0} is {1} by now")]
    Overtaken(String, String),
    #[error("the bus was away meanwhile, and {0} is the same process as before")]
    NotRestarted(String),
    #[error("{} is {} after the restart", .0.name, .0.active_word)]
    NotActive(Box<UnitReport>),
    #[error("restarted, but the engine is not proved to work: {0}")]
    NotProved(ProbeFault),
}

/// What one restart needs to know all the way.
struct Drive<'a> {
    order: &'a Order,
    inspector: &'a Inspector,
    started: Instant,
    progress: &'a mut (dyn FnMut(Progress) + Send),
}

pub async fn restart(
    manager: Manager,
    inspector: &Inspector,
    order: &Order,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Recovery, RestartFault> {
    let unit = &order.before.name;
    // right before: it clears the counter that would make this the one start too many
    manager.reset_failed(unit).await?;
    let job = manager.restart(unit).await?;
    let mut drive = Drive { order, inspector, started: Instant::now(), progress };
    let (manager, result) = drive.job(manager, job).await?;
    if let Some(result) = result.clone().filter(|result| *result != JobResult::Done) {
        let after = manager.report(unit).await.ok().map(Box::new);
        return Err(RestartFault::Job { result, after });
    }
    let (engine, after) = drive.proof(manager).await?;
    Ok(Recovery { job: result, took: drive.started.elapsed(), engine, after })
}

impl Drive<'_> {
    fn unit(&self) -> &str {
        &self.order.before.name
    }

    /// How the job ended, or nothing if the bus was away at that moment; and a manager that can be asked.
    async fn job(&mut self, manager: Manager, mut job: UnitJob) -> Result<(Manager, Option<JobResult>), RestartFault> {
        loop {
            match job.result(STEP).await {
                Ok(Some(result)) => return Ok((manager, Some(result))),
                Ok(None) => {}
                Err(error) => return Ok((self.after_bus_loss(&error).await?, None)),
            }
            let state = match manager.report(self.unit()).await {
                Ok(report) => words(&report),
                Err(error) => return Ok((self.after_bus_loss(&error).await?, None)),
            };
            self.in_time(&state)?;
            (self.progress)(Progress::Waiting { elapsed: self.started.elapsed(), state });
        }
    }

    /// Waits until the bus is back and no job is left.
    async fn after_bus_loss(&mut self, error: &ManagerError) -> Result<Manager, RestartFault> {
        (self.progress)(Progress::BusLost { why: error.to_string() });
        loop {
            sleep(RECONNECT).await;
            let looked = match Manager::connect().await {
                Ok(manager) => manager.report(self.unit()).await.map(|report| (manager, report)),
                Err(error) => Err(error),
            };
            let state = match looked {
                Ok((manager, report)) if report.state.job.is_none() => {
                    return match report.invocation == self.order.before.invocation {
                        true => Err(RestartFault::NotRestarted(report.name)),
                        false => Ok(manager),
                    };
                }
                Ok((_, report)) => words(&report),
                Err(error) => format!("unknown ({error})"),
            };
            self.in_time(&state)?;
        }
    }

    /// Asks the engine until it answers. A connection is made only while the unit is active.
    async fn proof(&mut self, mut manager: Manager) -> Result<(EngineDetails, UnitReport), RestartFault> {
        let begin = Instant::now();
        loop {
            let report = match manager.report(&self.order.engine).await {
                Err(error) if error.is_plumbing() => {
                    manager = self.after_bus_loss(&error).await?;
                    continue;
                }
                looked => looked?,
            };
            if matches!(report.state.active, ActiveState::Failed | ActiveState::Inactive) {
                return Err(RestartFault::NotActive(Box::new(report)));
            }
            if may_connect(&report.state) {
                match self.inspector.prove().await {
                    Ok(engine) => return Ok((engine, report)),
                    Err(fault) if !worth_waiting(&fault) || begin.elapsed() >= PROOF => {
                        return Err(RestartFault::NotProved(fault));
                    }
                    Err(fault) => {
                        (self.progress)(Progress::Proving { elapsed: self.started.elapsed(), fault });
                    }
                }
            }
            self.in_time(&words(&report))?;
            sleep(STEP).await;
        }
    }

    fn in_time(&self, state: &str) -> Result<(), RestartFault> {
        let (unit, limit, state) = (self.unit().to_owned(), self.order.limit, state.to_owned());
        if self.started.elapsed() < limit { Ok(()) } else { Err(RestartFault::OutOfTime { unit, limit, state }) }
    }
}

/// Our own permissions stay what they are.
fn worth_waiting(fault: &ProbeFault) -> bool {
    !matches!(fault, ProbeFault::Permission { .. })
}

fn words(report: &UnitReport) -> String {
    format!("{} ({})", report.active_word, report.state.sub)
}
