//! `swarm-agent why`: the last incident of the engine, in order.

use super::exit::Failure;
use super::words;
use crate::config::schema::{DefaultValue, find};
use crate::config::{Sources, read_key};
use crate::service::repairer::{Incident, Kind};
use crate::state::{IncidentFolder, STORY};
use std::fmt::Write;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Tell the last incident of the engine: what was seen, decided and done
#[derive(clap::Args)]
#[command(
    long_about = "Tell the last incident of this host's engine: what was seen, what the agent decided and why, what \
happened, and what to do now.

An incident begins when an engine needs a restart and ends when it works again. The agent keeps the last ten, each in a \
folder of its state directory with what there was to be seen before a restart: the units' properties, their last lines in \
the journal, the machine's pressure, the engine's answer. Root may read them.

Exit status: 0 told, 1 there was none, or it can't be read."
)]
pub struct Why {
    /// Print the incident as JSON
    #[arg(long)]
    json: bool,
    /// Read FILE instead of /etc/swarm-agent/config.toml
    #[arg(long, value_name = "FILE", env = "SWARM_AGENT_CONFIG")]
    config: Option<PathBuf>,
    /// Look for all configuration files and folders below DIR
    #[arg(long, value_name = "DIR", env = "SWARM_AGENT_CONFIG_ROOT")]
    config_root: Option<PathBuf>,
}

impl Why {
    pub fn run(self) -> Result<(), Failure> {
        let directory = self.state_directory();
        let denied = |path: &Path, error: std::io::Error| match error.kind() {
            ErrorKind::PermissionDenied => {
                Failure::other(format!("{}: you may not read it: run this as root (sudo)", path.display()))
            }
            _ => Failure::other(format!("{}: {error}", path.display())),
        };
        let last = IncidentFolder::new(&directory).last().map_err(|error| denied(&directory, error))?;
        let Some(folder) = last else {
            return Err(Failure::other(format!(
                "no incident is on record below {}: the engine needed no restart; `swarm-agent status` tells how it is",
                directory.display()
            )));
        };
        let path = folder.join(STORY);
        let text = fs::read_to_string(&path).map_err(|error| denied(&path, error))?;
        if self.json {
            return super::print(&text);
        }
        let incident: Incident =
            serde_json::from_str(&text).map_err(|error| Failure::other(format!("{}: {error}", path.display())))?;
        super::print(&render(&incident, &folder, &evidence(&folder)))
    }

    fn state_directory(&self) -> PathBuf {
        let mut sources = Sources::default().with_environment(std::env::vars_os());
        if let Some(file) = &self.config {
            sources = sources.with_config(file);
        }
        if let Some(root) = &self.config_root {
            sources = sources.with_root(root);
        }
        let default = || match find("agent.state-directory").map(|key| key.default) {
            Some(DefaultValue::StateDirectory(path)) => PathBuf::from(path),
            _ => PathBuf::new(),
        };
        read_key(&sources, "agent.state-directory").unwrap_or_else(|_| default())
    }
}

/// The names of the other files of an incident.
fn evidence(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = files.filter_map(|file| file.file_name().into_string().ok()).collect();
    names.retain(|name| name != STORY);
    names.sort();
    names
}

fn render(incident: &Incident, folder: &Path, evidence: &[String]) -> String {
    let mut out = String::new();
    let end = match &incident.ended {
        Some(ended) => format!("over since {}", words::date(ended)),
        None => "not over as far as the agent knows".to_owned(),
    };
    let _ = writeln!(out, "{}: {}, {end}", incident.unit, incident.condition.replace('_', " "));
    let _ = writeln!(out);
    for line in &incident.story {
        let kind = match line.kind {
            Kind::Seen => "seen",
            Kind::Decided => "decided",
            Kind::Happened => "happened",
        };
        let _ = writeln!(out, "  {}  {kind:<8}  {}", words::date(&line.at), line.text);
    }
    let _ = writeln!(out);
    if !incident.advice.is_empty() {
        let _ = writeln!(out, "What to do: {}", incident.advice);
    }
    if !evidence.is_empty() {
        let _ = writeln!(out, "Evidence: {}: {}", folder.display(), evidence.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::repairer::Line;

    #[test]
    fn reads_in_order_with_the_advice_and_the_evidence() {
        let line = |at: &str, kind, text: &str| Line { at: at.into(), kind, text: text.into() };
        let incident = Incident {
            schema: 1,
            name: "20261127T010000Z-runtime_hung".into(),
            unit: "docker.service".into(),
            condition: "runtime_hung".into(),
            began: "2026-11-27T01:00:00Z".into(),
            ended: None,
            story: vec![
                line("2026-11-27T00:59:58Z", Kind::Seen, "engine in doubt"),
                line("2026-11-27T01:00:00Z", Kind::Decided, "containerd.service is not restarted: x"),
            ],
            advice: "Look at containerd.".into(),
        };
        let told = render(&incident, Path::new("/x"), &["units.txt".to_owned()]);
        let expected = "docker.service: runtime hung, not over as far as the agent knows\n\n  2026-11-27 00:59:58 UTC  seen      \
                        engine in doubt\n  2026-11-27 01:00:00 UTC  decided   containerd.service is not restarted: x\n\n\
                        What to do: Look at containerd.\nEvidence: /x: units.txt\n";
        assert_eq!(told, expected);
    }
}
