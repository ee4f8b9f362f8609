//! A node that is to be there under our session.

use super::connection::Reply;
use super::fault::Fault;
use super::line::Line;
use super::servers::Ticket;
use super::wire::{self, Acl, Op, Stat, code};
use crate::discovery::BackendError;
use tokio::time::Instant;

/// Somebody else may change the node between a look and a step, but not for ever.
const ROUNDS: usize = 5;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    pub path: String,
    pub data: Vec<u8>,
    /// A node that must not be there beside it.
    pub displaces: Option<String>,
    pub acl: Acl,
}

/// What a look found.
struct Found {
    node: Option<(Vec<u8>, Stat)>,
    displaced: bool,
}

/// Gives the session that they are under. If nothing had to be done, watches tell of the next change of any of it.
pub async fn settle(slots: &[Slot], line: &mut Line, deadline: Instant) -> Result<Ticket, Fault> {
    line.expect_changes();
    let (mut under, mut as_it_was) = (Err(Fault::Expired), true);
    for slot in slots {
        let (ticket, found_so) = slot.settle(line, deadline).await?;
        under = Ok(ticket);
        as_it_was &= found_so;
    }
    if as_it_was {
        line.rely_on_watches();
    }
    under
}

impl Slot {
    /// Gives the session that it is under, and whether it was so already.
    async fn settle(&self, line: &mut Line, deadline: Instant) -> Result<(Ticket, bool), Fault> {
        for _ in 0..ROUNDS {
            let found = self.look(line, deadline).await?;
            // there was an answer, and so there is a session
            let Some(ticket) = line.ticket().cloned() else { return Err(Fault::Expired) };
            let step = match &found.node {
                None => Some(self.node()),
                Some((data, stat)) if stat.owner == ticket.id => {
                    let (path, data_wanted, version) = (self.path.clone(), self.data.clone(), stat.version);
                    (*data != self.data).then_some(Op::SetData { path, data: data_wanted, version })
                }
                Some((_, stat)) => {
                    let gone = Op::Delete { path: self.path.clone(), version: stat.version };
                    Some(Op::Multi(vec![gone, self.node()]))
                }
            };
            let found_so = step.is_none() && !found.displaced;
            let done = match step {
                Some(step) => self.take(line, step, deadline).await?,
                None => true,
            };
            if done {
                self.displace(line, found.displaced, deadline).await?;
                return Ok((ticket, found_so));
            }
        }
        let reason = format!("{} is changed by somebody else all the time", self.path);
        Err(BackendError::Refused { server: line.server().to_owned(), reason }.into())
    }

    fn node(&self) -> Op {
        Op::Ephemeral { path: self.path.clone(), data: self.data.clone(), acl: self.acl }
    }

    async fn look(&self, line: &mut Line, deadline: Instant) -> Result<Found, Fault> {
        let mut ops = vec![Op::Data { path: self.path.clone(), watch: true }];
        ops.extend(self.displaces.iter().map(|path| Op::Exists { path: path.clone(), watch: true }));
        let replies = line.ask(&ops, deadline).await?;
        for (op, reply) in ops.iter().zip(&replies) {
            if !matches!(reply.code, code::OK | code::NO_NODE) {
                return Err(line.refused(reply.code, op.path()));
            }
        }
        let node = match replies.first().filter(|reply| reply.code == code::OK) {
            Some(reply) => Some(data(reply).ok_or_else(|| line.garbled())?),
            None => None,
        };
        Ok(Found { node, displaced: replies.get(1).is_some_and(|reply| reply.code == code::OK) })
    }

    /// False: the node is another one by now.
    async fn take(&self, line: &mut Line, step: Op, deadline: Instant) -> Result<bool, Fault> {
        let several = matches!(step, Op::Multi(_));
        let creates = matches!(step, Op::Ephemeral { .. });
        let reply = line.ask_one(step, deadline).await?;
        // the results come one by one, and a reply without them is a failure as a whole
        let outcome = match reply.code {
            code::OK if several => reply.reader().multi().ok_or_else(|| line.garbled())?,
            code => code,
        };
        match outcome {
            code::OK => Ok(true),
            code::NO_NODE if creates => self.make_folders(line, deadline).await.map(|()| false),
            code::NO_NODE | code::NODE_EXISTS | code::BAD_VERSION => Ok(false),
            failure => Err(line.refused(failure, &self.path)),
        }
    }

    /// Those that are there may be somebody else's, where we may make none.
    async fn make_folders(&self, line: &mut Line, deadline: Instant) -> Result<(), Fault> {
        let folders: Vec<&str> = self.path.match_indices('/').skip(1).map(|(at, _)| &self.path[..at]).collect();
        let looks: Vec<Op> =
            folders.iter().map(|folder| Op::Exists { path: (*folder).to_owned(), watch: false }).collect();
        let replies = line.ask(&looks, deadline).await?;
        for (folder, _) in folders.iter().zip(&replies).filter(|(_, reply)| reply.code == code::NO_NODE) {
            let reply = line.ask_one(Op::Folder { path: (*folder).to_owned(), acl: self.acl }, deadline).await?;
            // another node of the cluster may have been faster
            if !matches!(reply.code, code::OK | code::NODE_EXISTS) {
                return Err(line.refused(reply.code, folder));
            }
        }
        Ok(())
    }

    async fn displace(&self, line: &mut Line, displaced: bool, deadline: Instant) -> Result<(), Fault> {
        let Some(path) = self.displaces.as_ref().filter(|_| displaced) else { return Ok(()) };
        let reply = line.ask_one(Op::Delete { path: path.clone(), version: wire::ANY }, deadline).await?;
        match reply.code {
            code::OK | code::NO_NODE => Ok(()),
            failure => Err(line.refused(failure, path)),
        }
    }
}

/// What `getData` gives.
pub fn data(reply: &Reply) -> Option<(Vec<u8>, Stat)> {
    let mut reader = reply.reader();
    Some((reader.buffer()?.to_vec(), reader.stat()?))
}
