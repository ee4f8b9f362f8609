//! What an entry lives through, and what its session is worth.

use super::{NODE, Zookeeper, nodes, start, start_with};
use crate::cases::until;
use crate::common::{Outcome, TTL, address, drained, listed, wait_for_list};
use crate::{Ground, Subject};
use std::time::{Duration, Instant};
use swarm_agent::discovery::{Backend, BackendError, Claim, Release};
use swarm_agent::model::Hold;
use tokio::time::sleep;

const SHORT: Duration = Duration::from_secs(3);
const PACE: Duration = Duration::from_millis(20);

async fn beat(backend: &dyn Backend, ttl: Duration, hold: &mut Option<Hold>) -> Result<(), BackendError> {
    let node = address(NODE);
    *hold = backend.register(&Claim { address: &node, ttl, hold: hold.as_ref(), record: None }).await?;
    Ok(())
}

async fn is_there_for(backend: &dyn Backend, time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        assert_eq!(listed(backend).await, [NODE], "after {:?}", start.elapsed());
        sleep(PACE).await;
    }
}

fn session(hold: Option<&Hold>) -> i64 {
    u64::from_str_radix(&hold.expect("a hold").0[..16], 16).expect("a session").cast_signed()
}

#[tokio::test]
async fn a_beat_writes_nothing() -> Outcome {
    let server = start(&Ground::near()).await?;
    let (backend, mut hold) = (server.classic_cluster().open(), None);
    beat(&*backend, TTL, &mut hold).await?;
    let mut raw = server.raw()?;
    raw.get("/")?;
    let before = raw.zxid;
    for _ in 0..10 {
        beat(&*backend, TTL, &mut hold).await?;
        backend.list(swarm_agent::discovery::Scope::All).await?;
    }
    raw.get("/")?;
    assert_eq!(raw.zxid, before);
    Ok(())
}

/// Between two beats the session is heard of; and no longer than the ttl allows.
#[tokio::test]
async fn a_beat_that_is_late_does_no_harm_until_the_ttl_ends() -> Outcome {
    let server = start_with(&Ground::near(), &["maxSessionTimeout=2000"]).await?;
    let (backend, reader) = (server.classic_cluster().open(), server.classic_cluster().open());
    let (ttl, begun) = (Duration::from_secs(8), Instant::now());
    beat(&*backend, ttl, &mut None).await?;
    is_there_for(&*reader, Duration::from_secs(5)).await;
    wait_for_list(&*reader, &[]).await;
    assert!(begun.elapsed() < ttl + Duration::from_secs(2), "{:?}", begun.elapsed());
    beat(&*backend, ttl, &mut None).await?;
    assert_eq!(listed(&*reader).await, [NODE], "it may come back");
    Ok(())
}

/// As after a kill -9 that lost the state directory: the session of the old process ends under the new one.
#[tokio::test]
async fn the_session_of_a_former_process_takes_nothing_with_it() -> Outcome {
    let server = start(&Ground::near()).await?;
    let (cluster, mut first, mut second) = (server.classic_cluster(), None, None);
    let dying = cluster.open();
    beat(&*dying, SHORT, &mut first).await?;
    drop(dying);
    let (next, reader) = (cluster.open(), cluster.open());
    beat(&*next, TTL, &mut second).await?;
    assert_ne!(session(first.as_ref()), session(second.as_ref()));
    let node = server.raw()?.get(&format!("{}/{NODE}", nodes(&cluster)))?.ok_or("no node")?;
    assert_eq!(node.owner, session(second.as_ref()));
    is_there_for(&*reader, SHORT * 2).await;
    Ok(())
}

#[tokio::test]
async fn the_session_outlives_the_process_until_it_is_told_to_leave() -> Outcome {
    let server = start(&Ground::near()).await?;
    let (cluster, mut hold) = (server.classic_cluster(), None);
    let first = cluster.open();
    beat(&*first, TTL, &mut hold).await?;
    let (path, before) = (format!("{}/{NODE}", nodes(&cluster)), hold.clone());
    let created = server.raw()?.get(&path)?.ok_or("no node")?.created;
    drop(first);
    let second = cluster.open();
    beat(&*second, TTL, &mut hold).await?;
    assert_eq!(hold, before, "it is the same session");
    assert_eq!(server.raw()?.get(&path)?.ok_or("no node")?.created, created, "and the same node");
    second.deregister(&Release::new(&address(NODE), hold.as_ref())).await?;
    let held = hold.ok_or("no hold")?;
    assert!(super::Raw::of_hold(server.address, &held.0).is_err(), "the session has ended");
    // a process that did no beat yet may be told to leave, too
    let (third, mut hold) = (cluster.open(), None);
    beat(&*third, TTL, &mut hold).await?;
    drop(third);
    cluster.open().deregister(&Release::new(&address(NODE), hold.as_ref())).await?;
    assert!(server.raw()?.get(&path)?.is_none());
    Ok(())
}

