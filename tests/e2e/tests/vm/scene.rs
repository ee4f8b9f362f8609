//! A virtual machine with Docker and the agent, and a discovery server outside, whose clocks nobody touches.

use std::time::Duration;

use e2e::{Cluster, JournalEntry, Machine, Result, Vm, wait_for};

use crate::fleet::{SECOND, SERVER_PORT, package, serve};
use crate::lister::Lister;
use crate::relay::Relay;

/// What the agent advertises: the address that qemu gives to its guest.
pub const ADDRESS: &str = "10.0.2.15:2375";
pub const AGENT: &str = "swarm-agent.service";
const CONFIG: &str = "/etc/swarm-agent/config.d/10-test.toml";

pub struct Scene {
    // dropped in this order: the cluster takes the rest with it
    pub vm: Vm,
    pub relay: Relay,
    pub server: Machine,
    pub token: String,
    pub cluster: Cluster,
}

/// What an agent is that was not started again, and what it said.
pub struct Mark {
    pid: i32,
    said: usize,
}

impl Scene {
    /// Booted, and registered through a relay that counts. `more` begins inside `[discovery]`.
    pub fn registered(name: &str, more: &str) -> Result<Self> {
        let cluster = Cluster::new(name)?;
        let server = cluster.machine("server").dont_wait_for_docker().boot()?;
        let token = serve(&server)?;
        let relay = Relay::start(&cluster, (server.ip(), SERVER_PORT).into())?;
        let package = package()?;
        let vm = cluster.vm().disk(&package).publish(SERVER_PORT).boot()?;
        let size = package.metadata()?.len();
        vm.sh(&format!("head -c {size} /dev/vdb > /root/swarm-agent.deb; dpkg --install /root/swarm-agent.deb"))?;
        let url = relay.url();
        vm.write(
            CONFIG,
            &format!(
                "[server]\nlisten = \"0.0.0.0:{SERVER_PORT}\"\n\
                 [discovery]\nurl = \"{url}/v1/clusters/{token}\"\nadvertise-check = \"off\"\n{more}"
            ),
        )?;
        vm.sh("systemctl enable --now swarm-agent")?;
        let scene = Self { vm, relay, server, token, cluster };
        // a beat too late for comfort is no failure here: the machine is slow
        scene.lister()?.wait_present(ADDRESS, 60 * SECOND)?;
        Ok(scene)
    }

    /// A client that lists at the server outside.
    pub fn lister(&self) -> Result<Lister> {
        Lister::start(&self.cluster, (self.server.ip(), SERVER_PORT).into(), &self.token)
    }

    /// Registrations that the agent has sent.
    pub fn beats(&self) -> usize {
        posts(&self.relay)
    }

    /// Waits until the agent sends one more.
    pub fn wait_beat(&self, timeout: Duration) -> Result<()> {
        self.wait_beat_after(self.beats(), timeout)
    }

    /// Waits until it has sent more than these.
    pub fn wait_beat_after(&self, beats: usize, timeout: Duration) -> Result<()> {
        wait_for("the agent's next heartbeat", timeout, || self.beats() > beats)
    }

    pub fn mark(&self) -> Result<Mark> {
        Ok(Mark { pid: self.vm.unit(AGENT)?.main_pid(), said: self.vm.journal(AGENT)?.len() })
    }

    /// What the agent, which must be the same process as at the mark, has said since then.
    pub fn said_since(&self, mark: &Mark) -> Result<Vec<JournalEntry>> {
        let unit = self.vm.unit(AGENT)?;
        assert_eq!((unit.main_pid(), unit.n_restarts()), (mark.pid, 0), "the agent was restarted");
        assert!(unit.get("StatusText").starts_with(&format!("registered {ADDRESS} ")), "{unit}");
        Ok(self.vm.journal(AGENT)?.split_off(mark.said))
    }
}

pub fn posts(relay: &Relay) -> usize {
    relay.seen().concat().matches("POST /v1/clusters/").count()
}

/// Requests of every kind.
pub fn requests(relay: &Relay) -> usize {
    relay.seen().concat().matches(" HTTP/1.1\r\n").count()
}

pub fn messages(entries: &[JournalEntry]) -> Vec<String> {
    entries.iter().map(JournalEntry::message).collect()
}
