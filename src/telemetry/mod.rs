//! Journal entries: where they go (`init`), how they get there without ever blocking a loop (`queue`), what of them is
//! held back (`restraint`), and which there are (`events`). And what Prometheus is
//! told (`metrics`).

pub mod events;
pub mod metrics;
mod queue;
mod restraint;
mod stderr;

pub use events::{Event, emit};
pub use restraint::Restraint;

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;

pub const IDENTIFIER: &str = "swarm-agent";
/// The targets of our own modules begin so.
const OURS: &str = "swarm_agent";

/// Delivers what is queued when it is dropped, within a second.
pub struct Telemetry {
    flush: queue::Flush,
    verbosity: Verbosity,
    restraint: Restraint,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.flush(Duration::from_secs(1));
    }
}

impl Telemetry {
    pub fn verbosity(&self) -> Verbosity {
        self.verbosity.clone()
    }

    pub fn restraint(&self) -> Restraint {
        self.restraint.clone()
    }

    /// Waits until everything logged so far has been written, at most for `patience`.
    pub fn flush(&self, patience: Duration) {
        self.flush.flush(patience);
    }
}

/// What is logged, changed while the log goes on.
#[derive(Clone)]
pub struct Verbosity {
    filter: reload::Handle<Targets, Registry>,
    restraint: Restraint,
}

impl Verbosity {
    pub fn set(&self, level: LevelFilter) {
        match self.filter.reload(targets(level)) {
            Ok(()) => self.restraint.set(level),
            Err(error) => emit(&Event::LogLevelKept { error: &error.to_string() }),
        }
    }
}

fn targets(level: LevelFilter) -> Targets {
    Targets::new().with_target(OURS, level).with_default(LevelFilter::WARN)
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
        Some(layer) => Dispatch::new(Registry::default().with(layer)),
        // journald reads the priority from the prefix when only its stream can be reached
        None => Dispatch::new(Registry::default().with(stderr::Stderr { prefix: journal_stream.is_some() })),
    };
    let (subscriber, telemetry) = to(sink, level)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::Twice)?;
    Ok(telemetry)
}

/// The whole way of an entry to `sink`, not yet anybody's default.
pub fn to(sink: Dispatch, level: LevelFilter) -> Result<(impl Subscriber + Send + Sync, Telemetry), TelemetryError> {
    let restraint = Restraint::default();
    restraint.set(level);
    let (layer, flush) = queue::start(sink, restraint.clone()).map_err(TelemetryError::Thread)?;
    let (filter, handle) = reload::Layer::new(targets(level));
    let verbosity = Verbosity { filter: handle, restraint: restraint.clone() };
    Ok((Registry::default().with(filter).with(layer), Telemetry { flush, verbosity, restraint }))
}

/// One for most entries, and one for those that are critical. (Filters of layers don't hold for what is replayed.)
struct Journal {
    usual: tracing_journald::Layer,
    critical: tracing_journald::Layer,
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Journal {
    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let critical = event.metadata().target() == events::CRITICAL;
        let layer = if critical { &self.critical } else { &self.usual };
        layer.on_event(event, context);
    }
}

fn journald() -> io::Result<Journal> {
    Ok(Journal { usual: journald_with(Priority::Error)?, critical: journald_with(Priority::Critical)? })
}

fn journald_with(error: Priority) -> io::Result<tracing_journald::Layer> {
    let priorities = PriorityMappings {
        error,
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
