//! An etcd of three members that loses some.

use super::server::{Plan, Stranger, cluster, until_it_answers};
use super::{Ground, Outcome, news};
use crate::common::{DEADLINE, TTL, address, listed};
use crate::{Cluster, Service};
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;
use swarm_agent::discovery::{Claim, Release, Scope};

const NODE: &str = "10.0.0.1:2375";
const OTHER: &str = "10.0.0.2:2375";

struct Three {
    /// The leader first.
    members: Vec<(SocketAddr, Service)>,
    _directory: tempfile::TempDir,
}

impl Three {
    async fn start() -> Result<Self, Box<dyn Error>> {
        let (ground, directory) = (Ground::near(), tempfile::tempdir()?);
        let plans = Plan::cluster(&ground, directory.path(), 3)?;
        let members: Vec<_> = plans
            .iter()
            .map(|plan| Ok((plan.client, plan.start(ground.launcher())?)))
            .collect::<std::io::Result<_>>()?;
        let mut three = Self { members, _directory: directory };
        until_it_answers(&three.addresses()).await;
        let leader = three.members.iter().position(|(address, _)| Stranger(*address).leads().unwrap_or(false));
        three.members.swap(0, leader.ok_or("nobody leads")?);
        Ok(three)
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.members.iter().map(|(address, _)| *address).collect()
    }

    fn cluster(&self) -> Cluster {
        cluster(&self.addresses(), "three")
    }

    fn service(&self, number: usize) -> &Service {
        &self.members[number].1
    }
}

#[tokio::test]
async fn the_entry_outlives_the_leader_and_the_very_next_beat_is_accepted() -> Outcome {
    let three = Three::start().await?;
    let (backend, node) = (three.cluster().open(), address(NODE));
    let hold = backend.register(&Claim::new(&node, TTL)).await?;
    three.service(0).kill()?;
    let next = backend.register(&Claim { address: &node, ttl: TTL, hold: hold.as_ref(), record: None }).await?;
    assert_eq!(next, hold, "the lease lives on");
    assert_eq!(listed(&*backend).await, [NODE]);
    assert_eq!(listed(&*three.cluster().open()).await, [NODE], "also for who does not know of it");
    backend.deregister(&Release::new(&node, hold.as_ref())).await?;
    assert!(listed(&*backend).await.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_member_that_hangs_costs_its_share_of_the_time_only() -> Outcome {
    let three = Three::start().await?;
    let (backend, node) = (three.cluster().open(), address(NODE));
    let hold = backend.register(&Claim::new(&node, TTL)).await?;
    three.service(0).pause()?;
    for open in [backend, three.cluster().open()] {
        open.register(&Claim { address: &node, ttl: TTL, hold: hold.as_ref(), record: None }).await?;
        assert_eq!(listed(&*open).await, [NODE]);
    }
    three.service(0).resume()?;
    Ok(())
}

/// A stop of the agent gives no attempt the time to ask a second member.
#[tokio::test]
async fn who_gives_up_on_a_member_that_hangs_begins_with_another_one() -> Outcome {
    let three = Three::start().await?;
    let mut cluster = three.cluster();
    cluster.way.timeouts.total = DEADLINE * 10;
    let (backend, node) = (cluster.open(), address(NODE));
    let hold = backend.register(&Claim::new(&node, TTL)).await?;
    three.service(0).pause()?;
    let given_up =
        tokio::time::timeout(Duration::from_secs(1), backend.deregister(&Release::new(&node, hold.as_ref()))).await;
    assert!(given_up.is_err(), "{given_up:?}");
    // its share would be more than three times this
    tokio::time::timeout(DEADLINE, backend.deregister(&Release::new(&node, hold.as_ref()))).await??;
    assert!(listed(&*backend).await.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_watcher_moves_on_to_another_member() -> Outcome {
    let three = Three::start().await?;
    let (watcher, backend) = (three.cluster().open(), three.cluster().open());
    backend.register(&Claim::new(&address(NODE), TTL)).await?;
    let sight = watcher.watch(Scope::Active, None).await?;
    let other = address(OTHER);
    let (sight, registered) = tokio::join!(news(&*watcher, Scope::Active, sight.position.as_ref()), async {
        three.service(0).kill().map_err(|error| error.to_string())?;
        backend.register(&Claim::new(&other, TTL)).await.map_err(|error| error.to_string())
    });
    registered?;
    assert_eq!(sight?.listing.nodes, [address(NODE), address(OTHER)]);
    Ok(())
}

/// Without asking for that, it would wait for news that can't come.
#[tokio::test]
async fn a_watcher_hears_that_its_member_has_lost_the_leader() -> Outcome {
    let three = Three::start().await?;
    let watcher = cluster(&[three.members[2].0], "three").open();
    let sight = watcher.watch(Scope::Active, None).await?;
    let kill = async { three.service(0).kill().and_then(|()| three.service(1).kill()) };
    let (sight, killed) = tokio::join!(news(&*watcher, Scope::Active, sight.position.as_ref()), kill);
    killed?;
    let error = sight.expect_err("there is nobody to tell it anything").to_string();
    assert!(error.ends_with("etcdserver: no leader"), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_minority_accepts_nothing_and_says_so_until_it_is_none() -> Outcome {
    let three = Three::start().await?;
    let (backend, node) = (three.cluster().open(), address(NODE));
    let hold = backend.register(&Claim::new(&node, TTL)).await?;
    let claim = Claim { address: &node, ttl: TTL, hold: hold.as_ref(), record: None };
    for dead in [0, 1] {
        three.service(dead).kill()?;
    }
    let error = backend.register(&claim).await.expect_err("one of three has no say").to_string();
    assert!(error.ends_with("(2 more servers failed too)"), "{error}");
    assert!(error.contains(&three.members[2].0.to_string()), "the one that answers knows most: {error}");
    three.service(1).start_again()?;
    crate::cases::until(async || backend.register(&claim).await.is_ok(), "a beat").await;
    assert_eq!(listed(&*backend).await, [NODE]);
    Ok(())
}
