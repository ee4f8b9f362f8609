//! What can be wrong with a configuration. An error knows its place, its key and its remedy, and
//! never repeats a value that names a secret.

use super::origin::{Origin, Position};
use super::problem::Problem;
use crate::model::Complaint;
use std::fmt;
use std::path::Path;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub origin: Option<Origin>,
    /// `discovery.ttl`, or what stands in its place.
    pub key: Option<String>,
    pub problem: Problem,
}

impl ConfigError {
    pub fn file(&self) -> Option<&Path> {
        match &self.origin {
            Some(Origin::File { path, .. }) => Some(path),
            _ => None,
        }
    }

    pub fn line(&self) -> Option<usize> {
        self.position().map(|at| at.line)
    }

    pub fn column(&self) -> Option<usize> {
        self.position().map(|at| at.column)
    }

    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// What is wrong, without place, key and remedy.
    pub fn message(&self) -> String {
        self.problem.to_string()
    }

    /// What to do about it.
    pub fn remedy(&self) -> Option<String> {
        self.problem.remedy()
    }

    /// The same as plain data, for `--json` and for the agent's local socket.
    pub fn complaint(&self) -> Complaint {
        Complaint {
            file: self.file().map(|file| file.display().to_string()),
            line: self.line(),
            column: self.column(),
            origin: self.origin.as_ref().map(ToString::to_string),
            key: self.key.clone(),
            message: self.message(),
            text: self.to_string(),
            remedy: self.remedy(),
        }
    }

    fn position(&self) -> Option<Position> {
        match self.origin {
            Some(Origin::File { position, .. }) => position,
            _ => None,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // a cross-check names both of its places itself
        if !self.problem.names_its_places() {
            if let Some(origin) = &self.origin {
                write!(f, "{origin}: ")?;
            }
            if let Some(key) = &self.key {
                write!(f, "{key}: ")?;
            }
        }
        write!(f, "{}", self.problem)?;
        match self.remedy() {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Everything that is wrong, in the order in which the configuration is read. Displays one error per line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    pub(super) fn new(errors: Vec<ConfigError>) -> Self {
        Self(errors)
    }

    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
