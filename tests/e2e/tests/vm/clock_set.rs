//! The wall clock is set: forth and back by an hour, and by a year.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use e2e::{Machine, Result, TestResult, wait_for};

use crate::fleet::{SECOND, SERVER_PORT, install};
use crate::lister::{Lister, assert_no_gap};
use crate::relay::Relay;
use crate::scene::{ADDRESS, Scene, messages, posts, requests};

const HEARTBEAT: Duration = Duration::from_secs(5);
const TTL: Duration = Duration::from_secs(20);
const PACE: &str = "heartbeat = \"5s\"\nttl = \"20s\"\n";
const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;
/// Whoever takes the wall clock for the time that passes sleeps for an hour after the second one, and finds all leases
/// expired after the first.
const LEAPS: [i64; 6] = [HOUR, -HOUR, -HOUR, HOUR, -YEAR, YEAR];

/// The other way round: a node outside, at a server in the machine whose clock leaps.
struct Inside {
    node: Machine,
    relay: Relay,
    token: String,
    /// Where the server in the machine is reached.
    server: SocketAddr,
}

impl Inside {
    fn registered(scene: &Scene) -> Result<Self> {
        scene.vm.sh("systemctl start swarm-discovery")?;
        let token = scene.vm.sh(&format!("swarm-agent create http://127.0.0.1:{SERVER_PORT}"))?.trim().to_owned();
        let server = (scene.cluster.host_ip(), SERVER_PORT).into();
        let relay = Relay::start(&scene.cluster, server)?;
        let node = scene.cluster.machine("node").boot()?;
        install(&node)?;
        let url = format!("{}/v1/clusters/{token}", relay.url());
        let config = format!("[discovery]\nurl = \"{url}\"\nadvertise-check = \"off\"\n{PACE}");
        node.write("/etc/swarm-agent/config.d/10-test.toml", config)?;
        node.ok(["systemctl", "enable", "--now", "swarm-agent"])?;
        let inside = Self { node, relay, token, server };
        inside.lister(scene)?.wait_present(&inside.address(), 30 * SECOND)?;
        Ok(inside)
    }

    fn lister(&self, scene: &Scene) -> Result<Lister> {
        Lister::start(&scene.cluster, self.server, &self.token)
    }

    fn address(&self) -> String {
        format!("{}:2375", self.node.ip())
    }

    /// Registers an entry that nobody renews.
    fn register_dead(&self, address: &str, ttl: Duration) -> Result<Instant> {
        let url = format!("http://{}/v1/clusters/{}?ttl={}", self.server, self.token, ttl.as_secs());
        self.node.ok(["curl", "--silent", "--show-error", "--fail", "--data", address, &url])?;
        Ok(Instant::now())
    }
}

/// By how much the machine's wall clock is ahead of ours.
fn ahead(scene: &Scene) -> Result<i64> {
    let theirs: i64 = scene.vm.sh("date +%s")?.trim().parse()?;
    Ok(theirs - i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?)
}

fn leap(scene: &Scene, seconds: i64) -> TestResult {
    let before = ahead(scene)?;
    scene.vm.sh(&format!("date --set=@$(($(date +%s) + {seconds}))"))?;
    let leapt = ahead(scene)? - before;
    assert!((leapt - seconds).abs() <= 10, "the clock leapt by {leapt} s instead of {seconds} s");
    Ok(())
}

/// A storm would be more than this.
fn at_most(span: Duration) -> usize {
    usize::try_from(span.as_secs() / HEARTBEAT.as_secs()).unwrap_or(usize::MAX) + 2
}

#[test]
fn a_clock_set_forth_and_back_is_no_event_for_an_agent_nor_for_a_server() -> TestResult {
    let scene = Scene::registered("clock-set", PACE)?;
    let inside = Inside::registered(&scene)?;
    let (outer, inner) = (scene.lister()?, inside.lister(&scene)?);
    let mark = scene.mark()?;
    let server = scene.vm.unit("swarm-discovery.service")?;
    let begin = outer.wait_present(ADDRESS, 10 * SECOND)?.max(inner.wait_present(&inside.address(), 10 * SECOND)?);
    let counts = || [posts(&scene.relay), posts(&inside.relay)];
    let before = [requests(&scene.relay), requests(&inside.relay)];

    for seconds in LEAPS {
        leap(&scene, seconds)?;
        let [of_vm, of_node] = counts();
        // the second one is as far from the first as it should be, whatever became of the first
        wait_for(&format!("two heartbeats each after a leap by {seconds} s"), 3 * HEARTBEAT, || {
            let [vm, node] = counts();
            if vm >= of_vm + 2 && node >= of_node + 2 {
                Ok(())
            } else {
                Err(format!("{}, {}", vm - of_vm, node - of_node))
            }
        })?;
    }
    // nobody lives on because the clock was set back
    let dead = inside.register_dead("10.99.0.77:2375", TTL)?;
    leap(&scene, -YEAR)?;
    let gone = inner.gone_since(dead, "10.99.0.77:2375", 2 * TTL)?;
    assert!(gone - dead >= TTL - 2 * SECOND && gone - dead <= TTL + 5 * SECOND, "expired after {:?}", gone - dead);

    let span = begin.elapsed();
    let after = [requests(&scene.relay), requests(&inside.relay)];
    assert_no_gap(&outer.finish_since(begin), ADDRESS, 2 * TTL);
    assert_no_gap(&inner.finish_since(begin), &inside.address(), 2 * TTL);
    for (before, after) in before.into_iter().zip(after) {
        assert!(after - before <= at_most(span), "{} requests in {span:?}", after - before);
    }
    assert_eq!(messages(&scene.said_since(&mark)?), Vec::<String>::new());
    let now = scene.vm.unit("swarm-discovery.service")?;
    assert_eq!((now.main_pid(), now.n_restarts()), (server.main_pid(), 0), "the server was restarted");
    Ok(())
}
