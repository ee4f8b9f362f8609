//! The cases of the contract. What a case asserts holds for every backend.

use crate::common::{DEADLINE, Outcome, TTL, address, drained, listed, wait_for_list};
use crate::ground::Ground;
use crate::{Deed, Subject};
use std::time::{Duration, Instant};
use swarm_agent::discovery::{Backend, BackendError, Claim, Release, Scope, Seen};
use swarm_agent::model::{Hold, NodeRecord, Recorded};
use tokio::time::sleep;

const NODE: &str = "10.0.0.1:2375";
const OTHER: &str = "10.0.0.2:2375";
/// Between two looks at something that is bound to happen.
const PACE: Duration = Duration::from_millis(20);
/// For a server that is not going to answer.
const SHORT: Duration = Duration::from_millis(1500);

/// Waits for what is bound to be true in the end.
pub async fn until(mut condition: impl AsyncFnMut() -> bool, what: &str) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < DEADLINE, "never: {what}");
        sleep(PACE).await;
    }
}

/// A beat, with what holds the entry handed from one to the next.
async fn beat(backend: &dyn Backend, node: &str, ttl: Duration, hold: &mut Option<Hold>) -> Result<(), BackendError> {
    let node = address(node);
    *hold = backend.register(&Claim { address: &node, ttl, hold: hold.as_ref(), record: None }).await?;
    Ok(())
}

pub async fn an_entry_comes_stays_once_and_goes(subject: &dyn Subject) -> Outcome {
    let (backend, mut hold) = (subject.new_cluster().await.open(), None);
    assert!(listed(&*backend).await.is_empty(), "a new cluster is empty");
    beat(&*backend, NODE, TTL, &mut hold).await?;
    beat(&*backend, NODE, TTL, &mut hold).await?;
    assert_eq!(listed(&*backend).await, [NODE]);
    backend.deregister(&Release::new(&address(NODE), hold.take().as_ref())).await?;
    assert!(listed(&*backend).await.is_empty());
    beat(&*backend, NODE, TTL, &mut hold).await?;
    assert_eq!(listed(&*backend).await, [NODE], "it may come back");
    Ok(())
}

pub async fn taking_out_what_is_not_there_is_no_error(subject: &dyn Subject) -> Outcome {
    let (backend, mut hold) = (subject.new_cluster().await.open(), None);
    backend.deregister(&Release::new(&address(OTHER), None)).await?;
    beat(&*backend, NODE, TTL, &mut hold).await?;
    backend.deregister(&Release::new(&address(OTHER), None)).await?;
    assert_eq!(listed(&*backend).await, [NODE], "others stay");
    Ok(())
}

pub async fn every_kind_of_address_comes_back_as_it_was_in_order(subject: &dyn Subject) -> Outcome {
    let cluster = subject.new_cluster().await;
    let nodes = ["10.0.0.9:2375", "10.0.0.10:1", "[fd00::5]:2376", "node_7.example:65535"];
    let mut held = Vec::new();
    for node in nodes.iter().rev() {
        let (backend, mut hold) = (cluster.open(), None);
        beat(&*backend, node, TTL, &mut hold).await?;
        held.push((backend, *node, hold));
    }
    let reader = cluster.open();
    assert_eq!(listed(&*reader).await, nodes);
    for (backend, node, hold) in held {
        backend.deregister(&Release::new(&address(node), hold.as_ref())).await?;
    }
    assert!(listed(&*reader).await.is_empty());
    Ok(())
}

pub async fn clusters_do_not_see_each_other(subject: &dyn Subject) -> Outcome {
    let (one, other) = (subject.new_cluster().await.open(), subject.new_cluster().await.open());
    beat(&*one, NODE, TTL, &mut None).await?;
    assert!(listed(&*other).await.is_empty());
    Ok(())
}

