//! What is read of a cluster: its list, now or when it changes. Nothing here changes anything.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /v1/clusters/TOKEN` | 200, a sorted JSON array of strings, and its index in the header `X-Swarm-Index` |
//! | the same with `index=INDEX&wait=55s` | 200, the same: when the list has another index than this one, or when it has waited so long |
//! | `GET /v1/clusters/TOKEN/events` | 200, server-sent events: the whole list now and at each change, its index as the id |
//! | `GET /v1/clusters/TOKEN/targets?port=9323` | 200, the list as Prometheus' `http_sd_configs` takes it, with this port in place of each node's own |
//!
//! With `records=1` the first answers at once, with objects: `{"address": "10.0.0.1:2375", "record": {…}}`, the record
//! being what the node's agent said of it with its last beat, or `null`.
//!
//! With `all=1` the first three show drained nodes, too, as objects behind the strings.
//!
//! An index is to be compared and no more. It is never the same for two states: not of two clusters, not of the list
//! with and without drained nodes, not before and after a restart. So nothing that a watcher was away for is missed: its
//! index is another, and it gets the whole list at once. A beat changes no list and hence no index.

use super::api::{parameter, token};
use super::keeper::{Keeper, Look};
use super::limits;
use super::places::{Place, Places};
use super::refusal::Refusal;
use super::roster::View;
use crate::model::Token;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::stream;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

const INDEX: &str = "x-swarm-index";
const LAST_EVENT_ID: &str = "last-event-id";

#[derive(Clone)]
pub struct Feeds {
    keeper: Keeper,
    places: Places,
    last: Last,
    /// Whoever waits then gets what there is.
    stop: CancellationToken,
}

impl Feeds {
    pub fn new(keeper: Keeper, stop: CancellationToken) -> Self {
        Self { keeper, places: Places::default(), last: Last::default(), stop }
    }
}

/// The list that was shown last and its index, as text: when a list changes, all who wait want the same one.
#[derive(Clone, Default)]
struct Last(Arc<Mutex<(String, Bytes)>>);

impl Last {
    fn get(&self, index: &str) -> Option<Bytes> {
        let last = self.lock();
        (last.0 == index).then(|| last.1.clone())
    }

    fn set(&self, index: String, list: Bytes) {
        *self.lock() = (index, list);
    }

    fn lock(&self) -> MutexGuard<'_, (String, Bytes)> {
        // nothing panics while it is held
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub fn router<S: Clone + Send + Sync + 'static>(feeds: Feeds) -> Router<S> {
    Router::new()
        .route("/v1/clusters/{token}", get(list))
        .route("/v1/clusters/{token}/events", get(events))
        .route("/v1/clusters/{token}/targets", get(targets))
        .with_state(feeds)
}

async fn list(
    State(feeds): State<Feeds>,
    Extension(peer): Extension<SocketAddr>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let feed = Feed { token: token(&path?.0)?, view: view(&uri), feeds };
    if parameter(uri.query(), "records") == Some("1") {
        return feed.recorded().map(|list| Json(list).into_response());
    }
    let wait = wait(uri.query())?;
    if let Some(seen) = parameter(uri.query(), "index")
        && feed.index()? == seen
    {
        let _place = feed.feeds.places.take(peer)?;
        // Cancel-safe: none of them holds anything. A client that goes away drops them all.
        tokio::select! {
            news = feed.news(seen) => news?,
            () = sleep(jittered(wait)) => {}
            () = feed.feeds.stop.cancelled() => {}
        }
    }
    let (index, list) = feed.list()?;
    Ok(([(INDEX, index.as_str()), (CONTENT_TYPE.as_str(), "application/json")], list).into_response())
}

async fn events(
    State(feeds): State<Feeds>,
    Extension(peer): Extension<SocketAddr>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let feed = Feed { token: token(&path?.0)?, view: view(&uri), feeds };
    // a cluster that is not there is a status, and no event
    feed.index()?;
    let place = feed.feeds.places.take(peer)?;
    let seen = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let reader = Reader { feed, seen, greeted: false, _place: place };
    // some proxies gather an answer before they pass it on
    let unbuffered = [("x-accel-buffering", "no")];
    let alive = KeepAlive::new().interval(limits::KEEP_ALIVE);
    Ok((unbuffered, Sse::new(stream::unfold(reader, Reader::next)).keep_alive(alive)).into_response())
}

