//! What an operator on the host sees of the agent, and may do.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use e2e::{Machine, Output, Result, TestResult};
use serde_json::Value;

use crate::fleet::{Fleet, SECOND};

/// A fresh Docker listens on no TCP port, which would be something that is wrong.
const QUICK: &str = "heartbeat = \"2s\"\nttl = \"10s\"\nadvertise-check = \"off\"\n";
const PATH: &str = "/etc/swarm-agent/config.d/20-status.toml";

fn status(node: &Machine, args: &[&str]) -> Result<Output> {
    node.run(["swarm-agent", "status"].into_iter().chain(args.iter().copied()))
}

fn report(node: &Machine) -> Result<Value> {
    Ok(serde_json::from_str(&status(node, &["--json"])?.stdout)?)
}

/// A command as another user of the host.
fn as_user(node: &Machine, user: &str, args: &[&str]) -> Result<Output> {
    let who = [format!("--reuid={user}"), format!("--regid={user}"), "--init-groups".to_owned()];
    let command = ["setpriv"].into_iter().chain(who.iter().map(String::as_str));
    node.run(command.chain(["swarm-agent"]).chain(args.iter().copied()))
}

#[test]
fn the_status_tells_people_and_scripts_what_holds() -> TestResult {
    let fleet = Fleet::registered("status", QUICK)?;
    let (node, address) = (&fleet.node, fleet.address());
    let well = status(node, &[])?;
    assert_eq!(well.status, 0, "{well:?}");
    for part in ["healthy", &address, &fleet.server_url(), " left, next beat in ", "D-Bus", "systemd's limit is 30s"] {
        assert!(well.stdout.contains(part), "{part} is not in:\n{}", well.stdout);
    }
    assert!(!well.stdout.contains('\x1b'), "colours although nobody has a terminal");
    assert!(well.stdout.lines().count() <= 24, "more than a screen:\n{}", well.stdout);
    let seen = report(node)?;
    assert_eq!(
        (&seen["schema"], &seen["state"], &seen["problems"]),
        (&1.into(), &"healthy".into(), &Value::Array(vec![]))
    );
    let left = seen["registration"]["lease"]["left_seconds"].as_f64();
    assert!(left.is_some_and(|left| left > 6.0 && left <= 10.0), "{seen:#}");
    assert!(seen["engine"]["id"].as_str().is_some_and(|id| id.len() > 30), "{seen:#}");
    assert!(!format!("{seen} {well:?}").contains(&fleet.token), "the token is a secret");

    // with an error in the configuration: registered, and something is wrong
    node.write(PATH, "[discovery]\nttl = \"1s\"\n")?;
    assert!(!node.systemctl(["reload", "swarm-agent"])?.success());
    let degraded = status(node, &[])?;
    assert_eq!(degraded.status, 2, "{degraded:?}");
    assert!(degraded.stdout.contains("degraded") && degraded.stdout.contains(&format!("{PATH}:2:7")), "{degraded:?}");
    node.remove(PATH)?;
    node.ok(["systemctl", "reload", "swarm-agent"])?;
    assert_eq!(status(node, &[])?.status, 0);

    // without the engine: not registered, and why; who waits is let go when it is back
    let mut watching = node.spawn(["swarm-agent", "status", "--watch"])?;
    let mut lines = watching.lines()?;
    let first = lines.next().expect("a line at once")?;
    assert!(first.contains(" healthy: registered "), "{first}");
    node.ok(["systemctl", "stop", "docker.socket", "docker.service"])?;
    let left = lines
        .find(|line| line.as_ref().is_ok_and(|line| line.contains(" not registered: not registered, engine stopped")));
    assert!(left.is_some(), "the watch went on without it");
    watching.kill()?;
    let stopped = status(node, &[])?;
    assert_eq!(stopped.status, 3, "{stopped:?}");
    assert!(stopped.stdout.contains("engine stopped"), "{}", stopped.stdout);
    let late = status(node, &["--wait-registered=1s"])?;
    assert_eq!(late.status, 3, "{late:?}");
    assert!(late.stderr.contains("not registered within 1s"), "{late:?}");
    node.ok(["systemctl", "start", "--no-block", "docker"])?;
    assert_eq!(status(node, &["--wait-registered=30s"])?.status, 0);

    // the discovery service out of reach: last error, then the lease at risk, then out
    fleet.server.ok(["systemctl", "stop", "swarm-discovery"])?;
    let begin = Instant::now();
    let mut seen = Vec::new();
    while begin.elapsed() < 60 * SECOND && seen.last() != Some(&3) {
        let now = status(node, &[])?;
        if seen.last() != Some(&now.status) {
            seen.push(now.status);
        }
    }
    fleet.server.ok(["systemctl", "start", "swarm-discovery"])?;
    assert_eq!(seen, [0, 2, 3]);
    assert_eq!(status(node, &["--wait-registered=60s"])?.status, 0);
    assert!(report(node)?["registration"]["last_error"]["text"].as_str().is_some(), "the last error is kept");

    node.ok(["systemctl", "stop", "swarm-agent"])?;
    let nobody = status(node, &[])?;
    assert_eq!(nobody.status, 69);
    assert!(nobody.stderr.contains("systemctl status swarm-agent"), "{nobody:?}");
    Ok(())
}

