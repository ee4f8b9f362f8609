//! What an entry and a watcher live through.

use super::server::{Consul, FAST, LASTING};
use crate::cases::until;
use crate::common::{DEADLINE, Outcome, TTL, address, agent, listed};
use crate::{Ground, unless_skipped};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use swarm_agent::discovery::{Backend, BackendError, Claim, Release, Scope, Seen};
use swarm_agent::model::{Hold, NodeRecord, Recorded};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const NODE: &str = "10.0.0.1:2375";
const KEY: &str = "docker/swarm/nodes/10.0.0.1:2375";

async fn beat(backend: &dyn Backend, ttl: Duration, hold: &mut Option<Hold>) -> Result<(), BackendError> {
    let node = address(NODE);
    *hold = backend.register(&Claim { address: &node, ttl, hold: hold.as_ref(), record: None }).await?;
    Ok(())
}

#[tokio::test]
async fn a_beat_writes_nothing() -> Outcome {
    let Some(consul) = unless_skipped(Consul::open(&Ground::near()).await)? else { return Ok(()) };
    let (backend, mut hold) = (consul.backend(), None);
    beat(&*backend, TTL, &mut hold).await?;
    let index = || (consul.key(KEY)["ModifyIndex"].clone(), consul.ask("GET", "/v1/session/list", "").index);
    let before = index();
    for _ in 0..10 {
        beat(&*backend, TTL, &mut hold).await?;
    }
    assert_eq!(index(), before);
    Ok(())
}

#[tokio::test]
async fn a_session_that_somebody_ended_is_made_anew_in_the_same_beat() -> Outcome {
    let Some(consul) = unless_skipped(Consul::open(&Ground::near()).await)? else { return Ok(()) };
    let (backend, mut hold) = (consul.backend(), None);
    beat(&*backend, TTL, &mut hold).await?;
    let first = hold.clone().ok_or("no hold")?;
    consul.destroy(&first.0)?;
    assert!(listed(&*backend).await.is_empty());
    beat(&*backend, TTL, &mut hold).await?;
    assert_eq!(listed(&*backend).await, [NODE]);
    assert_ne!(hold, Some(first));
    // a value that somebody changed is put right, under the same session
    assert!(consul.put(KEY, "10.9.9.9:1"));
    let second = hold.clone();
    beat(&*backend, TTL, &mut hold).await?;
    assert_eq!((listed(&*backend).await, hold), (vec![NODE.to_owned()], second));
    Ok(())
}

/// The ttl of a session never changes, so there is another one: the key goes from one to the other in one step.
#[tokio::test]
async fn another_ttl_comes_without_a_gap() -> Outcome {
    let Some(consul) = unless_skipped(Consul::open(&Ground::near()).await)? else { return Ok(()) };
    let (backend, mut hold) = (consul.backend(), None);
    beat(&*backend, TTL, &mut hold).await?;
    let first = hold.clone().ok_or("no hold")?;
    let created = consul.key(KEY)["CreateIndex"].clone();
    // as after a restart with another configuration
    let next = consul.backend();
    beat(&*next, Duration::from_secs(21), &mut hold).await?;
    let second = hold.clone().ok_or("no hold")?;
    assert_eq!(consul.key(KEY)["CreateIndex"], created, "it was never away");
    assert_eq!(consul.key(KEY)["Session"].as_str(), Some(second.0.as_str()));
    assert_eq!(consul.session(&second.0)["TTL"], "10500ms");
    assert_eq!(consul.session(&first.0), serde_json::Value::Null, "the old session has ended");
    beat(&*next, Duration::from_secs(21), &mut hold).await?;
    assert_eq!(hold, Some(second));
    assert_eq!(listed(&*next).await, [NODE]);
    Ok(())
}

