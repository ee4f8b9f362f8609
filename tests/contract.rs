//! What every discovery backend must do, run against each of them with its real service.
//! A new backend joins with a `Subject`.

mod common;

use common::{DEADLINE, Outcome, Server, TTL, address, drained, listed, wait_for_list};
use std::time::{Duration, Instant};
use swarm_agent::discovery::{Backend, BackendError, Claim};

/// A running service, and new clusters in it.
#[async_trait::async_trait]
trait Subject {
    fn name(&self) -> &'static str;
    async fn new_cluster(&self) -> Box<dyn Backend>;
    /// The shortest ttl that the service can keep.
    fn shortest_ttl(&self) -> Duration;
    /// Whether it has room for drained nodes.
    fn has_room(&self) -> bool {
        true
    }
}

struct TokenServer {
    server: Server,
    _directory: tempfile::TempDir,
}

#[async_trait::async_trait]
impl Subject for TokenServer {
    fn name(&self) -> &'static str {
        "token"
    }
    async fn new_cluster(&self) -> Box<dyn Backend> {
        self.server.backend(&self.server.cluster().await)
    }
    fn shortest_ttl(&self) -> Duration {
        Duration::from_secs(1)
    }
}

fn subjects() -> std::io::Result<Vec<Box<dyn Subject>>> {
    let directory = tempfile::tempdir()?;
    Ok(vec![Box::new(TokenServer { server: Server::start(directory.path()), _directory: directory })])
}

#[tokio::test]
async fn an_entry_comes_stays_once_and_goes() -> Outcome {
    for subject in subjects()? {
        let backend = subject.new_cluster().await;
        assert!(listed(&*backend).await.is_empty(), "{}: a new cluster is empty", subject.name());
        let node = address("10.0.0.1:2375");
        backend.register(&Claim::new(&node, TTL)).await?;
        backend.register(&Claim::new(&node, TTL)).await?;
        assert_eq!(listed(&*backend).await, ["10.0.0.1:2375"], "{}", subject.name());
        backend.deregister(&node, None).await?;
        assert!(listed(&*backend).await.is_empty(), "{}", subject.name());
        backend.register(&Claim::new(&node, TTL)).await?;
        assert_eq!(listed(&*backend).await, ["10.0.0.1:2375"], "{}: it may come back", subject.name());
    }
    Ok(())
}

#[tokio::test]
async fn taking_out_what_is_not_there_is_no_error() -> Outcome {
    for subject in subjects()? {
        let backend = subject.new_cluster().await;
        backend.register(&Claim::new(&address("10.0.0.1:2375"), TTL)).await?;
        backend.deregister(&address("10.0.0.2:2375"), None).await?;
        assert_eq!(listed(&*backend).await, ["10.0.0.1:2375"], "{}: others stay", subject.name());
    }
    Ok(())
}

#[tokio::test]
async fn every_kind_of_address_comes_back_as_it_was_in_order() -> Outcome {
    for subject in subjects()? {
        let backend = subject.new_cluster().await;
        let nodes = ["10.0.0.9:2375", "10.0.0.10:1", "[fd00::5]:2376", "node_7.example:65535"];
        for node in nodes.iter().rev() {
            backend.register(&Claim::new(&address(node), TTL)).await?;
        }
        assert_eq!(listed(&*backend).await, nodes, "{}", subject.name());
        for node in nodes {
            backend.deregister(&address(node), None).await?;
        }
        assert!(listed(&*backend).await.is_empty(), "{}", subject.name());
    }
    Ok(())
}

#[tokio::test]
async fn clusters_do_not_see_each_other() -> Outcome {
    for subject in subjects()? {
        let (one, other) = (subject.new_cluster().await, subject.new_cluster().await);
        one.register(&Claim::new(&address("10.0.0.1:2375"), TTL)).await?;
        assert!(listed(&*other).await.is_empty(), "{}", subject.name());
    }
    Ok(())
}

#[tokio::test]
async fn an_entry_without_beats_goes_by_itself() -> Outcome {
    for subject in subjects()? {
        let backend = subject.new_cluster().await;
        backend.register(&Claim::new(&address("10.0.0.1:2375"), subject.shortest_ttl())).await?;
        backend.register(&Claim::new(&address("10.0.0.2:2375"), TTL)).await?;
        wait_for_list(&*backend, &["10.0.0.2:2375"]).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_drained_node_is_in_a_list_of_all_alone_until_it_registers() -> Outcome {
    for subject in subjects()? {
        let (backend, name) = (subject.new_cluster().await, subject.name());
        let (active, node) = (address("10.0.0.1:2375"), address("[fd00::5]:2375"));
        backend.register(&Claim::new(&active, TTL)).await?;
        let marked = backend.mark_drained(&node, Some("kernel update, für ☃"), TTL).await;
        if !subject.has_room() {
            assert!(matches!(marked, Err(BackendError::NoRoom { .. })), "{name}: {marked:?}");
            assert!(drained(&*backend).await.is_empty(), "{name}: a list of all is no error");
            continue;
        }
        marked?;
        assert_eq!(listed(&*backend).await, ["10.0.0.1:2375"], "{name}");
        assert_eq!(drained(&*backend).await, ["[fd00::5]:2375  drained: kernel update, für ☃"], "{name}");
        backend.mark_drained(&node, None, TTL).await?;
        assert_eq!(drained(&*backend).await, ["[fd00::5]:2375  drained"], "{name}: the last mark counts");
        backend.register(&Claim::new(&node, TTL)).await?;
        assert!(drained(&*backend).await.is_empty(), "{name}");
        assert_eq!(listed(&*backend).await, ["10.0.0.1:2375", "[fd00::5]:2375"], "{name}");
        backend.deregister(&node, None).await?;
        assert!(drained(&*backend).await.is_empty(), "{name}: the mark is gone for good");
    }
    Ok(())
}

#[tokio::test]
async fn an_entry_hides_the_mark_of_its_node_until_it_goes() -> Outcome {
    for subject in subjects()?.into_iter().filter(|subject| subject.has_room()) {
        let (backend, node) = (subject.new_cluster().await, address("10.0.0.1:2375"));
        backend.register(&Claim::new(&node, TTL)).await?;
        backend.mark_drained(&node, None, TTL).await?;
        assert_eq!(listed(&*backend).await, ["10.0.0.1:2375"], "{}", subject.name());
        assert!(drained(&*backend).await.is_empty(), "{}: no node is listed twice", subject.name());
        backend.deregister(&node, None).await?;
        assert_eq!(drained(&*backend).await, ["10.0.0.1:2375  drained"], "{}", subject.name());
    }
    Ok(())
}

#[tokio::test]
async fn a_mark_that_is_not_renewed_goes_by_itself() -> Outcome {
    for subject in subjects()?.into_iter().filter(|subject| subject.has_room()) {
        let backend = subject.new_cluster().await;
        backend.mark_drained(&address("10.0.0.1:2375"), None, subject.shortest_ttl()).await?;
        backend.mark_drained(&address("10.0.0.2:2375"), None, TTL).await?;
        let start = Instant::now();
        while drained(&*backend).await != ["10.0.0.2:2375  drained"] {
            assert!(start.elapsed() < DEADLINE, "{}", subject.name());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}
