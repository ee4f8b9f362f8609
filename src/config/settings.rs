//! Validated settings: what the rest of the program sees of the configuration.

use crate::model::permission::Rules;
use crate::model::{
    Advertise, AdvertiseCheck, CpuWish, Discovery, Duplicates, Readers, ServerFiles, SupervisionSettings, TlsFiles,
    WayOut,
};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// What `swarm-agent run` needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSettings {
    /// `agent.log-level`
    pub log_level: LogLevel,
    /// `agent.state-directory`
    pub state_directory: PathBuf,
    /// `agent.cpu-affinity`; None is every CPU.
    pub cpu_affinity: Option<CpuWish>,
    pub discovery: DiscoverySettings,
    pub engine: EngineSettings,
    pub supervision: SupervisionSettings,
    /// `supervision.containerd-unit`
    pub containerd_unit: String,
    pub status: StatusSettings,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoverySettings {
    pub url: Discovery,
    /// Where the agent's own server listens, if `url` is `embedded`.
    pub embedded_listen: SocketAddr,
    pub advertise: Advertise,
    pub advertise_check: AdvertiseCheck,
    pub duplicates: Duplicates,
    pub heartbeat: Duration,
    pub ttl: Duration,
    /// One uniform random sleep of at most this before the first registration.
    pub delay: Duration,
    pub way: WayOut,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// Path of the engine's unix socket.
    pub socket: PathBuf,
    pub unit: String,
    /// How long the entry stays while the unit runs a restart job.
    pub grace: Duration,
    pub probe_interval: Duration,
    pub probe_timeout: Duration,
    /// Good probes in a row to enter.
    pub healthy_after: u32,
    /// Bad probes in a row to leave.
    pub unhealthy_after: u32,
    /// For the advertised address; None asks it without TLS.
    pub tls: Option<TlsFiles>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSettings {
    pub readers: Readers,
    /// None: metrics are on the unix socket only.
    pub metrics_listen: Option<SocketAddr>,
}

/// What `swarm-agent serve` needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// `agent.log-level`
    pub log_level: LogLevel,
    /// `server.listen`
    pub listen: SocketAddr,
    /// `server.state-directory`
    pub state_directory: PathBuf,
    /// None: plain HTTP.
    pub tls: Option<ServerFiles>,
    /// What `server.tokens-file` holds. None: whoever reaches the server may do anything.
    pub rules: Option<Rules>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

impl LogLevel {
    /// Reads a name of [`super::schema::LOG_LEVELS`].
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "error" => Self::Error,
            "warn" => Self::Warn,
            "info" => Self::Info,
            "debug" => Self::Debug,
            "trace" => Self::Trace,
            _ => return None,
        })
    }
}
