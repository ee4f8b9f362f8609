//! etcd.

mod auth;
mod keys;
mod members;
mod server;
mod tls;
mod watching;

use crate::common::way;
use crate::{Cluster, Deed, Ground, Outcome, Service, Subject, Traits, contract};
use server::{Plan, Stranger, cluster, until_it_answers};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use swarm_agent::model::{DiscoveryUrl, Folder};

contract!(start);

/// A cluster of one.
struct Etcd {
    address: SocketAddr,
    service: Service,
    clusters: AtomicUsize,
    _directory: tempfile::TempDir,
}

async fn start(ground: &Ground) -> Result<Etcd, Box<dyn Error>> {
    let etcd = launch(ground, &[])?;
    until_it_answers(&[etcd.address]).await;
    Ok(etcd)
}

fn launch(ground: &Ground, extra: &[&str]) -> Result<Etcd, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let plan = Plan::alone(ground, directory.path())?.with(extra);
    let service = plan.start(ground.launcher())?;
    Ok(Etcd { address: plan.client, service, clusters: AtomicUsize::new(0), _directory: directory })
}

impl Etcd {
    fn stranger(&self) -> Stranger {
        Stranger(self.address)
    }
}

/// Where a cluster has its nodes.
fn nodes(cluster: &Cluster) -> String {
    let DiscoveryUrl::Store(url) = &cluster.url else { panic!("{} is no etcd", cluster.url) };
    url.folder(Folder::Nodes)
}

#[async_trait::async_trait]
impl Subject for Etcd {
    async fn new_cluster(&self) -> Cluster {
        // one is the beginning of another
        let number = self.clusters.fetch_add(1, Ordering::Relaxed);
        cluster(&[self.address], &"a".repeat(number))
    }

    async fn stranger(&self, cluster: &Cluster, deed: Deed<'_>) -> Outcome {
        let (stranger, folder) = (self.stranger(), nodes(cluster));
        match deed {
            Deed::Delete(address) => stranger.delete(&format!("{folder}/{address}")),
            Deed::Garbage => stranger.put(&[(format!("{folder}/junk"), "junk".into())], None),
            Deed::Fill(addresses) => {
                let entry = |address: &String| (format!("{folder}/{address}"), address.clone());
                stranger.put(&addresses.iter().map(entry).collect::<Vec<_>>(), None)
            }
        }
    }

    fn service(&self) -> &Service {
        &self.service
    }

    fn traits(&self) -> Traits {
        let over_tls = Cluster { url: format!("etcds://{}", self.address).parse().expect("a URL"), way: way() };
        let nowhere = cluster(&[SocketAddr::new(self.address.ip(), 1)], "");
        Traits {
            // etcd grants no less with its default timing
            shortest_ttl: Duration::from_secs(2),
            lateness: Duration::from_secs(2),
            has_room: true,
            takes_garbage: true,
            tells_of_changes: true,
            wrong_ways: vec![(over_tls, "tls handshake eof"), (nowhere, "connection refused")],
        }
    }
}
