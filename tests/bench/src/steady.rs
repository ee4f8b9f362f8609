//! Memory, threads and CPU time of the services while all is well and they beat each second.
//!
//! Agent and baseline run at the same time in one machine, under the same unit settings, each with a relay of its own that
//! counts the beats which really went to the server. The agent is as it is installed, but for the heartbeat: it watches
//! the unit, probes the engine, and proves the advertised address, at which the engine answers.
//!
//! Memory is /proc/PID/smaps_rollup. CPU time is the process's clock (to the nanosecond, with threads that have ended)
//! between the two marks, so that the start is not in it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::unistd::Pid;
use serde::Serialize;

use crate::ground::{AGENT_UNIT, BASELINE_UNIT, Ground};
use crate::plan::{BEATS, Plan};
use crate::process::{self, Cpu, Memory};
use crate::tap::ServerTap;

const STATUS_PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Serialize)]
pub struct Steady {
    /// When memory was read, in seconds after the start.
    pub marks: [u64; 2],
    pub agent: Service,
    pub baseline: Service,
}

#[derive(Debug, Serialize)]
pub struct Service {
    /// At the marks.
    pub memory: [Memory; 2],
    /// Beats between the marks.
    pub beats: u64,
    /// Of 100 beats, between the marks.
    pub cpu: Cpu,
    /// From exec to the first mark.
    pub cpu_of_the_start: Cpu,
}

/// A service that runs, with what was read of it so far.
struct Watched<'a> {
    pid: Pid,
    tap: &'a ServerTap,
    looks: Vec<Look>,
}

struct Look {
    memory: Memory,
    cpu: Cpu,
    beats: u64,
}

pub fn measure(ground: &Ground, plan: &Plan) -> Result<Steady> {
    let (node, last) = (&ground.node, plan.marks[1]);
    println!("==> memory and CPU, agent and baseline side by side, one beat a second: {} s", last.as_secs());
    let agent_tap = ServerTap::start(&ground.cluster, ground.server())?;
    let baseline_tap = ServerTap::start(&ground.cluster, ground.server())?;
    ground.configure(&agent_tap.url(), "heartbeat = \"1s\"\n")?;
    ground.install_baseline_unit(&baseline_tap.url())?;
    let begin = Instant::now();
    node.ok(["systemctl", "start", AGENT_UNIT, BASELINE_UNIT])?;
    let mut agent = Watched { pid: node.main_pid(AGENT_UNIT)?, tap: &agent_tap, looks: Vec::new() };
    let mut baseline = Watched { pid: node.main_pid(BASELINE_UNIT)?, tap: &baseline_tap, looks: Vec::new() };
    require_all_well(ground)?;
    for mark in plan.marks {
        sleep(mark.saturating_sub(begin.elapsed()));
        agent.look().context("the agent")?;
        baseline.look().context("the baseline")?;
    }
    require_all_well(ground)?;
    for unit in [AGENT_UNIT, BASELINE_UNIT] {
        ensure!(node.unit(unit)?.n_restarts() == 0, "{unit} was restarted under way");
    }
    let steady = Steady {
        marks: plan.marks.map(|mark| mark.as_secs()),
        agent: agent.done().context("the agent")?,
        baseline: baseline.done().context("the baseline")?,
    };
    node.ok(["systemctl", "stop", AGENT_UNIT, BASELINE_UNIT])?;
    Ok(steady)
}

/// The figures are about an agent that has nothing to complain of.
pub fn require_all_well(ground: &Ground) -> Result<()> {
    let well = |status: &str| status.starts_with("registered ") && !status.contains("unreachable");
    ground.node.wait_unit(AGENT_UNIT, STATUS_PATIENCE, |unit| well(unit.get("StatusText"))).map(drop)
}

impl Watched<'_> {
    fn look(&mut self) -> Result<()> {
        let (memory, cpu) = (process::memory(self.pid)?, process::cpu(self.pid)?);
        self.looks.push(Look { memory, cpu, beats: self.tap.beats() });
        Ok(())
    }

    fn done(&self) -> Result<Service> {
        let [first, last] = self.looks.as_slice() else { anyhow::bail!("{} looks instead of two", self.looks.len()) };
        let beats = last.beats - first.beats;
        ensure!(beats > 0, "no beats arrived");
        Ok(Service {
            memory: [first.memory, last.memory],
            beats,
            cpu: last.cpu.since(first.cpu, beats as f64 / BEATS),
            cpu_of_the_start: first.cpu,
        })
    }
}
