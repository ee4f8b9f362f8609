//! The containers of an engine that does not answer: each has a shim, a process that names it.

use std::fs;
use std::path::Path;

/// The comm of a shim; the kernel cuts the name there.
const COMM: &str = "containerd-shim";
/// containerd's namespace for Docker's containers.
const NAMESPACE: &str = "moby";

/// The same, if the processes of others are to be seen at all: a sandbox may hide them.
pub fn visible(proc: &Path) -> Option<Vec<String>> {
    let first = fs::read_to_string(proc.join("1/comm"));
    first.is_ok().then(|| running(proc))
}

/// From `docker-0123….scope`, as systemd's cgroup driver names it.
pub fn of_scope(unit: &str) -> Option<String> {
    unit.strip_prefix("docker-")?.strip_suffix(".scope").map(str::to_owned)
}

/// The IDs of the containers whose shims run. Blocks for as long as reading /proc takes.
pub fn running(proc: &Path) -> Vec<String> {
    let Ok(processes) = fs::read_dir(proc) else { return Vec::new() };
    let folders = processes.flatten().map(|entry| entry.path());
    let shims = folders.filter(|folder| fs::read_to_string(folder.join("comm")).is_ok_and(|comm| comm.trim() == COMM));
    shims.filter_map(|folder| container_of(&fs::read(folder.join("cmdline")).ok()?)).collect()
}

/// From `containerd-shim-runc-v2 -namespace moby -id 0123… -address …`.
fn container_of(cmdline: &[u8]) -> Option<String> {
    let words: Vec<&str> = cmdline.split(|byte| *byte == 0).filter_map(|word| std::str::from_utf8(word).ok()).collect();
    let value = |flag: &str| words.windows(2).find(|pair| pair[0] == flag).map(|pair| pair[1]);
    let id = value("-id").filter(|_| value("-namespace") == Some(NAMESPACE))?;
    Some(id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shims_of_docker_are_found_among_other_processes() {
        let proc = tempfile::tempdir().unwrap();
        for (pid, comm, cmdline) in [
            ("1", "systemd", "/sbin/init"),
            ("20", COMM, "/usr/bin/containerd-shim-runc-v2\0-namespace\0moby\0-id\0abc\0-address\0/run/x\0"),
            ("21", COMM, "/usr/bin/containerd-shim-runc-v2\0-namespace\0k8s.io\0-id\0def\0"),
            ("22", "containerd", "/usr/bin/containerd\0"),
        ] {
            fs::create_dir(proc.path().join(pid)).unwrap();
            fs::write(proc.path().join(pid).join("comm"), format!("{comm}\n")).unwrap();
            fs::write(proc.path().join(pid).join("cmdline"), cmdline).unwrap();
        }
        fs::write(proc.path().join("uptime"), "1").unwrap();
        assert_eq!(running(proc.path()), ["abc"]);
        assert!(running(Path::new("/nonexistent")).is_empty());
        assert_eq!(visible(proc.path()), Some(vec!["abc".to_owned()]));
        fs::remove_dir_all(proc.path().join("1")).unwrap();
        assert_eq!(visible(proc.path()), None, "a sandbox that shows nobody else's processes");
        assert_eq!(of_scope("docker-0123.scope").as_deref(), Some("0123"));
        assert_eq!(of_scope("docker.service"), None);
    }
}
