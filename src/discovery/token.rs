//! The token protocol over HTTP, as classic Swarm spoke it.
//!
//! | | request |
//! | --- | --- |
//! | create | `POST …/clusters` |
//! | register | `POST …/clusters/TOKEN?ttl=180`, body = the address as it is |
//! | list | `GET …/clusters/TOKEN`: a JSON array of strings, `null` when empty |
//! | deregister | `DELETE …/clusters/TOKEN/ADDRESS` |
//!
//! and what our own server speaks beyond it:
//!
//! | | request |
//! | --- | --- |
//! | mark as drained | `PUT …/clusters/TOKEN/ADDRESS/drained?ttl=180`, body = the reason as text |
//! | list all | `GET …/clusters/TOKEN?all=1`: behind the strings, drained nodes as objects |
//! | say who the node is | `POST …/clusters/TOKEN?ttl=180` with the header `X-Swarm-Record: {"node": …}` |
//! | deregister one's own | `DELETE …/clusters/TOKEN/ADDRESS` with the header `X-Swarm-Node: ID`: an entry that another node is recorded for stays |
//! | list with records | `GET …/clusters/TOKEN?records=1`: objects with the address and the record, which may be `null` |
//! | list when it changes | `GET …/clusters/TOKEN?index=INDEX&wait=55s`, the index being the last answer's `X-Swarm-Index` |
//!
//! `{"address": "10.0.0.5:2375", "drained": true, "reason": "kernel update"}` is such an object; no reason is `null`.
//! Other servers know no PUT and refuse it, and give their plain list to both questions.

use super::web::{Answer, Web};
use super::{Backend, BackendError, Claim, Listing, Position, Release, Scope, Seen, Sight};
use crate::model::{Entry, Hold, NodeAddress, ServerUrl, Token, TokenUrl, WayOut};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// A list of ten thousand nodes is some 200 KB.
const LIST_LIMIT: usize = 8 << 20;
/// If each of them is drained and has the longest reason, it is some 11 MB.
const ALL_LIMIT: usize = 16 << 20;
const ANSWER_LIMIT: usize = 64 << 10;
/// What classic Swarm sent, although the body is no JSON; servers may insist on it.
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const INDEX: &str = "x-swarm-index";
const RECORD: &str = "x-swarm-record";
const NODE: &str = "x-swarm-node";
/// Longer than any of our server's.
const INDEX_MAX: usize = 128;
/// What our server calls a 503 for want of room for one more watcher.
const TOO_MANY_WATCHERS: &str = "too_many_watchers";
/// What our server calls a 404 for want of a cluster.
const UNKNOWN_CLUSTER: &str = "unknown_cluster";

/// One cluster at one discovery server, over one kept connection.
pub struct TokenBackend {
    web: Web,
    cluster: String,
}

impl TokenBackend {
    pub fn new(url: TokenUrl, way: &WayOut) -> Result<Self, BackendError> {
        let secret = url.token.as_str().to_owned();
        let web = web(&url.server, Some(secret), way)?;
        Ok(Self { web, cluster: url.cluster() })
    }
}

#[async_trait::async_trait]
impl Backend for TokenBackend {
    async fn register(&self, claim: &Claim<'_>) -> Result<Option<Hold>, BackendError> {
        let url = format!("{}?ttl={}", self.cluster, whole_seconds(claim.ttl));
        let request = self.web.client().post(url).header(CONTENT_TYPE, JSON).body(claim.address.to_string());
        let request = match claim.record {
            Some(record) => request.header(RECORD, record.to_json()),
            None => request,
        };
        self.web.send(request, ANSWER_LIMIT).await.map(|_| None)
    }