#[tokio::test]
async fn a_session_that_ended_is_replaced_in_the_same_beat() -> Outcome {
    let server = start(&Ground::near()).await?;
    let (backend, mut hold) = (server.classic_cluster().open(), None);
    beat(&*backend, TTL, &mut hold).await?;
    let first = hold.clone().ok_or("no hold")?;
    super::Raw::of_hold(server.address, &first.0)?.close()?;
    assert!(listed(&*server.classic_cluster().open()).await.is_empty());
    beat(&*backend, TTL, &mut hold).await?;
    assert_eq!(listed(&*backend).await, [NODE]);
    assert_ne!(hold, Some(first));
    // what was kept in a file may be anything
    for junk in ["", "junk", "0000000000000001", "ffffffffffffffffffffffffffffffffffffffffffffffff", "ü☃"] {
        let mut hold = Some(Hold(junk.into()));
        beat(&*server.classic_cluster().open(), TTL, &mut hold).await?;
        assert_eq!(listed(&*backend).await, [NODE], "{junk:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_a_stranger_made_of_the_node_is_put_right() -> Outcome {
    let server = start(&Ground::near()).await?;
    let (cluster, mut hold) = (server.classic_cluster(), None);
    let (backend, path) = (cluster.open(), format!("{}/{NODE}", nodes(&cluster)));
    beat(&*backend, TTL, &mut hold).await?;
    let mut raw = server.raw()?;
    raw.set(&path, "10.9.9.9:1")?;
    beat(&*backend, TTL, &mut hold).await?;
    assert_eq!(raw.get(&path)?.ok_or("no node")?.data, NODE.as_bytes());
    raw.delete(&path)?;
    // one that stays for good would be listed for good
    raw.create(&path, NODE, false)?;
    beat(&*backend, TTL, &mut hold).await?;
    assert_eq!(raw.get(&path)?.ok_or("no node")?.owner, session(hold.as_ref()));
    backend.deregister(&Release::new(&address(NODE), hold.as_ref())).await?;
    raw.create(&path, NODE, false)?;
    raw.create(&format!("{path}/child"), "", false)?;
    let error = beat(&*backend, TTL, &mut None).await.err().ok_or("a beat")?;
    assert!(
        error.to_string().ends_with(&format!("{path} is in the way: it is a folder with something in it")),
        "{error}"
    );
    Ok(())
}

/// A beat that is given up in the middle leaves no connection that answers something else.
#[tokio::test]
async fn a_beat_that_is_cut_off_spoils_nothing() -> Outcome {
    let server = start(&Ground::near()).await?;
    let (backend, mut hold) = (server.classic_cluster().open(), None);
    beat(&*backend, TTL, &mut hold).await?;
    for micros in (0..2000).step_by(100) {
        let _ = tokio::time::timeout(Duration::from_micros(micros), beat(&*backend, TTL, &mut hold)).await;
        let _ = tokio::time::timeout(Duration::from_micros(micros), listed(&*backend)).await;
    }
    beat(&*backend, TTL, &mut hold).await?;
    is_there_for(&*server.classic_cluster().open(), Duration::from_millis(500)).await;
    Ok(())
}

/// As `Service::kill` and a restart: a server with its data on a disk still has the sessions.
#[tokio::test]
async fn a_session_outlives_a_power_cut_of_the_server() -> Outcome {
    let server: Zookeeper = start(&Ground::near()).await?;
    let (backend, mut hold) = (server.classic_cluster().open(), None);
    beat(&*backend, TTL, &mut hold).await?;
    backend.mark_drained(&address("10.0.0.2:2375"), Some("disk"), TTL).await?;
    let before = hold.clone();
    server.service().kill()?;
    assert!(beat(&*backend, TTL, &mut hold).await.is_err());
    server.service().restart()?;
    until(async || beat(&*backend, TTL, &mut hold).await.is_ok(), "a beat after the restart").await;
    assert_eq!(hold, before);
    assert_eq!(drained(&*backend).await, ["10.0.0.2:2375  drained: disk"]);
    Ok(())
}
