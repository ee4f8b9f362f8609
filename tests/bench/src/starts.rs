//! From exec to the first request.
//!
//! This very program is in the machine too. As `bench exec COMMAND` it reads CLOCK_MONOTONIC, says what it read, and
//! becomes the command; the time of the system call, of the dynamic linker and of everything after is so in the figure.
//! A relay in front of the discovery server notes on the same clock when the first bytes arrive.
//!
//! The agent registers nothing before the engine has answered. Its `engine.socket` is a relay as well, which notes when
//! each question came and when the last byte of its answer did: the sum of these spans is the engine's own answer time,
//! and what is left is the agent's. Waking the relays is left in, and so are the answers of the system bus.
//!
//! The agent also writes down what it is about to register, and waits until that is on the disk. Every second start has its
//! state directory in memory, so that the difference shows what the disk takes.
//!
//! `engine.healthy-after` is 1 here. The default of 2 adds a pause of a second that is meant.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::clock;
use crate::ground::{AGENT, BASELINE, BENCH, Ground};
use crate::plan::Plan;
use crate::tap::{EngineTap, ServerTap};

/// The word that makes this program the one inside the machine.
pub const EXEC: &str = "exec";

const ENGINE_TAP: &str = "/run/bench-engine.sock";
const STATE: &str = "/var/lib/bench-agent";
const STATE_IN_MEMORY: &str = "/run/bench-agent";
const PATIENCE: Duration = Duration::from_secs(20);
/// Starts that don't count: they read the programs from the disk.
const WARM_UP: usize = 2;

#[derive(Debug, Serialize)]
pub struct Starts {
    /// In order, in milliseconds.
    pub agent: Vec<AgentStart>,
    /// The same with the state directory in memory.
    pub agent_without_disk: Vec<AgentStart>,
    pub baseline_ms: Vec<f64>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub struct AgentStart {
    /// From exec to the first bytes at the discovery server.
    pub total_ms: f64,
    /// Of that, from exec to the first question to the engine: mostly configuration and system bus.
    pub to_engine_ms: f64,
    /// Of that, the engine's own answer time.
    pub engine_ms: f64,
    /// What is left without the engine.
    pub own_ms: f64,
}

/// Inside the machine: says what the clock reads, and becomes the command.
pub fn exec(command: &[String]) -> Result<()> {
    let (program, arguments) = command.split_first().context("exec what?")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", clock::now()?.as_nanos())?;
    out.flush()?;
    bail!("failed to run {program}: {}", command.exec())
}

pub fn measure(ground: &Ground, plan: &Plan) -> Result<Starts> {
    println!("==> {} starts of the agent and of the baseline, in turns", plan.starts);
    let server = ServerTap::start(&ground.cluster, ground.server())?;
    let engine = EngineTap::start(&ground.path(ENGINE_TAP)?, ground.path("/run/docker.sock")?)?;
    ground.configure(&server.url(), &format!("[engine]\nsocket = \"unix://{ENGINE_TAP}\"\nhealthy-after = 1\n"))?;
    let [url, address] = ground.baseline_arguments(&server.url());
    let mut starts = Starts { agent: Vec::new(), agent_without_disk: Vec::new(), baseline_ms: Vec::new() };
    for turn in 0..WARM_UP + plan.starts {
        let [agent, without_disk] = [STATE, STATE_IN_MEMORY].map(|state| {
            start_agent(ground, &server, &engine, state).with_context(|| format!("start {turn} of the agent"))
        });
        let (agent, without_disk) = (agent?, without_disk?);
        let (exec, first) = start(ground, &server, &[BASELINE, &url, &address])
            .with_context(|| format!("start {turn} of the baseline"))?;
        if turn >= WARM_UP {
            starts.agent.push(agent);
            starts.agent_without_disk.push(without_disk);
            starts.baseline_ms.push(milliseconds(first - exec));
        }
    }
    fs::remove_file(ground.path(ENGINE_TAP)?)?;
    Ok(starts)
}

fn start_agent(ground: &Ground, server: &ServerTap, engine: &EngineTap, state: &str) -> Result<AgentStart> {
    // an entry that a former process left would be resumed, which is another way to the first request
    ground.node.sh(&format!("rm -rf {state}; mkdir {state}"))?;
    engine.forget();
    let (exec, first) = start(ground, server, &[AGENT, "run", "--set", &format!("agent.state-directory={state}")])?;
    let questions = engine.until(first);
    ensure!(questions.len() == 2, "expected /_ping and /info before the first request, and saw {questions:?}");
    let answering: Duration = questions.iter().map(|question| question.answered - question.asked).sum();
    Ok(AgentStart {
        total_ms: milliseconds(first - exec),
        to_engine_ms: milliseconds(questions[0].asked - exec),
        engine_ms: milliseconds(answering),
        own_ms: milliseconds(first - exec - answering),
    })
}

/// Runs the command until its first request came: when it was executed, and when the request came.
fn start(ground: &Ground, server: &ServerTap, command: &[&str]) -> Result<(Duration, Duration)> {
    server.forget();
    let mut process = ground.node.spawn([BENCH, EXEC].iter().chain(command))?;
    let said = process.lines()?.next().context("it ended before its start")??;
    let exec = Duration::from_nanos(said.trim().parse().with_context(|| format!("no time: {said:?}"))?);
    let first = server.first(PATIENCE)?;
    process.kill()?;
    Ok((exec, first))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
