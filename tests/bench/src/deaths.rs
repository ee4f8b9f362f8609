//! From the death of the engine to the list without the node.
//!
//! SIGKILL to dockerd, with the agent as it is installed: all settings are the defaults, and nothing stands between it and
//! the server. A client asks for the list every 2 ms. The time runs from right before kill(2) to the arrival of the first
//! list without the node, so that the client's interval and its answer are in the figure.
//!
//! systemd restarts the engine after its own delay, and the next round begins when the node is back in the list.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::Signal;
use nix::sys::signal::kill;
use serde::Serialize;

use crate::ground::{self, AGENT_UNIT, DOCKER_UNIT, Ground};
use crate::http::Lister;
use crate::plan::Plan;

const INTERVAL: Duration = Duration::from_millis(2);
/// Much longer than an agent takes that only notices at its next probe.
const GONE_PATIENCE: Duration = Duration::from_secs(150);
/// The engine's restart and two good probes.
const BACK_PATIENCE: Duration = Duration::from_secs(60);
/// The rounds meet the agent at different phases of its probing.
const SHIFT: Duration = Duration::from_millis(17);

#[derive(Debug, Serialize)]
pub struct Deaths {
    /// In order.
    pub gone_ms: Vec<f64>,
}

pub fn measure(ground: &Ground, plan: &Plan) -> Result<Deaths> {
    println!("==> {} deaths of the engine", plan.deaths);
    ground.configure(&format!("http://{}", ground.server()), "")?;
    ground.node.ok(["systemctl", "start", AGENT_UNIT])?;
    let gone_ms = ground::in_net(&ground.cluster, || {
        let mut lister = Lister::connect(ground.server(), &ground.token)?;
        let rounds = 0..plan.deaths;
        rounds.map(|n| death(ground, &mut lister, n).with_context(|| format!("death {n}"))).collect()
    })?;
    ground.node.ok(["systemctl", "stop", AGENT_UNIT])?;
    Ok(Deaths { gone_ms })
}

fn death(ground: &Ground, lister: &mut Lister, round: usize) -> Result<f64> {
    let address = ground.address();
    wait_listed(lister, &address, true, BACK_PATIENCE)?;
    sleep(SHIFT * u32::try_from(round)?);
    let engine = ground.node.main_pid(DOCKER_UNIT)?;
    let begin = Instant::now();
    kill(engine, Signal::SIGKILL)?;
    let gone = wait_listed(lister, &address, false, GONE_PATIENCE)?;
    Ok((gone - begin).as_secs_f64() * 1e3)
}

/// Lists until the node is in the list, or is not; when that answer came.
fn wait_listed(lister: &mut Lister, address: &str, wanted: bool, patience: Duration) -> Result<Instant> {
    let begin = Instant::now();
    loop {
        let asked = Instant::now();
        let listed = lister.list()?.iter().any(|node| node == address);
        if listed == wanted {
            return Ok(Instant::now());
        }
        ensure!(begin.elapsed() < patience, "{address} was for {patience:?} what it should not be: listed = {listed}");
        sleep(INTERVAL.saturating_sub(asked.elapsed()));
    }
}
