//! The command line: one file per command. Everything that prints lives here.

mod check_config;
pub mod config_args;
mod exit;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "swarm-agent", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    CheckConfig(check_config::CheckConfig),
}

/// Parses the command line, runs one command, and says how it went.
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => match cli.command {
            Command::CheckConfig(args) => check_config::run(&args),
        },
        Err(error) => exit::usage(&error),
    }
}
