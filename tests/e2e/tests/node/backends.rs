//! The installed agent with each of the stores: what a watcher of the cluster sees of a restart, a crash and a stop.

use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::{Cluster, Machine, Server, Signal, TestResult, wait_for};

use crate::fleet::{SECOND, install};

const WATCHER: &str = "watcher.service";
const AGENT: &str = "swarm-agent.service";

struct Scene {
    node: Machine,
    /// What it advertises.
    address: String,
    url: String,
    server: Server,
    // dropped last: it takes the machine and the network with it
    _cluster: Cluster,
}

impl Scene {
    /// The agent is registered, and a watcher has seen it.
    fn begin(cluster: Cluster, server: Server) -> Result<Self> {
        let node = cluster.machine("node").boot()?;
        install(&node)?;
        let url = server.url("team");
        let address = format!("{}:2375", node.ip());
        let config =
            format!("[discovery]\nurl = \"{url}\"\nadvertise = \"{address}\"\nheartbeat = \"2s\"\nttl = \"20s\"\n");
        node.write("/etc/swarm-agent/config.d/10-test.toml", config)?;
        wait_for("the store answers", 30 * SECOND, || node.ok(["swarm-agent", "list", &url]).is_ok())?;
        node.ok(["systemctl", "enable", "--now", "swarm-agent"])?;
        let scene = Self { node, address, url, server, _cluster: cluster };
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

    fn comes_and_goes(mut self) -> TestResult {
        self.server.restart()?;
        let back = || self.list().is_ok_and(|list| list == self.address);
        wait_for("the entry after a crash of the server", 60 * SECOND, back)?;
        self.wait_beat()?;
        self.stays_over_a_restart_and_a_crash()
    }

    fn stays_over_a_restart_and_a_crash(&self) -> TestResult {
        let (node, leaves) = (&self.node, format!(" - {}", self.address));
        let before = self.lines(&leaves)?;
        node.ok(["systemctl", "restart", "swarm-agent"])?;
        self.wait_beat()?;
        node.signal(AGENT, Signal::SIGKILL)?;
        self.wait_beat()?;
        // longer than whatever held the entry before could have lasted without the new process
        let since = Instant::now();
        wait_for("the time of a lease", 40 * SECOND, || since.elapsed() > 22 * SECOND)?;
        assert_eq!(self.lines(&leaves)?, before, "a restart and a crash make a gap");
        assert_eq!(self.list()?, self.address, "it is there");

        // the list may have been empty after a crash of the server: each line is waited for anew
        let joins = format!(" + {}", self.address);
        self.one_more(&leaves, 5 * SECOND, || node.ok(["systemctl", "stop", "swarm-agent"]))?;
        self.one_more(&joins, 20 * SECOND, || node.ok(["systemctl", "start", "swarm-agent"]))?;
        self.one_more(&leaves, 5 * SECOND, || node.ok(["systemctl", "stop", "docker.socket", "docker.service"]))?;
        Ok(())
    }

    /// The watcher says it once more after this.
    fn one_more(&self, end: &str, timeout: Duration, act: impl FnOnce() -> Result<String>) -> Result<()> {
        let before = self.lines(end)?;
        act()?;
        wait_for(&format!("the watcher says {end:?}"), timeout, || self.lines(end).is_ok_and(|now| now > before))
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
    let cluster = Cluster::new("etcd")?;
    let server = Server::etcd(&cluster)?;
    Scene::begin(cluster, server)?.comes_and_goes()
}

#[test]
fn consul_keeps_the_entry_over_a_restart_and_a_crash() -> TestResult {
    let cluster = Cluster::new("consul")?;
    let Some(server) = Server::consul(&cluster)? else {
        eprintln!("skipped: SWARM_SKIP_CONSUL=1");
        return Ok(());
    };
    Scene::begin(cluster, server)?.comes_and_goes()
}

#[test]
fn zookeeper_keeps_the_entry_over_a_restart_and_a_crash() -> TestResult {
    let cluster = Cluster::new("zk")?;
    let server = Server::zookeeper(&cluster)?;
    Scene::begin(cluster, server)?.comes_and_goes()
}
