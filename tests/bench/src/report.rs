//! The figures, for people and as JSON.

use std::fmt::{self, Formatter};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::deaths::Deaths;
use crate::ground::{About, Ground, Sizes};
use crate::plan::Plan;
use crate::process::Memory;
use crate::starts::{AgentStart, Starts};
use crate::steady::Steady;
use crate::stores::Store;
use crate::targets::{self, Target};

#[derive(Debug, Serialize)]
pub struct Figures {
    short: bool,
    about: About,
    targets: Vec<Target>,
    binary_bytes: Sizes,
    steady: Steady,
    starts: Starts,
    deaths: Deaths,
    stores: Vec<Store>,
}

pub struct Measured {
    pub starts: Starts,
    pub steady: Steady,
    pub deaths: Deaths,
    pub stores: Vec<Store>,
}

impl Figures {
    pub fn new(plan: &Plan, ground: &Ground, sizes: Sizes, measured: Measured) -> Self {
        let Measured { starts, steady, deaths, stores } = measured;
        let targets = targets(&sizes, &starts, &steady, &stores);
        let about = ground.about.clone();
        Self { short: plan.short, about, targets, binary_bytes: sizes, steady, starts, deaths, stores }
    }

    /// A short run has a file of its own, so that it is never taken for a full one.
    pub fn write(&self, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let path = folder.join(if self.short { "short.json" } else { "bench.json" });
        fs::write(&path, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| format!("failed to write {}", path.display()))?;
        Ok(path)
    }
}

fn targets(sizes: &Sizes, starts: &Starts, steady: &Steady, stores: &[Store]) -> Vec<Target> {
    let (agent, baseline) = (&steady.agent, &steady.baseline);
    let mut all = Vec::new();
    for ((mark, agent), baseline) in steady.marks.iter().zip(&agent.memory).zip(&baseline.memory) {
        let ratio = agent.rss_kib as f64 / baseline.rss_kib as f64;
        all.push(Target::at_most(format!("RSS at {mark} s"), mib(agent.rss_kib), targets::RSS, "MiB"));
        all.push(Target::at_most(format!("RSS at {mark} s"), ratio, targets::RSS_RATIO, "x baseline"));
    }
    all.push(Target::at_most("CPU", agent.cpu.seconds / baseline.cpu.seconds, targets::CPU_RATIO, "x baseline"));
    let own = median(starts.agent.iter().map(|start| start.own_ms));
    all.push(Target::at_most("exec to first request", own, targets::START, "ms"));
    all.push(Target::at_most("binary", megabytes(sizes.agent), targets::SIZE, "MB"));
    for (store, (_, cpu)) in stores.iter().filter_map(|store| Some((store, cpu_target(store)?))) {
        let rss = if store.name.ends_with("TLS") { targets::RSS_OVER_TLS } else { targets::RSS };
        all.push(Target::at_most(format!("RSS, {}", store.name), mib(store.memory.rss_kib), rss, "MiB"));
        all.push(Target::at_most(format!("CPU, {}", store.name), store.cpu_seconds * 1e3, cpu * 1e3, "ms"));
    }
    all
}

fn cpu_target(store: &Store) -> Option<(&'static str, f64)> {
    targets::CPU_OF.into_iter().find(|(name, _)| *name == store.name)
}

/// A part of a measurement, with its name.
type Named<T, N> = (&'static str, fn(&T) -> N);

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:38}{:>10}{:>10}{:>8}", "", "agent", "baseline", "ratio")?;
        self.fmt_steady(f)?;
        self.fmt_starts(f)?;
        let sizes = &self.binary_bytes;
        row(f, "binary, MB", megabytes(sizes.agent), megabytes(sizes.baseline), 1)?;
        let gone = &self.deaths.gone_ms;
        let (middle, worst) = (median(gone.iter().copied()), worst(gone.iter().copied()));
        writeln!(f, "\nengine death to entry gone: median {middle:.1} ms, worst of {} {worst:.1} ms", gone.len())?;
        writeln!(f, "\n{:22}{:>10}{:>10}{:>12}{:>24}", "MiB", "RSS", "PSS", "anonymous", "CPU of 100 beats, ms")?;
        for Store { name, memory, cpu_seconds, .. } in &self.stores {
            let [rss, pss, anonymous] = [memory.rss_kib, memory.pss_kib, memory.anonymous_kib].map(mib);
            writeln!(f, "{name:22}{rss:>10.2}{pss:>10.2}{anonymous:>12.2}{:>24.1}", cpu_seconds * 1e3)?;
        }
        let how = if self.short { " (for the full run; this was BENCH_SHORT)" } else { "" };
        writeln!(f, "\ntargets{how}")?;
        for Target { name, value, limit, unit, met } in &self.targets {
            let verdict = if *met { "met" } else { "MISSED" };
            writeln!(f, "  {verdict:8}{name:28}{value:>8.2}   at most {limit} {unit}")?;
        }
        Ok(())
    }
}

