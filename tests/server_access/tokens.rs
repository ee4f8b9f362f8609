//! Bearer tokens: what each right allows, and what a refusal tells.

use super::client::{self, Answer};
use super::common::{Outcome, agent};
use super::process::{Folder, Process};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const NODE: &str = "10.0.0.1:2375";

/// A server with tokens, and its administrator's.
fn guarded() -> (Folder, String) {
    let folder = Folder::new();
    folder.configure(&format!("tokens-file = {}", folder.quoted("tokens.toml")));
    let admin = folder.token(&["--name", "admin", "--right", "admin", "--cluster", "*"]);
    (folder, admin)
}

async fn ask(server: &Process, bearer: Option<&str>, request: (&str, &str, &str)) -> Answer {
    let mut connection = client::plain(server.address).await.expect("a connection");
    connection.bearer = bearer.map(str::to_owned);
    connection.ask(request.0, request.1, request.2).await.expect("an answer")
}

#[tokio::test]
async fn each_right_allows_its_own_and_only_at_its_clusters() -> Outcome {
    let (folder, admin) = guarded();
    // clusters are made before those tokens that name them
    let first = folder.start();
    let here = ask(&first, Some(&admin), ("POST", "/v1/clusters", "")).await.body;
    let there = ask(&first, Some(&admin), ("POST", "/v1/clusters", "")).await.body;
    drop(first);
    let hashed = format!("sha256:{}", swarm_agent::model::Digest::of(here.as_bytes()));
    let node = folder.token(&["--name", "node", "--right", "register", "--cluster", &here]);
    let reader = folder.token(&["--name", "reader", "--right", "list", "--cluster", &hashed]);
    let both = folder.token(&["--name", "both", "--right", "register", "--right", "list", "--cluster", "*"]);
    let chief = folder.token(&["--name", "chief", "--right", "admin", "--cluster", &here]);
    let server = folder.start();
    let at = |token: &str, rest: &str| format!("/v1/clusters/{token}{rest}");
    let requests = [
        ("POST", at(&here, ""), NODE),
        ("PUT", at(&here, "/10.0.0.2:1/drained"), ""),
        ("DELETE", at(&here, "/10.0.0.2:1"), ""),
        ("GET", at(&here, ""), ""),
        ("GET", at(&here, "?all=1"), ""),
        ("HEAD", at(&here, ""), ""),
        ("POST", at(&there, ""), NODE),
        ("GET", at(&there, ""), ""),
        ("POST", "/v1/clusters".to_owned(), ""),
    ];
    for (name, token, allowed) in [
        ("node", &node, [true, true, true, false, false, false, false, false, false]),
        ("reader", &reader, [false, false, false, true, true, true, false, false, false]),
        ("both", &both, [true, true, true, true, true, true, true, true, false]),
        ("chief", &chief, [true, true, true, true, true, true, false, false, false]),
        ("admin", &admin, [true; 9]),
    ] {
        for ((method, path, body), allowed) in requests.iter().zip(allowed) {
            let answer = ask(&server, Some(token), (method, path, body)).await;
            let expected = if allowed { 200 } else { 403 };
            assert_eq!(answer.status, expected, "{name}: {method} {path}: {answer:?}");
            if !allowed && *method != "HEAD" {
                assert_eq!(answer.code(), "forbidden");
                assert!(answer.body.contains(name) && answer.head.contains("insufficient_scope"), "{answer:?}");
            }
        }
    }
    for (token, expected) in [(&node, 403), (&both, 403), (&chief, 200)] {
        assert_eq!(ask(&server, Some(token), ("DELETE", &at(&here, ""), "")).await.status, expected);
    }
    assert_eq!(ask(&server, Some(&chief), ("DELETE", &at(&there, ""), "")).await.status, 403);
    Ok(())
}

#[tokio::test]
async fn without_a_token_or_with_a_wrong_one_nothing_is_told() -> Outcome {
    let (folder, admin) = guarded();
    let server = folder.start();
    let cluster = ask(&server, Some(&admin), ("POST", "/v1/clusters", "")).await.body;
    let node = folder.token(&["--name", "node", "--right", "register", "--cluster", "elsewhere"]);
    server.reload();
    let (there, nowhere) = (format!("/v1/clusters/{cluster}"), "/v1/clusters/none".to_owned());
    for bearer in [None, Some("swarm_wrong"), Some(node.as_str())] {
        for (method, body) in [("GET", ""), ("POST", NODE), ("DELETE", "")] {
            let mut answers = Vec::new();
            for path in [&there, &nowhere] {
                let Answer { status, head, body } = ask(&server, bearer, (method, path, body)).await;
                let undated: Vec<_> =
                    head.lines().filter(|line| !line.starts_with("date:")).map(str::to_owned).collect();
                answers.push((status, undated, body));
            }
            assert_eq!(answers[0], answers[1], "{method}: whether there is a cluster");
            assert_eq!(answers[0].0, if bearer == Some(&node) { 403 } else { 401 });
        }
    }
    for (bearer, code) in [(None, "bearer_missing"), (Some("swarm_wrong"), "bearer_unknown")] {
        for path in [there.as_str(), "/v1/clusters", "/v1/nothing", "/"] {
            let answer = ask(&server, bearer, ("GET", path, "")).await;
            assert_eq!((answer.status, answer.code().as_str()), (401, code), "{path}");
            assert!(answer.head.contains("\r\nwww-authenticate: bearer"), "{answer:?}");
        }
        for path in ["/healthz", "/v1/healthz"] {
            assert_eq!(ask(&server, bearer, ("GET", path, "")).await.status, 200);
        }
    }
    let in_url = format!("{there}?access_token={admin}");
    assert_eq!(ask(&server, None, ("GET", &in_url, "")).await.code(), "bearer_missing", "never in a URL");
    let basic = format!("authorization: Basic {admin}\r\n");
    let twice = format!("authorization: Bearer {admin}\r\n").repeat(2);
    for lines in [basic, twice] {
        let mut connection = client::plain(server.address).await?;
        assert_eq!(connection.ask_with("GET", &there, &lines, "").await?.code(), "bearer_missing", "{lines}");
    }
    assert_eq!(ask(&server, Some(&admin), ("GET", "/v1/nothing", "")).await.code(), "no_such_path");
    Ok(())
}

