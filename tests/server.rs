//! The discovery server as a process: what it answers, what survives, what ends.

mod common;

use common::{DEADLINE, Outcome, Server, TTL, address, agent, drained, listed, serve, wait_for_list};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use swarm_agent::discovery::{Claim, Release};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const NODE: &str = "10.0.0.1:2375";

/// The `code` of a JSON error, which must have a text, too.
fn code(body: &str) -> String {
    let error: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON error: {body:?}"));
    assert!(error["error"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    error["code"].as_str().expect("a code").to_owned()
}

#[tokio::test]
async fn a_cluster_from_its_making_to_its_end() -> Outcome {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path());
    let (status, token) = server.ask("POST", "/v1/clusters", "");
    assert_eq!(status, 200);
    assert!(token.len() == 32 && token.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{token:?}");
    let cluster = format!("/v1/clusters/{token}");

    assert_eq!(server.ask("GET", &cluster, ""), (200, "[]".to_owned()));
    for node in ["10.0.0.2:2375", "[fd00:0::1]:2375\n", NODE] {
        assert_eq!(server.ask("POST", &format!("{cluster}?ttl=180"), node), (200, String::new()));
    }
    let all = r#"["10.0.0.1:2375","10.0.0.2:2375","[fd00::1]:2375"]"#;
    assert_eq!(server.ask("GET", &cluster, ""), (200, all.to_owned()));

    for _ in 0..2 {
        assert_eq!(server.ask("DELETE", &format!("{cluster}/%5Bfd00::1%5D:2375"), "").0, 200);
        assert_eq!(server.ask("DELETE", &format!("{cluster}/10.0.0.2:2375"), "").0, 200, "also when it is gone");
    }
    assert_eq!(server.ask("GET", &cluster, ""), (200, format!(r#"["{NODE}"]"#)));

    assert_eq!(server.ask("DELETE", &cluster, "").0, 200);
    for (method, body) in [("GET", ""), ("POST", NODE), ("DELETE", "")] {
        let (status, body) = server.ask(method, &cluster, body);
        assert_eq!((status, code(&body).as_str()), (404, "unknown_cluster"), "{method}");
        assert!(body.contains("swarm-agent create"), "the remedy is named: {body}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_is_said_in_json() -> Outcome {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path());
    let cluster = format!("/v1/clusters/{}", server.cluster().await);
    let ttl = |ttl: &str| format!("{cluster}?ttl={ttl}");
    let long = "x".repeat(301);
    for (method, path, body, status, error) in [
        ("POST", ttl("0"), NODE, 400, "bad_ttl"),
        ("POST", ttl("86401"), NODE, 400, "bad_ttl"),
        ("POST", ttl("3m"), NODE, 400, "bad_ttl"),
        ("POST", ttl(""), NODE, 400, "bad_ttl"),
        ("POST", ttl("180"), "", 400, "bad_address"),
        ("POST", ttl("180"), "10.0.0.1", 400, "bad_address"),
        ("POST", ttl("180"), r#""10.0.0.1:2375""#, 400, "bad_address"),
        ("POST", ttl("180"), &long, 413, "too_large"),
        ("POST", "/v1/clusters/b%20d?ttl=1".into(), NODE, 400, "bad_token"),
        ("GET", "/v1/clusters/%ff".into(), "", 400, "bad_request"),
        ("DELETE", format!("{cluster}/nonsense"), "", 400, "bad_address"),
        ("DELETE", format!("/v1/clusters/other/{NODE}"), "", 404, "unknown_cluster"),
        ("GET", "/v1/nothing".into(), "", 404, "no_such_path"),
        ("PUT", cluster.clone(), NODE, 405, "no_such_method"),
        ("GET", "/v1/clusters".into(), "", 405, "no_such_method"),
    ] {
        let (got, body) = server.ask(method, &path, body);
        assert_eq!((got, code(&body).as_str()), (status, error), "{method} {path}: {body}");
    }
    assert_eq!(server.ask("GET", &cluster, ""), (200, "[]".to_owned()), "none of it left a trace");
    assert_eq!(server.ask("POST", &cluster, NODE).0, 200, "without a ttl it is the default");
    assert_eq!(server.ask("GET", "/v1/healthz", "").0, 200);
    Ok(())
}

#[tokio::test]
async fn an_entry_ends_with_its_ttl_neither_earlier_nor_later() -> Outcome {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path());
    let backend = server.backend(&server.cluster().await);
    let ttl = Duration::from_secs(2);
    let asked = Instant::now();
    backend.register(&Claim::new(&address(NODE), ttl)).await?;
    let answered = Instant::now();
    loop {
        let before = Instant::now();
        let there = !listed(&*backend).await.is_empty();
        if there {
            assert!(before < answered + ttl, "listed {:?} after the answer", before - answered);
        } else {
            assert!(asked.elapsed() >= ttl, "gone {:?} after the request", asked.elapsed());
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn kill_9_loses_nothing_that_was_answered() -> Outcome {
    let directory = tempfile::tempdir()?;
    let first = Server::start(directory.path());
    let token = first.cluster().await;
    let backend = first.backend(&token);
    for n in 1..=3 {
        backend.register(&Claim::new(&address(&format!("10.0.0.{n}:1")), TTL)).await?;
    }
    backend.deregister(&Release::new(&address("10.0.0.2:1"), None)).await?;
    first.kill();
    let second = Server::start(directory.path());
    let backend = second.backend(&token);
    assert_eq!(listed(&*backend).await, ["10.0.0.1:1", "10.0.0.3:1"]);
    backend.register(&Claim::new(&address("10.0.0.4:1"), TTL)).await?;
    second.kill();
    let third = Server::start(directory.path());
    assert_eq!(listed(&*third.backend(&token)).await, ["10.0.0.1:1", "10.0.0.3:1", "10.0.0.4:1"]);
    Ok(())
}

#[tokio::test]
async fn a_node_that_beats_stays_listed_over_crashes_and_a_dead_one_goes() -> Outcome {
    let directory = tempfile::tempdir()?;
    let ttl = Duration::from_secs(4);
    let (live, dead) = ("10.0.0.1:1", "10.0.0.2:1");
    let mut server = Server::start(directory.path());
    let token = server.cluster().await;
    let start = Instant::now();
    server.backend(&token).register(&Claim::new(&address(dead), ttl)).await?;
    loop {
        let backend = server.backend(&token);
        backend.register(&Claim::new(&address(live), ttl)).await?;
        let list = listed(&*backend).await;
        assert!(list.contains(&live.to_owned()), "{list:?}");
        if !list.contains(&dead.to_owned()) {
            break;
        }
        assert!(start.elapsed() < DEADLINE, "a server that restarts all the time keeps a dead node");
        server.kill();
        server = Server::start(directory.path());
        let list = listed(&*server.backend(&token)).await;
        assert!(list.contains(&live.to_owned()), "a beat before the crash counts: {list:?}");
    }
    assert!(start.elapsed() >= ttl, "gone after {:?}", start.elapsed());
    server.kill();
    let server = Server::start(directory.path());
    assert_eq!(listed(&*server.backend(&token)).await, [live], "gone for good");
    Ok(())
}

#[tokio::test]
async fn sigterm_ends_it_with_0_in_spite_of_kept_connections() -> Outcome {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path());
    let token = server.cluster().await;
    let backend = server.backend(&token);
    backend.register(&Claim::new(&address(NODE), TTL)).await?;
    backend.register(&Claim::new(&address(NODE), TTL)).await?;
    assert_eq!(server.terminate().code(), Some(0));
    let again = Server::start(directory.path());
    assert_eq!(listed(&*again.backend(&token)).await, [NODE]);
    Ok(())
}

#[tokio::test]
async fn a_second_server_on_the_same_directory_says_so() -> Outcome {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path());
    let second = serve(directory.path()).output()?;
    let said = String::from_utf8(second.stderr)?;
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("in use by another server") && said.contains("discovery.redb"), "{said}");
    assert_eq!(server.ask("GET", "/healthz", "").0, 200, "the first goes on");
    Ok(())
}

#[tokio::test]
async fn a_damaged_store_is_refused_with_a_remedy_and_kept() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("discovery.redb");
    std::fs::write(&path, "no store at all")?;
    let output = serve(directory.path()).output()?;
    let said = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("damaged") && said.contains("move it aside"), "{said}");
    assert_eq!(std::fs::read(&path)?, b"no store at all");
    Ok(())
}

#[tokio::test]
async fn a_thousand_nodes_at_once() -> Outcome {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path());
    let token = server.cluster().await;
    let backend: Arc<dyn swarm_agent::discovery::Backend> = Arc::from(server.backend(&token));
    // fewer connections than a process may have files
    let slots = Arc::new(Semaphore::new(300));
    let mut nodes = JoinSet::new();
    for n in 0..1000 {
        let (backend, slots) = (backend.clone(), slots.clone());
        nodes.spawn(async move {
            let _slot = slots.acquire().await.expect("it is never closed");
            backend.register(&Claim::new(&address(&format!("10.0.{}.{}:2375", n / 250, n % 250)), TTL)).await
        });
    }
    while let Some(node) = nodes.join_next().await {
        node??;
    }
    assert_eq!(listed(&*backend).await.len(), 1000);
    server.kill();
    let server = Server::start(directory.path());
    assert_eq!(listed(&*server.backend(&token)).await.len(), 1000);
    Ok(())
}

#[tokio::test]
async fn create_and_list_print_what_a_script_wants() -> Outcome {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path());
    let run = |args: &[&str]| {
        let output = agent().args(args).output().expect("the binary under test");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let server_url = format!("http://{}", server.address);
    let (status, token, said) = run(&["create", &server_url]);
    assert_eq!((status, said.as_str()), (Some(0), ""));
    let url = format!("{server_url}/v1/clusters/{}", token.trim());
    assert_eq!(run(&["list", &url]), (Some(0), String::new(), String::new()));
    server.backend(token.trim()).register(&Claim::new(&address(NODE), TTL)).await?;
    assert_eq!(run(&["list", &url]).1, format!("{NODE}\n"));
    assert_eq!(run(&["list", "--json", &url]).1, format!("[\"{NODE}\"]\n"));
    let made: Value = serde_json::from_str(&run(&["create", "--json", &server_url]).1)?;
    assert_eq!(made["url"], format!("{server_url}/v1/clusters/{}", made["token"].as_str().unwrap_or_default()));

    assert_eq!(run(&["list", "token://abc"]).0, Some(64));
    let (status, _, said) = run(&["list", &format!("{server_url}/v1/clusters/s3cret")]);
    assert!(status == Some(1) && said.contains("swarm-agent create") && !said.contains("s3cret"), "{said}");
    let nobody = server.address;
    server.kill();
    let (status, _, said) = run(&["list", &format!("http://{nobody}/v1/clusters/s3cret")]);
    assert!(status == Some(69) && said.contains("connection refused") && !said.contains("s3cret"), "{said}");
    Ok(())
}

#[tokio::test]
async fn the_list_follows_a_beat_with_another_ttl() -> Outcome {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path());
    let backend = server.backend(&server.cluster().await);
    backend.register(&Claim::new(&address(NODE), TTL)).await?;
    backend.register(&Claim::new(&address(NODE), Duration::from_secs(1))).await?;
    wait_for_list(&*backend, &[]).await;
    Ok(())
}

#[tokio::test]
async fn drained_nodes_are_objects_in_a_list_that_asks_for_them() -> Outcome {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path());
    let cluster = format!("/v1/clusters/{}", server.cluster().await);
    assert_eq!(server.ask("POST", &cluster, NODE).0, 200);
    let mark = |node: &str, reason: &str| server.ask("PUT", &format!("{cluster}/{node}/drained?ttl=180"), reason);
    assert_eq!(mark("10.0.0.3:2375", ""), (200, String::new()));
    assert_eq!(mark("10.0.0.2:2375", " the \"new\" kernel\n"), (200, String::new()));
    for query in ["", "?all", "?all=0", "?all=true", "?x=1"] {
        assert_eq!(server.ask("GET", &format!("{cluster}{query}"), ""), (200, format!(r#"["{NODE}"]"#)), "{query}");
    }
    let second = r#"{"address":"10.0.0.2:2375","drained":true,"reason":"the \"new\" kernel"}"#;
    let third = r#"{"address":"10.0.0.3:2375","drained":true,"reason":null}"#;
    let all = format!(r#"["{NODE}",{second},{third}]"#);
    assert_eq!(server.ask("GET", &format!("{cluster}?all=1"), ""), (200, all));

    assert_eq!(server.ask("DELETE", &cluster, "").0, 200);
    for (method, path) in [("PUT", format!("{cluster}/{NODE}/drained")), ("GET", format!("{cluster}?all=1"))] {
        let (status, body) = server.ask(method, &path, "");
        assert_eq!((status, code(&body).as_str()), (404, "unknown_cluster"), "{method} {path}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_mark_is_refused_and_changes_nothing() -> Outcome {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path());
    let cluster = format!("/v1/clusters/{}", server.cluster().await);
    let path = format!("{cluster}/{NODE}/drained");
    let (long, longer) = ("😀".repeat(201), "x".repeat(2000));
    for (method, path, body, status, error) in [
        ("PUT", &path, long.as_str(), 400, "bad_reason"),
        ("PUT", &path, &longer, 400, "bad_reason"),
        ("PUT", &path, "a\u{1b}[2J", 400, "bad_reason"),
        ("PUT", &path, "two\nlines", 400, "bad_reason"),
        ("PUT", &format!("{path}?ttl=0"), "", 400, "bad_ttl"),
        ("PUT", &format!("{cluster}/nonsense/drained"), "", 400, "bad_address"),
        ("PUT", &format!("/v1/clusters/other/{NODE}/drained"), "", 404, "unknown_cluster"),
        ("POST", &path, "", 405, "no_such_method"),
        ("PUT", &format!("{cluster}/{NODE}"), "", 405, "no_such_method"),
    ] {
        let (got, answer) = server.ask(method, path, body);
        assert_eq!((got, code(&answer).as_str()), (status, error), "{method} {path} {body:?}: {answer}");
    }
    assert_eq!(server.ask("GET", &format!("{cluster}?all=1"), ""), (200, "[]".to_owned()));
    assert_eq!(server.ask("PUT", &path, &"😀".repeat(200)).0, 200, "characters count, not bytes");
    Ok(())
}

#[tokio::test]
async fn a_mark_is_not_kept_over_a_restart_and_comes_back_with_the_next_beat() -> Outcome {
    let directory = tempfile::tempdir()?;
    let first = Server::start(directory.path());
    let token = first.cluster().await;
    first.backend(&token).register(&Claim::new(&address(NODE), TTL)).await?;
    first.backend(&token).mark_drained(&address("10.0.0.2:1"), None, TTL).await?;
    first.kill();
    let second = Server::start(directory.path());
    let backend = second.backend(&token);
    assert_eq!((listed(&*backend).await, drained(&*backend).await), (vec![NODE.to_owned()], vec![]));
    backend.mark_drained(&address("10.0.0.2:1"), None, TTL).await?;
    assert_eq!(drained(&*backend).await, ["10.0.0.2:1  drained"]);
    Ok(())
}

#[tokio::test]
async fn list_prints_drained_nodes_if_it_is_asked_for_all() -> Outcome {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path());
    let token = server.cluster().await;
    let backend = server.backend(&token);
    backend.register(&Claim::new(&address("10.0.0.5:2375"), TTL)).await?;
    backend.mark_drained(&address("10.0.0.4:2375"), Some("kernel update"), TTL).await?;
    let url = format!("http://{}/v1/clusters/{token}", server.address);
    let list = |args: &[&str]| {
        let output = agent().arg("list").args(args).arg(&url).output().expect("the binary under test");
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(list(&[]), "10.0.0.5:2375\n");
    assert_eq!(list(&["--all"]), "10.0.0.5:2375\n10.0.0.4:2375  drained: kernel update\n");
    assert_eq!(list(&["--json"]), "[\"10.0.0.5:2375\"]\n");
    let expected = serde_json::json!([
        { "address": "10.0.0.5:2375", "drained": false, "reason": null },
        { "address": "10.0.0.4:2375", "drained": true, "reason": "kernel update" },
    ]);
    assert_eq!(serde_json::from_str::<Value>(&list(&["--json", "--all"]))?, expected);
    Ok(())
}
