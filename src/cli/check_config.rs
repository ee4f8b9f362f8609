//! `swarm-agent check-config`: reads the configuration as a service would, and says what is wrong with it.

use super::config_args::ConfigArgs;
use super::exit;
use crate::config::{ConfigError, ConfigErrors, Merged, load_agent, load_server};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::process::ExitCode;

/// Check the configuration and say what is wrong with it
#[derive(Args)]
pub struct CheckConfig {
    /// Whose configuration
    #[arg(long = "for", value_enum, default_value_t = Role::Agent)]
    role: Role,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    /// `swarm-agent run`
    Agent,
    /// `swarm-agent serve`
    Server,
}

pub fn run(args: &CheckConfig) -> ExitCode {
    let sources = args.config.sources();
    let result = match args.role {
        Role::Agent => load_agent(&sources).map(|loaded| loaded.merged),
        Role::Server => load_server(&sources).map(|loaded| loaded.merged),
    };
    let printed = if args.json { print_json(&result) } else { print_text(&result) };
    match (result, printed) {
        (Err(_), _) => ExitCode::from(exit::CONFIG),
        (Ok(_), Ok(())) => ExitCode::SUCCESS,
        (Ok(_), Err(_)) => ExitCode::from(exit::FAILURE),
    }
}

fn print_text(result: &Result<Merged, ConfigErrors>) -> io::Result<()> {
    match result {
        Ok(merged) => {
            let mut out = io::stdout().lock();
            let count = merged.files().len();
            let plural = if count == 1 { "" } else { "s" };
            writeln!(out, "configuration is valid: {count} file{plural}")?;
            merged.files().iter().try_for_each(|file| writeln!(out, "{}", file.display()))
        }
        Err(errors) => writeln!(io::stderr().lock(), "{errors}"),
    }
}

fn print_json(result: &Result<Merged, ConfigErrors>) -> io::Result<()> {
    let report = match result {
        Ok(merged) => {
            let files: Vec<_> = merged.files().iter().map(|file| file.display().to_string()).collect();
            json!({ "valid": true, "files": files, "errors": [] })
        }
        Err(errors) => json!({ "valid": false, "errors": errors.iter().map(error_json).collect::<Vec<_>>() }),
    };
    writeln!(io::stdout().lock(), "{report:#}")
}

fn error_json(error: &ConfigError) -> Value {
    json!({
        "file": error.file().map(|file| file.display().to_string()),
        "line": error.line(),
        "column": error.column(),
        "origin": error.origin.as_ref().map(ToString::to_string),
        "key": error.key(),
        "message": error.message(),
        "remedy": error.remedy(),
    })
}
