//! What an operator does by hand: the real binary against the real server.

mod common;

use common::{Outcome, Server, agent};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().expect("the binary under test");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn list_reads_what_somebody_wrote() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("nodes");
    fs::write(&path, "# all\n10.0.0.[9:10]:2375\ndb[2:1]:1\n")?;
    let (code, list, said) = run(agent().args(["list", &format!("file://{}", path.display())]));
    assert_eq!((code, list.as_str()), (Some(0), "10.0.0.9:2375\n10.0.0.10:2375\n"));
    assert!(said.contains("warning: skipped") && said.contains("line 3") && said.contains("backwards"), "{said}");

    assert_eq!(run(agent().args(["list", "--json", "a:1,b[01:02]:1"])).1, "[\"a:1\",\"b01:1\",\"b02:1\"]\n");
    assert_eq!(run(agent().arg("list").env("SWARM_DISCOVERY", "nodes://a:1")).1, "a:1\n");
    for (argument, word) in [
        ("htp:/disco/v1/clusters/x", "has no scheme"),
        ("b[9:1]:1", "backwards"),
        ("file://", "path"),
        ("ftp://a/b", "not known"),
    ] {
        let (code, _, said) = run(agent().args(["list", argument]));
        assert!(code == Some(64) && said.contains(word), "{argument}: {said}");
    }
    let (code, _, said) = run(agent().args(["list", "file:///nowhere/nodes"]));
    assert!(code == Some(1) && said.contains("/nowhere/nodes can't be read"), "{said}");
    assert_eq!(run(agent().args(["list", "--timeout", "0s", "a:1"])).0, Some(64));
    Ok(())
}

#[tokio::test]
async fn create_takes_the_server_from_the_environment() -> Outcome {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path());
    let cluster = format!("http://{}/v1/clusters/abc", server.address);
    let (code, token, said) = run(agent().arg("create").env("SWARM_DISCOVERY", cluster));
    assert!(code == Some(0) && token.trim().len() == 32, "{token}{said}");
    let (code, _, said) = run(agent().arg("create").env("SWARM_DISCOVERY", "nodes://a:1"));
    assert!(code == Some(64) && said.contains("SWARM_DISCOVERY can't be used"), "{said}");
    Ok(())
}

/// A folder that stands for `/`, with one configuration file.
struct Root(tempfile::TempDir);

impl Root {
    fn new(text: &str) -> std::io::Result<Self> {
        let root = Self(tempfile::tempdir()?);
        fs::create_dir_all(root.0.path().join("etc/swarm-agent"))?;
        fs::write(root.file(), text)?;
        Ok(root)
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("etc/swarm-agent/config.toml")
    }

    fn command(&self, name: &str) -> Command {
        let mut command = agent();
        // no bus: the tests must not depend on the systemd of this host
        command.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}/no-bus", self.0.path().display()));
        command.arg(name).arg("--config-root").arg(self.0.path());
        command
    }
}

#[tokio::test]
async fn join_runs_the_agent_with_the_classic_flags() -> Outcome {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path());
    let url = format!("http://{}/v1/clusters/{}", server.address, server.cluster().await);
    let root = Root::new("")?;
    let join = |args: &[&str]| run(root.command("join").args(args).arg(&url));
    let (code, _, said) = join(&["--addr", "10.0.0.5:2375", "--ttl", "30s", "--heartbeat", "30s"]);
    assert!(code == Some(78) && said.contains("flag --ttl") && said.contains("must be greater"), "{said}");
    let (code, _, said) = join(&["--advertise", "10.0.0.5:0", "--heartbeat", "500ms"]);
    assert!(code == Some(78) && said.contains("port `0`") && said.contains("out of range"), "{said}");
    let (code, _, said) = join(&["--discovery-opt", "kv.path=a/b"]);
    assert!(code == Some(64) && said.contains("kv.path is not supported yet"), "{said}");
    let (code, _, said) = run(root.command("join").args(["--advertise", "10.0.0.5:2375", "a:1,b:1"]));
    assert!(code == Some(78) && said.contains("nodes:// is a list that can only be read"), "{said}");

    // without systemd it runs, says what is missing, and registers nothing
    let state = directory.path().join("state");
    fs::create_dir(&state)?;
    let mut command = agent();
    command.arg("--debug").arg("join").arg("--config-root").arg(root.0.path());
    command.args(["--delay", "0s", &url]).env("SWARM_ADVERTISE", "10.0.0.5:2375");
    command.env("SWARM_AGENT_AGENT_STATE_DIRECTORY", &state);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}/no-bus", root.0.path().display()));
    let mut child = command.stderr(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
    let mut said = String::new();
    while !(said.contains("10.0.0.5:2375") && said.contains("system bus")) {
        said += &lines.next().unwrap_or_else(|| panic!("it ended: {said}"));
    }
    kill(nix::unistd::Pid::from_raw(child.id().try_into()?), Signal::SIGTERM)?;
    let status = child.wait()?;
    assert_eq!(status.code(), Some(0));
    assert_eq!(run(agent().args(["list", &url])).1, "");
    Ok(())
}

