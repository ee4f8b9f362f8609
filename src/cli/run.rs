//! `swarm-agent run`: the node agent.

use super::config_args::ConfigArgs;
use super::exit::Failure;
use super::log;
use super::log_args::LogArgs;
use crate::agent::{self, Launch};
use crate::config::{Sources, load_agent};
use std::time::Duration;
use tokio::time::Instant;

/// Keep this host's Docker Engine registered while it works (run by swarm-agent.service)
#[derive(clap::Args, Default)]
#[command(long_about = "Keep this host's Docker Engine registered in a discovery service while it works.

systemd runs this as swarm-agent.service; to try it by hand:

    swarm-agent run --discovery http://disco:8970/v1/clusters/TOKEN --advertise 10.0.0.5:2375

SIGTERM takes the entry out and ends; SIGUSR2 ends and leaves the entry for the next process; SIGHUP reads the \
configuration anew (better: swarm-agent reload, which tells what came of it).")]
pub struct Run {
    #[command(flatten)]
    config: ConfigArgs,
}

impl Run {
    pub fn run(self, outer: &LogArgs) -> Result<(), Failure> {
        // the flag behind the command is the more deliberate one
        with(&self.config.sources_below(outer.flag()))
    }
}

/// Runs the agent with the configuration from these sources.
pub fn with(sources: &Sources) -> Result<(), Failure> {
    let loaded = load_agent(sources).map_err(|errors| log::invalid_configuration(&errors))?;
    let telemetry = log::init(loaded.settings.log_level)?;
    if let Some(complaint) = agent::unusable(&loaded) {
        return Err(log::unusable(&complaint));
    }
    let began = Instant::now();
    let runtime = super::runtime()?;
    let launch = Launch {
        began,
        sources: sources.clone(),
        loaded,
        verbosity: telemetry.verbosity(),
        restraint: telemetry.restraint(),
        api_socket: super::local::default_socket(),
    };
    let outcome = runtime.block_on(agent::run(launch));
    // a write to a disk that hangs does not hold the end up
    runtime.shutdown_timeout(Duration::from_millis(200));
    outcome.map_err(|error| log::failed(&error))
}
