//! What there is, and when it becomes something else. Nothing is written.

use super::entry::data;
use super::fault::Fault;
use super::line::Line;
use super::wire::{Op, code};
use crate::discovery::{BackendError, Listing, Position, Seen, Sight};
use crate::model::{Entry, RECORD_LIMIT};
use std::time::Duration;
use tokio::time::Instant;

/// The data of so many nodes is asked for at once.
const BATCH: usize = 200;

/// Records and reasons are shorter. What is longer is none of ours, and is not kept.
const CONTENT_LIMIT: usize = RECORD_LIMIT;

pub struct Folders {
    pub nodes: String,
    /// None if nobody wants to know.
    pub drained: Option<String>,
    /// The same.
    pub records: Option<String>,
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
            let (marks, changed) = look.contents(line, folder).await?;
            let newest = marks.iter().map(|mark| mark.changed).max().unwrap_or(0);
            entries.extend(marks.into_iter().map(mark));
            position = format!("{position} {} {newest:x}", said(changed));
        }
        let mut listing = Listing::of_entries(entries);
        if let Some(folder) = &self.records {
            let (records, _) = look.contents(line, folder).await?;
            listing = listing.with_records(records.iter().map(|record| (record.name.as_str(), record.data.as_slice())));
        }
        Ok(Sight { listing, position: Some(Position(position)) })
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

    /// What is in a folder, and the last coming or going there. One that is gone by now is left out.
    async fn contents(&self, line: &mut Line, folder: &str) -> Result<(Vec<Content>, Option<i64>), Fault> {
        let Children { names, changed } = self.children(line, folder).await?;
        let mut contents = Vec::with_capacity(names.len());
        for names in names.chunks(BATCH) {
            let read = |name: &String| Op::Data { path: format!("{folder}/{name}"), watch: self.watch };
            let replies = line.ask(&names.iter().map(read).collect::<Vec<_>>(), self.deadline).await?;
            for (name, reply) in names.iter().zip(&replies) {
                match reply.code {
                    code::OK => {
                        let (mut data, stat) = data(reply).ok_or_else(|| line.garbled())?;
                        if data.len() > CONTENT_LIMIT {
                            data = Vec::new();
                        }
                        contents.push(Content { name: name.clone(), data, changed: stat.changed });
                    }
                    code::NO_NODE => {}
                    failure => return Err(line.refused(failure, &format!("{folder}/{name}"))),
                }
            }
        }
        Ok((contents, changed))
    }
}

/// A node with its data, and the last change of that.
struct Content {
    name: String,
    data: Vec<u8>,
    changed: i64,
}

fn mark(content: Content) -> Entry {
    let reason = String::from_utf8_lossy(&content.data).trim().to_owned();
    Entry::Drained { address: content.name, reason: Some(reason).filter(|reason| !reason.is_empty()) }
}

fn said(changed: Option<i64>) -> String {
    changed.map_or_else(|| "-".to_owned(), |changed| format!("{changed:x}"))
}