#[test]
fn show_config_is_what_the_agent_would_use() -> Outcome {
    let text = "[discovery]\nurl = \"http://disco:8970/v1/clusters/s3cret\"\nadvertise = \"10.0.0.5:2375\"\n\
                heartbeat = \"20s\"\n[engine]\nhealthy-after = 1\ntls-ca = \"/a/ca.pem\"\n";
    let root = Root::new(text)?;
    let (code, shown, said) =
        run(root.command("show-config").args(["--ttl", "90s"]).env("SWARM_AGENT_ENGINE_GRACE", "5s"));
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert!(!shown.contains("s3cret") && !shown.contains('#'), "{shown}");
    let pasted = Root::new(&shown.replace("***", "s3cret"))?;
    assert_eq!(run(&mut pasted.command("show-config")).1, shown, "it can be pasted back");
    let (code, _, said) = run(&mut Root::new(&shown)?.command("show-config"));
    assert!(code == Some(78) && said.contains("a cluster token is"), "a mask is no token: {said}");

    let (_, shown, _) =
        run(root.command("show-config").args(["--origin", "--ttl", "90s"]).env("SWARM_AGENT_ENGINE_GRACE", "5s"));
    let file = root.file().display().to_string();
    for (value, origin) in [
        ("url = \"http://disco:8970/v1/clusters/***\"", format!("{file}:2:7")),
        ("heartbeat = \"20s\"", format!("{file}:4:13")),
        ("ttl = \"90s\"", "flag --ttl".to_owned()),
        ("delay = \"0s\"", "default".to_owned()),
        ("grace = \"5s\"", "environment SWARM_AGENT_ENGINE_GRACE".to_owned()),
        ("healthy-after = 1", format!("{file}:6:17")),
        ("tls-ca = \"/a/ca.pem\"", format!("{file}:7:10")),
    ] {
        let found = shown
            .lines()
            .any(|line| line.starts_with(&format!("{value} ")) && line.ends_with(&format!("  # {origin}")));
        assert!(found, "{value} # {origin} is not in\n{shown}");
    }
    Ok(())
}

#[test]
fn show_config_for_a_server_looks_like_this() -> Outcome {
    let root = Root::new("[server]\nlisten = \"10.0.0.2:8970\"\n")?;
    let (code, shown, _) = run(root.command("show-config").args(["--for", "server", "--origin"]));
    let file = root.file().display().to_string();
    let golden = format!(
        "[agent]\nlog-level = \"info\"  # default\n\n[server]\n\
         listen = \"10.0.0.2:8970\"                      # {file}:2:10\n\
         state-directory = \"/var/lib/swarm-discovery\"  # default\n"
    );
    assert_eq!((code, shown), (Some(0), golden));
    Ok(())
}

#[test]
fn show_config_shows_what_can_be_read() -> Outcome {
    let root = Root::new("[discovery]\nurl = \"disco/a\"\nadvertise = \"10.0.0.5:2375\"\nttl = 90\n")?;
    let (code, shown, said) = run(&mut root.command("show-config"));
    assert_eq!(code, Some(78));
    assert!(shown.contains("advertise = \"10.0.0.5:2375\"\n") && shown.contains("#url =\n"), "{shown}");
    assert!(
        said.contains("discovery.ttl: 90 has no unit") && said.contains("discovery.url: not a discovery"),
        "{said}"
    );
    let report: Value = serde_json::from_str(&run(root.command("show-config").arg("--json")).1)?;
    assert_eq!(report["valid"], false);
    assert_eq!(report["settings"]["engine.healthy-after"], serde_json::json!({ "value": 2, "origin": "default" }));
    assert_eq!(report["errors"].as_array().map(Vec::len), Some(2));
    Ok(())
}

