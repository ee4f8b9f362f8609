//! Side by side with a classic agent, which is played request for request, and with what one may leave behind.

use super::server::Consul;
use crate::cases::until;
use crate::common::{Outcome, address, listed};
use crate::{Ground, unless_skipped};
use std::time::{Duration, Instant};
use swarm_agent::discovery::{Backend, BackendError, Claim, Release, Scope};
use swarm_agent::model::Hold;
use tokio::time::sleep;

const CLASSIC: &str = "10.0.0.1:2375";
const OURS: &str = "10.0.0.2:2375";
/// The shortest.
const TTL: Duration = Duration::from_secs(20);
/// Longer than an entry lives without beats.
const LONG: Duration = Duration::from_secs(26);
const BEAT: Duration = Duration::from_secs(4);
const FLAGS: u64 = 3_304_740_253_564_472_344;

fn key(node: &str) -> String {
    format!("docker/swarm/nodes/{node}")
}

/// What `swarm join --ttl 20s` sends at each beat; the session that holds the key afterwards.
fn classic_beat(consul: &Consul, node: &str) -> String {
    let key = key(node);
    let found = consul.key(&key)["Session"].as_str().map(str::to_owned);
    let session = found.unwrap_or_else(|| {
        let body = r#"{"Behavior":"delete","LockDelay":"1ms","TTL":"10s"}"#;
        let made = consul.ask("PUT", "/v1/session/create", body).json();
        let session = made["ID"].as_str().expect("a session").to_owned();
        // it never looks at the outcome
        consul.put(&format!("{key}?acquire={session}&flags={FLAGS}"), "");
        session
    });
    consul.ask("PUT", &format!("/v1/session/renew/{session}"), "");
    assert!(consul.put(&format!("{key}?flags={FLAGS}"), node));
    session
}

/// What `swarm list` and `swarm manage` make of the folder: the values, whatever the keys.
fn classic_list(consul: &Consul) -> Vec<String> {
    let reply = consul.ask("GET", "/v1/kv/docker/swarm/nodes?recurse", "");
    if reply.status == 404 {
        return Vec::new();
    }
    let pairs = reply.json();
    let value = |pair: &serde_json::Value| {
        use base64::Engine;
        let text = pair["Value"].as_str().unwrap_or_default();
        let value = base64::engine::general_purpose::STANDARD.decode(text).expect("base64");
        String::from_utf8(value).expect("text")
    };
    pairs.as_array().expect("an array").iter().map(value).collect()
}

async fn beat(backend: &dyn Backend, node: &str, hold: &mut Option<Hold>) -> Result<(), BackendError> {
    let node = address(node);
    *hold = backend.register(&Claim { address: &node, ttl: TTL, hold: hold.as_ref(), record: None }).await?;
    Ok(())
}

#[tokio::test]
async fn each_sees_the_others_entry_and_both_stay() -> Outcome {
    let Some(consul) = unless_skipped(Consul::open(&Ground::near()).await)? else { return Ok(()) };
    let (backend, mut hold, start) = (consul.backend(), None, Instant::now());
    while start.elapsed() < LONG {
        classic_beat(&consul, CLASSIC);
        beat(&*backend, OURS, &mut hold).await?;
        let due = Instant::now() + BEAT;
        while Instant::now() < due {
            assert_eq!(listed(&*backend).await, [CLASSIC, OURS], "after {:?}", start.elapsed());
            assert_eq!(classic_list(&consul), [CLASSIC, OURS], "after {:?}", start.elapsed());
            sleep(Duration::from_millis(100)).await;
        }
    }
    let (theirs, ours) = (consul.key(&key(CLASSIC)), consul.key(&key(OURS)));
    assert_eq!((&theirs["Flags"], &ours["Flags"]), (&FLAGS.into(), &FLAGS.into()));
    let session = consul.session(ours["Session"].as_str().ok_or("no session")?);
    assert_eq!(
        (session["Behavior"].as_str(), session["TTL"].as_str(), session["LockDelay"].as_u64()),
        (Some("delete"), Some("10s"), Some(1_000_000))
    );
    // a mark of ours is no entry for a classic reader
    backend.deregister(&Release::new(&address(OURS), hold.as_ref())).await?;
    backend.mark_drained(&address(OURS), Some("kernel"), TTL).await?;
    assert_eq!(classic_list(&consul), [CLASSIC]);
    Ok(())
}

/// The classic agent then beats for our session, and rewrites the value: that is its way.
#[tokio::test]
async fn on_one_key_a_classic_agent_that_comes_later_changes_nothing() -> Outcome {
    let Some(consul) = unless_skipped(Consul::open(&Ground::near()).await)? else { return Ok(()) };
    let (backend, mut hold, start) = (consul.backend(), None, Instant::now());
    beat(&*backend, OURS, &mut hold).await?;
    let first = hold.clone();
    while start.elapsed() < LONG {
        assert_eq!(Some(Hold(classic_beat(&consul, OURS))), hold);
        beat(&*backend, OURS, &mut hold).await?;
        assert_eq!(hold, first, "one session all the time");
        assert_eq!((listed(&*backend).await, classic_list(&consul)), (vec![OURS.into()], vec![OURS.into()]));
        sleep(BEAT).await;
    }
    backend.deregister(&Release::new(&address(OURS), hold.as_ref())).await?;
    assert!(classic_list(&consul).is_empty(), "it goes with our session");
    let theirs = classic_beat(&consul, OURS);
    assert_ne!(Some(Hold(theirs)), first);
    assert_eq!(listed(&*backend).await, [OURS], "the classic agent lives on");
    // what is not ours any more is left alone
    backend.deregister(&Release::new(&address(OURS), first.as_ref())).await?;
    assert_eq!(listed(&*backend).await, [OURS]);
    Ok(())
}

