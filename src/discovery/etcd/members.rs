//! The members of an etcd cluster: who is asked, how long, and what comes of it.

use super::fault::Trouble;
use super::login::{Login, Pass};
use crate::discovery::BackendError;
use crate::discovery::web::Web;
use crate::model::{StoreUrl, WayOut};
use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A list of ten thousand nodes is some 2 MB; if each of them is drained with the longest reason, some 15 MB.
const LIMIT: usize = 24 << 20;

pub struct Members {
    /// In the order of the URL, at least one.
    members: Vec<Member>,
    /// The one that answered last is asked first.
    first: AtomicUsize,
    pub login: Login,
    /// For all that one call asks.
    pub total: Duration,
    /// Where all of it happens, for what is said of rights.
    pub place: String,
}

pub struct Member {
    pub web: Web,
    /// `http://host:port/v3/`
    base: String,
    /// Whether it ever spoke HTTP to us.
    answered: AtomicBool,
}

/// How an error begins that a stream ran into: a keep-alive is one for etcd.
const LATE_ERROR: &[u8] = br#"{"error":"#;
/// etcd hangs up on whoever speaks plain HTTP to its port for TLS.
const MAYBE_TLS: &str = " (if it speaks TLS, the URL must begin with etcds://)";

impl Members {
    pub fn new(url: &StoreUrl, place: String, way: &WayOut) -> Result<Self, BackendError> {
        let (schemes, http) = if url.tls { ("etcds", "https") } else { ("etcd", "http") };
        let web = Web::new(url.to_string(), url.tls, None, way)?;
        let member = |endpoint: &String| Member {
            web: web.sibling(format!("{schemes}://{endpoint}")),
            base: format!("{http}://{endpoint}/v3/"),
            answered: AtomicBool::new(false),
        };
        let members = url.endpoints.iter().map(member).collect();
        let login = Login::new(&way.auth)?;
        Ok(Self { members, first: AtomicUsize::new(0), login, total: way.timeouts.total, place })
    }

    /// Everything that is asked in it has to be answered within the time for one attempt.
    pub fn call(&self) -> Call<'_> {
        Call { members: self, deadline: Instant::now() + self.total }
    }

    /// Each once, beginning with the one that answered last.
    pub fn in_turn(&self) -> impl Iterator<Item = (usize, &Member)> {
        let first = self.first.load(Ordering::Relaxed);
        self.members.iter().enumerate().cycle().skip(first).take(self.members.len())
    }

    pub fn count(&self) -> usize {
        self.members.len()
    }

    fn asking(&self, index: usize) -> Asking<'_> {
        Asking { members: self, index, answered: false }
    }

    /// The one to begin with.
    pub fn prefer(&self, index: usize) {
        self.first.store(index, Ordering::Relaxed);
    }

    /// Why none did it, from the failures of each.
    pub fn failed(&self, mut failures: Vec<(usize, BackendError)>) -> BackendError {
        failures.sort_by_key(|(index, _)| *index);
        let failures = failures.into_iter().map(|(_, error)| error).collect();
        BackendError::of_several(failures).unwrap_or_else(|| self.members[0].web.no_answer(self.total))
    }
}

/// A member that is being asked. A caller may lose its patience before the member's share of the time is over: the next
/// call then begins with another one.
struct Asking<'m> {
    members: &'m Members,
    index: usize,
    answered: bool,
}

impl Asking<'_> {
    fn answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let first = if self.answered { self.index } else { (self.index + 1) % self.members.count() };
        self.members.prefer(first);
    }
}

/// The requests of one call, with the time that they have together.
pub struct Call<'m> {
    members: &'m Members,
    deadline: Instant,
}

impl Call<'_> {
    pub async fn ask<A: DeserializeOwned>(&self, path: &str, body: Value) -> Result<A, Trouble> {
        let (member, answer) = self.answer(path, &body.to_string()).await?;
        serde_json::from_slice(&answer).map_err(|error| Trouble::Elsewhere(member.web.garbled(error.to_string())))
    }

    pub fn garbled(&self, what: &str) -> BackendError {
        self.first().map_or_else(|| BackendError::Client(what.into()), |member| member.web.garbled(what))
    }

    pub fn refused(&self, reason: String) -> BackendError {
        match self.first() {
            Some(member) => member.web.refused(reason),
            None => BackendError::Client(reason),
        }
    }

    fn first(&self) -> Option<&Member> {
        self.members.in_turn().next().map(|(_, member)| member)
    }

    /// The first answer that counts. Each member that is asked gets its share of the time that is left, so that one that
    /// hangs leaves some for the others.
    async fn answer(&self, path: &str, body: &str) -> Result<(&Member, Vec<u8>), Trouble> {
        let (members, mut failures) = (self.members, Vec::new());
        for (tried, (index, member)) in members.in_turn().enumerate() {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let share = left / (members.count() - tried) as u32;
            let mut asking = members.asking(index);
            let attempt = members.login.ask(member, &members.place, |pass| member.send(path, body.to_owned(), pass));
            let failed = match timeout(share, attempt).await {
                Ok(Err(Trouble::Elsewhere(error))) => error,
                Err(_) => member.web.no_answer(tenths(share)),
                Ok(outcome) => {
                    asking.answered();
                    return outcome.map(|answer| (member, answer));
                }
            };
            failures.push((index, failed));
        }
        Err(Trouble::Elsewhere(members.failed(failures)))
    }
}

impl Member {
    pub async fn send(&self, path: &str, body: String, pass: Pass) -> Result<Vec<u8>, Trouble> {
        let asked = self.web.ask(self.request(path, body, pass), LIMIT).await;
        let answer = asked.map_err(|error| Trouble::unanswered(self.with_hint(error)))?;
        self.answered.store(true, Ordering::Relaxed);
        if !answer.status.is_success() {
            return Err(Trouble::of(&self.web, answer));
        }
        match self.web.success(answer) {
            Ok(body) if body.starts_with(LATE_ERROR) => Err(Trouble::of_line(&self.web, body)),
            outcome => outcome.map_err(Trouble::Elsewhere),
        }
    }

    fn with_hint(&self, error: BackendError) -> BackendError {
        match error {
            BackendError::Broken { server, cause }
                if self.base.starts_with("http:") && !self.answered.load(Ordering::Relaxed) =>
            {
                BackendError::Broken { server, cause: cause + MAYBE_TLS }
            }
            error => error,
        }
    }

    pub fn request(&self, path: &str, body: String, pass: Pass) -> RequestBuilder {
        let url = format!("{}{path}", self.base);
        let request = self.web.client().post(url).header(CONTENT_TYPE, "application/json").body(body);
        match pass {
            Pass::Open => request,
            Pass::Token(token) => request.header(AUTHORIZATION, token),
        }
    }
}

/// As people say it: not 9.998 s.
pub fn tenths(time: Duration) -> Duration {
    Duration::from_millis((time.as_millis() as u64 + 50) / 100 * 100)
}