#[test]
fn everybody_may_look_and_only_the_group_may_act() -> TestResult {
    let fleet = Fleet::registered("three-users", QUICK)?;
    let node = &fleet.node;
    node.ok(["useradd", "--groups", "swarm-agent", "oncall"])?;
    node.ok(["useradd", "guest"])?;
    for user in ["root", "oncall", "guest"] {
        assert_eq!(as_user(node, user, &["status"])?.status, 0, "{user}");
        assert!(as_user(node, user, &["metrics"])?.stdout.contains("\nswarm_agent_registered 1\n"), "{user}");
    }
    for order in ["drain", "undrain", "reload"] {
        let denied = as_user(node, "guest", &[order])?;
        assert_eq!(denied.status, 77, "{order}: {denied:?}");
        assert!(denied.stderr.contains("root and members of group swarm-agent"), "{denied:?}");
    }
    assert_eq!(report(node)?["state"], "healthy", "a guest changed something");
    assert_eq!(as_user(node, "oncall", &["drain", "--reason", "lunch"])?.status, 0);
    assert_eq!(report(node)?["drain"]["by"], "oncall");
    assert_eq!(as_user(node, "root", &["undrain"])?.status, 0);

    // a guest who takes all that he can get keeps nobody else out
    let crowd = "for i in $(seq 80); do setpriv --reuid=guest --regid=guest --init-groups \
                 swarm-agent status --watch >/dev/null 2>&1 & done; wait";
    let mut crowd = node.spawn(["sh", "-c", crowd])?;
    node.wait_journal("swarm-agent", 20 * SECOND, |entry| {
        entry.field("SWARM_AGENT_EVENT").as_deref() == Some("client-crowded")
    })?;
    for user in ["root", "oncall"] {
        let prompt = ["drain", "--timeout", "5s", "--reason", "crowd"];
        assert_eq!(as_user(node, user, &prompt)?.status, 0, "{user} is kept out");
        assert_eq!(as_user(node, user, &["undrain", "--timeout", "5s"])?.status, 0, "{user} is kept out");
    }
    node.ok(["pkill", "-u", "guest"])?;
    crowd.kill()?;

    // what the local API says of itself, and of what it does not take
    let ask = |request: &str, body: &str| -> Result<String> {
        let script = r#"$s = IO::Socket::UNIX->new(Peer => "/run/swarm-agent/agent.sock") or die $!;
            printf $s "%s HTTP/1.0\r\ncontent-length: %d\r\n\r\n%s", $ARGV[0], length $ARGV[1], $ARGV[1];
            $s->flush; print while <$s>"#;
        node.run(["perl", "-MIO::Socket::UNIX", "-e", script, request, body])?.ok()
    };
    assert!(ask("GET /healthz", "")?.ends_with("\r\n\r\nok\n"));
    let long = format!("{{\"reason\": \"{}\"}}", "x".repeat(5000));
    for (request, body, status, part) in [
        ("POST /drain", "{\"raison\": \"x\"}", 400, "unknown field `raison`"),
        ("POST /drain", "{\"seconds\": 0}", 400, "the time is 0"),
        ("POST /drain", "not JSON", 400, "expected"),
        ("POST /drain", long.as_str(), 400, "length limit"),
        ("GET /status?watch=0", "", 400, "at least 1"),
        ("GET /drain", "", 405, "another method"),
        ("GET /engine", "", 404, "nothing at this path"),
    ] {
        let answer = ask(request, body)?;
        assert!(answer.starts_with(&format!("HTTP/1.0 {status}")), "{request} {body:.20}: {answer}");
        let said: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap_or_default())?;
        assert!(said["error"].as_str().is_some_and(|error| error.contains(part)), "{request} {body:.20}: {answer}");
    }

    node.write(PATH, "[status]\nreadable-by = \"group\"\n")?;
    node.ok(["systemctl", "reload", "swarm-agent"])?;
    for command in [&["status"][..], &["status", "--watch"], &["metrics"]] {
        let denied = as_user(node, "guest", command)?;
        assert_eq!(denied.status, 77, "{command:?}: {denied:?}");
        assert!(denied.stderr.contains("root and members of group swarm-agent"), "{denied:?}");
    }
    assert_eq!(as_user(node, "oncall", &["status"])?.status, 0);
    assert_eq!(status(node, &[])?.status, 0);
    Ok(())
}

