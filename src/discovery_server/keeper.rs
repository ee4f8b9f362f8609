//! What the requests see of the server's state: reads and beats from memory, changes by way of the
//! writer, which answers when they are on disk.

use super::clock::Clock;
use super::limits;
use super::plan::Wish;
use super::refusal::Refusal;
use super::roster::{Drained, Mark, Recorded, Renewal, Roster, Standing, View};
use crate::model::{Moment, NodeAddress, NodeRecord, Token};
use crate::policy::lease::Lease;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

/// The roster and its clock.
pub struct Memory {
    roster: Mutex<Roster>,
    pub clock: Clock,
    /// Of this process, so that no index of an earlier one is one of ours.
    epoch: u64,
}

impl Memory {
    pub fn new(roster: Roster, clock: Clock) -> Self {
        Self { roster: Mutex::new(roster), clock, epoch: rand::random() }
    }

    /// The time is read under the lock, so that whoever comes later has a later time, and an entry
    /// that one sees ended is not renewed by another.
    pub fn with<T>(&self, work: impl FnOnce(&mut Roster, Moment) -> T) -> T {
        // a panic elsewhere can't leave the roster half changed: each change is one map operation
        let mut roster = self.roster.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut roster, self.clock.now())
    }

    /// Of letters, digits and `-` alone: it goes into URLs and headers as it is.
    fn index(&self, view: View, Standing { cluster, changes }: Standing) -> String {
        let all = if view == View::All { "-all" } else { "" };
        format!("{:016x}-{cluster}-{changes}{all}", self.epoch)
    }
}

/// A list, and its index.
pub struct Look {
    pub index: String,
    pub active: Vec<Box<str>>,
    /// Empty in a view of the active ones.
    pub drained: Vec<Drained>,
}

/// One order to the writer. The slot bounds how many wait, abandoned ones included.
pub struct Order {
    pub wish: Wish,
    pub answer: oneshot::Sender<Result<(), Refusal>>,
    pub slot: OwnedSemaphorePermit,
}

#[derive(Clone)]
pub struct Keeper {
    memory: Arc<Memory>,
    orders: Sender<Order>,
    slots: Arc<Semaphore>,
}

impl Keeper {
    pub fn new(memory: Arc<Memory>, orders: Sender<Order>) -> Self {
        Self { memory, orders, slots: Arc::new(Semaphore::new(limits::WAITING)) }
    }

    pub async fn create(&self, token: Token) -> Result<(), Refusal> {
        self.order(Wish::Create(token)).await
    }

    /// Makes the cluster if it is not there.
    pub async fn ensure(&self, token: Token) -> Result<(), Refusal> {
        let known = self.memory.with(|roster, _| roster.cluster_size(&token).is_some());
        if known { Ok(()) } else { self.create(token).await }
    }

    /// Takes a whole cluster away.
    pub async fn drop_cluster(&self, token: Token) -> Result<(), Refusal> {
        self.order(Wish::Drop(token)).await
    }

    pub async fn register(&self, token: Token, address: &NodeAddress, ttl: Duration) -> Result<(), Refusal> {
        let (renewal, lease) = self.memory.with(|roster, now| {
            let lease = Lease { ttl, beat: now };
            (roster.renew(&token, address, lease), lease)
        });
        match renewal {
            Renewal::Renewed => Ok(()),
            Renewal::UnknownCluster => Err(Refusal::UnknownCluster),
            Renewal::Changes => self.order(Wish::Put { token, address: address.to_string().into(), lease }).await,
        }
    }

    /// `node`, if it is told, is whose entry is meant: one that is recorded as another's stays.
    pub async fn remove(&self, token: Token, address: &NodeAddress, node: Option<&str>) -> Result<(), Refusal> {
        let is_anothers = |node| self.memory.with(|roster, now| roster.is_anothers(&token, address, node, now));
        if node.is_some_and(is_anothers) {
            return Ok(());
        }
        self.order(Wish::Remove { token, address: address.to_string().into() }).await
    }

    /// The list as it is now.
    pub fn look(&self, token: &Token, view: View) -> Result<Look, Refusal> {
        let look = self.memory.with(|roster, now| {
            let (standing, _) = roster.standing(token, view, now)?;
            let drained = match view {
                View::Active => Vec::new(),
                View::All => roster.drained(token, now)?,
            };
            Some(Look { index: self.memory.index(view, standing), active: roster.list(token, now)?, drained })
        });
        look.ok_or(Refusal::UnknownCluster)
    }

    /// The list's index, and how long the list stays as it is if nobody does anything.
    pub fn index(&self, token: &Token, view: View) -> Result<(String, Duration), Refusal> {
        let standing = self.memory.with(|roster, now| {
            let (standing, due) = roster.standing(token, view, now)?;
            Some((self.memory.index(view, standing), due.since(now)))
        });
        standing.ok_or(Refusal::UnknownCluster)
    }

    /// See [`Roster::bell`].
    pub fn bell(&self, token: &Token) -> Result<watch::Receiver<()>, Refusal> {
        self.memory.with(|roster, _| roster.bell(token)).ok_or(Refusal::UnknownCluster)
    }

    /// Who the node behind an entry is. In memory only, so it is done at once.
    pub fn record(&self, token: &Token, address: &NodeAddress, record: NodeRecord) {
        self.memory.with(|roster, _| roster.record(token, address, record));
    }

    /// The list as it is now, and who is behind it.
    pub fn recorded(&self, token: &Token) -> Result<Vec<Recorded>, Refusal> {
        self.memory.with(|roster, now| roster.recorded(token, now)).ok_or(Refusal::UnknownCluster)
    }

    /// Says that a node is drained. In memory only, so it is done at once.
    pub fn mark(
        &self,
        token: &Token,
        address: &NodeAddress,
        reason: Option<&str>,
        ttl: Duration,
    ) -> Result<(), Refusal> {
        self.memory.with(|roster, now| {
            roster.mark(token, address, Mark { reason: reason.map(Into::into), lease: Lease { ttl, beat: now } })
        })
    }

    /// Clusters and nodes.
    pub fn count(&self) -> (usize, usize) {
        self.memory.with(|roster, now| roster.count(now))
    }

    async fn order(&self, wish: Wish) -> Result<(), Refusal> {
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order { wish, answer, slot }).map_err(|_| Refusal::Stopping)?;
        answered.await.map_err(|_| Refusal::Stopping)?
    }
}
