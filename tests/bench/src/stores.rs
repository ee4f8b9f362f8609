//! What a heartbeat costs with each of the discovery services, over plain connections, and for our own server over TLS.
//!
//! One after the other: the service runs in the machines' network (our own server in its machine), the agent is as it is
//! installed and beats each second. Memory is read before the agent is asked how many beats were accepted, for the answer
//! takes code that an agent in peace never uses. CPU time is what was spent between two such answers.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::{Server, wait_for};
use serde::Serialize;

use crate::ground::{AGENT, AGENT_UNIT, CONFIG, Ground, SERVER_PORT};
use crate::plan::{BEATS, Plan};
use crate::process::{self, Memory};
use crate::steady::require_all_well;

/// Until a server that starts answers.
const PATIENCE: Duration = Duration::from_secs(60);
const METRIC: &str = "swarm_agent_heartbeat_duration_seconds_count";

#[derive(Debug, Serialize)]
pub struct Store {
    pub name: &'static str,
    pub memory: Memory,
    pub beats: u64,
    /// Of 100 beats.
    pub cpu_seconds: f64,
}

pub fn measure(ground: &Ground, plan: &Plan) -> Result<Vec<Store>> {
    let [warm, long] = plan.store_marks;
    println!("==> heartbeats with each discovery service: {} s each", (warm + long).as_secs());
    let (mut stores, cluster) = (Vec::new(), &ground.cluster);
    let mut with = |name, server: Server| -> Result<()> {
        stores.push(one(ground, plan, name, &format!("url = \"{}\"\n", server.url("bench")))?);
        Ok(())
    };
    with("etcd", Server::etcd(cluster)?)?;
    match Server::consul(cluster)? {
        Some(consul) => with("Consul", consul)?,
        None => println!("==> without Consul: SWARM_SKIP_CONSUL=1"),
    }
    with("ZooKeeper", Server::zookeeper(cluster)?)?;
    let (host, token) = (ground.server().ip(), &ground.token);
    secure(ground)?;
    let url = format!("url = \"https://{host}:{SERVER_PORT}/v1/clusters/{token}\"\n");
    let with_ca = format!("{url}[discovery.tls]\nca = \"/etc/swarm-agent/bench-ca.pem\"\n");
    stores.push(one(ground, plan, "token over TLS", &with_ca)?);
    Ok(stores)
}

/// `url` are the first lines of `[discovery]`, and what may follow it.
fn one(ground: &Ground, plan: &Plan, name: &'static str, url: &str) -> Result<Store> {
    let node = &ground.node;
    let address = ground.address();
    let text = format!("[discovery]\nadvertise = \"{address}\"\nheartbeat = \"1s\"\n{url}");
    node.write(CONFIG, text)?;
    wait_for(&format!("{name} answers"), PATIENCE, || node.ok([AGENT, "list"]).is_ok())?;
    let begin = Instant::now();
    node.ok(["systemctl", "start", AGENT_UNIT])?;
    require_all_well(ground).with_context(|| format!("the agent with {name}"))?;
    let [warm, long] = plan.store_marks;
    sleep(warm.saturating_sub(begin.elapsed()));
    let pid = node.main_pid(AGENT_UNIT)?;
    let memory = process::memory(pid)?;
    let (beats_before, cpu_before) = (beats(ground)?, process::cpu(pid)?);
    sleep(long);
    let cpu = process::cpu(pid)?;
    let beats = beats(ground)? - beats_before;
    require_all_well(ground)?;
    ensure!(node.unit(AGENT_UNIT)?.n_restarts() == 0, "the agent was restarted under way");
    ensure!(beats > 0, "no beats were accepted");
    node.ok(["systemctl", "stop", AGENT_UNIT])?;
    let cpu_seconds = cpu.since(cpu_before, beats as f64 / BEATS).seconds;
    Ok(Store { name, memory, beats, cpu_seconds })
}

/// Those that the service has accepted.
fn beats(ground: &Ground) -> Result<u64> {
    let metrics = ground.node.ok([AGENT, "metrics"])?;
    let count = metrics.lines().find_map(|line| line.strip_prefix(METRIC)?.trim().parse().ok());
    count.with_context(|| format!("no {METRIC} in {metrics}"))
}

/// The discovery server speaks TLS from now on, and the node knows its CA.
fn secure(ground: &Ground) -> Result<()> {
    let server = ground.server_machine();
    let ip = ground.server().ip();
    server.sh(&format!(
        "set -e; mkdir -p /etc/swarm-agent/server; cd /etc/swarm-agent/server
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=bench -keyout ca.key -out ca.pem
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=server -keyout server.key -out server.csr
        printf 'subjectAltName = IP:{ip}\\n' >server.ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile server.ext -out server.pem
        chgrp -R swarm-discovery . && chmod 640 server.key
        printf '[server]\\nlisten = \"0.0.0.0:{SERVER_PORT}\"\\ntls-cert = \"/etc/swarm-agent/server/server.pem\"\\ntls-key = \"/etc/swarm-agent/server/server.key\"\\n' >{CONFIG}
        systemctl restart swarm-discovery"
    ))?;
    ground.node.write("/etc/swarm-agent/bench-ca.pem", server.read("/etc/swarm-agent/server/ca.pem")?)
}
