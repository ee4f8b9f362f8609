//! From a fresh process to systemd-nspawn: the machine's network, its cgroup, its mounts.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Error, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

use crate::cgroup::is_cgroup2;
use crate::net;
use crate::store::{ClusterDir, Disk, MachineDir, Spec};

const CGROUP: &str = "/sys/fs/cgroup";
const SYSTEMD_RUN: &str = "/run/systemd";

/// Becomes the systemd-nspawn of a machine; comes back only with an error.
pub fn launch(machine: &Path) -> Result<()> {
    let dir = MachineDir::at(machine)?;
    let spec = dir.spec()?;
    net::plug_in(dir.cluster().id(), dir.name(), spec.index, !dir.unplugged_mark().exists())?;
    enter_cgroup(&dir)?;
    mounts(&dir.disk(), &spec)?;
    Err(Error::new(nspawn(&dir, &spec).exec()).context("failed to run systemd-nspawn"))
}

/// A fresh one for every boot: systemd-nspawn gives controllers to its children, and then its parent may hold no process.
fn enter_cgroup(dir: &MachineDir) -> Result<()> {
    let cgroup = dir.cgroup()?;
    cgroup.destroy()?;
    cgroup.create()?;
    cgroup.join()
}

/// In a mount namespace of our own, so that all of it ends with systemd-nspawn and the host sees none of it.
fn mounts(disk: &Disk, spec: &Spec) -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("failed to make a mount namespace")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>)
        .context("failed to keep our mounts from the host")?;
    if !is_cgroup2(CGROUP) {
        // A hybrid host: the machine gets the unified hierarchy alone.
        let _ = umount2(CGROUP, MntFlags::MNT_DETACH);
        mount(Some("cgroup2"), CGROUP, Some("cgroup2"), MsFlags::empty(), None::<&str>)
            .context("failed to mount cgroup v2")?;
    }
    // systemd-nspawn leaves traces here, and looks for a service manager that the machine is no business of.
    fs::create_dir_all(SYSTEMD_RUN)?;
    mount(Some("tmpfs"), SYSTEMD_RUN, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .with_context(|| format!("failed to cover {SYSTEMD_RUN}"))?;
    let (lower, upper, work) = (spec.image.display(), disk.upper(), disk.work());
    let options = format!("lowerdir={lower},upperdir={},workdir={}", upper.display(), work.display());
    mount(Some("overlay"), &disk.root(), Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        .with_context(|| format!("failed to mount the machine's disk ({options})"))
}

fn nspawn(dir: &MachineDir, spec: &Spec) -> Command {
    let disk = dir.disk();
    let mut command = Command::new("systemd-nspawn");
    command.env("NOTIFY_SOCKET", format!("@{}", dir.notify_name()));
    command.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1").env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "network");
    command.arg("--directory").arg(disk.root());
    command.args(["--settings=no", "--register=no", "--keep-unit", "--boot", "--notify-ready=yes", "--console=pipe"]);
    command.args(["--link-journal=no", "--resolv-conf=off", "--timezone=off", "--capability=CAP_NET_ADMIN"]);
    // Docker's runtime needs these; they are off by default.
    command.arg("--system-call-filter=@keyring bpf perf_event_open");
    command.arg(format!("--machine={}", dir.name())).arg(format!("--hostname={}", dir.name()));
    command.arg(option("--network-namespace-path=", &dir.netns()));
    command.arg(bind(&disk.docker(), "/var/lib/docker")).arg(bind(&disk.containerd(), "/var/lib/containerd"));
    if let Some(id) = machine_id(&disk) {
        command.arg(format!("--uuid={id}"));
    }
    command.args(&spec.nspawn_args);
    // To systemd in the machine: say on the console what you start. It is all there is to read when a boot gets stuck.
    command.args(["--", "--show-status=1"]);
    command
}

fn bind(from: &Path, to: &str) -> OsString {
    let mut arg = option("--bind=", from);
    arg.push(":");
    arg.push(to);
    arg
}

fn option(name: &str, path: &Path) -> OsString {
    let mut arg = OsString::from(name);
    arg.push(path);
    arg
}

/// The one on the disk, which a test may have changed.
fn machine_id(disk: &Disk) -> Option<String> {
    let text = fs::read_to_string(disk.upper().join("etc/machine-id")).ok()?;
    let id = text.trim();
    (id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| id.to_owned())
}

/// Becomes a host program inside a network namespace of the cluster, where it also dies with the cluster.
pub fn enter_netns(cluster: &Path, netns: &Path, program: &[OsString]) -> Result<()> {
    let (name, args) = program.split_first().context("no program to run")?;
    // Not created here: if it is gone, so is the cluster, and nobody would end what we start.
    ClusterDir::at(cluster)?.cgroup()?.child("tools").join()?;
    let file = File::open(netns).with_context(|| format!("failed to open {}", netns.display()))?;
    setns(file, CloneFlags::CLONE_NEWNET).with_context(|| format!("failed to enter {}", netns.display()))?;
    let error = Command::new(name).args(args).exec();
    Err(Error::new(error).context(format!("failed to run {}", PathBuf::from(name).display())))
}
