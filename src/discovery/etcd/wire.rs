//! The words of etcd's gateway: JSON in which keys and values are base64, and numbers of 64 bits are texts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Header {
    #[serde(deserialize_with = "number")]
    pub revision: i64,
}

#[derive(Deserialize)]
pub struct Granted {
    #[serde(rename = "ID", deserialize_with = "number")]
    pub id: i64,
}

/// The answer to a keep-alive; a lease that has ended has no TTL.
#[derive(Deserialize)]
pub struct Kept {
    pub result: Lived,
}

#[derive(Deserialize)]
pub struct Lived {
    #[serde(rename = "TTL", default, deserialize_with = "number")]
    pub ttl: i64,
}

#[derive(Deserialize)]
pub struct Authenticated {
    pub token: String,
}

#[derive(Deserialize)]
pub struct Done {
    #[serde(default)]
    pub header: Header,
    #[serde(default)]
    pub responses: Vec<Response>,
    /// Whether its condition held.
    #[serde(default)]
    pub succeeded: bool,
}

#[derive(Deserialize)]
pub struct Response {
    response_range: Option<Found>,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    kvs: Vec<Kv>,
}

#[derive(Deserialize)]
pub struct Kv {
    #[serde(default, deserialize_with = "text")]
    pub key: String,
    #[serde(default, deserialize_with = "text")]
    pub value: String,
    /// 0 is none.
    #[serde(default, deserialize_with = "number")]
    pub lease: i64,
    /// The revision of its last change.
    #[serde(rename = "mod_revision", default, deserialize_with = "number")]
    pub changed: i64,
}

/// One line of a watch.
#[derive(Deserialize)]
pub struct Watched {
    pub result: News,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub struct News {
    pub header: Header,
    pub canceled: bool,
    pub cancel_reason: String,
    #[serde(deserialize_with = "number")]
    pub compact_revision: i64,
    pub events: Vec<serde::de::IgnoredAny>,
}

impl Done {
    /// What the ranges among the requests gave, in their order.
    pub fn ranges(self) -> impl Iterator<Item = Vec<Kv>> {
        self.responses.into_iter().filter_map(|response| response.response_range).map(|found| found.kvs)
    }
}

/// All keys of a folder, as requests name them.
pub fn folder(folder: &str) -> Value {
    // `0` comes right behind `/`
    json!({"key": encode(&format!("{folder}/")), "range_end": encode(&format!("{folder}0"))})
}

pub fn range(key: &str) -> Value {
    json!({"requestRange": {"key": encode(key)}})
}

pub fn ranges(place: Value) -> Value {
    json!({"requestRange": place})
}

pub fn put(key: &str, value: &str, lease: i64) -> Value {
    json!({"requestPut": {"key": encode(key), "value": encode(value), "lease": lease.to_string()}})
}

pub fn delete(key: &str) -> Value {
    json!({"requestDeleteRange": {"key": encode(key)}})
}

/// All of it, or nothing.
pub fn transaction(requests: Vec<Value>) -> Value {
    json!({"success": requests})
}

/// The same, if a key was last changed at this revision; 0: if it is not there.
pub fn transaction_if_unchanged(key: &str, revision: i64, requests: Vec<Value>) -> Value {
    let key = encode(key);
    json!({
        "compare": [{"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": revision.to_string()}],
        "success": requests,
    })
}

fn encode(text: &str) -> String {
    STANDARD.encode(text)
}

/// Whatever somebody put in; what is no text can't be an address.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let bytes = STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}
