//! ZooKeeper.

mod access;
mod classic;
mod members;
mod raw;
mod server;
mod sessions;
mod watching;

use crate::{Cluster, Deed, Ground, Outcome, Service, Subject, Traits, contract};
use raw::Raw;
use server::{Plan, cluster, until_it_answers};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use swarm_agent::model::{DiscoveryUrl, Folder};

contract!(start);

const NODE: &str = "10.0.0.1:2375";

/// A server that is alone.
struct Zookeeper {
    address: SocketAddr,
    service: Service,
    clusters: AtomicUsize,
    _directory: tempfile::TempDir,
}

async fn start(ground: &Ground) -> Result<Zookeeper, Box<dyn Error>> {
    start_with(ground, &[]).await
}

async fn start_with(ground: &Ground, lines: &[&str]) -> Result<Zookeeper, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let plan = Plan::new(ground, directory.path())?.with(lines);
    let service = plan.start(ground.launcher())?;
    until_it_answers(plan.address).await;
    Ok(Zookeeper { address: plan.address, service, clusters: AtomicUsize::new(0), _directory: directory })
}

impl Zookeeper {
    fn raw(&self) -> std::io::Result<Raw> {
        Raw::open(self.address)
    }

    /// Without a prefix, where a classic agent and ours meet.
    fn classic_cluster(&self) -> Cluster {
        cluster(&[self.address], "")
    }
}

/// Where a cluster has its nodes.
fn nodes(cluster: &Cluster) -> String {
    let DiscoveryUrl::Store(url) = &cluster.url else { panic!("{} is no ZooKeeper", cluster.url) };
    format!("/{}", url.folder(Folder::Nodes))
}

#[async_trait::async_trait]
impl Subject for Zookeeper {
    async fn new_cluster(&self) -> Cluster {
        let number = self.clusters.fetch_add(1, Ordering::Relaxed);
        cluster(&[self.address], &format!("team/c{number}"))
    }

    async fn stranger(&self, cluster: &Cluster, deed: Deed<'_>) -> Outcome {
        let (mut stranger, folder) = (self.raw()?, nodes(cluster));
        match deed {
            Deed::Delete(address) => stranger.delete(&format!("{folder}/{address}"))?,
            Deed::Garbage => stranger.create(&format!("{folder}/junk"), "junk", false)?,
            Deed::Fill(addresses) => {
                stranger.folder(&folder)?;
                stranger.fill(&folder, addresses)?;
            }
        }
        Ok(())
    }

    fn service(&self) -> &Service {
        &self.service
    }

    fn traits(&self) -> Traits {
        let nowhere = cluster(&[SocketAddr::new(self.address.ip(), 1)], "");
        let mut over_tls = nowhere.clone();
        over_tls.url = format!("zks://{}", self.address).parse().expect("a URL");
        Traits {
            shortest_ttl: Duration::from_secs(3),
            // two ticks of the server
            lateness: Duration::from_secs(1),
            has_room: true,
            takes_garbage: true,
            tells_of_changes: true,
            wrong_ways: vec![(nowhere, "connection refused"), (over_tls, "closed during the handshake")],
        }
    }
}