async fn targets(
    State(feeds): State<Feeds>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Json<Value>, Refusal> {
    let token = token(&path?.0)?;
    let port = parameter(uri.query(), "port").map(port).transpose()?;
    let nodes = feeds.keeper.look(&token, View::Active)?.active;
    let mut targets: Vec<String> = nodes.into_iter().map(|node| at_port(&node, port)).collect();
    // two engines of one host have one exporter; they are side by side in the list
    targets.dedup();
    Ok(Json(json!([{ "targets": targets, "labels": {} }])))
}

/// One list of one cluster.
struct Feed {
    feeds: Feeds,
    token: Token,
    view: View,
}

impl Feed {
    fn index(&self) -> Result<String, Refusal> {
        self.feeds.keeper.index(&self.token, self.view).map(|(index, _)| index)
    }

    /// Index and list, as JSON.
    fn list(&self) -> Result<(String, Bytes), Refusal> {
        let index = self.index()?;
        if let Some(list) = self.feeds.last.get(&index) {
            return Ok((index, list));
        }
        let Look { index, active, drained } = self.feeds.keeper.look(&self.token, self.view)?;
        let strings = active.into_iter().map(|address| json!(address));
        let object = |(address, reason)| json!({ "address": address, "drained": true, "reason": reason });
        let list = Bytes::from(Value::from_iter(strings.chain(drained.into_iter().map(object))).to_string());
        self.feeds.last.set(index.clone(), list.clone());
        Ok((index, list))
    }

    fn recorded(&self) -> Result<Vec<Value>, Refusal> {
        let list = self.feeds.keeper.recorded(&self.token)?;
        Ok(list.into_iter().map(|(address, record)| json!({ "address": address, "record": record })).collect())
    }

    /// Comes when the list has another index than the one that was seen.
    async fn news(&self, seen: &str) -> Result<(), Refusal> {
        let mut bell = self.feeds.keeper.bell(&self.token)?;
        loop {
            let (index, stays) = self.feeds.keeper.index(&self.token, self.view)?;
            if index != seen {
                return Ok(());
            }
            // An ending rings no bell, so it is waited for; a bell that broke went with its cluster. Both are looked
            // at above.
            let _ = timeout(stays, bell.changed()).await;
        }
    }
}

/// Where a reader of events is.
struct Reader {
    feed: Feed,
    /// The index of its last event, here or on an earlier connection; empty without one.
    seen: String,
    greeted: bool,
    _place: Place,
}

impl Reader {
    /// The next event; the stream ends when the server stops or the cluster is gone.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        if !self.greeted {
            self.greeted = true;
            // after a restart they don't all come back in one moment
            let pause = Duration::from_millis(rand::random_range(1000..5000));
            return Some((Ok(Event::default().retry(pause)), self));
        }
        // Cancel-safe: neither holds anything.
        tokio::select! {
            news = self.feed.news(&self.seen) => news.ok()?,
            () = self.feed.feeds.stop.cancelled() => return None,
        }
        let (index, list) = self.feed.list().ok()?;
        let event = Event::default().id(&index).data(String::from_utf8_lossy(&list));
        self.seen = index;
        Some((Ok(event), self))
    }
}

fn view(uri: &Uri) -> View {
    if parameter(uri.query(), "all") == Some("1") { View::All } else { View::Active }
}

fn wait(query: Option<&str>) -> Result<Duration, Refusal> {
    let Some(text) = parameter(query, "wait") else { return Ok(limits::DEFAULT_WAIT) };
    humantime::parse_duration(text).map(|wait| wait.min(limits::MAX_WAIT)).map_err(|_| Refusal::BadWait)
}

/// Up to a sixteenth earlier, so that those who began to wait together don't all come back together; never later, for
/// which a client may not be prepared.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::random_range(0.9375..=1.0))
}

fn port(text: &str) -> Result<NonZeroU16, Refusal> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(Refusal::BadPort)
}

