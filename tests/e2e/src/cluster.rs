//! A cluster: a bridge, the machines on it, and the promise that all of it goes away.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};

use crate::cgroup::Cgroup;
use crate::image::Image;
use crate::machine::{Builder, Machine};
use crate::store::{ClusterDir, Store};
use crate::timeline::Timeline;
use crate::vm::VmBuilder;
use crate::{doctor, helper, net, report};

/// Machines that can reach each other and nothing else. Dropping it removes everything; so does the end of the process,
/// however it comes. If a test fails (panics), dropping it prints what the machines were doing.
#[derive(Debug)]
pub struct Cluster {
    shared: Arc<Shared>,
    keeper: Keeper,
}

/// What machines need of their cluster.
#[derive(Debug)]
pub struct Shared {
    pub dir: ClusterDir,
    pub timeline: Timeline,
    /// The `machines` program.
    pub program: PathBuf,
    machines: Mutex<Vec<Machine>>,
    taken: Mutex<Vec<(String, u8)>>,
}

/// Who removes it.
#[derive(Debug)]
enum Keeper {
    /// Until its standard input ends.
    Janitor { process: Child, _lock: File },
    /// Nobody, until a person says so.
    Person,
}

impl Cluster {
    /// An empty cluster for one test. The name is for people: two clusters of the same name don't meet.
    pub fn new(name: &str) -> Result<Self> {
        doctor::require(&doctor::problems())?;
        let program = find_program()?;
        let store = Store::open()?;
        let _lock = store.lock()?;
        for id in helper::collect_garbage(&store)? {
            crate::build::say(&format!("removed the leftover cluster {id}"));
        }
        let dir = store.cluster(&unique_id(name)?);
        DirBuilder::new()
            .mode(0o700)
            .create(dir.path())
            .with_context(|| format!("failed to create {}", dir.path().display()))?;
        let lock = File::create(dir.lock_path())?;
        lock.lock_shared()?;
        let keeper = Keeper::Janitor { process: start_janitor(&program, &dir)?, _lock: lock };
        // From here on the janitor removes what there is, also if the next step fails.
        let cluster = Self { shared: Arc::new(Shared::new(dir, program)), keeper };
        prepare(&cluster.shared.dir)?;
        Ok(cluster)
    }

    /// A cluster that stays until `machines rm`, also over a restart of the host (its machines are off then).
    pub fn persistent(name: &str) -> Result<Self> {
        ensure!(crate::machine::is_host_name(name), "{name:?} can't be a cluster's name: use a-z, 0-9 and -");
        doctor::require(&doctor::problems())?;
        let program = find_program()?;
        let store = Store::open()?;
        let _lock = store.lock()?;
        let dir = store.cluster(name);
        DirBuilder::new().recursive(true).mode(0o700).create(dir.path())?;
        File::create(dir.persistent_mark())?;
        prepare(&dir)?;
        let shared = Shared::new(dir, program);
        for machine in shared.dir.machines()? {
            // One without a description is half made.
            if let Ok(spec) = machine.spec() {
                shared.reserve(machine.name(), Some(spec.index))?;
            }
        }
        Ok(Self { shared: Arc::new(shared), keeper: Keeper::Person })
    }

    /// Describes a machine; [`Builder::boot`] makes it.
    pub fn machine(&self, name: &str) -> Builder {
        Builder::new(Arc::clone(&self.shared), name)
    }

    /// Describes a virtual machine, which has clocks of its own; [`crate::VmBuilder::boot`] makes it.
    pub fn vm(&self) -> VmBuilder {
        VmBuilder::new(Arc::clone(&self.shared), self.command_in_net(crate::vm::QEMU))
    }

    /// The machines of a persistent cluster by these names, made of `image` where they are new, and all of them on.
    pub fn take_up(&self, names: &[String], image: &Image) -> Result<Vec<Machine>> {
        let machines = names.iter().map(|name| self.take(name, image)).collect::<Result<Vec<_>>>()?;
        // One that is on has a supervisor that is not our child, and so no events for us.
        let off = machines.iter().filter(|m| m.dir().live_leader().is_err()).cloned().collect();
        start_all(off)?;
        Ok(machines)
    }

    fn take(&self, name: &str, image: &Image) -> Result<Machine> {
        let dir = self.shared.dir.machine(name);
        if dir.disk().upper().exists() && dir.spec().is_ok() {
            return Machine::existing(&self.shared, dir);
        }
        if dir.path().exists() {
            // Half made, or its disk was in memory and went with the host's last boot.
            helper::remove_machine(&dir)?;
            self.shared.release(name);
        }
        self.machine(name).image(image.clone()).create()
    }

    /// Boots several machines of the default image at the same time.
    pub fn boot<const N: usize>(&self, names: [&str; N]) -> Result<[Machine; N]> {
        Image::base()?.ensure()?;
        self.boot_all(names.map(|name| self.machine(name)))
    }

    /// Boots several machines at the same time.
    pub fn boot_all<const N: usize>(&self, builders: [Builder; N]) -> Result<[Machine; N]> {
        // Made one after the other, so that the first has the first address.
        let machines = builders.into_iter().map(Builder::create).collect::<Result<Vec<_>>>()?;
        start_all(machines)?.try_into().map_err(|_| anyhow!("as many machines as builders"))
    }

    /// Pulls a machine's cable. It stays pulled over a reboot.
    pub fn cut(&self, machine: &Machine) -> Result<()> {
        machine.cut()
    }

    /// Puts a machine's cable back and lifts one-way cuts.
    pub fn heal(&self, machine: &Machine) -> Result<()> {
        machine.heal()
    }

    /// Where host programs in the cluster's namespace can be reached by the machines.
    pub fn host_ip(&self) -> Ipv4Addr {
        net::BRIDGE_IP
    }

