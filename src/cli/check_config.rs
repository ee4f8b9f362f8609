//! `swarm-agent check-config`: reads the configuration as a service would, and says what is wrong with it.

use super::config_args::ConfigArgs;
use super::credential_args;
use super::exit::{self, Failure};
use super::{connect, explain};
use crate::config::settings::{AgentSettings, DiscoverySettings};
use crate::config::{ConfigError, ConfigErrors, Merged, Sources, load_agent, load_server};
use crate::model::Discovery;
use crate::policy::checkup::{Finding, Grade};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;

/// Check the configuration and say what is wrong with it
#[derive(Args)]
#[command(long_about = "Check the configuration and say what is wrong with it, all of it at once.

With --connect a valid configuration is then tried on the world, without changing it: does the discovery server \
answer and know the token, does systemd answer, in what state is the engine's unit, may this user open the engine's \
socket and write the state directory? The engine itself is asked only while its unit is active, because a connection \
to its socket could start an engine that somebody stopped. If it answers, the advertised address is asked too, as the agent \
asks it.

With --explain-url a valid configuration says how a URL is reached: through which proxy or directly, and which rule \
led to it, with its file and line or its variable. Besides discovery URLs it takes the URL of any server and \
unix:///path. Nobody is asked for anything. With --json it is an array, with an object for each server: to, proxy (or \
null), rule (set, off, unset, no_proxy, loopback, unix_socket, embedded, list or not_http), key and origin of what led to \
it (or null), and text.

    $ swarm-agent check-config --explain-url https://disco.example/v1/clusters/TOKEN
    https://disco.example:443 goes through the proxy http://proxy.example:3128 (proxy.https, /etc/swarm-agent/config.toml:9:9)

Exit status: 0 all is well, 69 something would not work now, 78 the configuration is wrong.")]
pub struct CheckConfig {
    /// Whose configuration
    #[arg(long = "for", value_enum, default_value_t = Role::Agent)]
    role: Role,
    /// Try it on the world, too: read-only
    #[arg(long)]
    connect: bool,
    /// Say through which proxy URL is reached, or why through none
    // a text, so that an error can't repeat the token
    #[arg(long, value_name = "URL", conflicts_with = "connect")]
    explain_url: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Print nothing: the exit status tells
    #[arg(long, short, conflicts_with = "json")]
    quiet: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// `swarm-agent run`
    Agent,
    /// `swarm-agent serve`
    Server,
}

impl Role {
    /// The user of the packaged service.
    fn user(self) -> &'static str {
        match self {
            Self::Agent => "swarm-agent",
            Self::Server => "swarm-discovery",
        }
    }
}

/// A valid configuration, and what was found with `--connect`.
struct Report {
    merged: Merged,
    /// What is set and has no effect.
    notices: Vec<String>,
    findings: Option<Vec<Finding>>,
    /// What is valid, and better otherwise.
    warning: Option<String>,
}

impl CheckConfig {
    pub fn run(self) -> Result<(), Failure> {
        if let Some(url) = &self.explain_url {
            return explain::run(url, self.role, &self.config.sources(), self.json);
        }
        let result = match self.role {
            Role::Agent => check_agent(&self.config.sources(), self.connect)?,
            Role::Server => load_server(&self.config.sources()).map(|loaded| Report {
                findings: self.connect.then(|| connect::server(&loaded.settings)),
                merged: loaded.merged,
                warning: None,
                notices: Vec::new(),
            }),
        };
        match (self.quiet, self.json) {
            (true, _) => {}
            (false, true) => print_json(&result)?,
            (false, false) => print_text(&result, self.role)?,
        }
        match result {
            Err(_) => Err(Failure::said(exit::CONFIG)),
            Ok(report) if report.worst() == Some(Grade::Fail) => Err(Failure::said(exit::UNAVAILABLE)),
            Ok(_) => Ok(()),
        }
    }
}

fn check_agent(sources: &Sources, connect: bool) -> Result<Result<Report, ConfigErrors>, Failure> {
    let loaded = match load_agent(sources) {
        Ok(loaded) => loaded,
        Err(errors) => return Ok(Err(errors)),
    };
    let findings = if connect { Some(super::runtime()?.block_on(connect::agent(&loaded.settings))) } else { None };
    let (mut notices, warning) = (explain::notices(&loaded), exposed(&loaded.settings.discovery));
    notices.extend(no_rule(&loaded.settings));
    notices.extend(crate::agent::unusable(&loaded).map(|complaint| format!("on this machine: {}", complaint.text)));
    notices.extend(hasty(&loaded.settings.discovery));
    Ok(Ok(Report { merged: loaded.merged, notices, warning, findings }))
}