    async fn deregister(&self, release: &Release<'_>) -> Result<(), BackendError> {
        let request = self.web.client().delete(format!("{}/{}", self.cluster, segment(release.address)));
        let request = match release.node {
            Some(node) => request.header(NODE, node),
            None => request,
        };
        match self.web.send(request, ANSWER_LIMIT).await {
            Ok(_) => Ok(()),
            // The whole cluster is gone. A 404 without words is no answer of a discovery server: the entry may live.
            Err(BackendError::Status { status: 404, message, .. }) if !message.is_empty() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A server that has no room for one more watcher gives its list, and no position.
    async fn watch(&self, scope: Scope, seen: Option<&Seen>) -> Result<Sight, BackendError> {
        let Some(seen) = seen else {
            let answer = self.web.ask(self.question(scope, None), limit(scope)).await?;
            return self.sight(scope, answer);
        };
        let asked = Instant::now();
        let request = self.question(scope, Some(seen));
        let answer = self.web.ask_patiently(request, limit(scope), seen.patience).await?;
        if answer.status == StatusCode::SERVICE_UNAVAILABLE && answer.code().as_deref() == Some(TOO_MANY_WATCHERS) {
            return self.watch(scope, None).await.map(|sight| Sight::still(sight.listing));
        }
        let sight = self.sight(scope, answer)?;
        // something between us that answers at once would be asked without a pause
        let early = asked.elapsed() < seen.patience / 2 && sight.position.as_ref() == Some(&seen.position);
        Ok(if early { Sight::still(sight.listing) } else { sight })
    }

    async fn mark_drained(
        &self,
        address: &NodeAddress,
        reason: Option<&str>,
        ttl: Duration,
    ) -> Result<(), BackendError> {
        let url = format!("{}/{}/drained?ttl={}", self.cluster, segment(address), whole_seconds(ttl));
        let body = reason.unwrap_or_default().to_owned();
        let request = self.web.client().put(url).header(CONTENT_TYPE, TEXT).body(body);
        let answer = self.web.ask(request, ANSWER_LIMIT).await?;
        if no_room(&answer) { Err(self.web.no_room()) } else { self.web.success(answer).map(drop) }
    }
}

impl TokenBackend {
    fn question(&self, scope: Scope, seen: Option<&Seen>) -> RequestBuilder {
        let all = match scope {
            Scope::Active => None,
            Scope::All => Some("all=1".to_owned()),
            Scope::Records => Some("records=1".to_owned()),
        };
        let seen = seen.map(|Seen { position: Position(index), patience }| {
            // to the millisecond: the server knows the unit
            format!("index={index}&wait={}ms", patience.as_millis())
        });
        let query: Vec<String> = all.into_iter().chain(seen).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        self.web.client().get(format!("{}{mark}{}", self.cluster, query.join("&")))
    }

    fn sight(&self, scope: Scope, answer: Answer) -> Result<Sight, BackendError> {
        let position = answer.header(INDEX).filter(|index| is_index(index)).map(|index| Position(index.to_owned()));
        let body = self.web.success(answer)?;
        let listing = match scope {
            Scope::Active => listing(&body).ok_or_else(|| self.web.garbled("it is no JSON array of strings"))?,
            Scope::All => all(&body).ok_or_else(|| self.web.garbled("it is no JSON array"))?,
            Scope::Records => recorded(&body).ok_or_else(|| self.web.garbled("it is no JSON array"))?,
        };
        Ok(Sight { listing, position })
    }
}

fn limit(scope: Scope) -> usize {
    match scope {
        Scope::Active => LIST_LIMIT,
        Scope::All | Scope::Records => ALL_LIMIT,
    }
}

/// It goes into a URL as it is.
fn is_index(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    (1..=INDEX_MAX).contains(&text.len()) && text.bytes().all(legal)
}

/// Asks a server for a new cluster.
pub async fn create(server: &ServerUrl, way: &WayOut) -> Result<Token, BackendError> {
    let web = web(server, None, way)?;
    let body = web.send(web.client().post(server.clusters()), ANSWER_LIMIT).await?;
    let token = std::str::from_utf8(&body).ok().and_then(|text| text.trim().parse().ok());
    token.ok_or_else(|| web.garbled("it is no cluster token"))
}

fn web(server: &ServerUrl, secret: Option<String>, way: &WayOut) -> Result<Web, BackendError> {
    let web = Web::new(server.to_string(), server.tls(), secret, way)?;
    Ok(web.with_token(&way.auth, AUTHORIZATION, "Bearer "))
}

/// Rounded up: an entry must not end before its ttl.
fn whole_seconds(ttl: Duration) -> u64 {
    ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0)
}

/// Of what an address may hold, only the brackets of IPv6 may not stand in a path.
fn segment(address: &NodeAddress) -> String {
    address.to_string().replace('[', "%5B").replace(']', "%5D")
}

/// Whether a server refused a mark because it knows none, as those of others do and earlier ones of ours. Ours has
/// a 404 for a cluster that is not there, too; that one is a failure.
fn no_room(answer: &Answer) -> bool {
    match answer.status {
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => true,
        StatusCode::NOT_FOUND => answer.code().as_deref() != Some(UNKNOWN_CLUSTER),
        _ => false,
    }
}

fn listing(body: &[u8]) -> Option<Listing> {
    serde_json::from_slice::<Option<Vec<String>>>(body)
        .ok()
        .map(|texts| Listing::of_addresses(texts.unwrap_or_default()))
}

/// One element that makes no sense takes nothing away from the others.
fn all(body: &[u8]) -> Option<Listing> {
    let elements = serde_json::from_slice::<Option<Vec<Value>>>(body).ok()?.unwrap_or_default();
    Some(Listing::of_entries(elements.into_iter().map(entry)))
}

/// Of a server that has no room for records it is a plain list.
fn recorded(body: &[u8]) -> Option<Listing> {
    let elements = serde_json::from_slice::<Option<Vec<Value>>>(body).ok()?.unwrap_or_default();
    let records: Vec<(String, String)> = elements.iter().filter_map(record).collect();
    let listing = Listing::of_entries(elements.into_iter().map(|element| match element.get("address") {
        Some(Value::String(address)) => Entry::Active(address.clone()),
        _ => entry(element),
    }));
    Some(listing.with_records(records.iter().map(|(address, record)| (address.as_str(), record.as_bytes()))))
}

fn record(element: &Value) -> Option<(String, String)> {
    Some((element.get("address")?.as_str()?.to_owned(), element.get("record")?.to_string()))
}

fn entry(element: Value) -> Entry {
    match element {
        Value::String(text) => Entry::Active(text),
        other => drained(&other).unwrap_or_else(|| Entry::Other(other.to_string())),
    }
}

fn drained(node: &Value) -> Option<Entry> {
    if !node.get("drained")?.as_bool()? {
        return None;
    }
    let reason = match node.get("reason") {
        None | Some(Value::Null) => None,
        Some(reason) => Some(reason.as_str()?.trim()).filter(|reason| !reason.is_empty()),
    };
    let address = node.get("address")?.as_str()?.to_owned();
    Some(Entry::Drained { address, reason: reason.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_is_rounded_up_to_whole_seconds() {
        for (millis, seconds) in [(180_000, 180), (1, 1), (1_001, 2)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }

    #[test]
    fn an_index_that_would_change_the_url_is_none() {
        for (text, index) in
            [("0123abcd-1-2-all", true), ("17", true), ("", false), ("1&all=1", false), ("a b", false), ("1#", false)]
        {
            assert_eq!(is_index(text), index, "{text}");
        }
        assert!(is_index(&"1".repeat(INDEX_MAX)) && !is_index(&"1".repeat(INDEX_MAX + 1)));
    }

    #[test]
    fn an_address_is_one_path_segment() -> Result<(), crate::model::address::AddressError> {
        assert_eq!(segment(&"[fd00::5]:2375".parse()?), "%5Bfd00::5%5D:2375");
        assert_eq!(segment(&"10.0.0.5:2375".parse()?), "10.0.0.5:2375");
        Ok(())
    }

    #[test]
    fn a_list_is_sorted_and_what_is_no_address_comes_apart() {
        let listing = listing(br#"["10.0.0.9:1","junk","10.0.0.10:1","10.0.0.9:1"]"#).expect("an array");
        assert_eq!(listing.nodes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.9:1", "10.0.0.10:1"]);
        assert_eq!(listing.unreadable.iter().map(|skipped| skipped.entry.as_str()).collect::<Vec<_>>(), ["junk"]);
        assert_eq!(super::listing(b"null"), Some(Listing::default()));
        assert_eq!(super::listing(b"{}"), None);
    }

    #[test]
    fn a_list_of_all_has_objects_for_drained_nodes_and_reports_what_it_does_not_know() {
        let body = r#"["a:1", {"address":"b:1","drained":true,"reason":"kernel update","since":7},
            {"address":"c:1","drained":true,"reason":null}, {"address":"d:1","drained":true,"reason":" "},
            {"address":"e:1","drained":true}, {"address":"f:1","drained":false}, {"address":"g:1"},
            {"address":"h:1","drained":true,"reason":5}, {"drained":true}, 7, null, ["i:1"], "junk",
            {"address":"10.0.0.256:1","drained":true}]"#;
        let listing = all(body.as_bytes()).expect("an array");
        assert_eq!(listing.nodes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:1"]);
        let drained: Vec<(String, Option<&str>)> =
            listing.drained.iter().map(|node| (node.address.to_string(), node.reason.as_deref())).collect();
        let expected = [("b:1", Some("kernel update")), ("c:1", None), ("d:1", None), ("e:1", None)];
        assert_eq!(drained, expected.map(|(address, reason)| (address.to_owned(), reason)));
        let skipped: Vec<&str> = listing.unreadable.iter().map(|skipped| skipped.entry.as_str()).collect();
        assert_eq!(skipped.len(), 9, "{skipped:?}");
        assert!(skipped.contains(&"7") && skipped.contains(&"10.0.0.256:1"), "{skipped:?}");
        assert_eq!(all(b"null"), Some(Listing::default()));
        assert_eq!(all(b"{}"), None);
    }
}
