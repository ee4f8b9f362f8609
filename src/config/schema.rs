//! The one table of configuration keys. Everything that knows a key by name follows from it: type
//! checks, "did you mean", environment names, command-line flags, the manual page, show-config.

mod keys;

use std::time::Duration;

/// One key of the configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// As an error names it: `discovery.ttl`.
    pub path: &'static str,
    pub kind: Kind,
    pub default: DefaultValue,
    /// What it does, for the manual page and the shipped configuration file.
    pub doc: &'static str,
    /// A value that works, as it is written in TOML.
    pub example: &'static str,
    /// The command-line flag without its dashes, if it has one of its own besides `--set`.
    pub flag: Option<&'static str>,
    /// The environment variable of classic swarm: a fallback below our own.
    pub classic: Option<&'static str>,
    /// The value names a secret: neither errors nor show-config may repeat it.
    pub secret: bool,
}

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Duration {
        min: Duration,
        max: Duration,
        whole_seconds: bool,
    },
    Integer {
        min: u32,
        max: u32,
    },
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// The address under which other hosts reach the engine: `host:port`, `interface:port`, `CIDR:port` or `auto:port`.
    Advertise,
    /// A discovery URL, or `embedded`.
    Discovery,
    /// `ip:port` to listen on.
    SocketAddress,
    /// The same, or `off`.
    OptionalSocketAddress,
    /// An absolute path.
    Path,
    /// The same, or `credential:NAME` for a file that systemd passes to the service.
    File,
    /// The name of a user of a store.
    User,
    /// A unix socket: `unix:///path` or an absolute path.
    UnixSocket,
    /// `http://host:port` of a proxy, or `off`.
    Proxy,
    /// Hosts, domains and networks between commas or white space.
    NoProxy,
    /// A systemd unit whose name ends in `.service`.
    ServiceUnit,
    /// `0-3,8`, or `numa:0`.
    Cpus,
}

/// What holds when nobody sets the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultValue {
    /// As it would be written in the environment: without TOML's quotes.
    Text(&'static str),
    /// `STATE_DIRECTORY`, which systemd sets from `StateDirectory=`; this path without it.
    StateDirectory(&'static str),
    /// The first of these variables of the environment that is set, which other programs use too. Nothing without them.
    Variables(&'static [&'static str]),
    /// None: what it is for is then not done.
    Unset,
}

impl DefaultValue {
    /// The fixed part of the default, as a manual page shows it.
    pub fn text(self) -> Option<&'static str> {
        match self {
            Self::Text(text) | Self::StateDirectory(text) => Some(text),
            Self::Variables(_) | Self::Unset => None,
        }
    }

    /// The variables that it may come from and that are not ours alone.
    pub fn variables(self) -> &'static [&'static str] {
        match self {
            Self::Variables(names) => names,
            Self::Text(_) | Self::StateDirectory(_) | Self::Unset => &[],
        }
    }
}

/// The tables (`[agent]`, …) with what they are for, in the order of the manual page.
pub const TABLES: &[(&str, &str)] = &[
    ("agent", "the program itself"),
    ("discovery", "where the engine's address is registered, and how often"),
    ("discovery.tls", "TLS to a discovery service whose URL says so: https, token, etcds, consuls, zks"),
    ("discovery.auth", "who this host is to the discovery service; the secrets are in files"),
    ("proxy", "the way out to the discovery service, for this agent and its commands; not the engine's own"),
    ("engine", "the Docker Engine of this host, and when it counts as working"),
    ("supervision", "when the agent restarts an engine that has failed or hangs"),
    ("status", "who may look at the agent, and how"),
    ("server", "the discovery server (`swarm-agent serve`)"),
];

pub const LOG_LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];

pub const SUPERVISION_MODES: &[&str] = &["enforce", "dry-run", "off"];

pub const AT_RISK: &[&str] = &["refuse", "restart"];

pub const CONTAINERD: &[&str] = &["report", "restart"];

pub const ADVERTISE_CHECKS: &[&str] = &["warn", "require", "off"];

pub const DUPLICATES: &[&str] = &["refuse", "allow"];

pub const READERS: &[&str] = &["everyone", "group"];

pub use keys::KEYS;

impl Key {
    /// `discovery.connect-timeout` → `SWARM_AGENT_DISCOVERY_CONNECT_TIMEOUT`.
    pub fn environment_name(&self) -> String {
        let tail: String =
            self.path.chars().map(|c| if matches!(c, '.' | '-') { '_' } else { c.to_ascii_uppercase() }).collect();
        format!("{ENVIRONMENT_PREFIX}{tail}")
    }

    /// The table and the name in it: `("discovery", "ttl")`.
    pub fn split(&self) -> (&'static str, &'static str) {
        self.path.rsplit_once('.').unwrap_or(("", self.path))
    }
}

pub const ENVIRONMENT_PREFIX: &str = "SWARM_AGENT_";

/// Variables with our prefix that name no key: they say where the configuration is, and the agent's socket.
pub const ENVIRONMENT_OTHER: &[&str] = &["SWARM_AGENT_CONFIG", "SWARM_AGENT_CONFIG_ROOT", "SWARM_AGENT_SOCKET"];

pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

pub fn is_table(path: &str) -> bool {
    TABLES.iter().any(|(table, _)| *table == path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_keys_share_a_name() {
        let names: Vec<String> =
            KEYS.iter().flat_map(|k| [k.path.to_owned(), k.environment_name()]).chain(flags()).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    }

    fn flags() -> impl Iterator<Item = String> {
        KEYS.iter().filter_map(|k| k.flag.map(|flag| format!("--{flag}")))
    }

    #[test]
    fn every_key_is_explained_and_lies_in_a_table() {
        for key in KEYS {
            assert!(!key.doc.is_empty() && !key.example.is_empty(), "{}", key.path);
            assert!(is_table(key.split().0), "{}", key.path);
        }
    }

    #[test]
    fn the_environment_name_follows_from_the_path() {
        let name = find("discovery.connect-timeout").map(Key::environment_name);
        assert_eq!(name.as_deref(), Some("SWARM_AGENT_DISCOVERY_CONNECT_TIMEOUT"));
    }
}
