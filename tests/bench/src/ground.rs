//! The machines: a discovery server, and a node with a Docker Engine, the agent and the baseline.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use e2e::{Cluster, Machine};
use nix::sched::{CloneFlags, setns};
use nix::sys::utsname::uname;
use serde::Serialize;

pub const SERVER_PORT: u16 = 8970;
pub const AGENT: &str = "/usr/bin/swarm-agent";
pub const BASELINE: &str = "/usr/local/bin/baseline";
/// This very program, in the node.
pub const BENCH: &str = "/usr/local/bin/bench";
pub const AGENT_UNIT: &str = "swarm-agent.service";
pub const BASELINE_UNIT: &str = "baseline.service";
pub const DOCKER_UNIT: &str = "docker.service";
pub const CONFIG: &str = "/etc/swarm-agent/config.d/10-bench.toml";

pub struct Ground {
    pub node: Machine,
    server: Machine,
    baseline: PathBuf,
    pub token: String,
    pub about: About,
    // dropped last: it takes the machines with it
    pub cluster: Cluster,
}

/// What the figures were measured on.
#[derive(Debug, Clone, Serialize)]
pub struct About {
    agent: String,
    suite: String,
    docker: String,
    kernel: String,
    cpus: usize,
}

/// Of the programs, without debug information.
#[derive(Debug, Serialize)]
pub struct Sizes {
    pub agent: u64,
    pub baseline: u64,
}

impl Ground {
    pub fn prepare() -> Result<Self> {
        let baseline = program("BENCH_BASELINE")?;
        let package = program("SWARM_E2E_PACKAGE")?;
        let cluster = Cluster::new("bench")?;
        let server = cluster.machine("server").dont_wait_for_docker();
        let [server, node] = cluster.boot_all([server, cluster.machine("node")])?;
        for machine in [&server, &node] {
            machine.copy_in(&package, "/root/swarm-agent.deb")?;
            machine.ok(["dpkg", "--install", "/root/swarm-agent.deb"])?;
        }
        node.copy_in(&baseline, BASELINE)?;
        node.copy_in(std::env::current_exe()?, BENCH)?;
        server.write(CONFIG, format!("[server]\nlisten = \"0.0.0.0:{SERVER_PORT}\"\n"))?;
        server.ok(["systemctl", "enable", "--now", "swarm-discovery"])?;
        let token = server.ok([AGENT, "create", &format!("http://127.0.0.1:{SERVER_PORT}")])?.trim().to_owned();
        open_engine(&node)?;
        let about = About::of(&node)?;
        Ok(Self { node, server, baseline, token, about, cluster })
    }

    pub fn server(&self) -> SocketAddr {
        (self.server.ip(), SERVER_PORT).into()
    }

    pub fn server_machine(&self) -> &Machine {
        &self.server
    }

    /// The cluster at the server, or at a relay to it.
    pub fn cluster_url(&self, server: &str) -> String {
        format!("{server}/v1/clusters/{}", self.token)
    }

    pub fn address(&self) -> String {
        format!("{}:2375", self.node.ip())
    }

    /// The agent's whole configuration; `more` begins inside `[discovery]`.
    pub fn configure(&self, server: &str, more: &str) -> Result<()> {
        let (url, address) = (self.cluster_url(server), self.address());
        self.node.write(CONFIG, format!("[discovery]\nurl = \"{url}\"\nadvertise = \"{address}\"\n{more}"))
    }

    /// How the baseline beats: its arguments.
    pub fn baseline_arguments(&self, server: &str) -> [String; 2] {
        [format!("{}?ttl=180", self.cluster_url(server)), format!("{}:2376", self.node.ip())]
    }

    /// Makes the baseline a service like the agent's: the same user, sandbox and limits.
    pub fn install_baseline_unit(&self, server: &str) -> Result<()> {
        let unit = self.node.ok(["systemctl", "cat", AGENT_UNIT])?;
        let [url, address] = self.baseline_arguments(server);
        let text = baseline_unit(&unit, &format!("{BASELINE} {url} {address}"))?;
        self.node.write(&format!("/etc/systemd/system/{BASELINE_UNIT}"), text)?;
        self.node.ok(["systemctl", "daemon-reload"]).map(drop)
    }