#[tokio::test]
async fn no_secret_is_in_a_log_or_an_answer() -> Outcome {
    let (folder, admin) = guarded();
    let planted = "swarm_planted5ecret";
    let mut server = folder.start_with(&["--listen", "127.0.0.1:0", "--log-level", "trace"]);
    let cluster = ask(&server, Some(&admin), ("POST", "/v1/clusters", "")).await.body;
    let mut answers = String::new();
    for bearer in [planted, &admin] {
        for (method, path) in
            [("GET", format!("/v1/clusters/{cluster}")), ("GET", "/x".into()), ("PUT", "/v1/clusters".into())]
        {
            let answer = ask(&server, Some(bearer), (method, &path, "")).await;
            answers += &format!("{}{}", answer.head, answer.body);
        }
    }
    // one who mistakes the file for the place of the secret, and one who takes a cluster's token for its hash
    let text = fs::read_to_string(folder.path("tokens.toml"))?;
    let wrong = format!(
        "{text}[[token]]\nname = \"x\"\nsha256 = \"{planted}\"\nrights = [\"list\"]\nclusters = [\"sha256:{cluster}\", \"{planted}!\"]\n"
    );
    folder.write("tokens.toml", &wrong);
    let heard = server.reload();
    let log = server.wait_for_log("configuration not reloaded: 3 errors");
    assert!(log.contains("is not a SHA-256 in hex"), "{log}");
    for secret in [planted, admin.as_str(), cluster.as_str()] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
        assert!(!answers.contains(secret), "{secret} is in an answer:\n{answers}");
        assert!(!heard.concat().contains(secret), "{heard:?}");
    }
    Ok(())
}

#[test]
fn token_new_prints_it_once_and_keeps_its_hash() -> Outcome {
    let folder = Folder::new();
    let file = folder.path("tokens.toml");
    let run = |args: &[&str]| {
        let output = agent().args(["token", "new"]).args(args).output().expect("the binary under test");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, _) = run(&["--name", "a \"b\"", "--right", "register", "--cluster", "s3cret"]);
    let (token, toml) = out.split_once("\n\n").unwrap_or_default();
    let hash = swarm_agent::model::Digest::of(token.as_bytes()).to_string();
    assert_eq!(code, Some(0));
    assert!(token.starts_with("swarm_") && token.len() == 70, "{token}");
    assert!(toml.contains(&format!("sha256 = \"{hash}\"")) && toml.contains(r#"name = "a \"b\"""#), "{toml}");
    assert!(
        !toml.contains("s3cret") && toml.contains("clusters = [\"sha256:"),
        "a cluster's token is a secret: {toml}"
    );

    let path = file.display().to_string();
    let first = folder.token(&["--name", "one", "--right", "list", "--cluster", "*"]);
    fs::write(&file, format!("# mine\n{}", fs::read_to_string(&file)?.trim_end()))?;
    let second = folder.token(&["--name", "two", "--right", "list", "--cluster", "*"]);
    let text = fs::read_to_string(&file)?;
    assert!(text.starts_with("# mine\n") && text.matches("[[token]]").count() == 2, "{text}");
    assert!(first != second && !text.contains(&first) && !text.contains(&second));
    assert_eq!(file.metadata()?.permissions().mode() & 0o777, 0o640);

    let (code, _, said) = run(&["--file", &path, "--name", "two", "--right", "list", "--cluster", "*"]);
    assert!(code == Some(64) && said.contains("has a token of that name"), "{said}");
    let (code, _, said) = run(&["--file", &path, "--name", "", "--right", "list", "--cluster", "*"]);
    assert!(code == Some(64) && said.contains("1 to 64 characters"), "{said}");
    let broken = folder.path("broken.toml");
    fs::write(&broken, "[[token]]\nname = 7\n")?;
    let args = ["--file", &broken.display().to_string(), "--name", "x", "--right", "list", "--cluster", "*"];
    let (code, out, said) = run(&args);
    assert!(code == Some(78) && out.is_empty() && said.contains("broken.toml:2:8: token.name: must be"), "{said}");
    let (code, out, said) = run(&["--name", "x", "--right", "list", "--cluster", "s3cret!"]);
    assert!(code == Some(64) && out.is_empty() && !said.contains("s3cret"), "{said}");
    assert_eq!(run(&["--name", "x", "--right", "rule", "--cluster", "*"]).0, Some(64));
    assert_eq!(fs::read_to_string(&file)?, text, "what is refused changes nothing");

    let (_, out, _) = run(&["--json", "--name", "x", "--right", "admin", "--cluster", "*"]);
    let made: serde_json::Value = serde_json::from_str(&out)?;
    let token = made["token"].as_str().unwrap_or_default();
    assert_eq!(made["sha256"], swarm_agent::model::Digest::of(token.as_bytes()).to_string());
    Ok(())
}