/// As after a kill -9: nobody says goodbye, and what holds the entry is left to itself.
pub async fn an_entry_without_beats_goes_by_itself(subject: &dyn Subject) -> Outcome {
    let (cluster, ttl) = (subject.new_cluster().await, subject.traits().shortest_ttl);
    let (dying, living) = (cluster.open(), cluster.open());
    beat(&*living, OTHER, TTL, &mut None).await?;
    beat(&*dying, NODE, ttl, &mut None).await?;
    drop(dying);
    let start = Instant::now();
    assert_eq!(listed(&*living).await, [NODE, OTHER], "it is not taken out");
    wait_for_list(&*living, &[OTHER]).await;
    let most = ttl + subject.traits().lateness;
    assert!(start.elapsed() < most + Duration::from_secs(5), "{:?} for a ttl of {ttl:?}", start.elapsed());
    Ok(())
}

pub async fn an_entry_with_beats_stays_beyond_three_ttls(subject: &dyn Subject) -> Outcome {
    let (backend, ttl) = (subject.new_cluster().await.open(), subject.traits().shortest_ttl);
    let (start, mut hold) = (Instant::now(), None);
    while start.elapsed() < ttl.mul_f64(3.3) {
        beat(&*backend, NODE, ttl, &mut hold).await?;
        let due = Instant::now() + ttl / 4;
        while Instant::now() < due {
            assert_eq!(listed(&*backend).await, [NODE], "after {:?}", start.elapsed());
            sleep(PACE).await;
        }
    }
    Ok(())
}

/// A restart of the agent: what held the entry goes on, without a write that a watcher would see.
pub async fn the_next_process_resumes_without_a_gap(subject: &dyn Subject) -> Outcome {
    let (cluster, ttl) = (subject.new_cluster().await, subject.traits().shortest_ttl);
    let (reader, mut hold) = (cluster.open(), None);
    let first = cluster.open();
    beat(&*first, NODE, ttl, &mut hold).await?;
    drop(first);
    let (second, start) = (cluster.open(), Instant::now());
    while start.elapsed() < (ttl + subject.traits().lateness).mul_f64(1.3) {
        beat(&*second, NODE, ttl, &mut hold).await?;
        let due = Instant::now() + ttl / 4;
        while Instant::now() < due {
            assert_eq!(listed(&*reader).await, [NODE], "after {:?}", start.elapsed());
            sleep(PACE).await;
        }
    }
    second.deregister(&Release::new(&address(NODE), hold.as_ref())).await?;
    assert!(listed(&*reader).await.is_empty());
    Ok(())
}

pub async fn a_watcher_sees_who_comes_and_goes_and_no_beat(subject: &dyn Subject) -> Outcome {
    let (cluster, mut hold) = (subject.new_cluster().await, None);
    let (backend, watcher) = (cluster.open(), cluster.open());
    beat(&*backend, NODE, TTL, &mut hold).await?;
    let first = watcher.watch(Scope::Active, None).await?;
    let Some(position) = first.position else {
        assert!(!subject.traits().tells_of_changes, "it gave no position");
        return Ok(());
    };
    assert!(subject.traits().tells_of_changes);
    let seen = Seen { position, patience: DEADLINE / 2 };
    let (others, mut other) = (cluster.open(), None);
    // the watcher is asked first: what it gives is the first change behind its position, so a beat that counted as
    // one would show as a list without the other node
    let (sight, ()) = tokio::try_join!(watcher.watch(Scope::Active, Some(&seen)), async {
        for _ in 0..5 {
            beat(&*backend, NODE, TTL, &mut hold).await?;
        }
        beat(&*others, OTHER, TTL, &mut other).await
    })?;
    let nodes = |sight: &swarm_agent::discovery::Sight| -> Vec<String> {
        sight.listing.nodes.iter().map(ToString::to_string).collect()
    };
    assert_eq!(nodes(&sight), [NODE, OTHER]);
    let seen = Seen { position: sight.position.ok_or("no position")?, ..seen };
    let leaving = address(OTHER);
    let release = Release::new(&leaving, other.as_ref());
    let (sight, ()) = tokio::try_join!(watcher.watch(Scope::Active, Some(&seen)), others.deregister(&release))?;
    assert_eq!(nodes(&sight), [NODE]);
    // what happened before it is asked is not missed
    let seen = Seen { position: sight.position.ok_or("no position")?, ..seen };
    backend.deregister(&Release::new(&address(NODE), hold.as_ref())).await?;
    let sight = watcher.watch(Scope::Active, Some(&seen)).await?;
    assert!(nodes(&sight).is_empty(), "{sight:?}");
    // patience ends
    let seen = Seen { position: sight.position.ok_or("no position")?, patience: Duration::from_secs(1) };
    assert!(nodes(&watcher.watch(Scope::Active, Some(&seen)).await?).is_empty());
    Ok(())
}

