//! Cgroups of our own, in the cgroup v2 hierarchy of whatever host this is.
//!
//! Pure v2 hosts have it on /sys/fs/cgroup, hybrid ones on /sys/fs/cgroup/unified; where there is neither it is mounted
//! on a folder of ours. Our tree is a top-level one (`swarm-agent-e2e`), as container engines do it: it needs no service
//! manager, and it does not go away with the login session or the CI job that the tests happen to run in.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use nix::unistd::Pid;

use crate::store::remove_if_there;
use crate::wait::{wait_for, wait_for_every};

const OWN_MOUNT: &str = "/run/swarm-agent-e2e/cgroup2";
const TOP: &str = "swarm-agent-e2e";

pub fn is_cgroup2(path: impl AsRef<Path>) -> bool {
    statfs(path.as_ref()).is_ok_and(|s| s.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

/// A cgroup, which need not exist yet.
#[derive(Debug, Clone)]
pub struct Cgroup(PathBuf);

impl Cgroup {
    /// The top of all our cgroups on this host.
    pub fn top() -> Result<Self> {
        let mounted = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", OWN_MOUNT].into_iter().find(|p| is_cgroup2(p));
        let root = match mounted {
            Some(path) => path,
            None => {
                fs::create_dir_all(OWN_MOUNT).with_context(|| format!("failed to create {OWN_MOUNT}"))?;
                mount(Some("cgroup2"), OWN_MOUNT, Some("cgroup2"), MsFlags::empty(), None::<&str>)
                    .context("this host has no cgroup v2 mounted, and mounting it failed")?;
                OWN_MOUNT
            }
        };
        Ok(Self(Path::new(root).join(TOP)))
    }

    pub fn child(&self, name: &str) -> Self {
        Self(self.0.join(name))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Creates it and hands it every controller that its parents have. On a hybrid host they have none.
    pub fn create(&self) -> Result<()> {
        let mut missing: Vec<&Path> = self.0.ancestors().take_while(|p| !p.exists()).collect();
        while let Some(path) = missing.pop() {
            match fs::create_dir(path) {
                Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                    return Err(e).with_context(|| format!("failed to create the cgroup {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Passes all its controllers on to its children. One that can't be passed on (a thread-bound or busy one) is left:
    /// machines work without, they only can't enforce that limit.
    pub fn delegate(&self) {
        let controllers = fs::read_to_string(self.0.join("cgroup.controllers")).unwrap_or_default();
        for controller in controllers.split_whitespace() {
            let _ = fs::write(self.0.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }

    /// Moves the calling process into it.
    pub fn join(&self) -> Result<()> {
        fs::write(self.0.join("cgroup.procs"), "0")
            .with_context(|| format!("failed to join the cgroup {}", self.0.display()))
    }

    pub fn is_populated(&self) -> bool {
        fs::read_to_string(self.0.join("cgroup.events")).is_ok_and(|e| e.lines().any(|l| l == "populated 1"))
    }

    /// Kills everything in it and below, forks in progress included, until nothing is left. More than once, because a
    /// process that was on its way into it joins after the first time.
    pub fn kill(&self) -> Result<()> {
        let what = format!("the end of all processes in {}", self.0.display());
        wait_for_every(Duration::from_millis(3), &what, Duration::from_secs(30), || {
            if fs::write(self.0.join("cgroup.kill"), "1").is_err() {
                self.kill_each();
            }
            !self.is_populated()
        })
    }

    /// Before Linux 5.14 there is no cgroup.kill. Only processes that we started are ever in these cgroups.
    fn kill_each(&self) {
        for dir in self.tree() {
            let pids = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
            for pid in pids.lines().filter_map(|p| p.parse().ok()).filter(|p: &i32| *p > 1) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }

    /// Kills everything in it and removes it with all below.
    pub fn destroy(&self) -> Result<()> {
        let what = format!("the removal of the cgroup {}", self.0.display());
        wait_for(&what, Duration::from_secs(40), || -> Result<()> {
            self.kill()?;
            self.tree().iter().try_for_each(|dir| Ok(remove_if_there(fs::remove_dir(dir))?))
        })
    }

    /// Every cgroup of the tree, children before parents.
    fn tree(&self) -> Vec<PathBuf> {
        fn walk(dir: &Path, into: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|t| t.is_dir()) {
                    walk(&entry.path(), into);
                }
            }
            into.push(dir.to_owned());
        }
        let mut all = Vec::new();
        if self.0.exists() {
            walk(&self.0, &mut all);
        }
        all
    }
}
