//! Processes of this host, as the kernel shows them.

use std::fs;
use std::path::Path;

/// When a process began, in ticks since the boot: it tells two apart that had the same number.
pub fn born(proc: &Path, pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(proc.join(pid.to_string()).join("stat")).ok()?;
    // the name, in brackets, may hold anything
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The words of its command line.
pub fn command_line(proc: &Path, pid: u32) -> Option<Vec<String>> {
    let bytes = fs::read(proc.join(pid.to_string()).join("cmdline")).ok()?;
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    Some(words.map(|word| String::from_utf8_lossy(word).into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_when_it_began() {
        let proc = tempfile::tempdir().unwrap();
        let folder = proc.path().join("7");
        fs::create_dir(&folder).unwrap();
        let fields = (4..=30).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        fs::write(folder.join("stat"), format!("7 (a ) b) S {fields}")).unwrap();
        fs::write(folder.join("cmdline"), "dockerd\0-H\0fd://\0").unwrap();
        assert_eq!(born(proc.path(), 7), Some(22));
        assert_eq!(command_line(proc.path(), 7), Some(vec!["dockerd".into(), "-H".into(), "fd://".into()]));
        assert_eq!((born(proc.path(), 8), command_line(proc.path(), 8)), (None, None));
        let own = std::process::id();
        assert!(born(Path::new("/proc"), own).is_some_and(|ticks| ticks > 0));
    }
}
