//! What there is, and when it becomes something else. Nothing is written.

use super::entry::data;
use super::fault::Fault;
use super::line::Line;
use super::wire::{Op, code};
use crate::discovery::{BackendError, Listing, Position, Seen, Sight};
use crate::model::Entry;
use std::time::Duration;
use tokio::time::Instant;

/// So many marks are asked for at once.
const BATCH: usize = 200;

pub struct Folders {
    pub nodes: String,
    /// None if nobody wants to know.
    pub drained: Option<String>,
    /// How long a look may take.
    pub total: Duration,
}

struct Look {
    /// With watches on what is read, and on the coming of a folder that is not there.
    watch: bool,
    deadline: Instant,
}

/// A folder's children, and what tells it from others: the last coming or going. None of a folder that is not there.
struct Children {
    names: Vec<String>,
    changed: Option<i64>,
}

impl Folders {
    /// As it is now, whichever server is asked.
    pub async fn look(&self, line: &mut Line) -> Result<Sight, BackendError> {
        self.fresh(line, false).await.map_err(|fault| fault.into_error(line.server()))
    }

    /// As soon as it is something else than what was seen, or the patience ends.
    pub async fn wait(&self, line: &mut Line, seen: &Seen) -> Result<Sight, BackendError> {
        let until = Instant::now() + seen.patience;
        loop {
            let sight = self.fresh(line, true).await.map_err(|fault| fault.into_error(line.server()))?;
            if sight.position.as_ref() != Some(&seen.position) {
                return Ok(sight);
            }
            match line.event(until).await {
                Ok(true) => {}
                Ok(false) => return Ok(sight),
                Err(fault) => return Err(fault.into_error(line.server())),
            }
        }
    }

    /// A session that only reads has nothing to lose.
    async fn fresh(&self, line: &mut Line, watch: bool) -> Result<Sight, Fault> {
        match self.read(line, watch).await {
            Err(Fault::Expired) => self.read(line, watch).await,
            outcome => outcome,
        }
    }

    async fn read(&self, line: &mut Line, watch: bool) -> Result<Sight, Fault> {
        let look = Look { watch, deadline: Instant::now() + self.total };
        let nodes = look.children(line, &self.nodes).await?;
        let mut position = said(nodes.changed);
        let mut entries: Vec<Entry> = nodes.names.into_iter().map(Entry::Active).collect();
        if let Some(folder) = &self.drained {
            let drained = look.children(line, folder).await?;
            let mut newest = 0;
            for names in drained.names.chunks(BATCH) {
                for (mark, changed) in look.marks(line, folder, names).await? {
                    entries.push(mark);
                    newest = newest.max(changed);
                }
            }
            position = format!("{position} {} {newest:x}", said(drained.changed));
        }
        Ok(Sight { listing: Listing::of_entries(entries), position: Some(Position(position)) })
    }
}

impl Look {
    async fn children(&self, line: &mut Line, path: &str) -> Result<Children, Fault> {
        let (path, watch) = (path.to_owned(), self.watch);
        // before the other one: a folder that comes in between fires it
        let first = if watch { Op::Exists { path: path.clone(), watch } } else { Op::Sync { path: path.clone() } };
        let replies = line.ask(&[first, Op::Children { path: path.clone(), watch }], self.deadline).await?;
        match replies.last() {
            Some(reply) if reply.code == code::OK => {
                let mut reader = reply.reader();
                let names = reader.texts().ok_or_else(|| line.garbled())?;
                let stat = reader.stat().ok_or_else(|| line.garbled())?;
                Ok(Children { names, changed: Some(stat.children_changed) })
            }
            Some(reply) if reply.code == code::NO_NODE => Ok(Children { names: Vec::new(), changed: None }),
            Some(reply) => Err(line.refused(reply.code, &path)),
            None => Err(line.garbled()),
        }
    }

    /// Each with the last change of its reason. One that is gone by now is left out.
    async fn marks(&self, line: &mut Line, folder: &str, names: &[String]) -> Result<Vec<(Entry, i64)>, Fault> {
        let read = |name: &String| Op::Data { path: format!("{folder}/{name}"), watch: self.watch };
        let ops: Vec<Op> = names.iter().map(read).collect();
        let replies = line.ask(&ops, self.deadline).await?;
        let mut marks = Vec::with_capacity(names.len());
        for (name, reply) in names.iter().zip(&replies) {
            match reply.code {
                code::OK => {
                    let (reason, stat) = data(reply).ok_or_else(|| line.garbled())?;
                    let reason = String::from_utf8_lossy(&reason).trim().to_owned();
                    let reason = Some(reason).filter(|reason| !reason.is_empty());
                    marks.push((Entry::Drained { address: name.clone(), reason }, stat.changed));
                }
                code::NO_NODE => {}
                failure => return Err(line.refused(failure, &format!("{folder}/{name}"))),
            }
        }
        Ok(marks)
    }
}

fn said(changed: Option<i64>) -> String {
    changed.map_or_else(|| "-".to_owned(), |changed| format!("{changed:x}"))
}