/// Where polkit looks for rules, and the one that the agent needs to restart containerd.
const RULES: [&str; 2] = ["/etc/polkit-1/rules.d", "/usr/share/polkit-1/rules.d"];
const RULE: &str = "60-swarm-agent-containerd.rules";

fn no_rule(settings: &AgentSettings) -> Option<String> {
    let there = |folder: &&str| match Path::new(folder).join(RULE).try_exists() {
        Ok(there) => there,
        // a folder that only root and polkit may read
        Err(error) => error.kind() == std::io::ErrorKind::PermissionDenied,
    };
    let missing = settings.supervision.runtime && !RULES.iter().any(there);
    missing.then(|| {
        format!(
            "supervision.containerd = \"restart\" has no effect: the agent needs a polkit rule for it, which is installed by \
             hand: cp /usr/share/swarm-agent/{RULE} {}/",
            RULES[0]
        )
    })
}

/// One beat that is lost, or late, must not cost the entry.
fn hasty(settings: &DiscoverySettings) -> Option<String> {
    let (ttl, heartbeat) = (settings.ttl, settings.heartbeat);
    (ttl < heartbeat * 2).then(|| {
        format!(
            "discovery.ttl = {} is less than two heartbeats ({}): one that is lost takes the node out of the list; three are \
             usual",
            humantime::format_duration(ttl),
            humantime::format_duration(heartbeat)
        )
    })
}

fn exposed(settings: &DiscoverySettings) -> Option<String> {
    match &settings.url {
        Discovery::At(url) => settings.way.exposes(url).map(|setting| credential_args::exposed(setting, url)),
        Discovery::Embedded => None,
    }
}

impl Report {
    fn worst(&self) -> Option<Grade> {
        self.findings.iter().flatten().map(|finding| finding.grade).max()
    }
}

fn print_text(result: &Result<Report, ConfigErrors>, role: Role) -> Result<(), Failure> {
    match result {
        Ok(report) => {
            let count = report.merged.files().len();
            let plural = if count == 1 { "" } else { "s" };
            let files: String = report.merged.files().iter().map(|file| format!("{}\n", file.display())).collect();
            super::print(&format!("configuration is valid: {count} file{plural}\n{files}"))?;
            report.warning.iter().for_each(|text| super::remark(text));
            for notice in &report.notices {
                super::print(&format!("notice: {notice}\n"))?;
            }
            let Some(findings) = &report.findings else { return Ok(()) };
            super::print(&findings.iter().map(finding_text).collect::<String>())?;
            connect::remark(role.user()).iter().for_each(|text| super::remark(text));
            Ok(())
        }
        Err(errors) => {
            // bare lines, so that an editor can jump to their file:line:column
            let _ = writeln!(std::io::stderr(), "{errors}");
            Ok(())
        }
    }
}

/// `fail  discovery        no connection to …`, and the remedy below.
fn finding_text(finding: &Finding) -> String {
    let remedy = finding.remedy.as_ref().map(|remedy| format!("{:23}→ {remedy}\n", "")).unwrap_or_default();
    format!("{:6}{:17}{}\n{remedy}", finding.grade.name(), finding.subject, finding.says)
}

fn print_json(result: &Result<Report, ConfigErrors>) -> Result<(), Failure> {
    let report = match result {
        Ok(report) => {
            let files: Vec<_> = report.merged.files().iter().map(|file| file.display().to_string()).collect();
            let mut object = json!({ "valid": true, "files": files, "errors": [] });
            if let Some(warning) = &report.warning {
                object["warnings"] = json!([warning]);
            }
            if !report.notices.is_empty() {
                object["notices"] = report.notices.as_slice().into();
            }
            if let (Some(findings), Some(worst)) = (&report.findings, report.worst()) {
                object["checks"] = findings.iter().map(finding_json).collect();
                object["worst"] = worst.name().into();
            }
            object
        }
        Err(errors) => {
            json!({ "valid": false, "errors": errors.iter().map(ConfigError::complaint).collect::<Vec<_>>() })
        }
    };
    super::print(&format!("{report:#}\n"))
}

fn finding_json(finding: &Finding) -> Value {
    json!({
        "check": finding.subject,
        "result": finding.grade.name(),
        "message": finding.says,
        "remedy": finding.remedy,
    })
}
