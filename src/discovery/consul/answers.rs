//! What Consul answers, from JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::time::Duration;

/// A key and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub key: String,
    /// An empty value is none.
    pub value: Option<Vec<u8>>,
    /// What holds it.
    pub session: Option<String>,
    /// Another one after each change.
    pub index: u64,
}

/// A session that lives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    pub id: String,
    /// The ttl that it was made with, if that is understood.
    pub ttl: Option<Duration>,
    /// Whatever its maker calls it; may be empty.
    pub name: String,
    /// The member of the Consul cluster by which it was made.
    pub node: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawPair {
    key: String,
    value: Option<String>,
    session: Option<String>,
    modify_index: u64,
}

#[derive(Deserialize)]
struct RawSession {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "TTL", default)]
    ttl: String,
    #[serde(rename = "Name", default)]
    name: String,
    #[serde(rename = "Node", default)]
    node: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawTransaction {
    results: Option<Vec<RawResult>>,
    errors: Option<Vec<RawError>>,
}

#[derive(Deserialize)]
struct RawResult {
    #[serde(rename = "KV")]
    pair: RawPair,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawError {
    what: String,
}

/// `GET /v1/kv/…?recurse`
pub fn pairs(body: &[u8]) -> Option<Vec<Pair>> {
    let raw: Option<Vec<RawPair>> = serde_json::from_slice(body).ok()?;
    raw.unwrap_or_default().into_iter().map(pair).collect()
}

/// `PUT /v1/txn` that came to an end
pub fn results(body: &[u8]) -> Option<Vec<Pair>> {
    let raw: RawTransaction = serde_json::from_slice(body).ok()?;
    raw.results.unwrap_or_default().into_iter().map(|result| pair(result.pair)).collect()
}

/// `PUT /v1/txn` that did not
pub fn complaint(body: &[u8]) -> Option<String> {
    let raw: RawTransaction = serde_json::from_slice(body).ok()?;
    raw.errors?.into_iter().next().map(|error| error.what)
}

/// `PUT /v1/session/renew/…`, `GET /v1/session/info/…`; the inner None is a session that is not there, or not shown to us.
pub fn session(body: &[u8]) -> Option<Option<Session>> {
    let raw: Option<Vec<RawSession>> = serde_json::from_slice(body).ok()?;
    let session = |raw: RawSession| Session { id: raw.id, ttl: ttl(&raw.ttl), name: raw.name, node: raw.node };
    Some(raw.unwrap_or_default().into_iter().next().map(session))
}

/// `PUT /v1/session/create`
pub fn created(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Created {
        #[serde(rename = "ID")]
        id: String,
    }
    serde_json::from_slice::<Created>(body).ok().map(|created| created.id).filter(|id| is_session(id))
}

/// `PUT /v1/kv/…` and `DELETE /v1/kv/…` with a condition
pub fn done(body: &[u8]) -> Option<bool> {
    serde_json::from_slice(body).ok()
}

/// Whether a text can be the ID of a session: it goes into a URL.
pub fn is_session(id: &str) -> bool {
    id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// The ttl of a session as Consul reads it. It has no fraction.
pub fn ttl_text(ttl: Duration) -> String {
    if ttl.subsec_nanos() == 0 { format!("{}s", ttl.as_secs()) } else { format!("{}ms", ttl.as_millis()) }
}

pub fn encode(value: &[u8]) -> String {
    STANDARD.encode(value)
}

fn ttl(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

fn pair(raw: RawPair) -> Option<Pair> {
    let value = match raw.value {
        Some(text) => Some(STANDARD.decode(text).ok()?).filter(|value| !value.is_empty()),
        None => None,
    };
    let session = raw.session.filter(|id| !id.is_empty());
    Some(Pair { key: raw.key, value, session, index: raw.modify_index })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: &str = r#"{"LockIndex":1,"Key":"docker/swarm/nodes/a:1","Flags":3304740253564472344,"Value":"YTox",
        "Session":"7f090758-3727-d15d-0c61-5eb799346725","CreateIndex":35,"ModifyIndex":36}"#;
    const EMPTY: &str =
        r#"{"LockIndex":0,"Key":"docker/swarm/nodes/","Flags":0,"Value":null,"CreateIndex":24,"ModifyIndex":24}"#;

    fn held() -> Pair {
        Pair {
            key: "docker/swarm/nodes/a:1".into(),
            value: Some(b"a:1".into()),
            session: Some("7f090758-3727-d15d-0c61-5eb799346725".into()),
            index: 36,
        }
    }

    #[test]
    fn keys_are_read_with_and_without_a_value_and_a_session() {
        let empty = Pair { key: "docker/swarm/nodes/".into(), value: None, session: None, index: 24 };
        assert_eq!(pairs(format!("[{HELD},{EMPTY}]").as_bytes()), Some(vec![held(), empty.clone()]));
        assert_eq!(pairs(EMPTY.replace("null", r#""""#).as_bytes()), None, "an object is no list");
        assert_eq!(pairs(format!("[{}]", EMPTY.replace("null", r#""""#)).as_bytes()), Some(vec![empty]));
        assert_eq!(pairs(b"null"), Some(vec![]));
        for garbage in ["", "{}", "<html>", r#"[{"Key":"a","ModifyIndex":1,"Value":"no base64"}]"#] {
            assert_eq!(pairs(garbage.as_bytes()), None, "{garbage}");
        }
    }

    #[test]
    fn a_transaction_gives_keys_or_says_why_not() {
        let done = format!(r#"{{"Results":[{{"KV":{HELD}}}],"Errors":null,"Index":0}}"#);
        assert_eq!(results(done.as_bytes()), Some(vec![held()]));
        assert_eq!(results(br#"{"Results":null,"Errors":null}"#), Some(vec![]));
        let failed = br#"{"Results":null,"Errors":[{"OpIndex":0,"What":"lock isn't held"}]}"#;
        assert_eq!(complaint(failed).as_deref(), Some("lock isn't held"));
        assert_eq!(results(b"[]"), None);
    }

    #[test]
    fn a_session_is_read_with_its_ttl() {
        let shown = |ttl: &str| {
            let text = format!(
                r#"[{{"ID":"7f","Name":"x","Node":"vm","LockDelay":1000000,"Behavior":"delete","TTL":"{ttl}",
                "NodeChecks":["serfHealth"],"ServiceChecks":null,"CreateIndex":34,"ModifyIndex":34}}]"#
            );
            session(text.as_bytes()).flatten().and_then(|session| session.ttl)
        };
        for millis in [10_000, 90_000, 10_500, 86_400_000] {
            let ttl = Duration::from_millis(millis);
            assert_eq!(shown(&ttl_text(ttl)), Some(ttl));
        }
        assert_eq!(shown("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(shown(""), None);
        assert_eq!((session(b"[]"), session(b"null"), session(b"{}")), (Some(None), Some(None), None));
    }

    #[test]
    fn an_id_that_could_change_a_url_is_none() {
        let id = "7f090758-3727-d15d-0c61-5eb799346725";
        assert!(is_session(id));
        assert_eq!(created(format!(r#"{{"ID":"{id}"}}"#).as_bytes()).as_deref(), Some(id));
        for id in ["", "7f09", "../../kv/docker/swarm/nodes/10.0.0.1:2", "7f090758-3727-d15d-0c61-5eb79934672?"] {
            assert!(!is_session(id), "{id}");
            assert_eq!(created(format!(r#"{{"ID":"{id}"}}"#).as_bytes()), None);
        }
    }
}
