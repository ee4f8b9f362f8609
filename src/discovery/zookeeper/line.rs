//! A session, over whichever server answers.

use super::connection::{Connection, Reply, Watches};
use super::fault::{Fault, broken};
use super::servers::{Servers, Ticket, Wish};
use super::wire::{Op, code};
use crate::discovery::BackendError;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Of a session's timeout: a server that was not heard of for this long is asked whether it is there.
const PACE: u32 = 3;

const SHORTEST_PACE: Duration = Duration::from_millis(100);

pub struct Line {
    servers: Arc<Servers>,
    ticket: Option<Ticket>,
    /// The timeout that is asked for.
    timeout: Duration,
    /// Taken out while it is in use: whoever is cut off in the middle of something closes it, and the session goes on
    /// over another one.
    connection: Option<Connection>,
    /// The server to begin with.
    next: usize,
    seen: i64,
    /// When the session was heard of last.
    heard: Instant,
}

/// What became of a batch on one connection.
enum Outcome {
    Done(Vec<Reply>),
    Failed(Fault),
}

impl Line {
    /// Nothing is asked yet. With a ticket the session is taken up again.
    pub fn new(servers: Arc<Servers>, ticket: Option<Ticket>, timeout: Duration) -> Self {
        let next = servers.any();
        Self { servers, ticket, timeout, connection: None, next, seen: 0, heard: Instant::now() }
    }

    pub fn ticket(&self) -> Option<&Ticket> {
        self.ticket.as_ref()
    }

    /// Which server it speaks to, or would.
    pub fn server(&self) -> &str {
        self.servers.name(self.next)
    }

    /// How long one attempt may take.
    pub fn patience(&self) -> Duration {
        self.servers.total()
    }

    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Another timeout is agreed on when a connection is made.
    pub fn ask_for(&mut self, timeout: Duration) {
        if self.timeout != timeout {
            self.timeout = timeout;
            self.connection = None;
        }
    }

    /// How often the session needs to be heard of.
    pub fn pace(&self) -> Duration {
        (self.ticket.as_ref().map_or(self.timeout, |ticket| ticket.granted) / PACE).max(SHORTEST_PACE)
    }

    /// For how long the session was not heard of.
    pub fn quiet(&self) -> Duration {
        self.heard.elapsed()
    }

    /// What is asked from now on sets watches; those of before don't count.
    pub fn expect_changes(&mut self) {
        if let Some(connection) = &mut self.connection {
            (connection.fired, connection.watches) = (false, Watches::BeingSet);
        }
    }

    /// All of it was asked for. From now on, a connection on which no watch has fired means that all is as it was; unless
    /// it is not the one from the beginning, which took its watches with it.
    pub fn rely_on_watches(&mut self) {
        if let Some(connection) = self.connection.as_mut().filter(|one| one.watches == Watches::BeingSet) {
            connection.watches = Watches::Set;
        }
    }

    /// Whether all is as it was, as far as the server knows when it is asked now.
    pub async fn is_undisturbed(&mut self, deadline: Instant) -> Result<bool, Fault> {
        let still = |line: &Self| line.connection.as_ref().is_some_and(|one| one.watches == Watches::Set && !one.fired);
        if !still(self) {
            return Ok(false);
        }
        // what it had to say of changes comes before its answer; a new connection has no watches
        self.ask_one(Op::Ping, deadline).await?;
        Ok(still(self))
    }

    /// Each operation with its reply, which may be a failure. A connection that was kept and turns out to be broken is
    /// replaced once: what a server did before it broke is done.
    pub async fn ask(&mut self, ops: &[Op], deadline: Instant) -> Result<Vec<Reply>, Fault> {
        if let Some(connection) = self.connection.take() {
            // another server shall have its chance in time
            let left = deadline.saturating_duration_since(Instant::now());
            let bound = if self.servers.count() > 1 { deadline - left / 2 } else { deadline };
            match self.exchange(connection, ops, bound).await {
                Outcome::Done(replies) => return Ok(replies),
                Outcome::Failed(Fault::Expired) => return Err(Fault::Expired),
                Outcome::Failed(fault) => tracing::debug!(?fault, "the connection to ZooKeeper is made anew"),
            }
            if Instant::now() >= deadline {
                return Err(self.late());
            }
        }
        let connection = self.connect(deadline).await?;
        match self.exchange(connection, ops, deadline).await {
            Outcome::Done(replies) => Ok(replies),
            Outcome::Failed(fault) => Err(fault),
        }
    }