#[test]
fn metrics_are_served_over_tcp_where_that_is_wanted() -> TestResult {
    let fleet = Fleet::registered("metrics", QUICK)?;
    let (node, server) = (&fleet.node, &fleet.server);
    let ask = |path: &str| {
        let script = "exec 3<>/dev/tcp/$1/9732 && printf 'GET %s HTTP/1.0\\r\\n\\r\\n' \"$2\" >&3 && cat <&3";
        server.run(["bash", "-c", script, "ask", &node.ip().to_string(), path])
    };
    assert!(!ask("/metrics")?.success(), "off by default");
    node.write(PATH, "[status]\nmetrics-listen = \"0.0.0.0:9732\"\n")?;
    node.ok(["systemctl", "reload", "swarm-agent"])?;
    let answer = ask("/metrics")?.stdout;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(
        head.starts_with("HTTP/1.0 200") && head.to_lowercase().contains("content-type: text/plain; version=0.0.4")
    );
    assert!(body.contains("\nswarm_agent_registered 1\n"), "{body}");
    assert!(body.contains("swarm_agent_engine_state{state=\"healthy\"} 1\n"), "{body}");
    assert!(!answer.contains(&fleet.token), "the token is a secret");
    for path in ["/status", "/drain", "/"] {
        let refused = ask(path)?.stdout;
        assert!(refused.starts_with("HTTP/1.0 404"), "{path}: {refused}");
    }
    promtool_finds_nothing(body)?;

    node.ok(["systemctl", "stop", "docker.socket", "docker.service"])?;
    node.wait_unit("swarm-agent.service", 10 * SECOND, |unit| unit.get("StatusText").contains("engine stopped"))?;
    let body = ask("/metrics")?.stdout;
    assert!(
        body.contains("\nswarm_agent_registered 0\n") && !body.contains("\nswarm_agent_lease_left_seconds "),
        "{body}"
    );
    // the address is given back at once
    node.write(PATH, "")?;
    node.ok(["systemctl", "reload", "swarm-agent"])?;
    assert!(!ask("/metrics")?.success());
    // one that is taken is said, and tried again
    let mut other =
        node.spawn(["bash", "-c", "exec swarm-agent serve --listen 0.0.0.0:9732 --set server.state-directory=/tmp/x"])?;
    node.write(PATH, "[status]\nmetrics-listen = \"0.0.0.0:9732\"\n")?;
    e2e::wait_for("the other server", 10 * SECOND, || {
        ask("/healthz").is_ok_and(|answer| answer.stdout.contains("200"))
    })?;
    node.ok(["systemctl", "reload", "swarm-agent"])?;
    node.wait_journal("swarm-agent", 10 * SECOND, |entry| {
        entry.field("SWARM_AGENT_EVENT").as_deref() == Some("metrics-failed")
            && entry.message().contains("0.0.0.0:9732")
    })?;
    other.kill()?;
    e2e::wait_for("metrics", 15 * SECOND, || {
        ask("/metrics").is_ok_and(|answer| answer.stdout.contains("swarm_agent_registered"))
    })?;
    Ok(())
}

