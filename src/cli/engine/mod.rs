//! `swarm-agent engine …`: docker.service, for an operator on the host.

mod evidence;
mod fault;
mod lossless;
mod reset;
mod restart;
mod restart_text;
mod risk;
mod status;
mod status_json;
mod status_text;
mod target;

use super::exit::Failure;
use clap::{Args, Subcommand};

/// Look at this host's Docker Engine, restart it with care, or let the agent do so again
#[derive(Args)]
pub struct Engine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Status(status::Status),
    Restart(restart::Restart),
    Reset(reset::Reset),
    #[command(hide = true)]
    Lossless(lossless::Lossless),
    #[command(hide = true)]
    Evidence(evidence::Evidence),
}

impl Engine {
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Status(status) => status.run(),
            Command::Restart(restart) => restart.run(),
            Command::Reset(reset) => reset.run(),
            Command::Lossless(lossless) => lossless.run(),
            Command::Evidence(evidence) => evidence.run(),
        }
    }
}
