//! What it prints, for people and for programs.

use crate::common::{DEADLINE, Outcome, Server, TTL, address, agent};
use crate::scene::{Again, Watcher, replace};
use nix::sys::signal::{Signal, kill};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant, SystemTime};
use swarm_agent::discovery::{Claim, Release};

#[tokio::test]
async fn watch_sees_nodes_come_and_go_and_outlives_the_server() -> Outcome {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path());
    let token = server.cluster().await;
    let backend = server.backend(&token);
    backend.register(&Claim::new(&address("10.0.0.1:2375"), TTL)).await?;
    let watcher = Watcher::start(&format!("http://{}/v1/clusters/{token}", server.address));
    assert_eq!(watcher.next(), serde_json::json!({ "event": "list", "nodes": ["10.0.0.1:2375"] }));
    backend.register(&Claim::new(&address("10.0.0.2:2375"), TTL)).await?;
    assert_eq!(watcher.next(), serde_json::json!({ "event": "join", "node": "10.0.0.2:2375" }));
    backend.deregister(&Release::new(&address("10.0.0.1:2375"), None)).await?;
    assert_eq!(watcher.next(), serde_json::json!({ "event": "leave", "node": "10.0.0.1:2375" }));

    let (place, before) = (server.address, Instant::now());
    server.kill();
    let error = watcher.next();
    assert_eq!(error["event"], "error");
    assert!(!error.to_string().contains(&token), "{error}");
    let stale = watcher.next();
    assert_eq!(stale["event"], "stale");
    let since = humantime::parse_rfc3339(stale["since"].as_str().ok_or("a time")?)?;
    let ago = SystemTime::now().duration_since(since)?;
    assert!(ago <= before.elapsed() + Duration::from_secs(2), "{stale}");
    let _again = Again::start(directory.path(), place);
    // the connection that broke may be an error of its own
    let recovered = std::iter::repeat_with(|| watcher.next()).find(|event| event["event"] != "error");
    let recovered = recovered.ok_or("an event")?;
    assert_eq!(
        (&recovered["event"], &recovered["nodes"]),
        (&"recovered".into(), &serde_json::json!(["10.0.0.2:2375"]))
    );
    assert!(recovered["seconds"].as_u64().is_some_and(|lasted| lasted <= before.elapsed().as_secs()), "{recovered}");
    let again = humantime::parse_rfc3339(recovered["since"].as_str().ok_or("a time")?)?;
    let apart = again.duration_since(since).unwrap_or_else(|error| error.duration());
    assert!(apart <= Duration::from_secs(1), "{stale} {recovered}");
    assert_eq!(watcher.end(Signal::SIGTERM).code(), Some(0));
    Ok(())
}

#[test]
fn watch_follows_a_file_and_ends_when_nobody_reads() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("nodes");
    fs::write(&path, "a:1\njunk # no port\n")?;
    let mut watcher = Watcher::start(&format!("file://{}", path.display()));
    assert_eq!(watcher.next(), serde_json::json!({ "event": "list", "nodes": ["a:1"] }));
    assert_eq!(watcher.next()["event"], "skipped");
    fs::remove_file(&path)?;
    assert_eq!(watcher.next()["event"], "error");
    assert_eq!(watcher.next()["event"], "stale");
    fs::write(&path, "b[1:2]:1\n")?;
    // a file that is half written is empty for a moment
    let mut joined = Vec::new();
    while joined.len() < 2 {
        let event = watcher.next();
        if event["event"] == "join" {
            joined.push(event["node"].to_string());
        }
    }
    assert_eq!(joined, ["\"b1:1\"", "\"b2:1\""]);
    // nothing more is written: it notices all the same
    drop(std::mem::replace(&mut watcher.lines, channel().1));
    assert_eq!(watcher.end(Signal::SIGINT).code(), Some(0));

    let mut quiet = agent().args(["watch", "--interval", "100ms", "a:1"]).stdout(Stdio::piped()).spawn()?;
    drop(quiet.stdout.take());
    let start = Instant::now();
    while quiet.try_wait()?.is_none() {
        assert!(start.elapsed() < DEADLINE, "a watch without a reader goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(quiet.wait()?.code(), Some(0));
    Ok(())
}

#[test]
fn watch_is_told_of_changes_of_a_file_and_waits_out_no_interval() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("nodes");
    fs::write(&path, "a:1\n")?;
    let url = format!("file://{}", path.display());
    let watcher = Watcher::with(&["--json", "--interval", "1d", &url]);
    assert_eq!(watcher.next()["event"], "list");
    for node in ["b:1", "c:1", "d:1"] {
        replace(&path, node)?;
        assert_eq!(watcher.next()["event"], "leave");
        assert_eq!(watcher.next(), serde_json::json!({ "event": "join", "node": node }));
    }
    // a day is no reason to miss a file that comes back
    fs::remove_file(&path)?;
    assert_eq!(watcher.next_of("stale")["event"], "stale");
    fs::write(&path, "d:1\n")?;
    assert_eq!(watcher.next_of("recovered")["nodes"], serde_json::json!(["d:1"]));
    Ok(())
}

