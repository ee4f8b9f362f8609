//! Readers.

use super::{NODE, nodes, start};
use crate::common::{DEADLINE, Outcome, TTL, address, listed};
use crate::{Ground, Subject};
use std::time::{Duration, Instant};
use swarm_agent::discovery::{Claim, Scope, Seen, Sight};

fn drained(sight: &Sight) -> Vec<String> {
    sight.listing.drained.iter().map(ToString::to_string).collect()
}

/// Anybody may write as much as the server takes beside the entries.
#[tokio::test]
async fn what_is_far_too_long_beside_the_entries_is_not_kept() -> Outcome {
    let zookeeper = start(&Ground::near()).await?;
    let cluster = zookeeper.new_cluster().await;
    let (backend, mut raw) = (cluster.open(), zookeeper.raw()?);
    backend.register(&Claim::new(&address(NODE), TTL)).await?;
    let root = nodes(&cluster).trim_end_matches("/nodes").to_owned();
    let long = "x".repeat(900 << 10);
    for folder in ["drained", "records"] {
        raw.folder(&format!("{root}/{folder}"))?;
        raw.create(&format!("{root}/{folder}/10.0.0.9:1"), &long, false)?;
    }
    assert_eq!(drained(&backend.watch(Scope::All, None).await?), ["10.0.0.9:1  drained"]);
    assert_eq!(backend.list(Scope::Records).await?.records, []);
    for node in 10..30 {
        raw.create(&format!("{root}/records/10.0.0.{node}:1"), &long, false)?;
    }
    let error = backend.list(Scope::Records).await.err().ok_or("17 MB are read")?;
    assert!(error.to_string().ends_with("what was asked for at once is too long"), "{error}");
    assert_eq!(listed(&*backend).await, [NODE]);
    Ok(())
}

#[tokio::test]
async fn readers_make_no_folders_and_see_them_come() -> Outcome {
    let server = start(&Ground::near()).await?;
    let cluster = server.classic_cluster();
    for scope in [Scope::Active, Scope::All] {
        let watcher = cluster.open();
        let first = watcher.watch(scope, None).await?;
        let seen = Seen { position: first.position.ok_or("no position")?, patience: Duration::from_millis(300) };
        let start = Instant::now();
        let second = watcher.watch(scope, Some(&seen)).await?;
        assert!(start.elapsed() >= seen.patience, "nothing happened");
        assert_eq!(second.position.as_ref(), Some(&seen.position));
    }
    assert!(server.raw()?.get("/docker")?.is_none());
    let (watcher, backend) = (cluster.open(), cluster.open());
    let first = watcher.watch(Scope::Active, None).await?;
    let seen = Seen { position: first.position.ok_or("no position")?, patience: DEADLINE };
    let node = address(NODE);
    let claim = Claim::new(&node, TTL);
    let (sight, registered) = tokio::join!(watcher.watch(Scope::Active, Some(&seen)), backend.register(&claim));
    registered?;
    // the folder comes a moment before the node
    let mut sight = sight?;
    while sight.listing.nodes.is_empty() {
        let seen = Seen { position: sight.position.ok_or("no position")?, patience: DEADLINE };
        sight = watcher.watch(Scope::Active, Some(&seen)).await?;
    }
    assert_eq!(sight.listing.nodes, [node]);
    Ok(())
}

#[tokio::test]
async fn a_watcher_of_all_sees_another_reason() -> Outcome {
    let server = start(&Ground::near()).await?;
    let (watcher, backend) = (server.classic_cluster().open(), server.classic_cluster().open());
    let node = address(NODE);
    backend.mark_drained(&node, Some("one"), TTL).await?;
    let first = watcher.watch(Scope::All, None).await?;
    assert_eq!(drained(&first), [format!("{NODE}  drained: one")]);
    let seen = Seen { position: first.position.ok_or("no position")?, patience: DEADLINE };
    let (sight, marked) =
        tokio::join!(watcher.watch(Scope::All, Some(&seen)), backend.mark_drained(&node, Some("two"), TTL));
    marked?;
    assert_eq!(drained(&sight?), [format!("{NODE}  drained: two")]);
    Ok(())
}

/// The session of a reader lives longer than the server would let an idle one.
#[tokio::test]
async fn a_watcher_may_wait_for_long_and_others_may_list_meanwhile() -> Outcome {
    let server = super::start_with(&Ground::near(), &["maxSessionTimeout=1000"]).await?;
    let watcher = server.classic_cluster().open();
    let first = watcher.watch(Scope::Active, None).await?;
    let seen = Seen { position: first.position.ok_or("no position")?, patience: Duration::from_secs(4) };
    let (sight, listing) = tokio::join!(watcher.watch(Scope::Active, Some(&seen)), async {
        let start = Instant::now();
        let listing = watcher.list(Scope::Active).await;
        assert!(start.elapsed() < seen.patience / 2, "it waited for the watcher");
        listing
    });
    assert_eq!(sight?.listing, listing?);
    Ok(())
}

#[tokio::test]
async fn a_watcher_of_a_server_that_goes_away_is_told_and_goes_on() -> Outcome {
    let server = start(&Ground::near()).await?;
    let cluster = server.classic_cluster();
    let (watcher, backend) = (cluster.open(), cluster.open());
    backend.register(&Claim::new(&address(NODE), TTL)).await?;
    let first = watcher.watch(Scope::Active, None).await?;
    let seen = Seen { position: first.position.ok_or("no position")?, patience: DEADLINE };
    let (broken, killed) = tokio::join!(watcher.watch(Scope::Active, Some(&seen)), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.service.kill()
    });
    killed?;
    assert!(broken.is_err(), "{broken:?}");
    server.service.restart()?;
    super::until_it_answers(server.address).await;
    // what was seen before still counts
    server.raw()?.create(&format!("{}/10.0.0.2:2375", nodes(&cluster)), "", false)?;
    let sight = watcher.watch(Scope::Active, Some(&seen)).await?;
    assert_eq!(sight.listing.nodes.len(), 2, "{sight:?}");
    Ok(())
}