    /// The network namespace of the bridge.
    pub fn netns(&self) -> PathBuf {
        self.shared.dir.netns()
    }

    /// A host program that will run in the bridge's network namespace, with the address [`Cluster::host_ip`]. It becomes
    /// that program, so the child's number is the program's; and it dies with the cluster at the latest.
    pub fn command_in_net(&self, program: impl AsRef<OsStr>) -> Command {
        self.command_in(&self.netns(), program.as_ref())
    }

    /// The same in a machine's network namespace (where it can't be told from the machine by its address).
    pub fn command_in_net_of(&self, machine: &Machine, program: impl AsRef<OsStr>) -> Command {
        self.command_in(&machine.dir().netns(), program.as_ref())
    }

    /// Puts a line into the timeline that a failing test prints.
    pub fn note(&self, text: impl Into<String>) {
        self.shared.timeline.note(text);
    }

    /// Unique on this host; part of the names of namespaces and cgroups.
    pub fn id(&self) -> &str {
        self.shared.dir.id()
    }

    pub fn dir(&self) -> &ClusterDir {
        &self.shared.dir
    }

    fn command_in(&self, netns: &Path, program: &OsStr) -> Command {
        let mut command = Command::new(&self.shared.program);
        command.arg("enter-net").arg(self.shared.dir.path()).arg(netns).arg("--").arg(program);
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // They hold the cluster's shared part, which holds them.
        let machines = std::mem::take(&mut *self.shared.machines.lock().unwrap_or_else(PoisonError::into_inner));
        let Keeper::Janitor { process, .. } = &mut self.keeper else { return };
        if thread::panicking() {
            report::print(self.shared.dir.id(), &self.shared.timeline, &machines);
        }
        drop(process.stdin.take());
        let done = process.wait().is_ok_and(|status| status.success());
        // It says itself what it could not do. If it was killed, somebody must do its work.
        if !done && let Err(e) = helper::remove_cluster(&self.shared.dir) {
            crate::build::say(&format!("failed to remove the cluster {}: {e:#}", self.shared.dir.id()));
        }
    }
}

impl Shared {
    fn new(dir: ClusterDir, program: PathBuf) -> Self {
        Self { dir, timeline: Timeline::new(), program, machines: Mutex::default(), taken: Mutex::default() }
    }

    /// Takes a name and a number for a machine.
    pub fn reserve(&self, name: &str, index: Option<u8>) -> Result<u8> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(taken.iter().all(|(n, _)| n != name), "there is a machine {name} already");
        let free = |i: &u8| taken.iter().all(|(_, t)| t != i);
        let index = match index {
            Some(index) if !(1..=250).contains(&index) || !free(&index) => bail!("the number {index} can't be had"),
            Some(index) => index,
            None => (1..=250).find(free).context("250 machines are enough")?,
        };
        taken.push((name.to_owned(), index));
        Ok(index)
    }

    pub fn release(&self, name: &str) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).retain(|(n, _)| n != name);
    }

    pub fn add(&self, machine: &Machine) {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner).push(machine.clone());
    }
}

fn start_all(machines: Vec<Machine>) -> Result<Vec<Machine>> {
    thread::scope(|scope| {
        let threads: Vec<_> = machines.iter().map(|machine| scope.spawn(|| machine.start())).collect();
        let started = threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err(anyhow!("a panic while booting"))));
        // Wait for all of them before the first error ends it.
        started.collect::<Vec<_>>().into_iter().collect::<Result<()>>()
    })?;
    Ok(machines)
}

/// The cgroups, the bridge, and a file system for the disks.
fn prepare(dir: &ClusterDir) -> Result<()> {
    let top = Cgroup::top()?;
    top.create()?;
    top.delegate();
    let cgroup = dir.cgroup()?;
    cgroup.create()?;
    cgroup.delegate();
    cgroup.child("keepers").create()?;
    cgroup.child("tools").create()?;
    net::create_bridge(dir.id())?;
    let disks = dir.disks();
    fs::create_dir_all(&disks)?;
    if statfs(&disks)?.filesystem_type() == OVERLAYFS_SUPER_MAGIC {
        // As in most containers. An overlay can't have its upper layer on another one.
        crate::build::say(&format!("{} is on an overlay: the machines' disks will be in memory", disks.display()));
        mount(Some("tmpfs"), &disks, Some("tmpfs"), MsFlags::empty(), Some("mode=700"))
            .context("failed to mount a tmpfs")?;
    }
    Ok(())
}

fn start_janitor(program: &Path, dir: &ClusterDir) -> Result<Child> {
    let mut command = Command::new(program);
    command.arg("janitor").arg(dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut janitor = command.spawn().with_context(|| format!("failed to start {}", program.display()))?;
    let mut line = String::new();
    BufReader::new(janitor.stdout.take().context("a piped output is there")?).read_line(&mut line)?;
    ensure!(line == "ready\n", "the janitor did not start (it said {line:?} and ended with {:?})", janitor.wait());
    Ok(janitor)
}

/// `SWARM_E2E_MACHINES`, or this very program, or the one that cargo put beside (tests are one folder below).
fn find_program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("SWARM_E2E_MACHINES") {
        return Ok(path.into());
    }
    let own = std::env::current_exe().context("failed to find this program")?;
    let beside = own.ancestors().skip(1).take(3).map(|dir| dir.join("machines")).find(|p| p.is_file());
    beside.with_context(|| {
        format!(
            "the program `machines` is not beside {}: `cargo build -p e2e`, or set SWARM_E2E_MACHINES",
            own.display()
        )
    })
}

fn unique_id(name: &str) -> Result<String> {
    let plain = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let uuid = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    Ok(format!("{}-{}", plain.take(30).collect::<String>(), &uuid[..8]))
}
