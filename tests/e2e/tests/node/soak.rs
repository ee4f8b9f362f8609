//! Random faults of an engine for a while, and what has to hold throughout.
//!
//! `SWARM_E2E_SOAK=3600` makes it an hour; `SWARM_E2E_SEED` repeats the faults of a run, whose seed is printed.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use e2e::{Machine, Result, Signal, TestResult, wait_for_every};

use crate::fleet::{Fleet, SECOND};

const BUDGET: usize = 3;
const WINDOW: Duration = Duration::from_secs(60);
const SETTINGS: &str = "heartbeat = \"2s\"\nttl = \"20s\"\n[engine]\nprobe-interval = \"2s\"\nprobe-timeout = \"1s\"\n\
                        unhealthy-after = 3\n[supervision]\nrestarts = 3\nwindow = \"60s\"\ncooldown = \"2s\"\n";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// By an administrator, who starts it again after a while.
    Stop,
    Restart,
    Kill,
    Hang,
    RuntimeHangs,
    RuntimeStops,
    /// A configuration with which it can't start, mended after a while.
    Broken,
    BusRestarts,
    AgentRestarts,
    AgentDies,
    ServerAway,
}

const FAULTS: [Fault; 11] = [
    Fault::Stop,
    Fault::Restart,
    Fault::Kill,
    Fault::Hang,
    Fault::RuntimeHangs,
    Fault::RuntimeStops,
    Fault::Broken,
    Fault::BusRestarts,
    Fault::AgentRestarts,
    Fault::AgentDies,
    Fault::ServerAway,
];

/// Numbers that a seed repeats (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn pause(&mut self, most: u64) {
        sleep(Duration::from_millis(200 + self.below(most * 1000)));
    }
}

struct Soak {
    fleet: Fleet,
    dice: Dice,
}

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Footprint {
    rss_kib: u64,
    descriptors: usize,
    threads: u64,
}

fn footprint(node: &Machine) -> Result<Footprint> {
    let pid = node.unit("swarm-agent.service")?.main_pid();
    let status = node.read(&format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
    };
    let descriptors = node.sh(&format!("ls /proc/{pid}/fd | wc -l"))?.trim().parse()?;
    Ok(Footprint { rss_kib: field("VmRSS:"), descriptors, threads: field("Threads:") })
}

impl Soak {
    fn inflict(&mut self, fault: Fault) -> Result<()> {
        let (node, server) = (&self.fleet.node, &self.fleet.server);
        match fault {
            Fault::Stop => {
                node.ok(["systemctl", "stop", "docker.service", "docker.socket"])?;
                self.absent(5 * SECOND)?;
                let quiet = Instant::now();
                let still = Duration::from_secs(3 + self.dice.below(10));
                while quiet.elapsed() < still {
                    let unit = self.fleet.node.unit("docker.service")?;
                    anyhow::ensure!(unit.main_pid() == 0, "an engine that was stopped was started: {unit}");
                    sleep(SECOND / 2);
                }
                let node = &self.fleet.node;
                node.ok(["systemctl", "reset-failed", "docker.service", "docker.socket"])?;
                node.ok(["systemctl", "start", "docker.service"]).map(drop)
            }
            Fault::Restart => {
                node.ok(["systemctl", "reset-failed", "docker.service", "docker.socket"])?;
                node.ok(["systemctl", "restart", "docker.service"]).map(drop)
            }
            Fault::Kill => node.signal("docker.service", Signal::SIGKILL),
            Fault::Hang => {
                node.signal("docker.service", Signal::SIGSTOP)?;
                self.absent(20 * SECOND)?;
                self.dice.pause(15);
                // the agent may have restarted it by now
                self.fleet.node.signal("docker.service", Signal::SIGCONT)
            }
            Fault::RuntimeHangs => {
                node.signal("containerd.service", Signal::SIGSTOP)?;
                self.dice.pause(15);
                self.fleet.node.signal("containerd.service", Signal::SIGCONT)
            }
            Fault::RuntimeStops => {
                node.ok(["systemctl", "stop", "containerd.service"])?;
                self.dice.pause(10);
                self.fleet.node.ok(["systemctl", "start", "containerd.service"]).map(drop)
            }
            Fault::Broken => {
                node.write("/etc/docker/daemon.json", "{ this is no JSON")?;
                node.signal("docker.service", Signal::SIGKILL)?;
                self.dice.pause(20);
                let node = &self.fleet.node;
                node.ok(["rm", "/etc/docker/daemon.json"])?;
                // the agent has given up, or will try once more
                node.ok(["swarm-agent", "engine", "reset"]).map(drop)
            }
            Fault::BusRestarts => node.ok(["systemctl", "restart", "dbus.service"]).map(drop),
            Fault::AgentRestarts => node.ok(["systemctl", "restart", "swarm-agent"]).map(drop),
            Fault::AgentDies => node.signal("swarm-agent.service", Signal::SIGKILL),
            Fault::ServerAway => {
                server.ok(["systemctl", "stop", "swarm-discovery"])?;
                self.dice.pause(10);
                self.fleet.server.ok(["systemctl", "start", "swarm-discovery"]).map(drop)
            }
        }
    }

