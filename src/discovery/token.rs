//! The token protocol over HTTP, as classic Swarm spoke it.
//!
//! | | request |
//! | --- | --- |
//! | create | `POST …/clusters` |
//! | register | `POST …/clusters/TOKEN?ttl=180`, body = the address as it is |
//! | list | `GET …/clusters/TOKEN`: a JSON array of strings, `null` when empty |
//! | deregister | `DELETE …/clusters/TOKEN/ADDRESS` |

use super::web::Web;
use super::{Backend, BackendError, Listing, Timeouts};
use crate::model::{NodeAddress, ServerUrl, Token, TokenUrl};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use std::time::Duration;

/// A list of ten thousand nodes is some 200 KB.
const LIST_LIMIT: usize = 8 << 20;
const ANSWER_LIMIT: usize = 64 << 10;
/// What classic Swarm sent, although the body is no JSON; servers may insist on it.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// One cluster at one discovery server, over one kept connection.
pub struct TokenBackend {
    web: Web,
    cluster: String,
}

impl TokenBackend {
    pub fn new(url: TokenUrl, timeouts: Timeouts) -> Result<Self, BackendError> {
        let secret = url.token.as_str().to_owned();
        let web = Web::new(url.server.to_string(), url.server.tls(), Some(secret), timeouts)?;
        Ok(Self { web, cluster: url.cluster() })
    }
}

#[async_trait::async_trait]
impl Backend for TokenBackend {
    async fn register(&self, address: &NodeAddress, ttl: Duration) -> Result<(), BackendError> {
        let url = format!("{}?ttl={}", self.cluster, whole_seconds(ttl));
        let request = self.web.client().post(url).header(CONTENT_TYPE, JSON).body(address.to_string());
        self.web.send(request, ANSWER_LIMIT).await.map(drop)
    }

    async fn deregister(&self, address: &NodeAddress) -> Result<(), BackendError> {
        let request = self.web.client().delete(format!("{}/{}", self.cluster, segment(address)));
        match self.web.send(request, ANSWER_LIMIT).await {
            Ok(_) => Ok(()),
            // The whole cluster is gone. A 404 without words is no answer of a discovery server: the entry may live.
            Err(BackendError::Status { status: 404, message, .. }) if !message.is_empty() => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn list(&self) -> Result<Listing, BackendError> {
        let body = self.web.send(self.web.client().get(&self.cluster), LIST_LIMIT).await?;
        listing(&body).ok_or_else(|| self.web.garbled("it is no JSON array of strings"))
    }
}

/// Asks a server for a new cluster.
pub async fn create(server: &ServerUrl, timeouts: Timeouts) -> Result<Token, BackendError> {
    let web = Web::new(server.to_string(), server.tls(), None, timeouts)?;
    let body = web.send(web.client().post(server.clusters()), ANSWER_LIMIT).await?;
    let token = std::str::from_utf8(&body).ok().and_then(|text| text.trim().parse().ok());
    token.ok_or_else(|| web.garbled("it is no cluster token"))
}

/// Rounded up: an entry must not end before its ttl.
fn whole_seconds(ttl: Duration) -> u64 {
    ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0)
}

/// Of what an address may hold, only the brackets of IPv6 may not stand in a path.
fn segment(address: &NodeAddress) -> String {
    address.to_string().replace('[', "%5B").replace(']', "%5D")
}

fn listing(body: &[u8]) -> Option<Listing> {
    serde_json::from_slice::<Option<Vec<String>>>(body)
        .ok()
        .map(|texts| Listing::of_addresses(texts.unwrap_or_default()))
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
}
