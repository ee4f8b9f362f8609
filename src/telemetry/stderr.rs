//! The log on stderr, for a person at a terminal or a service manager that reads it.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

pub struct Stderr {
    /// Begin each line with `<N>`, which a service manager takes for the priority.
    pub prefix: bool,
}

impl<S: Subscriber> Layer<S> for Stderr {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (priority, word) = match *event.metadata().level() {
            Level::ERROR if event.metadata().target() == super::events::CRITICAL => (2, "critical: "),
            Level::ERROR => (3, "error: "),
            Level::WARN => (4, "warning: "),
            Level::INFO => (6, ""),
            Level::DEBUG | Level::TRACE => (7, "debug: "),
        };
        let mut line = Line::default();
        event.record(&mut line);
        let mut text = String::new();
        if self.prefix {
            let _ = write!(text, "<{priority}>");
        } else {
            text.push_str(word);
        }
        text.push_str(&line.message);
        // an entry with an id says everything in its message; its fields are for machines
        if !line.event {
            text.push_str(&line.fields);
        }
        text.push('\n');
        // a stderr that is closed leaves nobody to tell
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
    event: bool,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            "message_id" => self.event = true,
            name => {
                let _ = write!(self.fields, " {name}={value}");
            }
        }
    }
}
