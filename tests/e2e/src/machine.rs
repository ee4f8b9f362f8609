//! One machine, as a test holds it. The handle is cheap to clone and can go to other threads.

mod builder;
mod commands;
mod docker;
mod files;
mod link;
mod live;
mod power;
mod units;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::Pid;

pub use builder::{Builder, is_host_name};
pub use link::Direction;

use crate::cluster::Shared;
use crate::store::{MachineDir, Spec};
use live::Live;

/// How long a command in a machine may take unless the test says otherwise.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(120);
const BOOT_TIMEOUT: Duration = Duration::from_secs(90);
const DOCKER_TIMEOUT: Duration = Duration::from_secs(60);
/// More than the 90 s that systemd gives a stubborn unit.
const POWEROFF_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Debug, Clone)]
pub struct Machine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    cluster: Arc<Shared>,
    dir: MachineDir,
    spec: Spec,
    wait_for_docker: bool,
    live: Arc<Live>,
}

impl Machine {
    /// One that was made before.
    pub(crate) fn existing(cluster: &Arc<Shared>, dir: MachineDir) -> anyhow::Result<Self> {
        let spec = dir.spec()?;
        let live = Arc::new(Live::after(dir.state()?));
        Ok(Self(Arc::new(Inner { cluster: Arc::clone(cluster), wait_for_docker: spec.docker, dir, spec, live })))
    }

    pub fn name(&self) -> &str {
        self.0.dir.name()
    }

    pub fn ip(&self) -> Ipv4Addr {
        self.0.spec.ip()
    }

    /// Its folder on the host, with the console log and such.
    pub fn dir(&self) -> &MachineDir {
        &self.0.dir
    }

    /// PID 1 of the machine, as the host numbers it. `/proc/PID/root` is the machine's root for host programs, such as
    /// clients of its sockets (`run/dbus/system_bus_socket`, `run/docker.sock`).
    pub fn leader(&self) -> anyhow::Result<Pid> {
        self.0.live.leader(self.name()).map(Pid::from_raw)
    }

    /// Counts boots from 1.
    pub fn boot_count(&self) -> u32 {
        self.0.live.boot_count()
    }

    pub(crate) fn note(&self, text: impl AsRef<str>) {
        self.0.cluster.timeline.note(format!("{}: {}", self.name(), text.as_ref()));
    }
}
