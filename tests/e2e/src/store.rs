//! Where things are on the host's disk: one cache folder with images, and a folder per cluster with a folder per machine.

use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::{net, process};

/// The cache folder: `SWARM_E2E_CACHE`, else /var/cache/swarm-agent-e2e.
#[derive(Debug, Clone)]
pub struct Store(PathBuf);

impl Store {
    pub fn open() -> Result<Self> {
        let path =
            std::env::var_os("SWARM_E2E_CACHE").map_or_else(|| "/var/cache/swarm-agent-e2e".into(), PathBuf::from);
        ensure!(path.is_absolute(), "SWARM_E2E_CACHE={} must be an absolute path", path.display());
        let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
        ensure!(!text.contains([':', ',', '\\']), "{text} holds one of : , \\ which overlay mounts can't take");
        let store = Self(path);
        // Root only: the images hold setuid programs, and Docker's sockets are below.
        for dir in [store.0.clone(), store.images(), store.clusters()] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&dir)
                .with_context(|| format!("failed to create {}", dir.display()))?;
        }
        Ok(store)
    }

    pub fn images(&self) -> PathBuf {
        self.0.join("images")
    }

    fn clusters(&self) -> PathBuf {
        self.0.join("clusters")
    }

    /// Held while clusters come and go; released when the file is dropped.
    pub fn lock(&self) -> Result<File> {
        lock_file(&self.0.join("lock"))
    }

    pub fn cluster(&self, id: &str) -> ClusterDir {
        ClusterDir { path: self.clusters().join(id), id: id.to_owned() }
    }

    pub fn all_clusters(&self) -> Result<Vec<ClusterDir>> {
        let mut names = dir_names(&self.clusters())?;
        names.sort();
        Ok(names.iter().map(|id| self.cluster(id)).collect())
    }
}

/// Opens and locks, waiting for whoever has it.
pub fn lock_file(path: &Path) -> Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = file.with_context(|| format!("failed to open {}", path.display()))?;
    file.lock().with_context(|| format!("failed to lock {}", path.display()))?;
    Ok(file)
}

fn dir_names(path: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(path).with_context(|| format!("failed to list {}", path.display()))?;
    let dirs = entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
    Ok(dirs.filter_map(|e| e.file_name().into_string().ok()).collect())
}

/// A cluster on disk.
#[derive(Debug, Clone)]
pub struct ClusterDir {
    path: PathBuf,
    id: String,
}

