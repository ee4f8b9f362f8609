//! What one source says, before it is merged: checked values with their origin, and all its errors.

use super::error::ConfigError;
use super::origin::Origin;
use super::problem::{Problem, What};
use super::schema::{Key, Kind};
use super::value::{self, Value};
use super::{schema, suggest};

/// What one file, the environment or the command line says.
#[derive(Debug, Default)]
pub struct Fragment {
    pub entries: Vec<Entry>,
    pub errors: Vec<ConfigError>,
}

/// A value of the right type, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: &'static Key,
    pub value: Value,
    /// As it was written; a secret masked.
    pub shown: String,
    pub origin: Origin,
}

impl Fragment {
    /// Takes in the text of one value.
    pub fn put(&mut self, key: &'static Key, text: &str, origin: Origin) {
        match Entry::parse(key, text, origin) {
            Ok(entry) => self.entries.push(entry),
            Err(error) => self.errors.push(*error),
        }
    }

    pub fn reject(&mut self, origin: Origin, key: impl Into<String>, problem: Problem) {
        self.errors.push(ConfigError { origin: Some(origin), key: Some(key.into()), problem });
    }

    pub fn reject_unknown_key(&mut self, origin: Origin, path: &str) {
        self.reject(origin, one_line(path), unknown_key(path));
    }
}

impl Entry {
    pub fn parse(key: &'static Key, text: &str, origin: Origin) -> Result<Self, Box<ConfigError>> {
        match value::parse(&key.kind, text) {
            Ok(value) => {
                let shown = if key.secret { value.masked() } else { text.to_owned() };
                Ok(Self { key, value, shown, origin })
            }
            Err(problem) => Err(Box::new(ConfigError {
                origin: Some(origin),
                key: Some(key.path.to_owned()),
                problem: problem.into(),
            })),
        }
    }
}

/// What a value of this kind is in TOML, for an error.
pub fn expected(kind: &Kind) -> &'static str {
    match kind {
        Kind::Duration { .. } => "a duration in quotes",
        Kind::Integer { .. } => "a whole number",
        _ => "a string in quotes",
    }
}

fn unknown_key(path: &str) -> Problem {
    let suggestion = suggest::key(path).map(|key| key.path.to_owned());
    let table = path.rsplit_once('.').map_or("", |(table, _)| table);
    let known: Vec<_> = schema::KEYS.iter().filter(|k| k.split().0 == table).map(|k| k.split().1).collect();
    if known.is_empty() {
        let known = schema::TABLES.iter().map(|(name, _)| *name).collect();
        return Problem::Unknown { what: What::Key, suggestion, known };
    }
    Problem::Unknown { what: What::Key, suggestion, known }
}

/// A key as an error may show it: whatever somebody wrote, on one line.
pub fn one_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { shown.extend(c.escape_debug()) } else { shown.push(c) }
    }
    shown
}
