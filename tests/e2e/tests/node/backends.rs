//! The installed agent with each of the stores: what a watcher of the cluster sees of a restart, a crash and a stop.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::{Cluster, Machine, Signal, TestResult, wait_for};

use crate::fleet::{SECOND, install};

const WATCHER: &str = "watcher.service";
const AGENT: &str = "swarm-agent.service";

/// A real server in the network of the machines. Ended with the test.
struct Server {
    child: Child,
    _data: tempfile::TempDir,
}

impl Server {
    fn start(make: impl FnOnce(&std::path::Path) -> Result<Command>) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let mut command = make(data.path())?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Self { child: child.with_context(|| format!("{command:?}"))?, _data: data })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `make setup` has fetched, unless a variable names another one.
fn tool(variable: &str, name: &str) -> Result<PathBuf> {
    let here = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools")).join(name);
    let path = std::env::var_os(variable).map_or_else(here, PathBuf::from);
    ensure!(path.exists(), "there is no {name} at {}: run `make setup`, or set {variable}", path.display());
    Ok(path)
}

struct Scene {
    node: Machine,
    /// What it advertises.
    address: String,
    url: String,
    _server: Server,
    // dropped last: it takes the machine and the network with it
    _cluster: Cluster,
}

impl Scene {
    /// The agent is registered, and a watcher has seen it.
    fn begin(name: &str, start: impl FnOnce(&Cluster) -> Result<(Server, String)>) -> Result<Self> {
        let cluster = Cluster::new(name)?;
        let node = cluster.machine("node").boot()?;
        install(&node)?;
        let (server, url) = start(&cluster)?;
        let address = format!("{}:2375", node.ip());
        let config =
            format!("[discovery]\nurl = \"{url}\"\nadvertise = \"{address}\"\nheartbeat = \"2s\"\nttl = \"20s\"\n");
        node.write("/etc/swarm-agent/config.d/10-test.toml", config)?;
        wait_for("the store answers", 30 * SECOND, || node.ok(["swarm-agent", "list", &url]).is_ok())?;
        node.ok(["systemctl", "enable", "--now", "swarm-agent"])?;
        let scene = Self { node, address, url, _server: server, _cluster: cluster };
        wait_for("the entry", 30 * SECOND, || scene.list().is_ok_and(|list| list == scene.address))?;
        scene.node.systemd_run(WATCHER, ["swarm-agent", "watch", &scene.url])?;
        scene.wait_line(&format!(" = {}", scene.address), 10 * SECOND)?;
        Ok(scene)
    }

    fn list(&self) -> Result<String> {
        Ok(self.node.ok(["swarm-agent", "list", &self.url])?.trim().to_owned())
    }

    /// The watcher's lines that end so.
    fn lines(&self, end: &str) -> Result<usize> {
        let journal = self.node.journal(WATCHER)?;
        Ok(journal.iter().filter(|entry| entry.message().ends_with(end)).count())
    }

    fn wait_line(&self, end: &str, timeout: Duration) -> Result<()> {
        wait_for(&format!("the watcher says {end:?}"), timeout, || self.lines(end).is_ok_and(|count| count > 0))
    }

    fn comes_and_goes(&self) -> TestResult {
        let (node, leaves) = (&self.node, format!(" - {}", self.address));
        node.ok(["systemctl", "restart", "swarm-agent"])?;
        self.wait_beat()?;
        node.signal(AGENT, Signal::SIGKILL)?;
        self.wait_beat()?;
        // longer than whatever held the entry before could have lasted without the new process
        let since = Instant::now();
        wait_for("the time of a lease", 40 * SECOND, || since.elapsed() > 22 * SECOND)?;
        assert_eq!(self.lines(&leaves)?, 0, "a restart and a crash make a gap");
        assert_eq!(self.list()?, self.address, "it is there");

        node.ok(["systemctl", "stop", "swarm-agent"])?;
        self.wait_line(&leaves, 5 * SECOND)?;
        node.ok(["systemctl", "start", "swarm-agent"])?;
        self.wait_line(&format!(" + {}", self.address), 20 * SECOND)?;
        let before = self.lines(&leaves)?;
        node.ok(["systemctl", "stop", "docker.socket", "docker.service"])?;
        wait_for("it leaves with the engine", 5 * SECOND, || self.lines(&leaves).is_ok_and(|count| count > before))?;
        Ok(())
    }

    /// A beat of the process that runs now.
    fn wait_beat(&self) -> Result<()> {
        self.node
            .wait_unit(AGENT, 30 * SECOND, |unit| {
                unit.get("ActiveState") == "active" && unit.get("StatusText").starts_with("registered ")
            })
            .map(drop)
    }
}

#[test]
fn etcd_keeps_the_entry_over_a_restart_and_a_crash() -> TestResult {
    let start = |cluster: &Cluster| {
        let (etcd, ip) = (tool("ETCD", "etcd")?, cluster.host_ip());
        let server = Server::start(|data| {
            let mut command = cluster.command_in_net(etcd);
            let client = format!("http://{ip}:2379");
            command.arg("--data-dir").arg(data);
            command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
            Ok(command)
        })?;
        Ok((server, format!("etcd://{ip}/team")))
    };
    Scene::begin("etcd", start)?.comes_and_goes()
}

#[test]
fn consul_keeps_the_entry_over_a_restart_and_a_crash() -> TestResult {
    if std::env::var("SWARM_SKIP_CONSUL").is_ok_and(|skip| skip == "1") {
        eprintln!("skipped: SWARM_SKIP_CONSUL=1");
        return Ok(());
    }
    let start = |cluster: &Cluster| {
        let (consul, ip) = (tool("CONSUL", "consul")?, cluster.host_ip());
        let server = Server::start(|data| {
            let mut command = cluster.command_in_net(consul);
            command.args(["agent", "-dev", "-bind", "127.0.0.1", "-client", &ip.to_string()]);
            command.current_dir(data);
            Ok(command)
        })?;
        Ok((server, format!("consul://{ip}/team")))
    };
    Scene::begin("consul", start)?.comes_and_goes()
}

#[test]
fn zookeeper_keeps_the_entry_over_a_restart_and_a_crash() -> TestResult {
    let start = |cluster: &Cluster| {
        let (jars, ip) = (tool("ZOOKEEPER_JARS", "zookeeper")?, cluster.host_ip());
        let server = Server::start(|data| {
            let (folder, file) = (data.display(), data.join("zoo.cfg"));
            let text = format!(
                "tickTime=2000\ndataDir={folder}\nclientPort=2181\nclientPortAddress={ip}\nadmin.enableServer=false\n"
            );
            std::fs::write(&file, text)?;
            let mut command = cluster.command_in_net("java");
            command.args(["-Xmx96m", "-cp"]).arg(jars.join("*"));
            command.arg(format!("-Dorg.slf4j.simpleLogger.logFile={folder}/log"));
            command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(file);
            Ok(command)
        })?;
        Ok((server, format!("zk://{ip}/team")))
    };
    Scene::begin("zk", start)?.comes_and_goes()
}
