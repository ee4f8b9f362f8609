//! What the host must have, and words for what it lacks.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use anyhow::{Result, bail};
use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;

use crate::cgroup::Cgroup;
use crate::store::Store;

/// The Debian or Ubuntu packages that the harness needs on the host.
pub const HOST_PACKAGES: &[&str] = &[
    "mmdebstrap",
    "systemd-container",
    "iproute2",
    "util-linux",
    "coreutils",
    "debian-archive-keyring",
    "ca-certificates",
    "e2fsprogs",
    #[cfg(target_arch = "x86_64")]
    "qemu-system-x86",
];

const PROGRAMS: &[(&str, &str)] = &[
    ("systemd-nspawn", "systemd-container"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("cp", "coreutils"),
];
const BUILD_PROGRAMS: &[(&str, &str)] = &[("mmdebstrap", "mmdebstrap"), ("apt-get", "apt")];
const VM_PROGRAMS: &[(&str, &str)] = &[(crate::vm::QEMU, "qemu-system-x86"), ("mke2fs", "e2fsprogs")];
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const ROOM_GIB: u64 = 3;

/// A thing that is wrong with the host, with its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub what: String,
    pub remedy: String,
}

impl Problem {
    fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

/// Everything that booting machines needs.
pub fn problems() -> Vec<Problem> {
    let mut found = Vec::new();
    if !geteuid().is_root() {
        found.push(Problem::new("not root: machines need mounts and namespaces", "run it with sudo"));
        // Without root the checks below would complain of the wrong things.
        return found;
    }
    found.extend(missing_programs(PROGRAMS));
    if !fs::read_to_string("/proc/filesystems").is_ok_and(|f| f.contains("\toverlay\n")) && !load_overlay() {
        found.push(Problem::new("the kernel has no overlayfs", "modprobe overlay, or another kernel"));
    }
    if let Err(e) = cgroup_works() {
        let remedy = "in a container, run it privileged and with a private, writable cgroup namespace (docker run --privileged --cgroupns=private)";
        found.push(Problem::new(format!("no usable cgroup v2: {e:#}"), remedy));
    }
    if let Err(e) = Store::open() {
        found.push(Problem::new(
            format!("no cache folder: {e:#}"),
            "set SWARM_E2E_CACHE to a folder on a disk with room",
        ));
    }
    found
}

/// Everything that building an image needs beyond [`problems`].
pub fn build_problems() -> Vec<Problem> {
    let mut found = missing_programs(BUILD_PROGRAMS);
    if !Path::new(KEYRING).exists() {
        found.push(Problem::new(format!("{KEYRING} is missing"), install(&["debian-archive-keyring"])));
    }
    if let Ok(store) = Store::open()
        && let Ok(fs) = statvfs(&store.images())
        && fs.blocks_available() * fs.fragment_size() < ROOM_GIB << 30
    {
        let what = format!("less than {ROOM_GIB} GiB free for images in {}", store.images().display());
        found.push(Problem::new(what, "make room, or set SWARM_E2E_CACHE to a folder on another disk"));
    }
    found
}

/// Everything that a virtual machine needs beyond [`problems`].
pub fn vm_problems() -> Vec<Problem> {
    if cfg!(not(target_arch = "x86_64")) {
        let what =
            format!("no virtual machine for {}: those that qemu emulates there can't be suspended", env::consts::ARCH);
        return vec![Problem::new(what, "run the tests of clocks (the target `vm` of e2e) on an amd64 host")];
    }
    missing_programs(VM_PROGRAMS)
}

/// An error that lists the problems, if there are any.
pub fn require(problems: &[Problem]) -> Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    let list: String = problems.iter().map(|p| format!("\n  - {}\n    remedy: {}", p.what, p.remedy)).collect();
    bail!("this host can't run the machines yet:{list}")
}

fn missing_programs(needed: &[(&str, &str)]) -> Vec<Problem> {
    let missing = needed.iter().filter(|(program, _)| !on_path(program));
    missing
        .map(|(program, package)| Problem::new(format!("the program {program} is missing"), install(&[package])))
        .collect()
}

fn install(packages: &[&str]) -> String {
    format!("apt-get install {}", packages.join(" "))
}

fn on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

fn load_overlay() -> bool {
    Command::new("modprobe").arg("overlay").output().is_ok_and(|o| o.status.success())
}

/// Creates a cgroup and removes it again.
fn cgroup_works() -> Result<()> {
    let probe = Cgroup::top()?.child(&format!("doctor-{}", std::process::id()));
    probe.create()?;
    probe.destroy()
}
