//! `swarm-agent drain` and `undrain`: the operator's word on whether the node is to be registered.

use super::exit::Failure;
use super::local::LocalArgs;
use super::words;
use crate::model::report::{DrainOutcome, DrainReport, Report};
use crate::model::{DrainWish, report::RegistrationReport};
use hyper::Method;
use serde_json::json;
use std::time::Duration;
use tokio::time::timeout;

/// Between two reports while nothing changes.
const PACE: Duration = Duration::from_secs(1);

/// Take this node out of the discovery service, until undrain or for a time
#[derive(clap::Args)]
#[command(long_about = "Take this node out of the discovery service until `swarm-agent undrain`, or for a time.

The engine and its containers are left alone: the node only stops being offered. A drain survives restarts of the agent \
and reboots. It returns when the entry is out.

    swarm-agent drain --reason 'new kernel' --for 2h

Drained nodes are shown by `swarm-agent list --all` where the discovery service has room for them. Draining a drained \
node replaces its reason and its time.

Exit status: 0 drained and out, 1 drained, but the entry is not out yet, or the drain would not survive a restart (each is \
said), 69 no agent runs, 77 refused: only root and group swarm-agent may.")]
pub struct Drain {
    /// Why, for colleagues: one line of at most 200 characters
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// End the drain by itself after this long, such as 90m or 2h
    #[arg(long = "for", value_name = "TIME", value_parser = whole_seconds)]
    lasts: Option<Duration>,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    agent: LocalArgs,
}

/// Let this node be registered again
#[derive(clap::Args)]
#[command(long_about = "Let this node be registered again after a drain.

It returns when the node is registered, or when it is clear that it will not be at the moment (the engine is stopped, \
say).

Exit status: 0 not drained any more, 1 the same, but a restart of the agent would drain it again (which is said), 69 no agent runs, 77 refused: \
only root and group swarm-agent may.")]
pub struct Undrain {
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    agent: LocalArgs,
}

fn whole_seconds(text: &str) -> Result<Duration, String> {
    match super::positive_duration(text)? {
        lasts if lasts.subsec_nanos() == 0 => Ok(lasts),
        _ => Err("whole seconds are possible".to_owned()),
    }
}

impl Drain {
    pub fn run(self) -> Result<(), Failure> {
        // said here, where the flag is, rather than by the agent
        DrainWish::new(self.reason.as_deref(), self.lasts).map_err(|error| Failure::usage(error.to_string()))?;
        let body = json!({ "reason": self.reason, "seconds": self.lasts.map(|lasts| lasts.as_secs()) });
        super::runtime()?.block_on(async {
            let outcome = order(&self.agent, "/drain", body.to_string()).await?;
            let out = |entry: &RegistrationReport| entry.state == "absent" && entry.replaces.is_none();
            let report = settled(&self.agent, |report| report.drain.is_none() || out(&report.registration)).await?;
            let undrained = report.drain.is_none();
            let registration = report.registration;
            if self.json {
                let drained = json!({
                    "drain": outcome.drain, "not_kept": outcome.not_kept, "registration": registration,
                });
                super::print(&format!("{drained:#}\n"))?;
            } else if let Some(drain) = &outcome.drain {
                super::print(&format!("drained {}\n", by(drain)))?;
            }
            if undrained {
                return Err(Failure::other("the drain has ended already: its time is over, or somebody ended it"));
            }
            if !out(&registration) {
                let address = registration.replaces.or(registration.address).unwrap_or_default();
                let why = registration.last_error;
                let why = why.map(|error| format!(" ({})", error.text)).unwrap_or_default();
                let ttl = words::seconds(registration.ttl_seconds);
                return Err(Failure::other(format!(
                    "{address} is still in at {}{why}; the agent tries on, and the entry ends with its ttl of {ttl}",
                    registration.server
                )));
            }
            kept(&outcome)
        })
    }
}

impl Undrain {
    pub fn run(self) -> Result<(), Failure> {
        super::runtime()?.block_on(async {
            let outcome = order(&self.agent, "/undrain", String::new()).await?;
            // what the engine or the address lacks takes longer than anybody waits for
            let decided = |report: &Report| match report.registration.state.as_str() {
                "present" | "unconfirmed" => true,
                "absent" => report.engine.state != "healthy" || report.registration.why.is_some(),
                _ => report.registration.last_error.as_ref().is_some_and(|error| error.when.seconds_ago < 1.0),
            };
            let report = settled(&self.agent, |report| report.drain.is_none() && decided(report)).await?;
            if self.json {
                let undrained = json!({ "not_kept": outcome.not_kept, "registration": report.registration });
                super::print(&format!("{undrained:#}\n"))?;
            } else {
                super::print(&format!("not drained: {}\n", report.summary))?;
            }
            kept(&outcome)
        })
    }
}

async fn order(agent: &LocalArgs, target: &str, body: String) -> Result<DrainOutcome, Failure> {
    let answer = agent.ask(Method::POST, target, body).await?;
    serde_json::from_slice(&answer.body)
        .map_err(|error| Failure::other(format!("the agent's answer is not understood: {error}")))
}

/// The first report that fits, or the last one before time is up.
async fn settled(agent: &LocalArgs, fits: impl Fn(&Report) -> bool) -> Result<Report, Failure> {
    let mut reports = agent.follow(PACE).await?;
    let mut last = reports.next().await?;
    let waiting = async {
        while !fits(&last) {
            last = reports.next().await?;
        }
        Ok(())
    };
    match timeout(agent.timeout(), waiting).await {
        Ok(Err(failure)) => Err(failure),
        // time is up: the last one tells what is missing
        Ok(Ok(())) | Err(_) => Ok(last),
    }
}

/// Reads after "drained ".
pub fn by(drain: &DrainReport) -> String {
    let until = drain.until.as_ref().map(|until| format!(" until {}", words::date(until))).unwrap_or_default();
    let reason = drain.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("by {}{until}{reason}", drain.by)
}

fn kept(outcome: &DrainOutcome) -> Result<(), Failure> {
    match (&outcome.not_kept, outcome.drain.is_some()) {
        (None, _) => Ok(()),
        (Some(why), true) => Err(Failure::other(format!("the drain does not survive a restart of the agent: {why}"))),
        (Some(why), false) => Err(Failure::other(format!("a restart of the agent would drain the node again: {why}"))),
    }
}