/// promtool's own opinion of what the agent serves.
fn promtool_finds_nothing(text: &str) -> TestResult {
    let fetched = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools/promtool"));
    let promtool = std::env::var_os("PROMTOOL").map_or_else(fetched, PathBuf::from);
    assert!(promtool.exists(), "there is no promtool at {}: run `make setup`, or set PROMTOOL", promtool.display());
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().expect("it is piped").write_all(text.as_bytes())?;
    let said = child.wait_with_output()?;
    assert!(said.status.success() && said.stdout.is_empty() && said.stderr.is_empty(), "{said:?}");
    Ok(())
}

#[test]
fn units_can_wait_until_the_node_is_registered() -> TestResult {
    let fleet = Fleet::registered("wait-registered", QUICK)?;
    let (node, target) = (&fleet.node, "swarm-agent-registered.target");
    node.write(
        "/etc/systemd/system/needs.service",
        format!("[Unit]\nWants={target}\nAfter={target}\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"),
    )?;
    node.ok(["systemctl", "daemon-reload"])?;
    node.ok(["systemctl", "stop", "docker.socket", "docker.service"])?;
    node.wait_unit("swarm-agent.service", 10 * SECOND, |unit| unit.get("StatusText").starts_with("not registered"))?;
    node.ok(["systemctl", "start", "--no-block", "needs.service"])?;
    node.wait_unit("swarm-agent-registered.service", 10 * SECOND, |unit| unit.active_state() == "activating")?;
    assert_eq!(node.unit("needs.service")?.active_state(), "inactive");
    node.ok(["systemctl", "start", "docker"])?;
    let needs = node.wait_unit("needs.service", 20 * SECOND, |unit| unit.active_state() == "active")?;
    assert!(fleet.status()?.starts_with("registered "), "{}", fleet.status()?);

    // a restart of the agent is none of theirs
    let since = needs.get("ActiveEnterTimestampMonotonic").to_owned();
    node.ok(["systemctl", "restart", "swarm-agent"])?;
    assert_eq!(node.unit("needs.service")?.get("ActiveEnterTimestampMonotonic"), since);
    assert_eq!(node.unit(target)?.active_state(), "active");

    // one that waits in vain fails within its limit
    node.ok([
        "systemctl",
        "stop",
        "needs.service",
        target,
        "swarm-agent-registered.service",
        "docker.socket",
        "docker.service",
    ])?;
    node.write(
        "/etc/systemd/system/swarm-agent-registered.service.d/limit.conf",
        "[Service]\nExecStart=\nExecStart=/usr/bin/swarm-agent status --wait-registered=2s\n",
    )?;
    node.ok(["systemctl", "daemon-reload"])?;
    assert!(!node.systemctl(["start", target])?.success());
    assert_eq!(node.unit("swarm-agent-registered.service")?.get("ExecMainStatus"), "3");
    Ok(())
}
