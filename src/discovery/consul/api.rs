//! Consul over HTTP, as far as an entry and a list need it: one request a call.

use super::super::BackendError;
use super::super::web::{Answer, Web};
use super::acl::{self, Need};
use super::answers::{self, Pair, Session};
use crate::model::{StoreUrl, WayOut};
use reqwest::header::HeaderName;
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde_json::{Value, json};
use std::time::Duration;

/// A key comes with some 200 bytes of JSON: this is room for more than fifty thousand.
const LIMIT: usize = 16 << 20;
const TOKEN: HeaderName = HeaderName::from_static("x-consul-token");
const INDEX: &str = "x-consul-index";
/// In place of what Consul says.
const WRITE_CONSULS: &str = "it speaks TLS; begin the URL with consuls://";
/// What Consul's own locks have. Classic Swarm takes no lock on a key that was made with others.
const FLAGS: u64 = 0x2ddc_cbc0_58a5_0c18;
/// The longest that Consul lets a reader wait.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

pub struct Api {
    web: Web,
    base: Url,
    server: String,
    /// Where our keys lie, as a refusal names it.
    root: String,
}

/// What is to be in a key, and under which session.
pub struct Lock<'a> {
    pub key: &'a str,
    pub session: &'a str,
    pub value: &'a [u8],
}

/// The keys below a folder, at one time.
pub struct Keys {
    pub pairs: Vec<Pair>,
    pub index: u64,
}

/// What a reader saw, and how long it may wait for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    pub index: u64,
    pub patience: Duration,
}

impl Api {
    pub fn new(url: &StoreUrl, way: &WayOut) -> Result<Self, BackendError> {
        let endpoint = url.endpoints.first().map_or("", String::as_str);
        let scheme = if url.tls { "https" } else { "http" };
        let base = Url::parse(&format!("{scheme}://{endpoint}"));
        let web = Web::new(url.to_string(), url.tls, None, way)?.with_token(&way.auth, TOKEN, "").in_plain_words();
        let base = base.map_err(|error| BackendError::Client(error.to_string()))?;
        Ok(Self { web, base, server: url.to_string(), root: url.root() })
    }

    /// Makes a session that ends, with the keys that it holds, twice its ttl after it was last renewed.
    pub async fn create(&self, name: &str, ttl: Duration) -> Result<String, BackendError> {
        // as classic Swarm has them; a lock delay would keep a node that is back out of its own key
        let session =
            json!({"Name": name, "Behavior": "delete", "LockDelay": "1ms", "TTL": answers::ttl_text(ttl)}).to_string();
        let request = self.request(Method::PUT, self.url(&["session", "create"])).body(session);
        let body = self.send(request, Need::Write).await?;
        self.understood(answers::created(&body), "a new session without an ID")
    }

    /// None: it has ended.
    pub async fn renew(&self, session: &str) -> Result<Option<Session>, BackendError> {
        let request = self.request(Method::PUT, self.url(&["session", "renew", session]));
        let answer = self.ask(request).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let body = self.success(answer, Need::Write)?;
        self.understood(answers::session(&body), "it is no session")
    }

    /// Ends a session and takes out the keys that it holds. One that has ended is no error.
    pub async fn destroy(&self, session: &str) -> Result<(), BackendError> {
        let request = self.request(Method::PUT, self.url(&["session", "destroy", session]));
        self.send(request, Need::Write).await.map(drop)
    }

    /// None: it has ended, or is not shown to us.
    pub async fn session(&self, session: &str) -> Result<Option<Session>, BackendError> {
        let request = self.request(Method::GET, self.url(&["session", "info", session]));
        let body = self.send(request, Need::Read).await?;
        self.understood(answers::session(&body), "it is no session")
    }

    /// Writes a key and its lock, if nothing else holds it; whether that is so.
    pub async fn acquire(&self, lock: &Lock<'_>) -> Result<bool, BackendError> {
        let mut url = self.key(lock.key);
        url.query_pairs_mut().append_pair("acquire", lock.session).append_pair("flags", &FLAGS.to_string());
        let request = self.request(Method::PUT, url).body(lock.value.to_vec());
        let body = self.send(request, Need::Write).await?;
        self.understood(answers::done(&body), "it is neither true nor false")
    }

    /// The same from the session that holds the key, in one step: nobody sees the key without either.
    pub async fn hand_over(&self, from: &str, lock: &Lock<'_>) -> Result<(), BackendError> {
        let step = |verb: &str, session: &str| {
            let value = answers::encode(lock.value);
            json!({"KV": {"Verb": verb, "Key": lock.key, "Session": session, "Value": value, "Flags": FLAGS}})
        };
        self.transact(&[step("unlock", from), step("lock", lock.session)], Need::Write).await.map(drop)
    }

    /// Deletes a key if it is as it was seen; whether it was.
    pub async fn delete(&self, pair: &Pair) -> Result<bool, BackendError> {
        let mut url = self.key(&pair.key);
        url.query_pairs_mut().append_pair("cas", &pair.index.to_string());
        let body = self.send(self.request(Method::DELETE, url), Need::Write).await?;
        self.understood(answers::done(&body), "it is neither true nor false")
    }

