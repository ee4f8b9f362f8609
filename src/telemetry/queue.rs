//! Log entries on their way off the runtime: a journald that hangs blocks the writer's thread, never a loop. What there is
//! too much of is held back before it gets on its way.

use super::restraint::Restraint;
use super::{OURS, events};
use crate::policy::chatter::Word;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use std::{fmt, io, thread};
use tracing::field::{Field, Value, Visit};
use tracing::{Dispatch, Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Entries that wait at most; beyond it they are counted and dropped.
const CAPACITY: usize = 1024;
/// The most fields that one call of a tracing macro can have.
const MAX_FIELDS: usize = 32;

enum Item {
    Record(Record),
    /// Answered when everything before it has been written.
    Flush(mpsc::Sender<()>),
}

/// An entry whose values no longer borrow from the place that logged it.
struct Record {
    metadata: &'static Metadata<'static>,
    values: Vec<(Field, Owned)>,
}

enum Owned {
    Text(String),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Bool(bool),
}

pub struct Queue {
    items: mpsc::SyncSender<Item>,
    dropped: Arc<AtomicU64>,
    restraint: Restraint,
}

pub struct Flush(mpsc::SyncSender<Item>);

impl Flush {
    /// Waits until everything logged so far has been written, at most for `patience`.
    pub fn flush(&self, patience: Duration) {
        let (done, wait) = mpsc::channel();
        if self.0.try_send(Item::Flush(done)).is_ok() {
            // neither a time-out nor a writer that is gone leaves anything to do
            let _ = wait.recv_timeout(patience);
        }
    }
}

/// A layer that queues, and a thread that writes the queue to `sink`.
pub fn start(sink: Dispatch, restraint: Restraint) -> io::Result<(Queue, Flush)> {
    let (items, receiver) = mpsc::sync_channel(CAPACITY);
    let dropped = Arc::new(AtomicU64::new(0));
    let queue = Queue { items: items.clone(), dropped: Arc::clone(&dropped), restraint };
    thread::Builder::new().name("log".to_owned()).spawn(move || {
        tracing::dispatcher::with_default(&sink, || write(&receiver, &dropped));
    })?;
    Ok((queue, Flush(items)))
}

fn write(items: &mpsc::Receiver<Item>, dropped: &AtomicU64) {
    for item in items {
        match item {
            Item::Record(record) => record.write(),
            Item::Flush(done) => {
                // whoever waited may have given up
                let _ = done.send(());
            }
        }
        let count = dropped.swap(0, Ordering::Relaxed);
        if count > 0 {
            events::emit(&events::Event::LogDropped { count });
        }
    }
}

impl<S: Subscriber> Layer<S> for Queue {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut record = Record { metadata: event.metadata(), values: Vec::new() };
        event.record(&mut record);
        let held_before = match record.event().map(|name| self.restraint.judge(name)) {
            None => 0,
            Some(Word::Say { held_before }) => held_before,
            Some(Word::Hold) => return,
        };
        record.mention(held_before);
        if self.items.try_send(Item::Record(record)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.restraint.count_dropped();
        }
    }
}

impl Record {
    /// The name of the event; whatever a library logs is one of its own.
    fn event(&self) -> Option<&str> {
        match self.is_ours() {
            true => self.text("swarm_agent_event"),
            false => Some(events::LIBRARY_WARNING),
        }
    }

    fn is_ours(&self) -> bool {
        self.metadata.target().starts_with(OURS)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(field, _)| field.name() == name).and_then(|(_, value)| match value {
            Owned::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// Says in the message how many like this one were held back before it.
    fn mention(&mut self, held_before: u32) {
        let message = self.values.iter_mut().find(|(field, _)| field.name() == "message");
        if let Some((_, Owned::Text(text))) = message.filter(|_| held_before > 0) {
            let were = if held_before == 1 { "was" } else { "were" };
            let _ = write!(text, " ({held_before} like this {were} held back before it)");
        }
    }

    fn write(&self) {
        if self.is_ours() {
            return self.replay();
        }
        let mut message = self.text("message").unwrap_or_default().to_owned();
        for (field, value) in self.values.iter().filter(|(field, _)| field.name() != "message") {
            let _ = write!(message, " {}={value}", field.name());
        }
        events::emit(&events::Event::LibraryWarning { module: self.metadata.target(), message: message.trim_start() });
    }

    /// Sends the entry again, to this thread's subscriber.
    fn replay(&self) {
        let Some(unused) = self.metadata.fields().iter().next() else { return };
        let mut values: [(&Field, Option<&dyn Value>); MAX_FIELDS] = [(&unused, None); MAX_FIELDS];
        for (slot, (field, value)) in values.iter_mut().zip(&self.values) {
            *slot = (field, Some(value.as_value()));
        }
        Event::dispatch(self.metadata, &self.metadata.fields().value_set(&values));
    }
}

impl Owned {
    fn as_value(&self) -> &dyn Value {
        match self {
            Self::Text(value) => value,
            Self::Signed(value) => value,
            Self::Unsigned(value) => value,
            Self::Float(value) => value,
            Self::Bool(value) => value,
        }
    }
}

impl fmt::Display for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(value) => value.fmt(f),
            Self::Signed(value) => value.fmt(f),
            Self::Unsigned(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Bool(value) => value.fmt(f),
        }
    }
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.values.push((field.clone(), Owned::Text(format!("{value:?}"))));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.values.push((field.clone(), Owned::Text(value.to_owned())));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.values.push((field.clone(), Owned::Signed(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.values.push((field.clone(), Owned::Unsigned(value)));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.values.push((field.clone(), Owned::Float(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.values.push((field.clone(), Owned::Bool(value)));
    }
}

#[cfg(test)]
mod tests;
