//! What the kernel says of a process.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use serde::Serialize;

/// Clock ticks a second, the same on every Linux.
const TICKS: f64 = 100.0;

#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    pub rss_kib: u64,
    pub pss_kib: u64,
    /// The part of RSS that no file is behind: heap, stacks, and what was written to of the binary's data.
    pub anonymous_kib: u64,
    /// The most that RSS ever was.
    pub peak_kib: u64,
    pub threads: u64,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct Cpu {
    /// To the nanosecond, with threads that have ended.
    pub seconds: f64,
    /// The parts, in ticks of 10 ms.
    pub user_seconds: f64,
    pub system_seconds: f64,
}

pub fn memory(pid: Pid) -> Result<Memory> {
    let rollup = read(pid, "smaps_rollup")?;
    let status = read(pid, "status")?;
    Ok(Memory {
        rss_kib: field(&rollup, "Rss")?,
        pss_kib: field(&rollup, "Pss")?,
        anonymous_kib: field(&rollup, "Anonymous")?,
        peak_kib: field(&status, "VmHWM")?,
        threads: field(&status, "Threads")?,
    })
}

pub fn cpu(pid: Pid) -> Result<Cpu> {
    let clock = ClockId::pid_cpu_clock_id(pid).with_context(|| format!("process {pid} has no clock"))?;
    let spent: Duration = clock_gettime(clock)?.into();
    let stat = read(pid, "stat")?;
    // the command name is in parentheses and may hold spaces; fields 14 and 15 are the 12th and 13th after it
    let after_name = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    let ticks = |nth| after_name.split_whitespace().nth(nth).and_then(|field| field.parse::<f64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).with_context(|| format!("no times in {stat:?}"))?;
    Ok(Cpu { seconds: spent.as_secs_f64(), user_seconds: user / TICKS, system_seconds: system / TICKS })
}

impl Cpu {
    /// What was spent since `before`, for each of `count`.
    pub fn since(self, before: Self, count: f64) -> Self {
        let per = |now: f64, then: f64| (now - then) / count;
        Self {
            seconds: per(self.seconds, before.seconds),
            user_seconds: per(self.user_seconds, before.user_seconds),
            system_seconds: per(self.system_seconds, before.system_seconds),
        }
    }
}

fn read(pid: Pid, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))
}

/// The number behind `NAME:`.
fn field(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("no {name} in {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_threads_and_cpu_time() {
        let memory = memory(Pid::this()).unwrap();
        assert!(memory.threads >= 2 && memory.pss_kib <= memory.rss_kib && memory.anonymous_kib < memory.rss_kib);
        assert!(memory.peak_kib >= memory.rss_kib / 2);
        let before = cpu(Pid::this()).unwrap();
        while cpu(Pid::this()).unwrap().seconds - before.seconds < 0.05 {}
        let spent = cpu(Pid::this()).unwrap().since(before, 1.0);
        assert!(spent.seconds >= 0.05 && spent.user_seconds + spent.system_seconds > 0.0, "{spent:?}");
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        assert_eq!(field("Pss_Anon: 7 kB\nPss:   12 kB\n", "Pss").unwrap(), 12);
        assert!(field("Pss_Anon: 7 kB\n", "Pss").is_err());
    }
}