#[test]
fn watch_waits_for_a_file_that_is_not_there_yet() -> Outcome {
    let directory = tempfile::tempdir()?;
    let folder = directory.path().join("later");
    let watcher = Watcher::with(&["--json", "--interval", "1d", &format!("file://{}/nodes", folder.display())]);
    assert_eq!(watcher.next()["event"], "error", "and nothing is stale");
    fs::create_dir(&folder)?;
    fs::write(folder.join("new"), "a:1\n")?;
    fs::rename(folder.join("new"), folder.join("nodes"))?;
    assert_eq!(watcher.next(), serde_json::json!({ "event": "list", "nodes": ["a:1"] }));
    Ok(())
}

#[test]
fn watch_reads_a_file_again_and_again_if_the_kernel_may_not_tell() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("nodes");
    fs::write(&path, "a:1\n")?;
    // a user namespace has a limit of its own; the command takes its place, so that signals find it
    let program = agent().get_program().to_owned();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c"]);
    command.args(["echo 0 > /proc/sys/user/max_inotify_instances && exec \"$@\"", "sh"]).arg(program);
    command.args(["watch", "--json", "--interval", "100ms"]).arg(format!("file://{}", path.display()));
    let watcher = Watcher::of(command);
    assert_eq!(watcher.next()["event"], "list");
    replace(&path, "b:1\n")?;
    assert_eq!((watcher.next()["event"].clone(), watcher.next()["event"].clone()), ("leave".into(), "join".into()));
    assert_eq!(watcher.end(Signal::SIGTERM).code(), Some(0));
    Ok(())
}

#[test]
fn watch_tells_a_person_what_came_and_what_went() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("nodes");
    fs::write(&path, "a:1\n")?;
    let watcher = Watcher::with(&[format!("file://{}", path.display())]);
    assert_eq!(watcher.line(), " = a:1");
    replace(&path, "b:1\n")?;
    assert_eq!((watcher.line(), watcher.line()), (" - a:1".into(), " + b:1".into()));
    fs::remove_file(&path)?;
    watcher.says("error: ");
    let stale = watcher.says("stale since ");
    assert!(stale.ends_with("Z: the last list stands"), "{stale}");
    replace(&path, "b:1\njunk\n")?;
    let recovered = watcher.says("recovered after ");
    assert!(recovered.ends_with(": 1 node in the list"), "{recovered}");
    watcher.says("skipped an entry: \"junk\"");
    assert_eq!(watcher.end(Signal::SIGINT).code(), Some(0));
    Ok(())
}

#[test]
fn a_reader_that_takes_nothing_does_not_keep_watch_from_ending() -> Outcome {
    // more than a pipe holds
    let mut child = agent().args(["watch", "node-[1:60000]:1"]).stdout(Stdio::piped()).spawn()?;
    let mut first = BufReader::with_capacity(1, child.stdout.take().expect("it is piped")).lines();
    assert!(first.next().is_some_and(|line| line.is_ok_and(|line| line.ends_with("= node-1:1"))));
    kill(nix::unistd::Pid::from_raw(child.id().try_into()?), Signal::SIGTERM)?;
    let start = Instant::now();
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if start.elapsed() > DEADLINE => break child.kill().and_then(|()| child.wait())?,
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    assert_eq!(status.code(), Some(0));
    Ok(())
}
