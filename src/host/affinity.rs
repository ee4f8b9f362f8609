//! The CPUs that this process may run on.

use crate::model::{CpuSet, CpuWish};
use nix::errno::Errno;
use nix::sched::{CpuSet as Mask, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::fs;
use std::io;
use std::path::Path;

const THREADS: &str = "/proc/self/task";
const NODES: &str = "/sys/devices/system/node";
/// Threads may be made meanwhile, each with the CPUs of its maker: so many looks find the last of them.
const LOOKS: usize = 10;

#[derive(Debug, thiserror::Error)]
pub enum AffinityError {
    #[error("none of the CPUs {wanted} can be used here; {usable} can")]
    NoneLeft { wanted: CpuSet, usable: CpuSet },
    #[error("this machine has no NUMA node {node}; it has {there}")]
    NoNode { node: u32, there: String },
    #[error(
        "the kernel does not allow it: does SystemCallFilter= of the unit leave out @resources or sched_setaffinity?"
    )]
    Forbidden,
    #[error("thread {thread} stays on CPUs {stays}")]
    NotTaken { thread: i32, stays: CpuSet },
    #[error("{what}: {cause}")]
    Io { what: &'static str, cause: io::Error },
}

/// The CPUs that a wish comes to here.
pub fn resolve(wish: &CpuWish) -> Result<CpuSet, AffinityError> {
    let usable = usable()?;
    let wanted = match wish {
        CpuWish::Cpus(cpus) => cpus.clone(),
        CpuWish::NumaNode(node) => node_cpus(Path::new(NODES), *node)?,
    };
    let cpus = wanted.common(&usable);
    if cpus.is_empty() { Err(AffinityError::NoneLeft { wanted, usable }) } else { Ok(cpus) }
}

/// Puts every thread of this process on these CPUs, and sees that they are there.
pub fn apply(cpus: &CpuSet) -> Result<(), AffinityError> {
    let mask = mask(cpus);
    let mut stray = None;
    for _ in 0..LOOKS {
        stray = None;
        for thread in threads()? {
            match sched_getaffinity(thread).map(|mask| of_mask(&mask)) {
                Ok(found) if found == *cpus => continue,
                // it has ended
                Err(Errno::ESRCH) => continue,
                Ok(_) | Err(_) => {}
            }
            match sched_setaffinity(thread, &mask) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(Errno::EPERM | Errno::ENOSYS) => return Err(AffinityError::Forbidden),
                Err(error) => return Err(AffinityError::Io { what: "sched_setaffinity", cause: error.into() }),
            }
            stray = Some(thread);
        }
        if stray.is_none() {
            return Ok(());
        }
    }
    match stray.map(|thread| (thread, sched_getaffinity(thread))) {
        Some((thread, Ok(mask))) => Err(AffinityError::NotTaken { thread: thread.as_raw(), stays: of_mask(&mask) }),
        _ => Ok(()),
    }
}

/// Those that the calling thread has.
pub fn own() -> Result<CpuSet, AffinityError> {
    let mask = sched_getaffinity(Pid::from_raw(0));
    mask.map(|mask| of_mask(&mask))
        .map_err(|error| AffinityError::Io { what: "sched_getaffinity", cause: error.into() })
}

/// Those that the kernel leaves of all of them: a cgroup may leave out some, and some may be switched off.
fn usable() -> Result<CpuSet, AffinityError> {
    let me = Pid::from_raw(0);
    let failed = |error: Errno| match error {
        Errno::EPERM | Errno::ENOSYS => AffinityError::Forbidden,
        error => AffinityError::Io { what: "sched_getaffinity", cause: error.into() },
    };
    let before = sched_getaffinity(me).map_err(failed)?;
    // to ask for all is the only way to be told
    sched_setaffinity(me, &mask(&(0..Mask::count()).collect())).map_err(failed)?;
    let all = sched_getaffinity(me);
    sched_setaffinity(me, &before).map_err(failed)?;
    all.map(|mask| of_mask(&mask)).map_err(failed)
}

fn threads() -> Result<Vec<Pid>, AffinityError> {
    let tasks = fs::read_dir(THREADS).map_err(|cause| AffinityError::Io { what: THREADS, cause })?;
    Ok(tasks.flatten().filter_map(|task| task.file_name().to_str()?.parse().ok().map(Pid::from_raw)).collect())
}

fn node_cpus(nodes: &Path, node: u32) -> Result<CpuSet, AffinityError> {
    let list = fs::read_to_string(nodes.join(format!("node{node}/cpulist")));
    match list.ok().and_then(|list| list.trim().parse().ok()) {
        Some(cpus) => Ok(cpus),
        None => {
            let there = fs::read_to_string(nodes.join("online")).unwrap_or_default();
            let there = if there.trim().is_empty() { "none".to_owned() } else { there.trim().to_owned() };
            Err(AffinityError::NoNode { node, there })
        }
    }
}

fn mask(cpus: &CpuSet) -> Mask {
    let mut mask = Mask::new();
    for cpu in cpus.iter() {
        // one beyond what a mask holds is not there
        let _ = mask.set(cpu);
    }
    mask
}

fn of_mask(mask: &Mask) -> CpuSet {
    (0..Mask::count()).filter(|cpu| mask.is_set(*cpu).unwrap_or(false)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_what_is_left_of_it_here() {
        let usable = usable().unwrap();
        let first = usable.iter().next().unwrap();
        let wish = |text: &str| text.parse::<CpuWish>().unwrap();
        assert_eq!(resolve(&wish(&format!("{first},900-1000"))).unwrap().to_string(), first.to_string());
        let error = resolve(&wish("900-1000")).unwrap_err();
        assert_eq!(error.to_string(), format!("none of the CPUs 900-1000 can be used here; {usable} can"));
        assert!(matches!(resolve(&wish("numa:77")), Err(AffinityError::NoNode { node: 77, .. })));
    }

    #[test]
    fn the_cpus_of_a_node_are_the_kernels() {
        let nodes = tempfile::tempdir().unwrap();
        fs::create_dir(nodes.path().join("node1")).unwrap();
        fs::write(nodes.path().join("node1/cpulist"), "0-3,8\n").unwrap();
        fs::write(nodes.path().join("online"), "0-1\n").unwrap();
        assert_eq!(node_cpus(nodes.path(), 1).unwrap().to_string(), "0-3,8");
        let error = node_cpus(nodes.path(), 0).unwrap_err();
        assert_eq!(error.to_string(), "this machine has no NUMA node 0; it has 0-1");
    }
}
