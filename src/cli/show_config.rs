//! `swarm-agent show-config`: the configuration as it is after the merge, and where each value comes from.

use super::check_config::Role;
use super::config_args::ConfigArgs;
use super::exit::{self, Failure};
use crate::config::schema::{Key, Kind, TABLES};
use crate::config::{ConfigError, ConfigErrors, Merged, Origin, inspect_agent, inspect_server};
use clap::Args;
use serde_json::{Value, json};
use std::io::Write;

/// Print the merged configuration
#[derive(Args)]
#[command(long_about = "Print the merged configuration: files, environment and flags as one.

    $ swarm-agent show-config --origin
    [discovery]
    url = \"http://10.0.0.2:8970/v1/clusters/***\"  # /etc/swarm-agent/config.d/10-discovery.toml:2:7
    heartbeat = \"60s\"                             # default

It is TOML that can be pasted into a file, except for secrets, which are shown as ***. With errors in the \
configuration it shows what could be read, names the errors on stderr and exits with 78.")]
pub struct ShowConfig {
    /// Say behind each value where it comes from
    #[arg(long)]
    origin: bool,
    /// Whose configuration
    #[arg(long = "for", value_enum, default_value_t = Role::Agent)]
    role: Role,
    /// Print the values and their origins as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

impl ShowConfig {
    pub fn run(self) -> Result<(), Failure> {
        let sources = self.config.sources();
        let (merged, errors) = match self.role {
            Role::Agent => split(inspect_agent(&sources)),
            Role::Server => split(inspect_server(&sources)),
        };
        if self.json {
            super::print(&format!("{:#}\n", object(&merged, self.role, &errors)))?;
        } else {
            super::print(&toml(&merged, self.role, self.origin))?;
        }
        if errors.is_empty() {
            return Ok(());
        }
        // bare lines, so that an editor can jump to their file:line:column
        let _ = writeln!(std::io::stderr(), "{errors}");
        Err(Failure::said(exit::CONFIG))
    }
}

fn split<S>((merged, settings): (Merged, Result<S, ConfigErrors>)) -> (Merged, ConfigErrors) {
    (merged, settings.err().unwrap_or_default())
}

/// Whether a command reads the key.
fn concerns(role: Role, key: &Key) -> bool {
    match role {
        Role::Agent => key.split().0 != "server",
        Role::Server => key.split().0 == "server" || key.path == "agent.log-level",
    }
}

fn toml(merged: &Merged, role: Role, with_origin: bool) -> String {
    let tables = TABLES.iter().filter_map(|(table, _)| {
        let entries = merged.entries().filter(|(key, _)| key.split().0 == *table && concerns(role, key));
        // what need not be set and is not has no line
        let entries = entries.filter(|(key, value)| value.is_some() || key.default.text().is_some());
        let lines: Vec<(String, String)> = entries.map(|(key, value)| line(key, value)).collect();
        (!lines.is_empty()).then(|| format!("[{table}]\n{}", aligned(&lines, with_origin)))
    });
    tables.collect::<Vec<_>>().join("\n")
}

/// The assignment, and its origin.
fn line(key: &Key, value: Option<(&str, &Origin)>) -> (String, String) {
    let name = key.split().1;
    match value {
        Some((text, origin)) => (format!("{name} = {}", literal(key, text)), origin.to_string()),
        // something is wrong with what stands there; the errors say what
        None => (format!("#{name} ="), "no value".to_owned()),
    }
}

fn aligned(lines: &[(String, String)], with_origin: bool) -> String {
    let width = lines.iter().map(|(assignment, _)| assignment.chars().count()).max().unwrap_or(0);
    let show = |(assignment, origin): &(String, String)| match with_origin {
        true => format!("{assignment:width$}  # {}\n", origin.escape_debug()),
        false => format!("{assignment}\n"),
    };
    lines.iter().map(show).collect()
}

fn literal(key: &Key, text: &str) -> String {
    if matches!(key.kind, Kind::Integer { .. }) { text.trim().to_owned() } else { quoted(text) }
}

/// A basic string of TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out + "\""
}

fn object(merged: &Merged, role: Role, errors: &ConfigErrors) -> Value {
    let settings: serde_json::Map<String, Value> = merged
        .entries()
        .filter(|(key, _)| concerns(role, key))
        .filter_map(|(key, value)| Some((key.path.to_owned(), entry(key, value?))))
        .collect();
    let errors: Vec<_> = errors.iter().map(ConfigError::complaint).collect();
    json!({ "valid": errors.is_empty(), "settings": settings, "errors": errors })
}

fn entry(key: &Key, (text, origin): (&str, &Origin)) -> Value {
    let number = if matches!(key.kind, Kind::Integer { .. }) { text.trim().parse::<i64>().ok() } else { None };
    json!({ "value": number.map_or_else(|| text.into(), Value::from), "origin": origin.to_string() })
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_quoted_text_is_what_it_was() {
        for text in ["", "a b", "\"\\'", "é\u{1}\n\u{7f}"] {
            let table: toml::Table = toml::from_str(&format!("x = {}", quoted(text))).expect("TOML");
            assert_eq!(table["x"].as_str(), Some(text));
        }
    }
}