pub async fn a_server_that_was_restarted_has_the_entry_at_the_next_beat(subject: &dyn Subject) -> Outcome {
    let (cluster, mut hold) = (subject.new_cluster().await, None);
    let backend = cluster.open();
    beat(&*backend, NODE, TTL, &mut hold).await?;
    subject.service().restart()?;
    until(async || beat(&*backend, NODE, TTL, &mut hold).await.is_ok(), "a beat after the restart").await;
    assert_eq!(listed(&*cluster.open()).await, [NODE]);
    Ok(())
}

pub async fn a_server_that_hangs_is_an_error_in_time_and_then_goes_on(subject: &dyn Subject) -> Outcome {
    let (cluster, mut hold) = (subject.new_cluster().await, None);
    let backend = cluster.impatient(SHORT).open();
    until(async || beat(&*backend, NODE, TTL, &mut hold).await.is_ok(), "a beat").await;
    subject.service().pause()?;
    fails_in_time(&*backend, &hold).await;
    // also for one that has no connection yet
    fails_in_time(&*cluster.impatient(SHORT).open(), &hold).await;
    subject.service().resume()?;
    until(async || beat(&*backend, NODE, TTL, &mut hold).await.is_ok(), "a beat after the hang").await;
    assert_eq!(listed(&*cluster.open()).await, [NODE]);
    Ok(())
}

pub async fn a_network_that_is_cut_is_an_error_in_time_and_then_goes_on(
    subject: &dyn Subject,
    ground: &Ground,
) -> Outcome {
    let (cluster, mut hold) = (subject.new_cluster().await, None);
    let backend = cluster.impatient(SHORT).open();
    until(async || beat(&*backend, NODE, TTL, &mut hold).await.is_ok(), "a beat").await;
    ground.cut()?;
    fails_in_time(&*backend, &hold).await;
    fails_in_time(&*backend, &hold).await;
    ground.heal()?;
    until(async || beat(&*backend, NODE, TTL, &mut hold).await.is_ok(), "a beat after the cut").await;
    assert_eq!(listed(&*cluster.open()).await, [NODE]);
    Ok(())
}

/// The bound is generous: it tells an attempt that ends from one that does not.
async fn fails_in_time(backend: &dyn Backend, hold: &Option<Hold>) {
    let start = Instant::now();
    let outcome = beat(backend, NODE, TTL, &mut hold.clone()).await;
    assert!(outcome.is_err(), "the server does not answer, and a beat is accepted");
    assert!(start.elapsed() < SHORT * 4, "{outcome:?} after {:?}", start.elapsed());
}

pub async fn what_a_stranger_took_out_comes_back_with_the_next_beat(subject: &dyn Subject) -> Outcome {
    let (cluster, mut hold) = (subject.new_cluster().await, None);
    let backend = cluster.open();
    beat(&*backend, NODE, TTL, &mut hold).await?;
    subject.stranger(&cluster, Deed::Delete(NODE)).await?;
    assert!(listed(&*backend).await.is_empty(), "the stranger did it");
    beat(&*backend, NODE, TTL, &mut hold).await?;
    assert_eq!(listed(&*backend).await, [NODE]);
    Ok(())
}