#[tokio::test]
async fn check_config_tries_the_world() -> Outcome {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path());
    let text = |token: &str| {
        format!(
            "[agent]\nstate-directory = \"{}\"\n[engine]\nsocket = \"{0}/docker.sock\"\n[discovery]\n\
             url = \"http://{}/v1/clusters/{token}\"\nadvertise = \"10.0.0.5:2375\"\n",
            directory.path().display(),
            server.address
        )
    };
    // an engine that a connection would start
    let engine = std::os::unix::net::UnixListener::bind(directory.path().join("docker.sock"))?;
    engine.set_nonblocking(true)?;
    let root = Root::new(&text(&server.cluster().await))?;
    let check = |root: &Root, args: &[&str]| run(root.command("check-config").arg("--connect").args(args));
    let (code, shown, _) = check(&root, &[]);
    assert_eq!(code, Some(69), "there is no bus: {shown}");
    for line in [
        "ok    discovery        http://",
        "fail  system bus",
        "ok    engine socket",
        "warn  engine",
        "ok    state directory",
    ] {
        assert!(shown.lines().any(|shown| shown.starts_with(line)), "{line}: {shown}");
    }
    assert!(shown.contains("knows the cluster: 0 nodes") && shown.contains("→ "), "{shown}");
    assert!(engine.accept().is_err(), "nobody connected");
    let report: Value = serde_json::from_str(&check(&root, &["--json"]).1)?;
    assert_eq!((&report["valid"], &report["worst"]), (&true.into(), &"fail".into()));
    assert_eq!(report["checks"][0]["result"], "ok");

    let unknown = Root::new(&text("s3cret"))?;
    let (code, shown, _) = check(&unknown, &[]);
    assert!(code == Some(69) && shown.contains("fail  discovery") && !shown.contains("s3cret"), "{shown}");
    assert!(shown.contains("swarm-agent create"), "{shown}");
    server.kill();
    let (code, shown, _) = check(&root, &[]);
    assert!(code == Some(69) && shown.contains("connection refused"), "{shown}");

    let wrong = Root::new("[discovery]\nttl = 1\n")?;
    assert_eq!(check(&wrong, &[]).0, Some(78));
    let fine = Root::new(&format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nstate-directory = \"{}\"\n",
        directory.path().display()
    ))?;
    let (code, shown, _) = check(&fine, &["--for", "server"]);
    assert!(code == Some(0) && shown.contains("ok    listen"), "{shown}");
    Ok(())
}

#[test]
fn a_configuration_that_may_not_be_read_says_so() -> Outcome {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let root = Root::new("[discovery]\nurl = \"a:1\"\n")?;
    assert_eq!(run(&mut root.command("list")).1, "a:1\n");
    fs::set_permissions(root.file(), fs::Permissions::from_mode(0o000))?;
    fs::set_permissions(root.0.path(), fs::Permissions::from_mode(0o755))?;
    let mut command = root.command("list");
    if nix::unistd::geteuid().is_root() {
        // The binary may lie where nobody else may go. Copied by another process: a child that another test starts
        // meanwhile would inherit our file and keep it from being run.
        let copy = root.0.path().join("swarm-agent");
        assert!(Command::new("cp").arg(command.get_program()).arg(&copy).status()?.success());
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        command = Command::new(copy);
        command.args(args).env_clear().uid(65_534).gid(65_534);
    }
    let (code, _, said) = run(&mut command);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("permission denied") && said.contains("sudo") && said.contains("SWARM_DISCOVERY"), "{said}");
    Ok(())
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, said) = run(agent().args(["completion", shell]));
        assert_eq!((code, said.as_str()), (Some(0), ""), "{shell}");
        assert!(script.contains("show-config") && script.contains("watch"), "{shell}");
    }
}
