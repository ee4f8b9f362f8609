//! The thread that owns the store. It commits all waiting orders in one transaction, so that a
//! thousand nodes that come at once cost a few fsyncs, and none of them on the runtime.

use super::clock::{Clock, boot_mark};
use super::keeper::{Keeper, Memory, Order};
use super::limits;
use super::plan::Plan;
use super::refusal::Refusal;
use super::roster::{Change, Roster};
use super::store::{Store, StoreError, Stored};
use crate::model::Moment;
use crate::policy::lease::{Ledger, reserve};
use crate::telemetry::{Event, emit};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// While the store can't be written, the log says so at most this often.
const COMPLAINT: Duration = Duration::from_secs(60);

/// The writer thread, as long as it runs. It ends when the last `Keeper` is gone.
pub struct Running {
    ended: oneshot::Receiver<()>,
}

impl Running {
    /// Resolves when the thread has ended, in good order or by a panic.
    pub async fn ended(&mut self) {
        // an error means that the sender went without a word: ended, too
        let _ = (&mut self.ended).await;
    }
}

/// Opens the store, off the runtime, and starts to write to it.
pub async fn start(directory: PathBuf) -> Result<(Keeper, Running), StoreError> {
    let (send_started, started) = oneshot::channel();
    let (send_ended, ended) = oneshot::channel();
    let path = directory.clone();
    let body = move || {
        match open(&directory) {
            Ok((keeper, writer)) => {
                // nobody waits any more: then the keeper is dropped here, and run returns at once
                let _ = send_started.send(Ok(keeper));
                writer.run();
            }
            Err(error) => drop(send_started.send(Err(error))),
        }
        // the server may have given up waiting
        let _ = send_ended.send(());
    };
    let thread = std::thread::Builder::new().name("store".to_owned()).spawn(body);
    thread.map_err(|error| StoreError::Io { path: path.clone(), what: format!("no thread for it: {error}") })?;
    let keeper = started.await.map_err(|_| StoreError::Io { path, what: "its thread panicked".to_owned() })??;
    Ok((keeper, Running { ended }))
}

fn open(directory: &Path) -> Result<(Keeper, Writer), StoreError> {
    let (store, stored) = Store::open(directory)?;
    let resumed = stored.ledger.map_or(Moment::default(), |ledger| ledger.resume(boot_mark()));
    let (roster, spent) = restore(stored, resumed);
    let clock = Clock::resume(resumed);
    let memory = Arc::new(Memory::new(roster, clock));
    let (send, orders) = channel();
    let keeper = Keeper::new(memory.clone(), send);
    let mut writer = Writer { memory, store, orders, tick: resumed, complaint: None };
    // before the first answer: a server that crashes at once is charged for its time all the same
    writer.commit(&spent)?;
    Ok((keeper, writer))
}

/// The roster, and the entries that must go from the store.
fn restore(stored: Stored, resumed: Moment) -> (Roster, Vec<Change>) {
    let mut roster = Roster::default();
    for token in stored.clusters {
        roster.apply(Change::AddCluster(token), resumed);
    }
    let mut spent = Vec::new();
    for (token, address, lease) in stored.entries {
        if !roster.restore(&token, &address, lease, resumed) {
            spent.push(Change::Remove { token, address });
        }
    }
    let (clusters, nodes) = roster.count(resumed);
    emit(&Event::StoreOpened { clusters, nodes });
    (roster, spent)
}

struct Writer {
    memory: Arc<Memory>,
    store: Store,
    orders: Receiver<Order>,
    /// When beats, ended entries and the ledger are to be stored next.
    tick: Moment,
    /// When the log was last told that the store can't be written.
    complaint: Option<Moment>,
}

impl Writer {
    fn run(mut self) {
        loop {
            let wait = self.tick.since(self.memory.clock.now());
            match self.orders.recv_timeout(wait) {
                Ok(first) => {
                    let rest: Vec<Order> = self.orders.try_iter().take(limits::BATCH - 1).collect();
                    self.serve(std::iter::once(first).chain(rest));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.store_unstored();
                    return;
                }
            }
            if self.memory.clock.now() >= self.tick {
                self.store_unstored();
            }
        }
    }

    /// One transaction for the whole batch; answers only after it is on disk.
    fn serve(&mut self, batch: impl Iterator<Item = Order>) {
        let (mut accepted, mut refused) = (Vec::new(), Vec::new());
        let changes = self.memory.with(|roster, _| {
            let mut plan = Plan::new(roster);
            for Order { wish, answer, slot } in batch {
                match plan.add(wish) {
                    Ok(()) => accepted.push((answer, slot)),
                    Err(refusal) => refused.push((answer, refusal)),
                }
            }
            plan.changes
        });
        let outcome = self.store_changes(changes);
        // a client that went away needs no answer
        for (answer, _slot) in accepted {
            let _ = answer.send(outcome.clone());
        }
        for (answer, refusal) in refused {
            let _ = answer.send(Err(refusal));
        }
    }

    fn store_unstored(&mut self) {
        let changes = self.memory.with(|roster, now| {
            roster.sweep(now);
            roster.unstored(now)
        });
        let idle = changes.is_empty() && self.memory.with(|roster, _| roster.shortest_ttl().is_none());
        if idle {
            self.tick = self.memory.clock.now() + reserve(Duration::MAX);
        } else {
            // the log has been told, and what was not stored now is due again at the next tick
            let _ = self.store_changes(changes);
        }
    }

    fn store_changes(&mut self, changes: Vec<Change>) -> Result<(), Refusal> {
        if let Err(error) = self.commit(&changes) {
            self.complain(&error);
            return Err(Refusal::Store);
        }
        if self.complaint.take().is_some() {
            emit(&Event::StoreRecovered);
        }
        self.memory.with(|roster, now| changes.into_iter().for_each(|change| roster.apply(change, now)));
        Ok(())
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let put = changes.iter().filter_map(|change| match change {
            Change::Put { lease, .. } => Some(lease.ttl),
            _ => None,
        });
        let shortest = self.memory.with(|roster, _| roster.shortest_ttl()).into_iter().chain(put).min();
        let reserve = reserve(shortest.unwrap_or(Duration::MAX));
        let mark = boot_mark();
        let ran = self.memory.clock.now();
        // half of it, so that the next ledger is on disk before the reserve is used up
        self.tick = ran + reserve / 2;
        self.store.commit(changes, &Ledger { ran, reserve, mark })
    }

    fn complain(&mut self, error: &StoreError) {
        let now = self.memory.clock.now();
        if self.complaint.is_none_or(|last| now.since(last) >= COMPLAINT) {
            emit(&Event::StoreFailing { error: &error.to_string() });
            self.complaint = Some(now);
        }
    }
}
