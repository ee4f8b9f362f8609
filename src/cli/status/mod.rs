//! `swarm-agent status`: this node at a glance.

mod follow;
mod text;

use super::exit::{self, Failure};
use super::local::LocalArgs;
use super::table::colours;
use crate::model::report::{Overall, Report};
use std::time::Duration;

/// Show this node at a glance: where it is registered, its lease, its engine, and what is wrong
#[derive(clap::Args)]
#[command(long_about = "Show this node at a glance: where it is registered, its lease, its engine, and what is wrong.

The running agent is asked over its socket; `status.readable-by` says who may. --json prints its whole report, whose \
fields docs/status.md describes.

    swarm-agent status && echo all is well
    swarm-agent status --wait-registered=2m       # in a script that needs the node to be found
    swarm-agent status --json | jq .registration.lease.left_seconds

Exit status: 0 healthy (registered, and nothing is wrong), 2 degraded (registered, and something is wrong), 3 not \
registered, 69 no agent runs, 77 only root and group swarm-agent may ask, 1 the rest.")]
pub struct Status {
    /// Print the report as JSON; with --watch one a line
    #[arg(long)]
    json: bool,
    /// Show it again at each change, until interrupted; on a terminal every second too
    #[arg(long, conflicts_with = "wait_registered")]
    watch: bool,
    /// Wait until the node is registered, and until an agent runs; exit status 3 when time is up, or 69 without an agent
    #[arg(long, value_name = "TIMEOUT", num_args = 0..=1, require_equals = true, default_missing_value = "5m",
        value_parser = super::positive_duration)]
    wait_registered: Option<Duration>,
    #[command(flatten)]
    agent: LocalArgs,
}

impl Status {
    pub fn run(self) -> Result<(), Failure> {
        let runtime = super::runtime()?;
        if self.watch {
            return runtime.block_on(follow::watch(&self.agent, self.json));
        }
        let waited = self.wait_registered.is_some();
        let report = match self.wait_registered {
            Some(limit) => runtime.block_on(follow::registered(&self.agent, limit))?,
            None => runtime.block_on(self.agent.report())?,
        };
        match self.json {
            true => {
                let text = serde_json::to_string_pretty(&report).map_err(Failure::other)?;
                super::print(&format!("{text}\n"))?;
            }
            false => super::print(&text::render(&report).render(colours()))?,
        }
        match report.state {
            Overall::Healthy => Ok(()),
            // who waits for an entry got it
            Overall::Degraded if waited => Ok(()),
            Overall::Degraded => Err(Failure::said(exit::DEGRADED)),
            Overall::NotRegistered => Err(Failure::said(exit::NOT_REGISTERED)),
        }
    }
}

fn word(state: Overall) -> &'static str {
    match state {
        Overall::Healthy => "healthy",
        Overall::Degraded => "degraded",
        Overall::NotRegistered => "not registered",
    }
}

/// What a line a change would say; ages and the lease aside.
fn gist(report: &Report) -> (Overall, &str, &[String]) {
    (report.state, &report.summary, &report.problems)
}

#[cfg(test)]
mod tests;
