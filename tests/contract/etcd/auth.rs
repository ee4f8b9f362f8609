//! An etcd that wants to know who asks.

use super::{Etcd, Ground, Outcome, news, nodes, start};
use crate::common::{DEADLINE, TTL, address, listed};
use crate::{Cluster, Subject};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use swarm_agent::discovery::{Backend, Claim, Release, Scope, Seen};
use swarm_agent::model::AuthFiles;

const NODE: &str = "10.0.0.1:2375";

struct Guarded {
    etcd: Etcd,
    cluster: Cluster,
    secrets: tempfile::TempDir,
}

/// With a user `agent` for one cluster.
async fn guarded() -> Result<Guarded, Box<dyn Error>> {
    let etcd = start(&Ground::near()).await?;
    let cluster = etcd.new_cluster().await;
    etcd.stranger().require_users("agent", place(&cluster))?;
    Ok(Guarded { etcd, cluster, secrets: tempfile::tempdir()? })
}

fn place(cluster: &Cluster) -> &'static str {
    assert_eq!(nodes(cluster), "docker/swarm/nodes");
    "docker/swarm"
}

impl Guarded {
    fn password(&self, text: &str) -> Result<PathBuf, Box<dyn Error>> {
        let path = self.secrets.path().join("password");
        fs::write(&path, text)?;
        Ok(path)
    }

    fn open(&self, user: &str, password: &Path) -> Box<dyn Backend> {
        as_user(&self.cluster, user, password).open()
    }
}

fn as_user(cluster: &Cluster, user: &str, password: &Path) -> Cluster {
    let mut cluster = cluster.clone();
    cluster.way.auth =
        AuthFiles { user: Some(user.into()), password: Some(password.to_owned()), ..AuthFiles::default() };
    cluster
}

#[tokio::test]
async fn a_user_with_a_role_for_the_cluster_can_do_all_of_it() -> Outcome {
    let guarded = guarded().await?;
    let backend = guarded.open("agent", &guarded.password("s3cret\n")?);
    let (node, other) = (address(NODE), address("10.0.0.2:2375"));
    let first = backend.watch(Scope::All, None).await?;
    let hold = backend.register(&Claim::new(&node, TTL)).await?;
    let hold = backend.register(&Claim { address: &node, ttl: TTL, hold: hold.as_ref(), record: None }).await?;
    backend.mark_drained(&other, None, TTL).await?;
    let sight = news(&*backend, Scope::All, first.position.as_ref()).await?;
    assert_eq!((sight.listing.nodes.len(), sight.listing.drained.len()), (1, 1));
    backend.deregister(&Release::new(&node, hold.as_ref())).await?;
    backend.deregister(&Release::new(&node, None)).await?;
    assert!(listed(&*backend).await.is_empty());
    Ok(())
}

#[tokio::test]
async fn who_may_not_is_told_why() -> Outcome {
    let guarded = guarded().await?;
    let right = guarded.password("s3cret\n")?;
    let wrong = guarded.secrets.path().join("wrong");
    fs::write(&wrong, "guess")?;
    let missing = guarded.secrets.path().join("missing");
    let elsewhere = guarded.etcd.new_cluster().await;
    let server = guarded.etcd.address;
    let refusal = "etcdserver: authentication failed, invalid user ID or password";
    let is_it_right = |user: &str, path: &Path| {
        let path = path.display();
        format!(
            "etcd://{server} refuses (400: {refusal}); is the user {user} (discovery.auth.user) right, and the password in {path} \
             (discovery.auth.password-file)?"
        )
    };
    for (cluster, said) in [
        (
            guarded.cluster.clone(),
            format!(
                "etcd://{server} refuses (400: etcdserver: user name is empty); set discovery.auth.user and \
                 discovery.auth.password-file"
            ),
        ),
        (as_user(&guarded.cluster, "agent", &wrong), is_it_right("agent", &wrong)),
        (as_user(&guarded.cluster, "nobody", &right), is_it_right("nobody", &right)),
        (
            as_user(&elsewhere, "agent", &right),
            format!(
                "etcd://{server} refuses (403: etcdserver: permission denied); the user agent needs a role that reads and \
                 writes below a/docker/swarm/ (one that reads, for `list` and `watch` alone)"
            ),
        ),
        (
            as_user(&guarded.cluster, "agent", &missing),
            format!("{} (discovery.auth.password-file) does not exist", missing.display()),
        ),
    ] {
        let backend = cluster.open();
        let registered = backend.register(&Claim::new(&address(NODE), TTL)).await;
        assert_eq!(registered.map_err(|error| error.to_string()), Err(said.clone()));
        let listed = backend.list(Scope::Active).await;
        assert_eq!(listed.map_err(|error| error.to_string()), Err(said.clone()));
        let seen = Seen { position: swarm_agent::discovery::Position("1".into()), patience: DEADLINE };
        let watched = backend.watch(Scope::Active, Some(&seen)).await;
        assert_eq!(watched.map_err(|error| error.to_string()), Err(said));
    }
    Ok(())
}

/// A restarted etcd knows no token that it gave.
#[tokio::test]
async fn a_token_that_has_ended_is_replaced_in_the_same_call() -> Outcome {
    let guarded = guarded().await?;
    let password = guarded.password("s3cret\n")?;
    let (backend, watcher) = (guarded.open("agent", &password), guarded.open("agent", &password));
    let node = address(NODE);
    let hold = backend.register(&Claim::new(&node, TTL)).await?;
    let sight = watcher.watch(Scope::Active, None).await?;
    guarded.etcd.service().restart()?;
    let fresh = guarded.open("agent", &password);
    crate::cases::until(async || fresh.list(Scope::Active).await.is_ok(), "it answers").await;
    backend.deregister(&Release::new(&node, hold.as_ref())).await?;
    assert!(news(&*watcher, Scope::Active, sight.position.as_ref()).await?.listing.nodes.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_password_that_was_changed_is_read_anew() -> Outcome {
    let guarded = guarded().await?;
    let password = guarded.password("guess")?;
    let backend = guarded.open("agent", &password);
    assert!(backend.list(Scope::Active).await.is_err());
    guarded.password("s3cret")?;
    assert!(listed(&*backend).await.is_empty());
    Ok(())
}

/// The official client does the same.
#[tokio::test]
async fn a_user_for_an_etcd_that_knows_none_does_no_harm() -> Outcome {
    let etcd = start(&Ground::near()).await?;
    let secrets = tempfile::tempdir()?;
    let password = secrets.path().join("password");
    fs::write(&password, "s3cret")?;
    let cluster = etcd.new_cluster().await;
    let backend = as_user(&cluster, "agent", &password).open();
    backend.register(&Claim::new(&address(NODE), TTL)).await?;
    // from now on there are users
    etcd.stranger().require_users("agent", place(&cluster))?;
    assert_eq!(listed(&*backend).await, [NODE]);
    Ok(())
}
