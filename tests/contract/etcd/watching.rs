//! What a watcher of an etcd sees, and what it can't.

use super::{Etcd, Ground, Outcome, nodes, start};
use crate::common::{DEADLINE, TTL, address};
use crate::{Cluster, Subject};
use std::error::Error;
use std::time::Duration;
use swarm_agent::discovery::{Claim, Position, Scope, Seen, Sight};
use swarm_agent::model::NodeRecord;

const NODE: &str = "10.0.0.1:2375";

fn from(position: Option<Position>) -> Result<Seen, Box<dyn Error>> {
    Ok(Seen { position: position.ok_or("no position")?, patience: DEADLINE })
}

fn shown(sight: &Sight) -> Vec<String> {
    sight.listing.nodes.iter().map(ToString::to_string).collect()
}

async fn some() -> Result<(Etcd, Cluster), Box<dyn Error>> {
    let etcd = start(&Ground::near()).await?;
    let cluster = etcd.new_cluster().await;
    Ok((etcd, cluster))
}

#[tokio::test]
async fn history_that_is_gone_is_made_up_for_by_a_new_list() -> Outcome {
    let (etcd, cluster) = some().await?;
    let backend = cluster.open();
    let seen = from(backend.watch(Scope::Active, None).await?.position)?;
    for node in [NODE, "10.0.0.2:2375"] {
        backend.register(&Claim::new(&address(node), TTL)).await?;
        etcd.stranger().compact()?;
    }
    let sight = backend.watch(Scope::Active, Some(&seen)).await?;
    assert_eq!(shown(&sight), [NODE, "10.0.0.2:2375"]);
    assert_ne!(sight.position, Some(seen.position));
    Ok(())
}

/// As after a store was set up anew: what is seen there is not waited for.
#[tokio::test]
async fn a_store_that_begins_anew_is_listed_at_once() -> Outcome {
    let (_etcd, cluster) = some().await?;
    let backend = cluster.open();
    backend.register(&Claim::new(&address(NODE), TTL)).await?;
    let sight = backend.watch(Scope::Active, Some(&from(Some(Position("1000000".into())))?)).await?;
    assert_eq!(shown(&sight), [NODE]);
    let next = from(sight.position)?;
    assert!(next.position.0.len() < 5, "{next:?} is of the new store");
    Ok(())
}

#[tokio::test]
async fn a_thousand_nodes_that_go_at_once_are_seen() -> Outcome {
    let (etcd, cluster) = some().await?;
    let (backend, stranger, folder) = (cluster.open(), etcd.stranger(), nodes(&cluster));
    let lease = stranger.lease(600)?;
    let node = |n| format!("10.1.{}.{}:2375", n / 250, n % 250);
    let entries: Vec<_> = (0..1000).map(|n| (format!("{folder}/{}", node(n)), node(n))).collect();
    stranger.put(&entries, Some(&lease))?;
    backend.register(&Claim::new(&address(NODE), TTL)).await?;
    let sight = backend.watch(Scope::Active, None).await?;
    assert_eq!(sight.listing.nodes.len(), 1001);
    stranger.revoke(&lease)?;
    assert_eq!(shown(&backend.watch(Scope::Active, Some(&from(sight.position)?)).await?), [NODE]);
    Ok(())
}

#[tokio::test]
async fn marks_wake_who_watches_all_and_nobody_else() -> Outcome {
    let (_etcd, cluster) = some().await?;
    let backend = cluster.open();
    let all = from(backend.watch(Scope::All, None).await?.position)?;
    let active = Seen { patience: Duration::from_secs(1), ..all.clone() };
    backend.mark_drained(&address(NODE), Some("new kernel"), TTL).await?;
    let sight = backend.watch(Scope::All, Some(&all)).await?;
    assert_eq!(sight.listing.drained.len(), 1, "{sight:?}");
    // the same mark again is no news
    let all = Seen { patience: Duration::from_secs(1), ..from(sight.position)? };
    backend.mark_drained(&address(NODE), Some("new kernel"), TTL).await?;
    let again = backend.watch(Scope::All, Some(&all)).await?;
    assert_eq!(again.position, Some(all.position));
    assert!(shown(&backend.watch(Scope::Active, Some(&active)).await?).is_empty());
    Ok(())
}

#[tokio::test]
async fn who_a_node_is_wakes_nobody_who_watches_the_nodes() -> Outcome {
    let (_etcd, cluster) = some().await?;
    let (backend, watcher, node, other) = (cluster.open(), cluster.open(), address(NODE), address("10.0.0.2:2375"));
    let mut record = NodeRecord {
        since: "2026-11-26T08:00:00Z".into(),
        node: "0123456789abcdef0123456789abcdef".into(),
        boot: "fedcba9876543210fedcba9876543210".into(),
        engine: "ABCD:EFGH".into(),
        version: "0.1.0".into(),
        hostname: "db1".into(),
    };
    let hold = backend.register(&Claim { record: Some(&record), ..Claim::new(&node, TTL) }).await?;
    let seen = from(watcher.watch(Scope::Active, None).await?.position)?;
    record.version = "0.2.0".into();
    let (sight, ()) = tokio::try_join!(watcher.watch(Scope::Active, Some(&seen)), async {
        backend.register(&Claim { hold: hold.as_ref(), record: Some(&record), ..Claim::new(&node, TTL) }).await?;
        backend.register(&Claim::new(&other, TTL)).await.map(drop)
    })?;
    assert_eq!(shown(&sight), [NODE, "10.0.0.2:2375"], "the first change of the nodes");
    let listing = watcher.list(Scope::Records).await?;
    assert_eq!(listing.records.iter().map(|known| known.record.version.as_str()).collect::<Vec<_>>(), ["0.2.0"]);
    Ok(())
}
