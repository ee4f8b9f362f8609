//! Who may do what, with a token from a file.

use super::server::Consul;
use crate::common::{Outcome, TTL, address, listed};
use crate::{Ground, unless_skipped};
use swarm_agent::discovery::{BackendError, Claim, Scope};

const NODE: &str = "10.0.0.1:2375";

#[tokio::test]
async fn a_list_that_may_not_be_read_is_an_error_and_not_empty() -> Outcome {
    let Some(consul) = unless_skipped(Consul::guarded(&Ground::near(), "").await)? else { return Ok(()) };
    let mut cluster = consul.cluster();
    assert!(listed(&*cluster.open()).await.is_empty());
    let reader = consul.token_for(r#"key_prefix "team/docker/swarm/" { policy = "read" }"#).await;
    cluster.way.auth.token = Some(consul.file("reader", &reader)?);
    assert!(listed(&*cluster.open()).await.is_empty(), "a reader needs no more");
    cluster.open().list(Scope::All).await?;
    let stranger = consul.token_for(r#"key_prefix "elsewhere/" { policy = "write" }"#).await;
    for token in [None, Some(consul.file("stranger", &stranger)?)] {
        cluster.way.auth.token = token;
        for scope in [Scope::Active, Scope::All] {
            let error = cluster.open().list(scope).await.err().ok_or("a list")?;
            assert!(matches!(error, BackendError::Denied { .. }), "{error}");
            assert!(error.to_string().contains(r#"{ policy = "read" }"#), "{error}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_token_that_was_replaced_counts_at_the_next_beat() -> Outcome {
    let Some(consul) = unless_skipped(Consul::guarded(&Ground::near(), "").await)? else { return Ok(()) };
    let cluster = consul.cluster();
    let (backend, node) = (cluster.open(), address(NODE));
    let file = cluster.way.auth.token.as_ref().ok_or("a file")?;
    let good = std::fs::read_to_string(file)?;
    let mut hold = backend.register(&Claim::new(&node, TTL)).await?;
    let unknown = "5eed5eed-0000-4000-8000-00000000000f";
    std::fs::write(file, unknown)?;
    let claim = Claim { address: &node, ttl: TTL, hold: hold.as_ref(), record: None };
    let error = backend.register(&claim).await.err().ok_or("a beat")?.to_string();
    assert!(error.contains("ACL not found") && !error.contains(unknown), "{error}");
    std::fs::remove_file(file)?;
    let error = backend.register(&claim).await.err().ok_or("a beat")?.to_string();
    assert!(error.contains(&file.display().to_string()), "{error}");
    std::fs::write(file, good)?;
    let again = backend.register(&claim).await?;
    assert_eq!(again, hold.take(), "the same session goes on");
    assert_eq!(listed(&*backend).await, [NODE]);
    Ok(())
}

/// A token that may read and not write is told what else it needs.
#[tokio::test]
async fn a_beat_that_may_not_write_says_which_rules_it_needs() -> Outcome {
    let Some(consul) = unless_skipped(Consul::guarded(&Ground::near(), "").await)? else { return Ok(()) };
    let mut cluster = consul.cluster();
    for rules in [
        r#"key_prefix "team/docker/swarm/" { policy = "read" } session_prefix "" { policy = "write" }"#,
        r#"key_prefix "team/docker/swarm/" { policy = "write" }"#,
    ] {
        cluster.way.auth.token = Some(consul.file("token-of-another", &consul.token_for(rules).await)?);
        let node = address(NODE);
        let error = cluster.open().register(&Claim::new(&node, TTL)).await.err().ok_or("a beat")?;
        assert!(matches!(error, BackendError::Denied { .. }), "{error}");
        let needed = r#"{ policy = "write" } session_prefix "" { policy = "write" }"#;
        assert!(error.to_string().contains(needed), "{error}");
    }
    Ok(())
}
