//! The drop-in of docker.service, from what is wanted of the engine.
//!
//! systemd reads a value twice: it takes quotes and C escapes away, and then expands `%`. So values stand in double quotes
//! with `\`, `"` escaped, and `%` doubled. A value with a control character is refused: systemd drops the whole line, or
//! worse, the next one. Variables with secrets go into a file of root's that the drop-in names, for `systemctl show` tells
//! everybody the others; such a file is read like a shell's, without `%`.

use crate::model::CpuSet;
use std::fmt::Write;

/// What docker.service is to have beside its own settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    pub environment: Vec<Variable>,
    pub cpus: Option<CpuSet>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    pub value: String,
    /// Nobody but root may read it.
    pub secret: bool,
}

/// Two files; no drop-in if nothing is wanted, and no file of secrets if there are none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rendering {
    pub drop_in: Option<String>,
    pub secrets: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DropInError {
    #[error("{0:?} is no name of a variable: it takes letters, digits and _, and no digit comes first")]
    Name(String),
    #[error("the value of {name} holds {character:?}, which systemd takes for no part of a value")]
    Value { name: String, character: char },
}

const HEAD: &str = "# Written by swarm-agent's generator from /etc/swarm-agent, at boot and at each daemon-reload: changes are lost.\n";

/// `secrets_path` is where the file of secrets is going to be.
pub fn render(wanted: &Wanted, secrets_path: &str) -> Result<Rendering, DropInError> {
    for variable in &wanted.environment {
        check(variable)?;
    }
    let (secret, open): (Vec<_>, Vec<_>) = wanted.environment.iter().partition(|variable| variable.secret);
    if wanted.cpus.is_none() && wanted.environment.is_empty() {
        return Ok(Rendering::default());
    }
    let mut text = format!("{HEAD}[Service]\n");
    for Variable { name, value, .. } in open {
        // a String takes everything
        let _ = writeln!(text, "Environment=\"{name}={}\"", in_unit(value));
    }
    if !secret.is_empty() {
        // an engine starts without it rather than not at all
        let _ = writeln!(text, "EnvironmentFile=-{}", secrets_path.replace('%', "%%"));
    }
    if let Some(cpus) = &wanted.cpus {
        // the settings of several files come together, unless one begins anew
        let _ = writeln!(text, "CPUAffinity=\nCPUAffinity={cpus}");
    }
    let line = |Variable { name, value, .. }: &Variable| format!("{name}=\"{}\"\n", in_file(value));
    let secrets = (!secret.is_empty()).then(|| secret.into_iter().map(line).collect());
    Ok(Rendering { drop_in: Some(text), secrets })
}

fn check(variable: &Variable) -> Result<(), DropInError> {
    let Variable { name, value, .. } = variable;
    let right = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !right || name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(DropInError::Name(name.clone()));
    }
    match value.chars().find(|character| character.is_control()) {
        Some(character) => Err(DropInError::Value { name: name.clone(), character }),
        None => Ok(()),
    }
}

/// Between double quotes in a unit's file.
fn in_unit(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%")
}

/// Between double quotes in a file of variables.
fn in_file(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        if matches!(character, '"' | '\\' | '`' | '$') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

#[cfg(test)]
mod tests;