    fn listed(&self) -> Result<bool> {
        let url = format!("{}/v1/clusters/{}", self.fleet.server_url(), self.fleet.token);
        let list = self.fleet.server.ok(["swarm-agent", "list", &url])?;
        Ok(list.lines().any(|node| node == self.fleet.address()))
    }

    fn absent(&self, within: Duration) -> Result<()> {
        wait_for_every(SECOND / 5, "the node leaves the list", within, || match self.listed() {
            Ok(false) => Ok(()),
            Ok(true) => Err("it is in".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// The agent runs, the engine works, and the node is in.
    fn recovered(&self) -> Result<()> {
        // its entry stays meanwhile
        self.fleet
            .node
            .wait_unit("swarm-agent.service", 20 * SECOND, |unit| unit.is_active() && unit.main_pid() > 0)?;
        wait_for_every(SECOND / 2, "the engine works and the node is in", 120 * SECOND, || {
            let docker = self.fleet.node.run(["timeout", "2", "docker", "info"]).map_err(|error| error.to_string())?;
            match (docker.status, self.listed().map_err(|error| error.to_string())?) {
                (0, true) => Ok(()),
                (status, listed) => Err(format!("docker info: {status}, listed: {listed}")),
            }
        })
    }

    /// In no window are there more restarts than the budget, but for those that an operator gave back.
    fn within_budget(&self) -> Result<()> {
        let entries = self.fleet.node.journal("swarm-agent")?;
        let mut begun: Vec<f64> = Vec::new();
        for entry in &entries {
            match entry.field("SWARM_AGENT_EVENT").as_deref() {
                Some("repair-begun") => {
                    let micros = entry.field("__REALTIME_TIMESTAMP").and_then(|text| text.parse::<f64>().ok());
                    begun.push(micros.unwrap_or_default() / 1e6);
                }
                Some("budget-reset") => begun.clear(),
                _ => {}
            }
            let recent =
                begun.iter().filter(|at| begun.last().is_some_and(|last| last - *at < WINDOW.as_secs_f64())).count();
            anyhow::ensure!(recent <= BUDGET, "{recent} restarts within {WINDOW:?}");
        }
        Ok(())
    }
}

#[test]
fn faults_at_random_break_no_promise() -> TestResult {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let lasts = Duration::from_secs(number("SWARM_E2E_SOAK").unwrap_or(60));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
    let seed = number("SWARM_E2E_SEED").unwrap_or(now as u64).max(1);
    println!("SWARM_E2E_SEED={seed}");
    let fleet = Fleet::registered("soak", SETTINGS)?;
    let drop_in = "[Service]\nTimeoutStopSec=3s\n";
    for unit in ["docker", "containerd"] {
        fleet.node.write(&format!("/etc/systemd/system/{unit}.service.d/50-test.conf"), drop_in)?;
    }
    fleet.node.ok(["systemctl", "daemon-reload"])?;
    let mut soak = Soak { fleet, dice: Dice(seed) };
    soak.recovered()?;
    let begin = Instant::now();
    let (mut count, mut first) = (0, None);
    while begin.elapsed() < lasts {
        let fault = FAULTS[soak.dice.below(FAULTS.len() as u64) as usize];
        println!("{:>5} s  {fault:?}", begin.elapsed().as_secs());
        soak.inflict(fault)?;
        soak.recovered()?;
        soak.within_budget()?;
        soak.dice.pause(3);
        count += 1;
        // a process that was started anew begins anew
        if matches!(fault, Fault::AgentRestarts | Fault::AgentDies) {
            first = None;
        } else if first.is_none() {
            first = Some(footprint(&soak.fleet.node)?);
        }
    }
    let last = footprint(&soak.fleet.node)?;
    println!("{count} faults in {:?}: {first:?} -> {last:?}", begin.elapsed());
    if let Some(first) = first {
        assert!(last.descriptors <= first.descriptors + 4, "{first:?} -> {last:?}");
        assert!(last.threads <= first.threads + 2, "{first:?} -> {last:?}");
        assert!(last.rss_kib <= first.rss_kib + 2048, "{first:?} -> {last:?}");
    }
    Ok(())
}