#[tokio::test]
async fn on_one_key_the_lock_of_a_classic_agent_is_respected_until_it_ends() -> Outcome {
    let Some(consul) = unless_skipped(Consul::open(&Ground::near()).await)? else { return Ok(()) };
    let (backend, mut hold, start) = (consul.backend(), None, Instant::now());
    let theirs = classic_beat(&consul, OURS);
    while start.elapsed() < LONG {
        let error = beat(&*backend, OURS, &mut hold).await.err().ok_or("it is in twice")?;
        assert!(matches!(error, BackendError::Held { .. }), "{error}");
        let (said, node) = (error.to_string(), consul.session(&theirs)["Node"].as_str().ok_or("no node")?.to_owned());
        assert!(said.starts_with(&key(OURS)) && said.contains(&theirs) && said.ends_with(&format!("node {node}")));
        assert_eq!(classic_beat(&consul, OURS), theirs);
        assert_eq!(listed(&*backend).await, [OURS]);
        sleep(BEAT).await;
    }
    let sessions = consul.ask("GET", "/v1/session/list", "").json();
    assert_eq!(sessions.as_array().map(Vec::len), Some(1), "attempts leave no sessions behind: {sessions}");
    // it is stopped, and never says so
    until(async || beat(&*backend, OURS, &mut hold).await.is_ok(), "its session ends").await;
    assert_eq!(classic_list(&consul), [OURS]);
    Ok(())
}

#[tokio::test]
async fn a_key_without_a_session_is_taken_over_and_then_ends_as_any() -> Outcome {
    let Some(consul) = unless_skipped(Consul::open(&Ground::near()).await)? else { return Ok(()) };
    let (backend, mut hold) = (consul.backend(), None);
    for (flags, value) in [(0, OURS), (FLAGS, OURS), (7, "junk")] {
        assert!(consul.put(&format!("{}?flags={flags}", key(OURS)), value));
        beat(&*backend, OURS, &mut hold).await?;
        let found = consul.key(&key(OURS));
        assert_eq!(
            (&found["Flags"], found["Session"].as_str().map(Into::into)),
            (&FLAGS.into(), hold.clone().map(|hold| hold.0))
        );
        assert_eq!(listed(&*backend).await, [OURS]);
        backend.deregister(&Release::new(&address(OURS), hold.as_ref())).await?;
        assert_eq!(consul.key(&key(OURS)), serde_json::Value::Null);
    }
    Ok(())
}

#[tokio::test]
async fn only_what_says_our_address_and_is_held_by_nobody_is_taken_out() -> Outcome {
    let Some(consul) = unless_skipped(Consul::open(&Ground::near()).await)? else { return Ok(()) };
    let backend = consul.backend();
    assert!(consul.put(&key(OURS), OURS));
    backend.deregister(&Release::new(&address(OURS), None)).await?;
    assert_eq!(consul.key(&key(OURS)), serde_json::Value::Null);
    assert!(consul.put(&key(OURS), CLASSIC));
    backend.deregister(&Release::new(&address(OURS), None)).await?;
    assert_ne!(consul.key(&key(OURS)), serde_json::Value::Null);
    classic_beat(&consul, CLASSIC);
    let error = backend.deregister(&Release::new(&address(CLASSIC), None)).await.err().ok_or("it is out")?;
    assert!(matches!(error, BackendError::Held { .. }), "{error}");
    Ok(())
}

/// Whatever else lies there: a classic agent's key between its two writes, folders made by hand, other names.
#[tokio::test]
async fn what_is_no_entry_is_skipped_and_said() -> Outcome {
    let Some(consul) = unless_skipped(Consul::open(&Ground::near()).await)? else { return Ok(()) };
    let (backend, mut hold) = (consul.backend(), None);
    beat(&*backend, OURS, &mut hold).await?;
    for (key, value) in [
        ("docker/swarm/nodes/", ""),
        ("docker/swarm/nodes/10.0.0.7:2375", ""),
        ("docker/swarm/nodes/x", "%FF%00"),
        ("docker/swarm/nodes-old/10.0.0.8:2375", "10.0.0.8:2375"),
        ("docker/swarm/nodes", "10.0.0.9:2375"),
    ] {
        assert!(consul.put(key, value));
    }
    for scope in [Scope::Active, Scope::All] {
        let listing = backend.list(scope).await?;
        assert_eq!(listing.nodes, [address(OURS)]);
        let skipped: Vec<String> = listing.unreadable.iter().map(ToString::to_string).collect();
        assert_eq!(skipped.len(), 2, "{skipped:?}");
        assert!(skipped.iter().any(|said| said.starts_with("\"10.0.0.7:2375\" is no node address")), "{skipped:?}");
    }
    Ok(())
}
