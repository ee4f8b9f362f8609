//! Whose a key is, and what becomes of it.

use super::{Ground, Outcome, nodes, start};
use crate::Subject;
use crate::common::{TTL, address, listed, wait_for_list};
use std::time::Duration;
use swarm_agent::discovery::{Backend, BackendError, Claim, Release, Scope};
use swarm_agent::model::Hold;

const NODE: &str = "10.0.0.1:2375";

async fn beat(backend: &dyn Backend, ttl: Duration, hold: Option<&Hold>) -> Result<Hold, BackendError> {
    let held = backend.register(&Claim { address: &address(NODE), ttl, hold, record: None }).await?;
    Ok(held.expect("etcd has leases"))
}

#[tokio::test]
async fn what_a_lost_lease_holds_is_taken_over_and_outlives_it() -> Outcome {
    let etcd = start(&Ground::near()).await?;
    let (cluster, stranger) = (etcd.new_cluster().await, etcd.stranger());
    let lost = stranger.lease(600)?;
    stranger.put(&[(format!("{}/{NODE}", nodes(&cluster)), NODE.into())], Some(&lost))?;
    let backend = cluster.open();
    let hold = beat(&*backend, TTL, None).await?;
    stranger.revoke(&lost)?;
    assert_eq!(listed(&*backend).await, [NODE]);
    // and also when there is a hold already
    let lost = stranger.lease(600)?;
    stranger.put(&[(format!("{}/{NODE}", nodes(&cluster)), NODE.into())], Some(&lost))?;
    assert_eq!(beat(&*backend, TTL, Some(&hold)).await?, hold, "the lease is good still");
    stranger.revoke(&lost)?;
    assert_eq!(listed(&*backend).await, [NODE]);
    Ok(())
}

#[tokio::test]
async fn who_left_an_address_does_not_take_out_the_entry_of_the_next_one_there() -> Outcome {
    let etcd = start(&Ground::near()).await?;
    let cluster = etcd.new_cluster().await;
    let (one, next) = (cluster.open(), cluster.open());
    let hold = beat(&*one, TTL, None).await?;
    beat(&*next, TTL, None).await?;
    one.deregister(&Release::new(&address(NODE), Some(&hold))).await?;
    assert_eq!(listed(&*next).await, [NODE]);
    // whoever has lost track of its lease has only the address
    one.deregister(&Release::new(&address(NODE), None)).await?;
    assert!(listed(&*next).await.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_hold_of_another_service_or_of_a_lease_that_ended_is_as_good_as_none() -> Outcome {
    let etcd = start(&Ground::near()).await?;
    let backend = etcd.new_cluster().await.open();
    for hold in ["0b47f5ae-3bd0", "7587846 180", ""] {
        beat(&*backend, TTL, Some(&Hold(hold.into()))).await?;
        assert_eq!(listed(&*backend).await, [NODE], "{hold}");
        backend.deregister(&Release::new(&address(NODE), None)).await?;
    }
    backend.deregister(&Release::new(&address(NODE), Some(&Hold("7587846 180".into())))).await?;
    Ok(())
}

#[tokio::test]
async fn a_lease_that_was_revoked_is_replaced_in_the_same_beat() -> Outcome {
    let etcd = start(&Ground::near()).await?;
    let backend = etcd.new_cluster().await.open();
    let hold = beat(&*backend, TTL, None).await?;
    etcd.stranger().revoke(hold.0.split(' ').next().ok_or("no lease")?)?;
    assert!(listed(&*backend).await.is_empty(), "the lease took it along");
    let new = beat(&*backend, TTL, Some(&hold)).await?;
    assert_ne!(new, hold);
    assert_eq!(listed(&*backend).await, [NODE]);
    Ok(())
}

#[tokio::test]
async fn a_ttl_that_was_changed_counts_from_the_next_beat() -> Outcome {
    let etcd = start(&Ground::near()).await?;
    let cluster = etcd.new_cluster().await;
    let hold = beat(&*cluster.open(), Duration::from_secs(600), None).await?;
    beat(&*cluster.open(), etcd.traits().shortest_ttl, Some(&hold)).await?;
    wait_for_list(&*cluster.open(), &[]).await;
    Ok(())
}

#[tokio::test]
async fn beats_and_marks_leave_no_leases_behind() -> Outcome {
    let etcd = start(&Ground::near()).await?;
    let (backend, stranger) = (etcd.new_cluster().await.open(), etcd.stranger());
    let mut hold = beat(&*backend, TTL, None).await?;
    for _ in 0..3 {
        hold = beat(&*backend, TTL, Some(&hold)).await?;
    }
    assert_eq!(stranger.leases()?, 1);
    for _ in 0..3 {
        backend.mark_drained(&address("10.0.0.2:2375"), Some("new kernel"), TTL).await?;
    }
    assert_eq!(stranger.leases()?, 2, "a mark has its own");
    backend.deregister(&Release::new(&address(NODE), Some(&hold))).await?;
    assert_eq!(stranger.leases()?, 1);
    Ok(())
}

#[tokio::test]
async fn the_value_is_what_counts() -> Outcome {
    let etcd = start(&Ground::near()).await?;
    let (cluster, stranger) = (etcd.new_cluster().await, etcd.stranger());
    let (folder, backend) = (nodes(&cluster), cluster.open());
    let entry = |key: &str, value: &str| (format!("{folder}/{key}"), value.to_owned());
    stranger.put(&[entry("a", "10.0.0.7:1"), entry("10.0.0.8:1", ""), entry("10.0.0.9:1", "\u{1b}[2J")], None)?;
    stranger.put(&[(format!("{folder}-old/10.0.0.6:1"), "10.0.0.6:1".into())], None)?;
    let listing = backend.list(Scope::Active).await?;
    assert_eq!(listing.nodes, [address("10.0.0.7:1")]);
    let skipped: Vec<_> = listing.unreadable.iter().map(|skipped| skipped.entry.as_str()).collect();
    assert_eq!(skipped, ["\u{1b}[2J", "10.0.0.8:1"]);
    Ok(())
}

#[tokio::test]
async fn a_gateway_that_is_off_is_explained() -> Outcome {
    let ground = Ground::near();
    let etcd = super::launch(&ground, &["--enable-grpc-gateway=false"])?;
    let cluster = etcd.new_cluster().await;
    let backend = cluster.open();
    let answered = async || matches!(backend.list(Scope::Active).await, Err(BackendError::Status { .. }));
    crate::cases::until(answered, "it answers").await;
    let error = beat(&*backend, TTL, None).await.expect_err("there is no gateway").to_string();
    assert!(error.contains("enable-grpc-gateway: true"), "{error}");
    assert!(error.starts_with(&format!("etcd://{} ", etcd.address)), "{error}");
    Ok(())
}