impl Figures {
    fn fmt_steady(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (agent, baseline) = (&self.steady.agent, &self.steady.baseline);
        let parts: [Named<Memory, u64>; 3] = [
            ("RSS", |memory| memory.rss_kib),
            ("PSS", |memory| memory.pss_kib),
            ("anonymous", |memory| memory.anonymous_kib),
        ];
        for (name, part) in parts {
            for (n, mark) in self.steady.marks.iter().enumerate() {
                let name = format!("{name} at {mark} s, MiB");
                row(f, &name, mib(part(&agent.memory[n])), mib(part(&baseline.memory[n])), 2)?;
            }
        }
        let threads = |memory: &[Memory; 2]| memory[1].threads as f64;
        row(f, "threads", threads(&agent.memory), threads(&baseline.memory), 0)?;
        let in_milliseconds = |name: &str, agent: f64, baseline: f64, f: &mut Formatter<'_>| {
            row(f, &format!("{name}, ms"), agent * 1e3, baseline * 1e3, 1)
        };
        in_milliseconds("CPU of 100 beats", agent.cpu.seconds, baseline.cpu.seconds, f)?;
        in_milliseconds("  of that user", agent.cpu.user_seconds, baseline.cpu.user_seconds, f)?;
        in_milliseconds("  of that system", agent.cpu.system_seconds, baseline.cpu.system_seconds, f)?;
        row(f, "beats that arrived", agent.beats as f64, baseline.beats as f64, 0)
    }

    fn fmt_starts(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Starts { agent, agent_without_disk, baseline_ms } = &self.starts;
        let of = |part: fn(&AgentStart) -> f64| agent.iter().map(part);
        let baseline = || baseline_ms.iter().copied();
        let name = "exec to first request, median, ms";
        row(f, name, median(of(|start| start.own_ms)), median(baseline()), 2)?;
        row(f, "  worst", worst(of(|start| start.own_ms)), worst(baseline()), 2)?;
        let parts: [Named<AgentStart, f64>; 3] = [
            ("to the first question to the engine", |start| start.to_engine_ms),
            ("the engine's own time, left out", |start| start.engine_ms),
            ("with the engine's own time", |start| start.total_ms),
        ];
        for (name, part) in parts {
            writeln!(f, "  {name:36}{:>10.2}", median(of(part)))?;
        }
        let without_disk = median(agent_without_disk.iter().map(|start| start.own_ms));
        writeln!(f, "  {:36}{without_disk:>10.2}", "with the state directory in memory")
    }
}

fn row(f: &mut Formatter<'_>, name: &str, agent: f64, baseline: f64, digits: usize) -> fmt::Result {
    write!(f, "{name:38}{agent:>10.digits$}{baseline:>10.digits$}")?;
    // so little that the clock did not tick
    if baseline == 0.0 { writeln!(f, "{:>8}", "-") } else { writeln!(f, "{:>8.2}", agent / baseline) }
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.as_slice() {
        [] => f64::NAN,
        sorted if sorted.len() % 2 == 1 => sorted[middle],
        sorted => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

fn worst(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::NAN, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_and_the_worst_is_the_largest() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert_eq!(worst([1.0, 3.0, 2.0].into_iter()), 3.0);
    }

    #[test]
    fn a_target_is_met_up_to_its_limit() {
        assert!(Target::at_most("x", 1.5, 1.5, "").met);
        assert!(!Target::at_most("x", 1.51, 1.5, "").met);
        assert!(!Target::at_most("x", f64::NAN, 1.5, "").met);
    }
}