/// Under the session of the entry, so that it ends with it, however that ends; and beside what a classic reader reads.
#[tokio::test]
async fn a_record_lives_as_long_as_its_entry() -> Outcome {
    let Some(consul) = unless_skipped(Consul::open(&Ground::near()).await)? else { return Ok(()) };
    let (backend, node, mut hold) = (consul.backend(), address(NODE), None);
    let mut record = NodeRecord {
        since: "2026-11-26T08:00:00Z".into(),
        node: "0123".into(),
        boot: "4567".into(),
        engine: "ABCD".into(),
        version: "1".into(),
        hostname: "dü1".into(),
    };
    for (ttl, hostname) in [(TTL, "db1"), (TTL, "db2"), (TTL / 2, "db2")] {
        record.hostname = hostname.into();
        let claim = Claim { address: &node, ttl, hold: hold.as_ref(), record: Some(&record) };
        hold = backend.register(&claim).await?;
        let listing = backend.list(Scope::Records).await?;
        assert_eq!((listing.nodes, listing.unreadable), (vec![node.clone()], vec![]));
        assert_eq!(listing.records, [Recorded { address: node.clone(), record: record.clone() }]);
        let key = consul.key("docker/swarm/records/10.0.0.1:2375");
        assert_eq!(key["Session"].as_str().map(|id| Hold(id.into())), hold);
        let claim = Claim { address: &node, ttl, hold: hold.as_ref(), record: Some(&record) };
        backend.register(&claim).await?;
        assert_eq!(consul.key("docker/swarm/records/10.0.0.1:2375"), key, "a beat writes nothing");
    }
    assert!(backend.list(Scope::All).await?.records.is_empty(), "nobody asked for them");
    backend.deregister(&Release::new(&node, hold.as_ref())).await?;
    assert_eq!(consul.ask("GET", "/v1/kv/docker/?recurse", "").status, 404, "nothing is left");
    Ok(())
}

/// In between, answers to writes get lost; what was written without our knowing is found to be ours.
#[tokio::test]
async fn an_entry_whose_answer_got_lost_is_no_foreign_one() -> Outcome {
    let Some(consul) = unless_skipped(Consul::open(&Ground::near()).await)? else { return Ok(()) };
    let lossy = Lossy::start(consul.address).await?;
    let backend = consul.cluster_at(&format!("consul://{}", lossy.address)).open();
    let mut hold = None;
    lossy.losing.store(true, Ordering::Relaxed);
    let error = beat(&*backend, TTL, &mut hold).await.err().ok_or("an answer came")?;
    assert!(matches!(error, BackendError::Broken { .. }), "{error}");
    assert_eq!(listed(&*backend).await, [NODE], "it is in without our knowing");
    // another ttl: the key changes its session, and the answer to that is lost too
    assert!(beat(&*backend, TTL / 2, &mut hold).await.is_err());
    lossy.losing.store(false, Ordering::Relaxed);
    beat(&*backend, TTL / 3, &mut hold).await?;
    let session = hold.clone().ok_or("no hold")?;
    assert_eq!(consul.key(KEY)["Session"].as_str(), Some(session.0.as_str()));
    let sessions = consul.ask("GET", "/v1/session/list", "").json();
    assert_eq!(sessions.as_array().map(Vec::len), Some(1), "no session is left over: {sessions}");
    backend.deregister(&Release::new(&address(NODE), None)).await?;
    assert!(listed(&*backend).await.is_empty(), "also without the hold");
    Ok(())
}

/// Passes everything on, save for the answers to what takes a key.
struct Lossy {
    address: SocketAddr,
    losing: Arc<AtomicBool>,
}

impl Lossy {
    async fn start(to: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let lossy = Self { address: listener.local_addr()?, losing: Arc::default() };
        let losing = Arc::clone(&lossy.losing);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(Self::pass(client, to, Arc::clone(&losing)));
            }
        });
        Ok(lossy)
    }

    async fn pass(mut client: TcpStream, to: SocketAddr, losing: Arc<AtomicBool>) -> std::io::Result<()> {
        let mut server = TcpStream::connect(to).await?;
        let (mut asked, mut answered, mut lost) = ([0; 65_536], [0; 65_536], false);
        loop {
            tokio::select! {
                read = client.read(&mut asked) => {
                    let bytes = &asked[..read?];
                    let text = String::from_utf8_lossy(bytes);
                    lost |= losing.load(Ordering::Relaxed) && (text.contains("acquire=") || text.contains("unlock"));
                    if bytes.is_empty() {
                        return Ok(());
                    }
                    server.write_all(bytes).await?;
                }
                read = server.read(&mut answered) => {
                    let bytes = &answered[..read?];
                    if lost || bytes.is_empty() {
                        return Ok(());
                    }
                    client.write_all(bytes).await?;
                }
            }
        }
    }
}

/// A server with its data on a disk still has the session after a restart.
#[tokio::test]
async fn a_session_outlives_a_restart_of_the_server() -> Outcome {
    let started = Consul::start(&Ground::near(), LASTING, FAST).await;
    let Some(consul) = unless_skipped(started)? else { return Ok(()) };
    consul.until_it_leads().await;
    let (backend, mut hold) = (consul.backend(), None);
    until(async || beat(&*backend, TTL, &mut hold).await.is_ok(), "a beat").await;
    let first = hold.clone();
    consul.service.restart()?;
    until(async || beat(&*backend, TTL, &mut hold).await.is_ok(), "a beat after the restart").await;
    assert_eq!(hold, first);
    assert_eq!(listed(&*backend).await, [NODE]);
    Ok(())
}

