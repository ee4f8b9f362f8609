//! Consul, with access controlled: the agent has a token that may do what the README says, and no more.

mod access;
mod classic;
mod server;
mod survival;
mod tls;

use crate::{Cluster, Deed, Ground, Outcome, Service, Subject, Traits, contract};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use server::Consul;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;
use swarm_agent::model::{DiscoveryUrl, Folder};

contract!(start);

/// The most operations that Consul takes in one transaction.
const BATCH: usize = 64;

struct Guarded {
    consul: Consul,
    https: SocketAddr,
    /// Its key and certificate: read again at a restart.
    _tls: tempfile::TempDir,
}

async fn start(ground: &Ground) -> Result<Guarded, Box<dyn Error>> {
    let key = rcgen::generate_simple_self_signed(vec![ground.ip.to_string()])?;
    let tls = tempfile::tempdir()?;
    let (certificate, private) = (tls.path().join("cert.pem"), tls.path().join("key.pem"));
    std::fs::write(&certificate, key.cert.pem())?;
    std::fs::write(&private, key.signing_key.serialize_pem())?;
    let https = SocketAddr::new(ground.ip, ground.port()?);
    let more = format!("ports {{ https = {} }}\ncert_file = {certificate:?}\nkey_file = {private:?}", https.port());
    Ok(Guarded { consul: Consul::guarded(ground, &more).await?, https, _tls: tls })
}

#[async_trait::async_trait]
impl Subject for Guarded {
    async fn new_cluster(&self) -> Cluster {
        self.consul.cluster()
    }

    async fn stranger(&self, cluster: &Cluster, deed: Deed<'_>) -> Outcome {
        let DiscoveryUrl::Store(url) = &cluster.url else { return Err("no store".into()) };
        let folder = url.folder(Folder::Nodes);
        match deed {
            Deed::Delete(address) => {
                self.consul.ask("DELETE", &format!("/v1/kv/{folder}/{address}"), "");
            }
            Deed::Garbage => assert!(self.consul.put(&format!("{folder}/junk"), "junk")),
            Deed::Fill(addresses) => {
                for batch in addresses.chunks(BATCH) {
                    let set = |address: &String| {
                        let (key, value) = (format!("{folder}/{address}"), STANDARD.encode(address));
                        serde_json::json!({"KV": {"Verb": "set", "Key": key, "Value": value}})
                    };
                    let body = serde_json::Value::from_iter(batch.iter().map(set)).to_string();
                    assert_eq!(self.consul.ask("PUT", "/v1/txn", &body).status, 200);
                }
            }
        }
        Ok(())
    }

    fn service(&self) -> &Service {
        &self.consul.service
    }

    fn traits(&self) -> Traits {
        let cluster = self.consul.cluster();
        let mut nobody = cluster.clone();
        nobody.way.auth.token = None;
        let mut unknown = cluster.clone();
        unknown.way.auth.token = self.consul.file("unknown", "5eed5eed-0000-4000-8000-00000000000f").ok();
        let foreign = self.consul.cluster_at(&format!("consuls://{}/team", self.https));
        Traits {
            shortest_ttl: Duration::from_secs(20),
            // the leader looks for ends once in a while, and counts from when it took over
            lateness: Duration::from_secs(5),
            has_room: true,
            takes_garbage: true,
            tells_of_changes: true,
            wrong_ways: vec![
                (nobody, "set discovery.auth.token-file"),
                (unknown, "is the token in "),
                (foreign, "its certificate is from none of this system's CAs"),
            ],
        }
    }
}