    /// The reply to one operation.
    pub async fn ask_one(&mut self, op: Op, deadline: Instant) -> Result<Reply, Fault> {
        let mut replies = self.ask(std::slice::from_ref(&op), deadline).await?;
        // an exchange gives one reply for each operation
        replies.pop().ok_or_else(|| self.late())
    }

    /// Ends the session, and what it holds.
    pub async fn close(&mut self, deadline: Instant) -> Result<(), BackendError> {
        if self.ticket.is_none() {
            return Ok(());
        }
        match self.ask_one(Op::Close, deadline).await {
            Ok(_) | Err(Fault::Expired) => {
                (self.ticket, self.connection) = (None, None);
                Ok(())
            }
            Err(Fault::Failed(error)) => Err(error),
        }
    }

    /// Waits for a watch that was set over the connection which there is; false: none has fired.
    pub async fn event(&mut self, until: Instant) -> Result<bool, Fault> {
        // without a connection all watches are gone, and it is time to look again
        let Some(mut connection) = self.connection.take() else { return Ok(true) };
        match connection.event(until, self.pace()).await {
            Ok(fired) => {
                self.connection = Some(connection);
                Ok(fired)
            }
            Err(trouble) => Err(self.gone(broken(&connection.server, &trouble).into())),
        }
    }

    /// What a code of failure means.
    pub fn refused(&mut self, failure: i32, path: &str) -> Fault {
        if matches!(failure, code::NO_AUTH | code::AUTH_FAILED) {
            // the next connection shows the password as it is by then
            self.connection = None;
        }
        self.servers.asker(self.server()).refused(failure, path)
    }

    pub fn garbled(&self) -> Fault {
        let server = self.server().to_owned();
        BackendError::Garbled { server, what: "it is too short".to_owned() }.into()
    }

    fn late(&self) -> Fault {
        self.servers.late(self.server()).into()
    }

    async fn connect(&mut self, deadline: Instant) -> Result<Connection, Fault> {
        let wish = Wish { ticket: self.ticket.as_ref(), timeout: self.timeout, seen: self.seen };
        match self.servers.dial(self.next, &wish, deadline).await {
            Ok((index, connection, ticket)) => {
                self.next = index;
                self.ticket = Some(ticket);
                Ok(connection)
            }
            Err(fault) => Err(self.gone(fault)),
        }
    }

    async fn exchange(&mut self, mut connection: Connection, ops: &[Op], bound: Instant) -> Outcome {
        // until there is an answer, so that one who is not waited for any more counts as gone, too
        let here = self.next;
        self.next = self.behind(here);
        let fault = match timeout_at(bound, connection.exchange(ops)).await {
            Ok(Ok(replies)) => {
                self.seen = connection.seen;
                self.heard = Instant::now();
                self.next = here;
                let failed = |failure| replies.iter().any(|reply| reply.code == failure);
                if !failed(code::SESSION_EXPIRED) && !failed(code::SESSION_MOVED) {
                    self.connection = Some(connection);
                    return Outcome::Done(replies);
                }
                let failure = if failed(code::SESSION_EXPIRED) { code::SESSION_EXPIRED } else { code::SESSION_MOVED };
                self.servers.asker(&connection.server).refused(failure, "")
            }
            Ok(Err(trouble)) => broken(&connection.server, &trouble).into(),
            Err(_) => self.servers.late(&connection.server).into(),
        };
        self.next = here;
        Outcome::Failed(self.gone(fault))
    }

    /// The next connection is to another server; a session that has ended is forgotten.
    fn gone(&mut self, fault: Fault) -> Fault {
        match fault {
            Fault::Expired => self.ticket = None,
            Fault::Failed(_) => self.next = self.behind(self.next),
        }
        fault
    }

    /// The server that is asked after this one.
    fn behind(&self, index: usize) -> usize {
        (index + 1) % self.servers.count()
    }
}