pub async fn garbage_is_reported_and_takes_nothing_away(subject: &dyn Subject) -> Outcome {
    if !subject.traits().takes_garbage {
        return Ok(());
    }
    let cluster = subject.new_cluster().await;
    let backend = cluster.open();
    beat(&*backend, NODE, TTL, &mut None).await?;
    subject.stranger(&cluster, Deed::Garbage).await?;
    let listing = backend.list(Scope::Active).await?;
    assert_eq!(listing.nodes, [address(NODE)]);
    assert_eq!(listing.unreadable.len(), 1, "{listing:?}");
    assert!(listing.unreadable[0].to_string().contains("junk"), "{listing:?}");
    Ok(())
}

pub async fn a_thousand_nodes_are_listed(subject: &dyn Subject) -> Outcome {
    let cluster = subject.new_cluster().await;
    let mut nodes: Vec<_> = (0..1000).map(|n| format!("10.1.{}.{}:2375", n / 250, n % 250)).collect();
    subject.stranger(&cluster, Deed::Fill(&nodes)).await?;
    let backend = cluster.open();
    beat(&*backend, NODE, TTL, &mut None).await?;
    nodes.push(NODE.to_owned());
    let mut expected: Vec<_> = nodes.iter().map(|node| address(node)).collect();
    expected.sort();
    assert_eq!(backend.list(Scope::Active).await?.nodes, expected);
    Ok(())
}

pub async fn wrong_ways_are_refused_and_explained(subject: &dyn Subject) -> Outcome {
    for (cluster, says) in subject.traits().wrong_ways {
        let backend = cluster.open();
        let Err(error) = backend.register(&Claim::new(&address(NODE), TTL)).await else {
            panic!("{}: a beat is accepted", cluster.url);
        };
        assert!(error.to_string().contains(says), "{}: {error} does not say: {says}", cluster.url);
    }
    Ok(())
}

pub async fn a_drained_node_is_in_a_list_of_all_alone_until_it_registers(subject: &dyn Subject) -> Outcome {
    let (backend, mut hold) = (subject.new_cluster().await.open(), None);
    let node = address("[fd00::5]:2375");
    beat(&*backend, NODE, TTL, &mut None).await?;
    let marked = backend.mark_drained(&node, Some("kernel update, für ☃"), TTL).await;
    if !subject.traits().has_room {
        assert!(matches!(marked, Err(BackendError::NoRoom { .. })), "{marked:?}");
        assert!(drained(&*backend).await.is_empty(), "a list of all is no error");
        return Ok(());
    }
    marked?;
    assert_eq!(listed(&*backend).await, [NODE]);
    assert_eq!(drained(&*backend).await, ["[fd00::5]:2375  drained: kernel update, für ☃"]);
    backend.mark_drained(&node, None, TTL).await?;
    assert_eq!(drained(&*backend).await, ["[fd00::5]:2375  drained"], "the last mark counts");
    beat(&*backend, "[fd00::5]:2375", TTL, &mut hold).await?;
    assert!(drained(&*backend).await.is_empty());
    assert_eq!(listed(&*backend).await, [NODE, "[fd00::5]:2375"]);
    backend.deregister(&Release::new(&node, hold.as_ref())).await?;
    assert!(drained(&*backend).await.is_empty(), "the mark is gone for good");
    Ok(())
}

fn record() -> NodeRecord {
    NodeRecord {
        since: "2026-11-26T08:00:00Z".into(),
        node: "0123456789abcdef0123456789abcdef".into(),
        boot: "fedcba9876543210fedcba9876543210".into(),
        engine: "ABCD:EFGH".into(),
        version: "0.1.0".into(),
        hostname: "bäume \"☃\"".into(),
    }
}

