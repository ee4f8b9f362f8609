//! Log entries on their way off the runtime: a journald that hangs blocks the writer's thread, never a loop.

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
pub fn start(sink: Dispatch) -> io::Result<(Queue, Flush)> {
    let (items, receiver) = mpsc::sync_channel(CAPACITY);
    let dropped = Arc::new(AtomicU64::new(0));
    let queue = Queue { items: items.clone(), dropped: Arc::clone(&dropped) };
    thread::Builder::new().name("log".to_owned()).spawn(move || {
        tracing::dispatcher::with_default(&sink, || write(&receiver, &dropped));
    })?;
    Ok((queue, Flush(items)))
}

fn write(items: &mpsc::Receiver<Item>, dropped: &AtomicU64) {
    for item in items {
        match item {
            Item::Record(record) => record.replay(),
            Item::Flush(done) => {
                // whoever waited may have given up
                let _ = done.send(());
            }
        }
        let count = dropped.swap(0, Ordering::Relaxed);
        if count > 0 {
            super::emit(&super::Event::LogDropped { count });
        }
    }
}

impl<S: Subscriber> Layer<S> for Queue {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut record = Record { metadata: event.metadata(), values: Vec::new() };
        event.record(&mut record);
        if self.items.try_send(Item::Record(record)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Record {
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
mod tests {
    use super::*;
    use std::sync::Mutex;
    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt;

    /// Writes what arrives as `name=value` lines; the first entry waits until it may go on.
    struct Sink {
        lines: Arc<Mutex<Vec<String>>>,
        gate: Mutex<Option<mpsc::Receiver<()>>>,
    }

    impl<S: Subscriber> Layer<S> for Sink {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            if let Some(gate) = self.gate.lock().unwrap().take() {
                let _ = gate.recv();
            }
            let mut line = String::new();
            event.record(&mut |field: &Field, value: &dyn fmt::Debug| line.push_str(&format!("{field}={value:?} ")));
            self.lines.lock().unwrap().push(line);
        }
    }

    type Lines = Arc<Mutex<Vec<String>>>;

    fn sink() -> (Lines, mpsc::Sender<()>, Dispatch) {
        let lines = Lines::default();
        let (open, gate) = mpsc::channel();
        let sink = Sink { lines: Arc::clone(&lines), gate: Mutex::new(Some(gate)) };
        (lines, open, Dispatch::new(Registry::default().with(sink)))
    }

    #[test]
    fn an_entry_arrives_as_it_was_logged() {
        let (lines, open, dispatch) = sink();
        open.send(()).unwrap();
        let (queue, flush) = start(dispatch).unwrap();
        tracing::subscriber::with_default(Registry::default().with(queue), || {
            tracing::info!(message_id = "aa", failures = 3_u64, ok = false, skipped = None::<u64>, "no {}", "answer");
        });
        flush.flush(Duration::from_secs(10));
        assert_eq!(*lines.lock().unwrap(), [r#"message="no answer" message_id="aa" failures=3 ok=false "#]);
    }

    #[test]
    fn a_writer_that_hangs_blocks_nobody_and_what_is_lost_is_counted() {
        let (lines, open, dispatch) = sink();
        let (queue, flush) = start(dispatch).unwrap();
        tracing::subscriber::with_default(Registry::default().with(queue), || {
            for turn in 0..3 * CAPACITY {
                tracing::info!(turn, "beat");
            }
        });
        open.send(()).unwrap();
        // the queue is full, so the flush finds no place until the writer has caught up
        let (done, wait) = mpsc::channel();
        flush.0.send(Item::Flush(done)).unwrap();
        wait.recv_timeout(Duration::from_secs(10)).unwrap();
        let lines = lines.lock().unwrap();
        let lost = lines.iter().find(|line| line.contains("log entries were dropped")).expect("the loss is said");
        assert!(lines.len() <= CAPACITY + 4 && lost.contains("20"), "{lost}");
    }
}
