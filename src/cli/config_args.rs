//! The flags that say where the configuration is and override it; shared by all commands that read it.

use crate::config::schema::{KEYS, Key};
use crate::config::{Flag, Sources};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use std::path::PathBuf;

/// Where the files are.
#[derive(Args, Clone, Default)]
pub struct FileArgs {
    /// Read FILE instead of /etc/swarm-agent/config.toml
    #[arg(long, value_name = "FILE", env = VARIABLES[0], help_heading = HEADING)]
    config: Option<PathBuf>,
    /// Look for all configuration files and folders below DIR
    #[arg(long, value_name = "DIR", env = VARIABLES[1], help_heading = HEADING)]
    config_root: Option<PathBuf>,
}

/// Flatten this into a command: `#[command(flatten)] config: ConfigArgs`.
#[derive(Args, Clone, Default)]
pub struct ConfigArgs {
    #[command(flatten)]
    files: FileArgs,
    /// Set any key of the configuration, e.g. discovery.ttl=90s (more than once if need be)
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment, help_heading = HEADING)]
    set: Vec<(String, String)>,
    #[command(flatten)]
    keys: KeyFlags,
}

const HEADING: &str = "Configuration";

/// The environment variables that stand in for flags.
pub const VARIABLES: [&str; 2] = ["SWARM_AGENT_CONFIG", "SWARM_AGENT_CONFIG_ROOT"];

impl FileArgs {
    /// The files, and this process's environment.
    pub fn sources(&self) -> Sources {
        let mut sources = Sources::default().with_environment(std::env::vars_os());
        if let Some(file) = &self.config {
            sources = sources.with_config(file);
        }
        if let Some(root) = &self.config_root {
            sources = sources.with_root(root);
        }
        sources
    }
}

impl ConfigArgs {
    /// Everything that the configuration is read from: files, this process's environment, these flags.
    pub fn sources(&self) -> Sources {
        self.sources_below(None)
    }

    /// The same with a flag that these flags beat.
    pub fn sources_below(&self, flag: Option<Flag>) -> Sources {
        let sets =
            self.set.iter().map(|(key, value)| Flag { name: "--set".into(), key: key.clone(), value: value.clone() });
        // a flag of its own is the more deliberate one, so it beats --set
        let flags = sets.chain(self.keys.0.iter().cloned());
        self.files.sources().with_flags(flag).with_flags(flags)
    }
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, for example discovery.ttl=90s".to_owned()),
    }
}

/// `--ttl`, `--heartbeat`, …: one flag for each key that has one in the table of keys.
#[derive(Clone, Default)]
struct KeyFlags(Vec<Flag>);

impl KeyFlags {
    fn arguments() -> impl Iterator<Item = (&'static Key, &'static str)> {
        KEYS.iter().filter_map(|key| key.flag.map(|flag| (key, flag)))
    }
}

impl Args for KeyFlags {
    fn augment_args(command: Command) -> Command {
        Self::arguments().fold(command, |command, (key, flag)| {
            let arg = Arg::new(flag).long(flag).value_name("VALUE").help_heading(HEADING);
            command.arg(arg.help(format!("Override {}", key.path)).long_help(key.doc))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for KeyFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = Self::arguments().filter_map(|(key, flag)| {
            let value = matches.get_one::<String>(flag)?.clone();
            Some(Flag { name: format!("--{flag}"), key: key.path.to_owned(), value })
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