/// Of an agent that once had this address, and lost its hold or never got to know it.
pub async fn an_entry_that_another_node_is_recorded_for_is_left_to_it(subject: &dyn Subject) -> Outcome {
    let cluster = subject.new_cluster().await;
    let (backend, node, record) = (cluster.open(), address(NODE), record());
    backend.register(&Claim { record: Some(&record), ..Claim::new(&node, TTL) }).await?;
    let stranger = Release { node: Some("5eed5eed5eed5eed5eed5eed5eed5eed"), ..Release::new(&node, None) };
    match cluster.open().deregister(&stranger).await {
        // where nobody takes out what somebody else holds
        Ok(()) | Err(BackendError::Held { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    assert_eq!(listed(&*backend).await, [NODE]);
    assert_eq!(backend.list(Scope::Records).await?.records.len(), 1);
    let own = Release { node: Some(&record.node), ..stranger };
    match cluster.open().deregister(&own).await {
        Ok(()) => assert!(listed(&*backend).await.is_empty()),
        Err(BackendError::Held { .. }) => assert_eq!(listed(&*backend).await, [NODE]),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Beside the address, and in the way of nobody who reads the plain list.
pub async fn who_a_node_is_is_listed_while_its_entry_lives(subject: &dyn Subject) -> Outcome {
    let cluster = subject.new_cluster().await;
    let (backend, node) = (cluster.open(), address(NODE));
    beat(&*cluster.open(), OTHER, TTL, &mut None).await?;
    let mut record = record();
    let recorded = async || backend.list(Scope::Records).await.map(|listing| listing.records);
    let mut hold = None;
    // an upgrade of the agent is seen, too
    for version in ["0.1.0", "0.2.0"] {
        record.version = version.into();
        let claim = Claim { address: &node, ttl: TTL, hold: hold.as_ref(), record: Some(&record) };
        hold = backend.register(&claim).await?;
        assert_eq!(recorded().await?, [Recorded { address: node.clone(), record: record.clone() }]);
    }
    assert_eq!(backend.list(Scope::Records).await?.nodes, [node.clone(), address(OTHER)]);
    assert_eq!(listed(&*backend).await, [NODE, OTHER]);
    assert!(backend.list(Scope::All).await?.unreadable.is_empty());
    backend.deregister(&Release::new(&node, hold.as_ref())).await?;
    assert_eq!(recorded().await?, []);
    beat(&*backend, NODE, TTL, &mut None).await?;
    assert_eq!(recorded().await?, [], "nothing of it stays");
    Ok(())
}

pub async fn an_entry_hides_the_mark_of_its_node_until_it_goes(subject: &dyn Subject) -> Outcome {
    if !subject.traits().has_room {
        return Ok(());
    }
    let (backend, mut hold) = (subject.new_cluster().await.open(), None);
    beat(&*backend, NODE, TTL, &mut hold).await?;
    backend.mark_drained(&address(NODE), None, TTL).await?;
    assert_eq!(listed(&*backend).await, [NODE]);
    assert!(drained(&*backend).await.is_empty(), "no node is listed twice");
    backend.deregister(&Release::new(&address(NODE), hold.as_ref())).await?;
    assert_eq!(drained(&*backend).await, [format!("{NODE}  drained")]);
    Ok(())
}

pub async fn a_mark_that_is_not_renewed_goes_by_itself(subject: &dyn Subject) -> Outcome {
    if !subject.traits().has_room {
        return Ok(());
    }
    let cluster = subject.new_cluster().await;
    let (backend, dying) = (cluster.open(), cluster.open());
    backend.mark_drained(&address(OTHER), None, TTL).await?;
    dying.mark_drained(&address(NODE), None, subject.traits().shortest_ttl).await?;
    drop(dying);
    until(async || drained(&*backend).await == [format!("{OTHER}  drained")], "the mark goes").await;
    Ok(())
}
