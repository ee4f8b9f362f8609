//! A session that holds an entry, and that is kept alive between the beats.

use super::entry::{self, Slot};
use super::fault::Fault;
use super::line::Line;
use super::servers::{Servers, Ticket};
use super::wire::Op;
use crate::model::Hold;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

/// While no server answers, the session is tried to be taken up again this often within its pace.
const TRIES: u32 = 3;

/// Ends its task when it is dropped, and not the session.
pub struct Session {
    kept: Arc<Mutex<Kept>>,
    _keeper: AbortOnDropHandle<()>,
}

pub struct Kept {
    pub line: Line,
    /// What was there when it was looked at last.
    pub settled: Vec<Slot>,
    /// When the entry has to be gone if nobody asks for it again.
    until: Instant,
}

impl Session {
    /// With a ticket, one that is there already.
    pub fn new(servers: &Arc<Servers>, ticket: Option<Ticket>, ttl: Duration) -> Self {
        // until a server says what it grants
        let ticket = ticket.map(|ticket| Ticket { granted: timeout(ttl), ..ticket });
        let line = Line::new(Arc::clone(servers), ticket, timeout(ttl));
        let kept = Arc::new(Mutex::new(Kept { line, settled: Vec::new(), until: Instant::now() }));
        let keeper = AbortOnDropHandle::new(tokio::spawn(keep(Arc::clone(&kept))));
        Self { kept, _keeper: keeper }
    }

    pub async fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().await
    }

    /// If nobody uses it just now.
    pub fn idle(&self) -> Option<tokio::sync::OwnedMutexGuard<Kept>> {
        Arc::clone(&self.kept).try_lock_owned().ok()
    }
}

impl Kept {
    /// Somebody wants the entry for this long from now on.
    pub fn renew(&mut self, ttl: Duration) {
        self.line.ask_for(timeout(ttl));
        self.until = Instant::now() + ttl;
    }

    /// From now on it is left to its timeout.
    pub fn give_up(&mut self) {
        self.until = Instant::now();
    }

    /// Gives the session that they are under. Where all was well and no watch has fired, the server need not be asked more
    /// than whether it is there.
    pub async fn settle(&mut self, slots: &[Slot], deadline: Instant) -> Result<Ticket, Fault> {
        if self.settled == slots
            && self.line.is_undisturbed(deadline).await?
            && let Some(ticket) = self.line.ticket()
        {
            return Ok(ticket.clone());
        }
        entry::settle(slots, &mut self.line, deadline).await
    }

    /// Gives when to do it again.
    async fn keep_alive(&mut self) -> Duration {
        let pace = self.line.pace();
        let quiet = self.line.quiet();
        if quiet < pace {
            return pace - quiet;
        }
        let Some(granted) = self.line.ticket().map(|ticket| ticket.granted) else { return pace };
        if Instant::now() + granted > self.until {
            return pace;
        }
        // not longer than a beat would: it waits for its turn meanwhile
        match self.line.ask_one(Op::Ping, Instant::now() + pace.min(self.line.patience())).await {
            Ok(_) => self.line.pace(),
            // the next beat begins a new one
            Err(Fault::Expired) => pace,
            Err(Fault::Failed(error)) => {
                tracing::debug!(%error, "a session of ZooKeeper is not heard of just now");
                // a thousand nodes lose their server at once
                (pace / TRIES).mul_f64(rand::random_range(0.5..1.5))
            }
        }
    }
}

/// Two thirds of the ttl. The rest is for the server, which looks for what has ended only so often.
fn timeout(ttl: Duration) -> Duration {
    ttl * 2 / 3
}

async fn keep(kept: Arc<Mutex<Kept>>) {
    let mut pause = kept.lock().await.line.pace();
    loop {
        sleep(pause).await;
        pause = kept.lock().await.keep_alive().await;
    }
}

/// What another process needs to go on with the session.
pub fn hold(ticket: &Ticket) -> Hold {
    use std::fmt::Write;
    let mut text = format!("{:016x}", ticket.id);
    for byte in &ticket.password {
        // a String takes anything
        let _ = write!(text, "{byte:02x}");
    }
    Hold(text)
}

/// None for what is no hold of ours: what was kept in a file may be anything.
pub fn ticket(hold: &Hold) -> Option<Ticket> {
    let (id, password) = hold.0.split_at_checked(16)?;
    let id = u64::from_str_radix(id, 16).ok()?.cast_signed();
    let byte = |at: usize| u8::from_str_radix(password.get(at..at + 2)?, 16).ok();
    let password: Option<Vec<u8>> = (0..password.len()).step_by(2).map(byte).collect();
    Some(Ticket { id, password: password?, granted: Duration::ZERO })
}
