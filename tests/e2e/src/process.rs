//! Running host commands, and telling processes apart.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::unistd::Pid;

/// Runs a host tool to its end; anything but success is an error with its words.
pub fn host_tool(program: &str, args: &[&str]) -> Result<String> {
    let out = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("failed to run {program} (`machines doctor` says what to install)"))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        bail!("`{program} {}` failed ({}): {}", args.join(" "), out.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// What a bounded command left.
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

/// Runs with a deadline. At the deadline `kill` gets the child first, because the one to end may be another process.
pub fn run_bounded(mut command: Command, timeout: Duration, kill: impl FnOnce(&mut Child)) -> Result<Finished> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("failed to start")?;
    let stdout = child.stdout.take().map(drain);
    let stderr = child.stderr.take().map(drain);
    let status = wait_bounded(&mut child, timeout)?;
    let Some(status) = status else {
        kill(&mut child);
        child.wait()?;
        bail!(
            "no end within {timeout:.1?}, killed; stderr so far: {}",
            String::from_utf8_lossy(&collect(stderr)).trim()
        );
    };
    Ok(Finished { status, stdout: collect(stdout), stderr: collect(stderr) })
}

/// `None` at the deadline. Looks often at first: most commands end within milliseconds.
pub fn wait_bounded(child: &mut Child, timeout: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + timeout;
    let mut pause = Duration::from_micros(500);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(8));
    }
}

fn drain(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        // An error here is the end of the output, as far as a reader can tell.
        let _ = from.read_to_end(&mut all);
        all
    })
}

fn collect(reader: Option<thread::JoinHandle<Vec<u8>>>) -> Vec<u8> {
    reader.and_then(|r| r.join().ok()).unwrap_or_default()
}

/// Start time in clock ticks since boot: together with the number it names a process for good.
pub fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name is in parentheses and may hold spaces; field 22 is the 20th after it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// The children of a process, by the kernel's list or, where that is not built in, by asking every process.
pub fn children(pid: u32) -> Vec<Pid> {
    if let Ok(list) = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")) {
        return list.split_whitespace().filter_map(|p| p.parse().ok()).map(Pid::from_raw).collect();
    }
    all_pids().filter(|p| parent(*p) == Some(pid)).map(Pid::from_raw).collect()
}

fn parent(pid: i32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// The host's number of a process that a machine (given by its leader) knows as `inner`.
pub fn host_pid(leader: i32, inner: i32) -> Result<Pid> {
    if inner <= 1 {
        bail!("process number {inner} of a machine is not one to look for");
    }
    let namespace = fs::read_link(format!("/proc/{leader}/ns/pid")).context("the machine is gone")?;
    all_pids()
        .find(|pid| {
            innermost(*pid) == Some(inner)
                && fs::read_link(format!("/proc/{pid}/ns/pid")).ok().as_ref() == Some(&namespace)
        })
        .map(Pid::from_raw)
        .with_context(|| format!("no process {inner} in the machine"))
}

fn innermost(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|l| l.strip_prefix("NSpid:"))?.split_whitespace().last()?.parse().ok()
}

fn all_pids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok())
}