fn at_port(node: &str, port: Option<NonZeroU16>) -> String {
    match (port, node.rsplit_once(':')) {
        (Some(port), Some((host, _))) => format!("{host}:{port}"),
        _ => node.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery_server::clock::Clock;
    use crate::discovery_server::keeper::{Memory, Order};
    use crate::discovery_server::roster::{Change, Roster};
    use crate::model::Moment;
    use crate::policy::lease::Lease;
    use futures_util::StreamExt;
    use std::sync::mpsc::{Receiver, channel};
    use tokio::time::Instant;

    const TTL: Duration = Duration::from_secs(100);

    /// A cluster `t` with one entry. Nothing is stored, so that nothing but the clock ends the entry.
    fn feeds() -> (Feeds, Receiver<Order>) {
        let token: Token = "t".parse().expect("a token");
        let mut roster = Roster::default();
        let start = Moment::default();
        roster.apply(Change::AddCluster(token.clone()), start);
        let lease = Lease { ttl: TTL, beat: start };
        roster.apply(Change::Put { token, address: "10.0.0.1:2375".into(), lease }, start);
        let (send, orders) = channel();
        let keeper = Keeper::new(Arc::new(Memory::new(roster, Clock::resume(start))), send);
        (Feeds::new(keeper, CancellationToken::new()), orders)
    }

    fn peer() -> Extension<SocketAddr> {
        Extension(([127, 0, 0, 1], 1).into())
    }

    fn path() -> Result<Path<String>, PathRejection> {
        Ok(Path("t".to_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_answered_in_the_moment_in_which_an_entry_ends() {
        let (feeds, _orders) = feeds();
        let feed = Feed { token: "t".parse().expect("a token"), view: View::Active, feeds };
        let (seen, start) = (feed.index().expect("the cluster"), Instant::now());
        assert_eq!(feed.news(&seen).await, Ok(()));
        assert_eq!(start.elapsed().as_secs(), TTL.as_secs());
        assert!(feed.list().is_ok_and(|(index, list)| list == "[]" && index != seen));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_shows_signs_of_life_and_ends_with_the_server() {
        let (feeds, _orders) = feeds();
        let start = Instant::now();
        let events = events(State(feeds.clone()), peer(), path(), Uri::from_static("/"), HeaderMap::new()).await;
        let mut chunks = events.expect("a stream").into_body().into_data_stream();
        let mut chunk = async || chunks.next().await.map(|chunk| String::from_utf8_lossy(&chunk.unwrap()).into_owned());
        assert!(chunk().await.is_some_and(|chunk| chunk.starts_with("retry: ")));
        assert!(chunk().await.is_some_and(|chunk| chunk.contains("data: [\"10.0.0.1:2375\"]")));
        for sign in 1..=6 {
            assert_eq!(chunk().await.as_deref(), Some(":\n\n"));
            assert_eq!(start.elapsed().as_secs(), 15 * sign);
        }
        assert!(chunk().await.is_some_and(|chunk| chunk.contains("data: []")));
        assert_eq!(start.elapsed().as_secs(), TTL.as_secs());
        feeds.stop.cancel();
        assert_eq!(chunk().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gives_the_place_back_when_it_goes_away() {
        let (feeds, _orders) = feeds();
        let (index, _) = feeds.keeper.index(&"t".parse().expect("a token"), View::Active).expect("the cluster");
        let uri: Uri = format!("/?index={index}&wait=5s").parse().expect("a URI");
        for _ in 0..=limits::WATCHERS_EACH {
            let waiting = list(State(feeds.clone()), peer(), path(), uri.clone());
            assert!(timeout(Duration::from_millis(1), waiting).await.is_err(), "it waits");
        }
    }

    #[test]
    fn a_wait_has_a_unit_and_an_end() {
        for (query, seconds) in [
            (None, Some(55.0)),
            (Some("index=x"), Some(55.0)),
            (Some("wait=0s"), Some(0.0)),
            (Some("index=x&wait=250ms"), Some(0.25)),
            (Some("wait=1m30s"), Some(90.0)),
            (Some("wait=5m"), Some(300.0)),
            (Some("wait=1h"), Some(300.0)),
            (Some("wait=55"), None),
            (Some("wait="), None),
            (Some("wait"), None),
            (Some("wait=-1s"), None),
            (Some("wait=99999999999999999999s"), None),
        ] {
            assert_eq!(wait(query), seconds.map(Duration::from_secs_f64).ok_or(Refusal::BadWait), "{query:?}");
        }
    }

    #[test]
    fn a_wait_ends_a_little_early_and_never_late() {
        let wait = Duration::from_secs(160);
        for _ in 0..1000 {
            let jittered = jittered(wait);
            assert!(jittered >= Duration::from_secs(150) && jittered <= wait, "{jittered:?}");
        }
    }

    #[test]
    fn a_port_takes_the_place_of_the_nodes_own() {
        for (text, shown) in [("9323", Some("9323")), ("65535", Some("65535")), ("0", None), ("65536", None)] {
            assert_eq!(port(text).map(|port| port.to_string()).ok().as_deref(), shown, "{text}");
        }
        for text in ["", "+1", "-1", "http", "1 "] {
            assert_eq!(port(text), Err(Refusal::BadPort), "{text:?}");
        }
        let port = port("9323").ok();
        assert_eq!(at_port("[fd00::1]:2375", port), "[fd00::1]:9323");
        assert_eq!(at_port("node.example:2375", port), "node.example:9323");
        assert_eq!(at_port("10.0.0.1:2375", None), "10.0.0.1:2375");
    }
}
