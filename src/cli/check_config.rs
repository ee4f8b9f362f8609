//! `swarm-agent check-config`: reads the configuration as a service would, and says what is wrong with it.

use super::config_args::ConfigArgs;
use super::exit::{self, Failure};
use crate::config::{ConfigError, ConfigErrors, Merged, load_agent, load_server};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::io::Write;

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

impl CheckConfig {
    pub fn run(self) -> Result<(), Failure> {
        let sources = self.config.sources();
        let result = match self.role {
            Role::Agent => load_agent(&sources).map(|loaded| loaded.merged),
            Role::Server => load_server(&sources).map(|loaded| loaded.merged),
        };
        if self.json { print_json(&result) } else { print_text(&result) }?;
        result.map(drop).map_err(|_| Failure::said(exit::CONFIG))
    }
}

fn print_text(result: &Result<Merged, ConfigErrors>) -> Result<(), Failure> {
    match result {
        Ok(merged) => {
            let count = merged.files().len();
            let plural = if count == 1 { "" } else { "s" };
            let files: String = merged.files().iter().map(|file| format!("{}\n", file.display())).collect();
            super::print(&format!("configuration is valid: {count} file{plural}\n{files}"))
        }
        Err(errors) => {
            // bare lines, so that an editor can jump to their file:line:column
            let _ = writeln!(std::io::stderr(), "{errors}");
            Ok(())
        }
    }
}

fn print_json(result: &Result<Merged, ConfigErrors>) -> Result<(), Failure> {
    let report = match result {
        Ok(merged) => {
            let files: Vec<_> = merged.files().iter().map(|file| file.display().to_string()).collect();
            json!({ "valid": true, "files": files, "errors": [] })
        }
        Err(errors) => json!({ "valid": false, "errors": errors.iter().map(error_json).collect::<Vec<_>>() }),
    };
    super::print(&format!("{report:#}\n"))
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
