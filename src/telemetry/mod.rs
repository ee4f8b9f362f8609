//! Journal entries: where they go (`init`), how they get there without ever blocking a loop (`queue`), and
//! which there are (`events`). And what Prometheus is told (`metrics`).

pub mod events;
pub mod metrics;
mod queue;
mod stderr;

pub use events::{Event, emit};

use std::io;
use std::os::fd::AsFd;
use tracing::level_filters::LevelFilter;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;

pub const IDENTIFIER: &str = "swarm-agent";

/// Delivers what is queued when it is dropped, within a second.
pub struct Telemetry {
    flush: queue::Flush,
    verbosity: Verbosity,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.flush.flush(std::time::Duration::from_secs(1));
    }
}

impl Telemetry {
    pub fn verbosity(&self) -> Verbosity {
        self.verbosity.clone()
    }
}

/// What is logged, changed while the log goes on.
#[derive(Clone)]
pub struct Verbosity(reload::Handle<Targets, Registry>);

impl Verbosity {
    pub fn set(&self, level: LevelFilter) {
        if let Err(error) = self.0.reload(targets(level)) {
            tracing::warn!(%error, "the log level stays as it is");
        }
    }
}

fn targets(level: LevelFilter) -> Targets {
    Targets::new().with_target("swarm_agent", level).with_default(LevelFilter::WARN)
}

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("the thread that writes the log can't be started: {0}")]
    Thread(#[source] io::Error),
    #[error("a log is set up already")]
    Twice,
}

/// Sends this process's log to journald if stderr goes there, and to stderr otherwise.
///
/// `journal_stream` is the environment's JOURNAL_STREAM.
pub fn init(level: LevelFilter, journal_stream: Option<&str>) -> Result<Telemetry, TelemetryError> {
    let native = stderr_is_journal(journal_stream).then(journald).and_then(Result::ok);
    let sink = match native {
        Some(layer) => tracing::Dispatch::new(Registry::default().with(layer)),
        // journald reads the priority from the prefix when only its stream can be reached
        None => tracing::Dispatch::new(Registry::default().with(stderr::Stderr { prefix: journal_stream.is_some() })),
    };
    let (layer, flush) = queue::start(sink).map_err(TelemetryError::Thread)?;
    let (filter, handle) = reload::Layer::new(targets(level));
    tracing::subscriber::set_global_default(Registry::default().with(filter).with(layer))
        .map_err(|_| TelemetryError::Twice)?;
    Ok(Telemetry { flush, verbosity: Verbosity(handle) })
}

fn journald() -> io::Result<tracing_journald::Layer> {
    let priorities = PriorityMappings {
        error: Priority::Error,
        warn: Priority::Warning,
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
    };
    Ok(tracing_journald::layer()?
        .with_field_prefix(None)
        .with_priority_mappings(priorities)
        .with_syslog_identifier(IDENTIFIER.to_owned()))
}

/// JOURNAL_STREAM is `device:inode` in decimal; it is inherited, so only a match with our stderr counts.
fn stderr_is_journal(journal_stream: Option<&str>) -> bool {
    let Some((device, inode)) = journal_stream.and_then(|text| text.split_once(':')) else { return false };
    match nix::sys::stat::fstat(io::stderr().as_fd()) {
        Ok(stat) => device.parse() == Ok(stat.st_dev) && inode.parse() == Ok(stat.st_ino),
        Err(_) => false,
    }
}