    /// A file of the node, as the host sees it.
    pub fn path(&self, inside: &str) -> Result<PathBuf> {
        Ok(Path::new("/proc").join(self.node.leader()?.to_string()).join("root").join(inside.trim_start_matches('/')))
    }

    pub fn sizes(&self) -> Result<Sizes> {
        Ok(Sizes { agent: fs::metadata(self.path(AGENT)?)?.len(), baseline: fs::metadata(&self.baseline)?.len() })
    }
}

/// Runs this in a thread in the cluster's network.
pub fn in_net<T: Send>(cluster: &Cluster, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let netns = fs::File::open(cluster.netns())?;
    let entered = move || {
        setns(netns, CloneFlags::CLONE_NEWNET).context("failed to enter the network of the machines")?;
        work()
    };
    thread::scope(|scope| scope.spawn(entered).join().unwrap_or_else(|_| Err(anyhow!("a thread panicked"))))
}

fn program(variable: &str) -> Result<PathBuf> {
    let path = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_file());
    path.with_context(|| format!("{variable} names no file: run `make bench`"))
}

/// The agent's unit with another command and folders of its own.
fn baseline_unit(unit: &str, command: &str) -> Result<String> {
    let mut exchanged = 0;
    let line = |line: &str| {
        let new = match line.split_once('=') {
            Some(("ExecStart", _)) => format!("ExecStart={command}\n"),
            Some((key @ ("StateDirectory" | "RuntimeDirectory"), _)) => format!("{key}=baseline\n"),
            _ => return format!("{line}\n"),
        };
        exchanged += 1;
        new
    };
    let text: String = unit.lines().map(line).collect();
    ensure!(exchanged == 3, "{AGENT_UNIT} is not as this program knows it:\n{unit}");
    Ok(text)
}

/// Makes the engine listen on the advertised address, as a node of a cluster does.
fn open_engine(node: &Machine) -> Result<()> {
    let unit = node.ok(["systemctl", "show", "--property=ExecStart", DOCKER_UNIT])?;
    let Some(command) = unit.split("argv[]=").nth(1).and_then(|rest| rest.split(" ;").next()) else {
        bail!("{DOCKER_UNIT} has no command: {unit}");
    };
    let command = format!("{command} -H tcp://{}:2375 --tls=false", node.ip()).replace(" $DOCKER_OPTS", "");
    // it is killed more often than systemd's limit allows
    let text = format!("[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=\nExecStart={command}\n");
    node.write("/etc/systemd/system/docker.service.d/bench.conf", text)?;
    node.ok(["systemctl", "daemon-reload"])?;
    node.ok(["systemctl", "restart", "docker"])?;
    node.wait_unit(DOCKER_UNIT, Duration::from_secs(60), e2e::UnitProps::is_active).map(drop)
}

impl About {
    fn of(node: &Machine) -> Result<Self> {
        let said = |command: &[&str]| node.ok(command).map(|text| text.trim().to_owned());
        Ok(Self {
            agent: said(&["dpkg-query", "--show", "--showformat=${Version}", "swarm-agent"])?,
            suite: e2e::default_suite()?.to_string(),
            docker: said(&["docker", "version", "--format", "{{.Server.Version}}"])?,
            kernel: uname()?.release().to_string_lossy().into_owned(),
            cpus: thread::available_parallelism()?.get(),
        })
    }
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { agent, suite, docker, kernel, cpus } = self;
        write!(f, "swarm-agent {agent}, Debian {suite}, Docker {docker}, Linux {kernel}, {cpus} CPUs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_baselines_unit_is_the_agents_but_for_command_and_folders() {
        let agents = include_str!("../../../systemd/swarm-agent.service");
        let unit = baseline_unit(agents, "/x/baseline URL ADDRESS").unwrap();
        let changed: Vec<&str> = unit.lines().filter(|line| !agents.lines().any(|own| own == *line)).collect();
        assert_eq!(
            changed,
            ["ExecStart=/x/baseline URL ADDRESS", "StateDirectory=baseline", "RuntimeDirectory=baseline"]
        );
        assert!(baseline_unit("[Service]\nExecStart=/x\n", "/y").is_err());
    }
}
