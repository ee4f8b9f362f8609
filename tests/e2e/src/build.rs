//! Building a root file system so that an interruption, or somebody who builds the same, does no harm.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::process::host_tool;
use crate::store::{lock_file, remove_if_there};

/// A root file system in the making.
pub struct Site {
    pub path: PathBuf,
    log: PathBuf,
    lock: File,
}

/// The image under `key`, built under a lock into another name and then renamed, so that it is whole or not there.
/// The lock is also the builders' standard input: as long as one of them runs, even without us, nobody else builds.
pub fn built(images: &Path, key: &str, build: impl FnOnce(&Site) -> Result<()>) -> Result<PathBuf> {
    let done = images.join(key);
    if done.exists() {
        return Ok(done);
    }
    let lock = lock_file(&images.join(format!("{key}.lock")))?;
    if done.exists() {
        return Ok(done);
    }
    let site = Site { path: images.join(format!("{key}.building")), log: images.join(format!("{key}.log")), lock };
    remove_if_there(fs::remove_dir_all(&site.path)).context("failed to clear an interrupted build")?;
    let start = Instant::now();
    build(&site)?;
    fs::rename(&site.path, &done).with_context(|| format!("failed to name the image {}", done.display()))?;
    say(&format!("image {key}: ready after {:.0?}", start.elapsed()));
    Ok(done)
}

/// Copies the image `below` and runs commands in the copy, in namespaces that end with them.
pub fn copy_and_run(below: &Path, site: &Site, commands: &[String]) -> Result<()> {
    let to = site.path.to_string_lossy();
    host_tool("cp", &["-a", "--reflink=auto", &below.to_string_lossy(), &to])?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation=slave", "--pid", "--fork", "--kill-child", "sh", "-ec", STEP_SCRIPT, "sh"]);
    command.arg(&site.path).arg(commands.join("\n"));
    run_logged(command, site)?;
    host_tool("sh", &["-ec", TIDY_SCRIPT, "sh", &to]).map(drop)
}

const STEP_SCRIPT: &str = r#"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -t tmpfs -o mode=755 tmpfs "$1/run"
if [ -e /etc/resolv.conf ]; then mount --bind "$(readlink -f /etc/resolv.conf)" "$1/etc/resolv.conf"; fi
printf '#!/bin/sh\nexit 101\n' > "$1/usr/sbin/policy-rc.d"
chmod 755 "$1/usr/sbin/policy-rc.d"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec chroot "$1" sh -ec "$2"
"#;

const TIDY_SCRIPT: &str = r#"
rm -f "$1/usr/sbin/policy-rc.d" "$1"/var/cache/apt/*.bin "$1"/var/cache/apt/archives/*.deb
rm -rf "$1"/var/lib/apt/lists/*
"#;

/// Runs a builder with its words in a log beside the image; the important ones also go to the person who waits.
pub fn run_logged(mut command: Command, site: &Site) -> Result<()> {
    let start = Instant::now();
    let mut log = File::create(&site.log).with_context(|| format!("failed to create {}", site.log.display()))?;
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::from(site.lock.try_clone()?)).stdout(writer.try_clone()?).stderr(writer);
    let name = command.get_program().to_owned();
    let mut child = command.spawn().with_context(|| format!("failed to run {}", name.display()))?;
    // The command keeps its ends of the pipe open, and with them our reading.
    drop(command);
    let mut tail: Vec<String> = Vec::new();
    for line in BufReader::new(reader).lines().map_while(std::io::Result::ok) {
        writeln!(log, "{line}")?;
        if let Some(progress) = line.strip_prefix("I: ") {
            say(&format!("  {:>3} s  {progress}", start.elapsed().as_secs()));
        }
        tail.push(line);
        if tail.len() > 15 {
            tail.remove(0);
        }
    }
    let status = child.wait()?;
    ensure!(
        status.success(),
        "{} ended with {status}; all it said is in {}; the last words:\n  {}",
        name.display(),
        site.log.display(),
        tail.join("\n  ")
    );
    Ok(())
}

/// Straight to standard error: the test runner captures what the print macros say, and a minute of silence is long.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
