//! A cluster of three servers.

use super::NODE;
use super::server::{Plan, cluster, serves, until_it_answers};
use crate::Ground;
use crate::cases::until;
use crate::common::{Outcome, TTL, address, listed};
use std::time::{Duration, Instant};
use swarm_agent::discovery::Claim;
use tokio::time::sleep;

#[tokio::test]
async fn an_entry_outlives_its_server_without_a_beat_and_no_quorum_is_explained() -> Outcome {
    let (ground, directory) = (Ground::near(), tempfile::tempdir()?);
    let plans = Plan::ensemble(&ground, directory.path(), 3)?;
    // much less than the time between two beats
    let plans: Vec<_> = plans.into_iter().map(|plan| plan.with(&["maxSessionTimeout=4000"])).collect();
    let services: Vec<_> =
        plans.iter().map(|plan| plan.start(ground.launcher())).collect::<std::io::Result<Vec<_>>>()?;
    let servers: Vec<_> = plans.iter().map(|plan| plan.address).collect();
    for server in &servers {
        until_it_answers(*server).await;
    }
    let all = cluster(&servers, "");
    let (backend, node) = (all.open(), address(NODE));
    let hold = backend.register(&Claim::new(&node, TTL)).await?.ok_or("no hold")?;
    let lost = servers.iter().position(|server| serves(*server, &hold.0[..16])).ok_or("no server has the session")?;
    services[lost].kill()?;
    let others: Vec<_> = servers.iter().copied().filter(|server| *server != servers[lost]).collect();
    let reader = cluster(&others, "").open();
    until(async || reader.list(swarm_agent::discovery::Scope::Active).await.is_ok(), "the others go on").await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        // an election may be under way
        if let Ok(listing) = reader.list(swarm_agent::discovery::Scope::Active).await {
            assert_eq!(listing.nodes, std::slice::from_ref(&node), "after {:?}", start.elapsed());
        }
        sleep(Duration::from_millis(100)).await;
    }
    let again = backend.register(&Claim { hold: Some(&hold), ..Claim::new(&node, TTL) }).await?;
    assert_eq!(again.as_ref(), Some(&hold), "it is the same session, at another server");
    assert_eq!(listed(&*backend).await, [NODE]);
    let next = servers.iter().position(|server| serves(*server, &hold.0[..16])).ok_or("no server has the session")?;
    assert_ne!(next, lost);
    services[next].kill()?;
    let hasty = all.impatient(Duration::from_secs(3)).open();
    until(
        async || {
            let error = hasty.register(&Claim::new(&node, TTL)).await.err();
            let told = error.map(|error| error.to_string()).unwrap_or_default();
            told.contains("while it has no quorum") && told.ends_with("(2 more servers failed too)")
        },
        "the server that is left says that it is alone",
    )
    .await;
    Ok(())
}
