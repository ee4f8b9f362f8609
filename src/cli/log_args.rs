//! `--log-level` and `--debug` as classic Swarm had them: before the command, or behind `join`.

use crate::config::Flag;

#[derive(clap::Args, Clone, Default)]
pub struct LogArgs {
    /// Log messages of this level and above, of run, serve and join: error, warn, info, debug or trace
    #[arg(id = "outer-log-level", short = 'l', long = "log-level", value_name = "LEVEL")]
    level: Option<String>,
    /// The same as --log-level debug
    #[arg(id = "outer-debug", short = 'D', long = "debug")]
    debug: bool,
}

impl LogArgs {
    pub fn flag(&self) -> Option<Flag> {
        let (name, value) = match &self.level {
            _ if self.debug => ("--debug", "debug"),
            Some(level) => ("--log-level", modern(level)),
            None => return None,
        };
        Some(Flag { name: name.to_owned(), key: "agent.log-level".to_owned(), value: value.to_owned() })
    }
}

/// Classic Swarm had two levels that we don't tell apart from errors.
fn modern(level: &str) -> &str {
    match level {
        "fatal" | "panic" => "error",
        "warning" => "warn",
        other => other,
    }
}
