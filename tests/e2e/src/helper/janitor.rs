//! Waits for the end of the owner, however it comes, and removes what it made.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::setsid;

use super::cleanup::remove_cluster;
use crate::cgroup::Cgroup;
use crate::store::ClusterDir;

/// Runs until standard input ends, which only the owner holds open, and then removes the cluster.
pub fn janitor(cluster: &Path) -> Result<()> {
    setsid().context("failed to leave the session")?;
    let mut deaf = SigSet::empty();
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT].into_iter().for_each(|s| deaf.add(s));
    deaf.thread_block().context("failed to block signals")?;
    let dir = ClusterDir::at(cluster)?;
    let lock = File::open(dir.lock_path()).context("failed to open the cluster's lock")?;
    lock.lock_shared().context("failed to lock the cluster")?;
    outlive_the_job()?;
    println!("ready");
    std::io::stdout().flush()?;
    // Whatever ends the reading, the owner can't be relied on any more.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    remove_cluster(&dir)
}

/// Out of the cgroup that a CI system or a service manager may kill as a whole.
fn outlive_the_job() -> Result<()> {
    let cgroup = Cgroup::top()?.child("janitors");
    cgroup.create()?;
    cgroup.join()
}
