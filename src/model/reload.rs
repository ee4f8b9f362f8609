//! What came of reading the configuration anew; also what the agent answers on its local socket.

use serde::{Deserialize, Serialize};
use std::time::SystemTime;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum ReloadOutcome {
    /// What is in force now.
    Reloaded {
        /// The keys whose values are others now.
        changed: Vec<String>,
        /// The keys that were changed and need a restart of the service.
        at_restart: Vec<String>,
    },
    /// The old settings stay.
    Rejected { errors: Vec<Complaint> },
}

/// The configuration that is in force, and what came of the last try to replace it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// When what is in force was read.
    pub loaded: SystemTime,
    /// Why the last reload was rejected, if it was.
    pub errors: Vec<Complaint>,
    /// Keys that were changed and need a restart of the service.
    pub at_restart: Vec<String>,
}

impl Reading {
    /// What was read then is valid.
    pub fn valid(loaded: SystemTime) -> Self {
        Self { loaded, errors: Vec::new(), at_restart: Vec::new() }
    }
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Complaint {
    pub file: Option<String>,
    pub line: Option<usize>,
    pub column: Option<usize>,
    /// File, variable or flag, as people read it.
    pub origin: Option<String>,
    pub key: Option<String>,
    pub message: String,
    /// All of it as one line.
    pub text: String,
    pub remedy: Option<String>,
}