impl ClusterDir {
    /// From a path, as helpers are given it.
    pub fn at(path: &Path) -> Result<Self> {
        let id = path.file_name().and_then(|n| n.to_str()).context("a cluster's folder has a name")?;
        Ok(Self { path: path.to_owned(), id: id.to_owned() })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The machines' disks; a tmpfs where the file system below can't hold them.
    pub fn disks(&self) -> PathBuf {
        self.path.join("disks")
    }

    /// Locked (shared) by the owner and the janitor for as long as they live.
    pub fn lock_path(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// There while the cluster is meant to outlive whoever made it.
    pub fn persistent_mark(&self) -> PathBuf {
        self.path.join("persistent")
    }

    /// The network namespace of the bridge.
    pub fn netns(&self) -> PathBuf {
        net::netns_path(&net::bridge_netns(&self.id))
    }

    pub fn cgroup(&self) -> Result<Cgroup> {
        Ok(Cgroup::top()?.child(&self.id))
    }

    pub fn machines_path(&self) -> PathBuf {
        self.path.join("machines")
    }

    pub fn machine(&self, name: &str) -> MachineDir {
        MachineDir { path: self.machines_path().join(name), cluster: self.clone(), name: name.to_owned() }
    }

    pub fn machines(&self) -> Result<Vec<MachineDir>> {
        let folder = self.machines_path();
        let mut names = if folder.exists() { dir_names(&folder)? } else { Vec::new() };
        names.sort();
        Ok(names.iter().map(|n| self.machine(n)).collect())
    }
}

/// A machine on disk.
#[derive(Debug, Clone)]
pub struct MachineDir {
    path: PathBuf,
    cluster: ClusterDir,
    name: String,
}

impl MachineDir {
    /// From a path, as helpers are given it.
    pub fn at(path: &Path) -> Result<Self> {
        let name = path.file_name().and_then(|n| n.to_str()).context("a machine's folder has a name")?;
        let cluster = path.parent().and_then(Path::parent).context("a machine is in a cluster's folder")?;
        Ok(ClusterDir::at(cluster)?.machine(name))
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn cluster(&self) -> &ClusterDir {
        &self.cluster
    }

    pub fn disk(&self) -> Disk {
        Disk(self.cluster.disks().join(&self.name))
    }

    pub fn console(&self) -> PathBuf {
        self.path.join("console.log")
    }

    pub fn supervisor_log(&self) -> PathBuf {
        self.path.join("supervisor.log")
    }

    /// Locked by the supervisor while the machine is on.
    pub fn supervisor_lock(&self) -> PathBuf {
        self.path.join("supervisor.lock")
    }

    /// There while the machine's cable is out.
    pub fn unplugged_mark(&self) -> PathBuf {
        self.path.join("unplugged")
    }

    /// The name of the abstract socket to which systemd-nspawn reports.
    pub fn notify_name(&self) -> String {
        format!("swarm-agent-e2e/{}/{}", self.cluster.id, self.name)
    }

    pub fn cgroup(&self) -> Result<Cgroup> {
        Ok(self.cluster.cgroup()?.child(&format!("m-{}", self.name)))
    }

    pub fn netns(&self) -> PathBuf {
        net::netns_path(&net::machine_netns(&self.cluster.id, &self.name))
    }

    pub fn spec(&self) -> Result<Spec> {
        read_json(&self.path.join("spec.json"))
    }

    pub fn write_spec(&self, spec: &Spec) -> Result<()> {
        write_json(&self.path.join("spec.json"), spec)
    }

    /// What the supervisor wrote last, or that of a machine which was never on.
    pub fn state(&self) -> Result<State> {
        let path = self.path.join("state.json");
        if path.exists() { read_json(&path) } else { Ok(State::default()) }
    }

    pub fn write_state(&self, state: &State) -> Result<()> {
        write_json(&self.path.join("state.json"), state)
    }

    /// In a word for a list.
    pub fn phase(&self) -> &'static str {
        let supervised = || File::open(self.supervisor_lock()).is_ok_and(|lock| lock.try_lock().is_err());
        match self.live_leader() {
            Ok(_) => "on",
            Err(_) if supervised() => "booting",
            Err(_) => "off",
        }
    }

    /// The leader of a machine that is on and has booted.
    pub fn live_leader(&self) -> Result<i32> {
        let state = self.state()?;
        match state.leader {
            Some(leader) if state.ready && leader.is_alive() => Ok(leader.pid),
            _ => bail!("machine {} is not on; `machines up {}` starts it", self.name, self.name),
        }
    }
}

/// The folders that make a machine's disk.
#[derive(Debug, Clone)]
pub struct Disk(PathBuf);

impl Disk {
    pub fn upper(&self) -> PathBuf {
        self.0.join("upper")
    }

    pub fn work(&self) -> PathBuf {
        self.0.join("work")
    }

    pub fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    /// Docker's data can't be on the overlay itself: Docker makes overlays of its own.
    pub fn docker(&self) -> PathBuf {
        self.0.join("docker")
    }

    pub fn containerd(&self) -> PathBuf {
        self.0.join("containerd")
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// How a machine is made; written once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spec {
    pub index: u8,
    /// The image's root file system.
    pub image: PathBuf,
    /// Whether the image starts Docker.
    pub docker: bool,
    pub nspawn_args: Vec<String>,
}

impl Spec {
    pub fn ip(&self) -> Ipv4Addr {
        net::machine_ip(self.index)
    }
}

/// What a machine is doing.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct State {
    /// Counts boots from 1.
    pub boot: u32,
    pub leader: Option<Leader>,
    pub ready: bool,
    pub exit: Option<i32>,
}

/// PID 1 of a machine, as the host sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leader {
    pub pid: i32,
    pub start: u64,
}

impl Leader {
    pub fn of(pid: i32) -> Option<Self> {
        Some(Self { pid, start: process::start_time(pid)? })
    }

    pub fn is_alive(self) -> bool {
        process::start_time(self.pid) == Some(self.start)
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("failed to understand {}", path.display()))
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new).with_context(|| format!("failed to create {}", new.display()))?;
    file.write_all(&serde_json::to_vec(value)?)?;
    fs::rename(&new, path).with_context(|| format!("failed to write {}", path.display()))
}

/// Removal that is content when there is nothing.
pub fn remove_if_there(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
