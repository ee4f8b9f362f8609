//! Removing a cluster: processes first, then what they held.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::mount::{MntFlags, umount2};

use crate::cgroup::Cgroup;
use crate::net;
use crate::store::{ClusterDir, MachineDir, Store, remove_if_there};
use crate::wait::wait_for;

/// Removes everything of a cluster. What is gone already is no error, so it can be tried again.
pub fn remove_cluster(dir: &ClusterDir) -> Result<()> {
    dir.cgroup()?.destroy()?;
    net::remove_all(dir.id())?;
    // The lock comes last: it tells other runs that somebody is at work here.
    remove_folder(&dir.disks())?;
    remove_folder(&dir.machines_path())?;
    remove_folder(dir.path())
}

/// Removes one machine of a cluster that goes on.
pub fn remove_machine(dir: &MachineDir) -> Result<()> {
    let lock = File::create(dir.supervisor_lock())?;
    let cgroup = dir.cgroup()?;
    // Killed in the middle of a reboot, it may be started once more.
    wait_for(&format!("the end of machine {}", dir.name()), Duration::from_secs(30), || {
        cgroup.kill()?;
        lock.try_lock().context("its supervisor is still there")
    })?;
    cgroup.destroy()?;
    if let Ok(spec) = dir.spec() {
        net::remove_machine(dir.cluster().id(), dir.name(), spec.index)?;
    }
    remove_folder(dir.disk().path())?;
    remove_folder(dir.path())
}

/// Removes the clusters whose owner and janitor are both gone, and that are not meant to stay. Call it with the store
/// locked, or a cluster that is just being made looks abandoned.
pub fn collect_garbage(store: &Store) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    for dir in store.all_clusters()? {
        if !dir.persistent_mark().exists() && is_abandoned(&dir) {
            remove_cluster(&dir).with_context(|| format!("failed to remove the leftover cluster {}", dir.id()))?;
            removed.push(dir.id().to_owned());
        }
    }
    for id in net::clusters() {
        // Made by an `ip` that was under way when its cluster was removed. A cluster that lives, in this store or in
        // another, has had a cgroup since before it had a network.
        if !store.cluster(&id).path().exists() && !Cgroup::top()?.child(&id).path().exists() {
            net::remove_all(&id)?;
            removed.push(id);
        }
    }
    Ok(removed)
}

fn is_abandoned(dir: &ClusterDir) -> bool {
    match File::open(dir.lock_path()) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(e) => e.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Removes a folder of ours, but never through a mount: behind it could be anything.
fn remove_folder(path: &Path) -> Result<()> {
    for mount in mounts_below(path)?.iter().rev() {
        umount2(mount, MntFlags::MNT_DETACH).with_context(|| format!("failed to unmount {}", mount.display()))?;
    }
    let left = mounts_below(path)?;
    ensure!(left.is_empty(), "{left:?} won't be unmounted; {} stays", path.display());
    remove_if_there(fs::remove_dir_all(path)).with_context(|| format!("failed to remove {}", path.display()))
}

/// Mount points at or below a folder, in the order of mounting.
fn mounts_below(path: &Path) -> Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("failed to read the mount table")?;
    let points = table.lines().filter_map(|l| l.split(' ').nth(4)).map(|p| PathBuf::from(p.replace("\\040", " ")));
    Ok(points.filter(|p| p.starts_with(path)).collect())
}
