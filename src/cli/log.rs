//! MERGE: stands in for `telemetry` until that part is in: each event as one line on stderr.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

struct Lines;

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

/// Only the first call has an effect.
pub fn init() {
    let _ = tracing_subscriber::registry().with(Lines).try_init();
}

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        // a closed stderr leaves nobody to tell
        let _ = writeln!(std::io::stderr(), "{} {}{}", event.metadata().level(), line.message, line.fields);
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // writing to a String can't fail
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
