//! The properties of a unit, as `systemctl show` prints them.

use std::collections::BTreeMap;
use std::fmt;

/// What a look at a unit saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitProps(BTreeMap<String, String>);

impl UnitProps {
    pub(crate) fn parse(show: &str) -> Self {
        Self(show.lines().filter_map(|l| l.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
    }

    /// Empty when systemd has no such property, as in `systemctl show`.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub fn active_state(&self) -> &str {
        self.get("ActiveState")
    }

    pub fn sub_state(&self) -> &str {
        self.get("SubState")
    }

    pub fn is_active(&self) -> bool {
        self.active_state() == "active"
    }

    /// Whether it starts at boot.
    pub fn is_enabled(&self) -> bool {
        self.get("UnitFileState").starts_with("enabled")
    }

    pub fn result(&self) -> &str {
        self.get("Result")
    }

    /// As the machine numbers it; 0 when there is none.
    pub fn main_pid(&self) -> i32 {
        self.get("MainPID").parse().unwrap_or(0)
    }

    pub fn n_restarts(&self) -> u32 {
        self.get("NRestarts").parse().unwrap_or(0)
    }
}

/// What matters in a complaint.
impl fmt::Display for UnitProps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ["LoadState", "ActiveState", "SubState", "Result", "MainPID", "NRestarts", "Job", "StatusText"];
        let shown = names.iter().filter(|n| self.0.contains_key(**n)).map(|n| format!("{n}={}", self.get(n)));
        f.write_str(&shown.collect::<Vec<_>>().join(" "))
    }
}