    /// Some keys, in one request.
    pub async fn read<const N: usize>(&self, keys: [&str; N]) -> Result<[Option<Pair>; N], BackendError> {
        // `get` would fail where there is nothing
        let step = |key| json!({"KV": {"Verb": "get-tree", "Key": key}});
        let mut pairs = self.transact(&keys.map(step), Need::Read).await?;
        Ok(keys.map(|key| pairs.iter().position(|pair| pair.key == key).map(|at| pairs.swap_remove(at))))
    }

    /// Every key below a folder (`…/`), at once or when something there has changed.
    pub async fn list(&self, folder: &str, after: Option<After>) -> Result<Keys, BackendError> {
        let mut url = self.key(folder);
        url.query_pairs_mut().append_key_only("recurse");
        let mut patience = None;
        if let Some(After { index, patience: wait }) = after {
            let wait = wait.min(LONGEST_WAIT);
            let (index, millis) = (index.to_string(), format!("{}ms", wait.as_millis()));
            url.query_pairs_mut().append_pair("index", &index).append_pair("wait", &millis);
            // the server adds up to a sixteenth, so that not all readers come back in step
            patience = Some(wait + wait / 16);
        }
        let request = self.request(Method::GET, url);
        let answer = match patience {
            Some(patience) => self.web.ask_patiently(request, LIMIT, patience).await?,
            None => self.ask(request).await?,
        };
        let index = answer.header(INDEX).and_then(|index| index.parse().ok());
        let pairs = match (answer.status, index) {
            // where there is no key there is nothing; another server's 404 has no index
            (StatusCode::NOT_FOUND, Some(_)) => Some(Vec::new()),
            _ => answers::pairs(&self.success(answer, Need::Read)?),
        };
        let keys = pairs.zip(index).map(|(pairs, index)| Keys { pairs, index });
        self.understood(keys, "it is no list of keys")
    }

    /// Fails if we may not read this key, there or not. A list has just none of the keys that we may not see.
    pub async fn readable(&self, key: &str) -> Result<(), BackendError> {
        let answer = self.ask(self.request(Method::GET, self.key(key))).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(()),
            _ => self.success(answer, Need::Read).map(drop),
        }
    }

    async fn transact(&self, steps: &[Value], need: Need) -> Result<Vec<Pair>, BackendError> {
        let body = Value::from(steps).to_string();
        let answer = self.ask(self.request(Method::PUT, self.url(&["txn"])).body(body)).await?;
        let status = answer.status;
        if status == StatusCode::CONFLICT {
            let what = answer.body().and_then(answers::complaint);
            let message = what.unwrap_or_default();
            let (server, status) = (self.server.clone(), status.as_u16());
            return Err(BackendError::Status { server, status, message, retry_after: None });
        }
        let body = self.success(answer, need)?;
        self.understood(answers::results(&body), "it is no outcome of a transaction")
    }

    async fn send(&self, request: RequestBuilder, need: Need) -> Result<Vec<u8>, BackendError> {
        let answer = self.ask(request).await?;
        self.success(answer, need)
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Answer, BackendError> {
        self.web.ask(request, LIMIT).await
    }

    fn success(&self, answer: Answer, need: Need) -> Result<Vec<u8>, BackendError> {
        let wants_tls = answer.wants_tls();
        self.web.success(answer).map_err(|error| match error {
            BackendError::Status { server, status, retry_after, .. } if wants_tls => {
                BackendError::Status { server, status, message: WRITE_CONSULS.to_owned(), retry_after }
            }
            error => acl::explained(error, need, &self.root),
        })
    }

    fn understood<T>(&self, value: Option<T>, else_what: &str) -> Result<T, BackendError> {
        value.ok_or_else(|| self.web.garbled(else_what))
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.web.client().request(method, url)
    }

    fn key(&self, key: &str) -> Url {
        self.url(&std::iter::once("kv").chain(key.split('/')).collect::<Vec<_>>())
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // an http URL has a path
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().push("v1").extend(path);
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DiscoveryUrl, Folder, Timeouts};

    #[test]
    fn a_key_is_one_path_whatever_is_in_it() -> Result<(), Box<dyn std::error::Error>> {
        let DiscoveryUrl::Store(url) = "consul://[fd00::1]/a%b/ü+\"".parse()? else { return Err("no store".into()) };
        let second = Duration::from_secs(1);
        let way = WayOut::direct(Timeouts { connect: second, total: second });
        let api = Api::new(&url, &way)?;
        assert_eq!(api.root, "a%b/ü+\"/docker/swarm");
        for (key, path) in [
            (url.folder(Folder::Nodes) + "/a:1", "/v1/kv/a%25b/%C3%BC+%22/docker/swarm/nodes/a:1"),
            ("docker/swarm/nodes/".into(), "/v1/kv/docker/swarm/nodes/"),
        ] {
            assert_eq!(api.key(&key).path(), path);
        }
        assert_eq!(api.url(&["txn"]).as_str(), "http://[fd00::1]:8500/v1/txn");
        Ok(())
    }
}
