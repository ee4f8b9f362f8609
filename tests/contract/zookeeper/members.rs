//! A cluster of three servers.

use super::NODE;
use super::server::{Plan, cluster, serves, until_it_answers};
use crate::Ground;
use crate::cases::until;
use crate::common::{Outcome, TTL, address, listed};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use swarm_agent::discovery::{Claim, Release};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

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

/// Greets whoever comes, and says nothing more: what a real server does when it hangs between the two.
async fn greeter() -> std::io::Result<(SocketAddr, tokio::task::JoinHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let greeting = async move {
        let mut guests = Vec::new();
        while let Ok((mut guest, _)) = listener.accept().await {
            let mut length = [0; 4];
            if guest.read_exact(&mut length).await.is_err() {
                continue;
            }
            let mut hello = vec![0; u32::from_be_bytes(length) as usize];
            let mut welcome = 36_i32.to_be_bytes().to_vec();
            welcome.extend(0_i32.to_be_bytes());
            welcome.extend(10_000_i32.to_be_bytes());
            welcome.extend(77_i64.to_be_bytes());
            welcome.extend(16_i32.to_be_bytes());
            welcome.extend([7; 16]);
            if guest.read_exact(&mut hello).await.is_ok() && guest.write_all(&welcome).await.is_ok() {
                guests.push(guest);
            }
        }
    };
    Ok((address, tokio::spawn(greeting)))
}

#[tokio::test]
async fn one_that_hangs_behind_its_greeting_costs_one_attempt() -> Outcome {
    let ground = Ground::near();
    let zookeeper = super::start(&ground).await?;
    let (silent, greeting) = greeter().await?;
    let all = cluster(&[silent, zookeeper.address], "team/silent");
    // each begins at a server of its own choice; whoever stops has less patience than a beat
    for _ in 0..6 {
        let (backend, node) = (all.open(), address(NODE));
        let release = Release::new(&node, None);
        if timeout(Duration::from_millis(500), backend.deregister(&release)).await.is_err() {
            timeout(Duration::from_secs(3), backend.deregister(&release)).await??;
        }
    }
    greeting.abort();
    Ok(())
}
