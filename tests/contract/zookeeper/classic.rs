//! Side by side with a classic agent, which is played request for request.

use super::{NODE, nodes, start};
use crate::Ground;
use crate::common::{Outcome, TTL, address, agent, listed};
use swarm_agent::discovery::{Claim, Release, Scope};

const CLASSIC: &str = "10.0.0.2:2375";

#[tokio::test]
async fn a_classic_agent_and_ours_see_each_other() -> Outcome {
    let server = start(&Ground::near()).await?;
    let cluster = server.classic_cluster();
    let (backend, folder) = (cluster.open(), nodes(&cluster));
    assert_eq!(folder, "/docker/swarm/nodes");
    // a classic agent makes the folders, the node without data, and then the data
    let mut classic = server.raw()?;
    classic.folder(&folder)?;
    classic.create(&format!("{folder}/{CLASSIC}"), "", true)?;
    let hold = backend.register(&Claim::new(&address(NODE), TTL)).await?;
    let listing = backend.list(Scope::Active).await?;
    assert_eq!((listing.nodes.len(), listing.unreadable.len()), (2, 0), "{listing:?}");
    classic.set(&format!("{folder}/{CLASSIC}"), CLASSIC)?;
    assert_eq!(listed(&*backend).await, [NODE, CLASSIC]);
    // what a classic manager reads: the data of each
    let ours = classic.get(&format!("{folder}/{NODE}"))?.ok_or("no node")?;
    assert_eq!(ours.data, NODE.as_bytes());
    assert_ne!(ours.owner, 0, "it goes by itself");
    backend.deregister(&Release::new(&address(NODE), hold.as_ref())).await?;
    assert!(classic.get(&format!("{folder}/{NODE}"))?.is_none());
    let theirs = classic.get(&format!("{folder}/{CLASSIC}"))?.ok_or("no node")?;
    assert_eq!(theirs.owner, classic.session);
    Ok(())
}

/// The folders that ours makes are as a classic agent expects them.
#[tokio::test]
async fn a_classic_agent_finds_its_folders_made() -> Outcome {
    let server = start(&Ground::near()).await?;
    let cluster = server.classic_cluster();
    let backend = cluster.open();
    backend.register(&Claim::new(&address(NODE), TTL)).await?;
    let mut classic = server.raw()?;
    for folder in ["/docker", "/docker/swarm", "/docker/swarm/nodes"] {
        let node = classic.get(folder)?.ok_or(folder)?;
        assert_eq!((node.data.as_slice(), node.owner), (&[][..], 0), "{folder}");
    }
    classic.create(&format!("{}/{CLASSIC}", nodes(&cluster)), CLASSIC, true)?;
    let output = agent().args(["list", &cluster.url.to_string()]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{NODE}\n{CLASSIC}\n"), "{said}");
    Ok(())
}
