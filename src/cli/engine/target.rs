//! Which unit and which socket: the configuration's, or the defaults where it can't be read.

use crate::cli::exit::Failure;
use crate::config::schema::{DefaultValue, find};
use crate::config::{ConfigErrors, Flag, Origin, Sources, read_key};
use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub struct TargetArgs {
    /// The engine's systemd unit, instead of engine.unit
    #[arg(long, value_name = "UNIT")]
    unit: Option<String>,
    /// The engine's socket, instead of engine.socket
    #[arg(long, value_name = "SOCKET")]
    socket: Option<String>,
    /// Read FILE instead of /etc/swarm-agent/config.toml
    #[arg(long, value_name = "FILE", env = "SWARM_AGENT_CONFIG")]
    config: Option<PathBuf>,
    /// Look for all configuration files and folders below DIR
    #[arg(long, value_name = "DIR", env = "SWARM_AGENT_CONFIG_ROOT")]
    config_root: Option<PathBuf>,
}

#[derive(Debug)]
pub struct Target {
    pub unit: String,
    pub socket: PathBuf,
    /// Where the configuration was no help.
    pub note: Option<String>,
}

impl TargetArgs {
    /// A configuration that can't be read is no reason to tell an operator nothing. A flag that makes no sense is.
    pub fn resolve(&self) -> Result<Target, Failure> {
        let sources = self.sources();
        let unit: Result<String, _> = read_key(&sources, "engine.unit");
        let socket: Result<PathBuf, _> = read_key(&sources, "engine.socket");
        let errors = unit.as_ref().err().or(socket.as_ref().err());
        let note = errors.map(note).transpose()?;
        let socket = socket.unwrap_or_else(|_| {
            let default = default_of("engine.socket");
            default.strip_prefix("unix://").unwrap_or(default).into()
        });
        Ok(Target { unit: unit.unwrap_or_else(|_| default_of("engine.unit").to_owned()), socket, note })
    }

    fn sources(&self) -> Sources {
        let flag = |name: &str, key: &str, value: &Option<String>| {
            value.as_ref().map(|value| Flag { name: name.to_owned(), key: key.to_owned(), value: value.clone() })
        };
        let flags =
            [flag("--unit", "engine.unit", &self.unit), flag("--socket", "engine.socket", &self.socket)].into_iter();
        let mut sources = Sources::default().with_environment(std::env::vars_os()).with_flags(flags.flatten());
        if let Some(file) = &self.config {
            sources = sources.with_config(file);
        }
        if let Some(root) = &self.config_root {
            sources = sources.with_root(root);
        }
        sources
    }
}

fn note(errors: &ConfigErrors) -> Result<String, Failure> {
    if let Some(wrong) = errors.iter().find(|error| matches!(error.origin, Some(Origin::Flag(_)))) {
        return Err(Failure::usage(wrong.to_string()));
    }
    let first = errors.iter().next().map(ToString::to_string).unwrap_or_default();
    Ok(format!("the configuration was no help, so the defaults are assumed (--unit and --socket name others): {first}"))
}

fn default_of(key: &str) -> &'static str {
    match find(key).map(|key| key.default) {
        Some(DefaultValue::Text(text)) => text,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn resolve(root: &Path, unit: Option<&str>) -> Result<Target, Failure> {
        let args = TargetArgs {
            unit: unit.map(str::to_owned),
            socket: None,
            config: None,
            config_root: Some(root.to_owned()),
        };
        args.resolve()
    }

    fn configured(text: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/swarm-agent")).unwrap();
        fs::write(root.path().join("etc/swarm-agent/config.toml"), text).unwrap();
        root
    }

    #[test]
    fn unit_and_socket_are_the_configurations_although_other_keys_are_wrong() {
        let root = configured("[engine]\nunit = \"moby.service\"\n[discovery]\nttl = 7\n");
        let target = resolve(root.path(), None).ok().unwrap();
        assert_eq!((target.unit.as_str(), target.socket.to_str()), ("moby.service", Some("/run/docker.sock")));
        assert_eq!(target.note, None);
    }

    #[test]
    fn without_a_readable_configuration_the_defaults_are_assumed_with_a_note() {
        let root = configured("[engine\n");
        let target = resolve(root.path(), None).ok().unwrap();
        assert_eq!((target.unit.as_str(), target.socket.to_str()), ("docker.service", Some("/run/docker.sock")));
        assert!(target.note.is_some_and(|note| note.contains("config.toml:1")));
        let target = resolve(root.path(), Some("moby.service")).ok().unwrap();
        assert_eq!(target.unit, "moby.service");
    }

    #[test]
    fn a_flag_that_names_no_service_is_a_usage_error() {
        let root = configured("");
        assert_eq!(resolve(root.path(), Some("docker.socket")).err().map(|failure| failure.code), Some(64));
    }
}