/// A server without data counts from the beginning: a watcher that waited for its old index would sleep through it all.
#[tokio::test]
async fn a_watcher_is_not_misled_by_an_index_of_a_former_life() -> Outcome {
    let Some(consul) = unless_skipped(Consul::open(&Ground::near()).await)? else { return Ok(()) };
    let (backend, mut hold) = (consul.backend(), None);
    for _ in 0..100 {
        assert!(consul.put("elsewhere", "x"));
    }
    beat(&*backend, TTL, &mut hold).await?;
    let watcher = consul.backend();
    let sight = watcher.watch(Scope::Active, None).await?;
    let seen = Seen { position: sight.position.ok_or("no position")?, patience: DEADLINE };
    consul.service.kill()?;
    assert!(watcher.watch(Scope::Active, Some(&seen)).await.is_err());
    consul.service.restart()?;
    consul.until_it_leads().await;
    let start = Instant::now();
    let sight = loop {
        match watcher.watch(Scope::Active, Some(&seen)).await {
            Ok(sight) => break sight,
            Err(error) => assert!(start.elapsed() < DEADLINE, "{error}"),
        }
    };
    assert!(sight.listing.nodes.is_empty() && start.elapsed() < DEADLINE / 4, "{:?}", start.elapsed());
    let seen = Seen { position: sight.position.ok_or("no position")?, ..seen };
    let (sight, joined) = tokio::join!(watcher.watch(Scope::Active, Some(&seen)), beat(&*backend, TTL, &mut hold));
    joined?;
    assert_eq!(sight?.listing.nodes, [address(NODE)]);
    // the same without a broken connection in between: the index of a former life, and then one that counts
    let ahead = Seen { position: swarm_agent::discovery::Position("999999".into()), patience: Duration::from_secs(1) };
    let sight = consul.backend().watch(Scope::Active, Some(&ahead)).await?;
    let again = Seen { position: sight.position.ok_or("no position")?, patience: DEADLINE };
    let start = Instant::now();
    consul.backend().watch(Scope::Active, Some(&again)).await?;
    assert!(start.elapsed() < DEADLINE / 4, "{:?}", start.elapsed());
    Ok(())
}

/// The server adds up to a sixteenth to what a reader waits: that is no timeout.
#[tokio::test]
async fn a_watcher_may_wait_for_longer_than_an_attempt_may_take() -> Outcome {
    let Some(consul) = unless_skipped(Consul::open(&Ground::near()).await)? else { return Ok(()) };
    let mut cluster = consul.classic_cluster();
    cluster.way.timeouts.total = Duration::from_secs(1);
    let watcher = cluster.open();
    let sight = watcher.watch(Scope::All, None).await?;
    let seen = Seen { position: sight.position.ok_or("no position")?, patience: Duration::from_secs(3) };
    let start = Instant::now();
    let again = watcher.watch(Scope::All, Some(&seen)).await?;
    assert!(start.elapsed() >= seen.patience, "{:?}", start.elapsed());
    assert_eq!((again.listing, again.position), (sight.listing, Some(seen.position)));
    Ok(())
}

#[tokio::test]
async fn a_server_without_a_leader_says_so() -> Outcome {
    let started = Consul::start(&Ground::near(), &["-server", "-bootstrap-expect", "3"], "").await;
    let Some(consul) = unless_skipped(started)? else { return Ok(()) };
    let error = beat(&*consul.backend(), TTL, &mut None).await.err().ok_or("a beat")?;
    let said = error.to_string();
    assert!(said.ends_with("answered 500: No cluster leader"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_prefix_may_have_any_letters() -> Outcome {
    let Some(consul) = unless_skipped(Consul::open(&Ground::near()).await)? else { return Ok(()) };
    let url = format!("consul://{}/a%2fb/ü+\"", consul.address);
    let (backend, mut hold) = (consul.cluster_at(&url).open(), None);
    beat(&*backend, TTL, &mut hold).await?;
    assert_eq!(consul.key("a%252fb/%C3%BC+%22/docker/swarm/nodes/10.0.0.1:2375")["Key"], format!("a%2fb/ü+\"/{KEY}"));
    // the command finds it too
    let output = agent().args(["list", &url]).output()?;
    assert_eq!(String::from_utf8(output.stdout)?, format!("{NODE}\n"), "{}", String::from_utf8_lossy(&output.stderr));
    backend.deregister(&Release::new(&address(NODE), hold.as_ref())).await?;
    assert!(listed(&*backend).await.is_empty());
    Ok(())
}
