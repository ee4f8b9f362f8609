//! Waits until something changes in folders of etcd.

use super::fault::Trouble;
use super::login::Pass;
use super::members::{Member, Members, tenths};
use super::wire::{Watched, folder};
use crate::discovery::BackendError;
use crate::discovery::web::Lines;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// A line that is longer tells of many changes: which ones they are is not read here anyway.
const LINE_LIMIT: usize = 64 << 10;
/// What an answer that is no success may have to say.
const ANSWER_LIMIT: usize = 64 << 10;
/// Asks the member to end the watch when it has lost the cluster's leader, and with it all news.
const WITH_LEADER: (&str, &str) = ("Grpc-Metadata-Hasleader", "true");

/// What is waited for.
pub struct Wait<'w> {
    pub folders: &'w [String],
    /// What was seen.
    pub revision: i64,
    pub until: Instant,
}

/// Why a wait has ended.
enum End {
    /// Something happened, or may have happened without a trace, or nothing did for long enough.
    Look,
    /// The member has not even heard of what was seen.
    Behind,
}

impl Members {
    /// Returns when it is time to look again.
    pub async fn wait(&self, wait: &Wait<'_>) -> Result<(), BackendError> {
        let (mut failures, mut behind) = (Vec::new(), false);
        for (index, member) in self.in_turn() {
            match self.wait_at(member, wait).await {
                Ok(End::Look) => {
                    self.prefer(index);
                    return Ok(());
                }
                Ok(End::Behind) => behind = true,
                Err(Trouble::Elsewhere(error)) => failures.push((index, error)),
                Err(other) => return Err(other.into_error()),
            }
        }
        // a member may lag, but all that answer do not: the store has lost what was seen, and begins anew
        if behind { Ok(()) } else { Err(self.failed(failures)) }
    }

    async fn wait_at(&self, member: &Member, wait: &Wait<'_>) -> Result<End, Trouble> {
        let share = self.total / self.count() as u32;
        let beginning = self.login.ask(member, &self.place, |pass| begin(member, wait, pass, share));
        let begun = timeout(share, beginning).await;
        let mut lines = match begun.unwrap_or_else(|_| Err(Trouble::Elsewhere(member.web.no_answer(tenths(share)))))? {
            Begun::Lines(lines) => lines,
            Begun::Ended(end) => return Ok(end),
        };
        match timeout_at(wait.until, step(member, &mut lines, wait.revision)).await {
            Ok(Ok(Step::Ended(end))) => Ok(end),
            Ok(Err(trouble)) => Err(trouble),
            Ok(Ok(Step::Confirmed)) | Err(_) => Ok(End::Look),
        }
    }
}

/// A watch that the member has confirmed.
enum Begun<'m> {
    Lines(Lines<'m>),
    Ended(End),
}

async fn begin<'m>(member: &'m Member, wait: &Wait<'_>, pass: Pass, share: Duration) -> Result<Begun<'m>, Trouble> {
    let mut lines = open(member, wait, pass, share).await?;
    // each folder is confirmed once, with what the member knows of
    for _ in wait.folders {
        if let Step::Ended(end) = step(member, &mut lines, wait.revision).await? {
            return Ok(Begun::Ended(end));
        }
    }
    Ok(Begun::Lines(lines))
}

enum Step {
    Confirmed,
    Ended(End),
}

async fn open<'m>(member: &'m Member, wait: &Wait<'_>, pass: Pass, share: Duration) -> Result<Lines<'m>, Trouble> {
    let create = |name: &String| {
        let mut place = folder(name);
        place["start_revision"] = json!((wait.revision + 1).to_string());
        json!({"create_request": place}).to_string()
    };
    let body = wait.folders.iter().map(create).collect();
    // the client's own timeout is for answers that end
    let most = wait.until.saturating_duration_since(Instant::now()) + share * 2;
    let request = member.request("watch", body, pass).header(WITH_LEADER.0, WITH_LEADER.1).timeout(most);
    let lines = member.web.follow(request).await.map_err(Trouble::unanswered)?;
    if lines.status().is_success() {
        return Ok(lines);
    }
    Err(Trouble::of(&member.web, lines.rest(ANSWER_LIMIT).await))
}

async fn step(member: &Member, lines: &mut Lines<'_>, seen: i64) -> Result<Step, Trouble> {
    let line = lines.next(LINE_LIMIT).await.map_err(Trouble::Elsewhere)?;
    let line = line.ok_or_else(|| Trouble::Elsewhere(member.web.broken("it ended the watch")))?;
    if line.len() > LINE_LIMIT {
        return Ok(Step::Ended(End::Look));
    }
    let Ok(Watched { result: news }) = serde_json::from_slice(&line) else {
        return Err(Trouble::of_line(&member.web, line));
    };
    Ok(match news {
        news if news.canceled && news.compact_revision == 0 => {
            return Err(Trouble::of_reason(&member.web, &news.cancel_reason));
        }
        // it no longer has all that happened since
        news if news.canceled => Step::Ended(End::Look),
        news if !news.events.is_empty() => Step::Ended(End::Look),
        news if news.header.revision < seen => Step::Ended(End::Behind),
        _ => Step::Confirmed,
    })
}
