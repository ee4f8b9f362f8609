//! What the agent does while its discovery service is in trouble: it goes on.

use std::thread::sleep;
use std::time::{Duration, Instant};

use e2e::{Signal, TestResult, wait_for};

use crate::fleet::{DISCOVERY_FAILING, DISCOVERY_RECOVERED, Fleet, SECOND, SERVER_PORT};
use crate::relay::{Mode, Relay};

/// Short enough that an entry expires during each of the outages.
pub const QUICK: &str = "heartbeat = \"5s\"\nttl = \"20s\"\n";

/// Runs an outage of `length`; the agent must live through it, say so at most once a minute, and be back.
pub fn outage(
    fleet: &Fleet,
    length: Duration,
    begin: impl FnOnce() -> e2e::Result<()>,
    end: impl FnOnce() -> e2e::Result<()>,
) -> TestResult {
    let (node, address) = (&fleet.node, fleet.address());
    let pid = node.main_pid("swarm-agent.service")?;
    let engine = node.unit("docker.service")?.get("InvocationID").to_owned();
    begin()?;
    sleep(length);
    let status = fleet.status()?;
    let said = ["last beat failed", "lease at risk"].iter().any(|doubt| status.contains(doubt));
    assert!(!status.starts_with("registered ") || said, "{status}");
    end()?;
    let healed = Instant::now();
    let lister = fleet.lister()?;
    lister.present_since(healed, &address, 60 * SECOND)?;
    wait_for("the word that it recovered", 60 * SECOND, || {
        fleet.events(DISCOVERY_RECOVERED).is_ok_and(|events| !events.is_empty())
    })?;

    assert_eq!(node.main_pid("swarm-agent.service")?, pid, "the agent was restarted");
    assert_eq!(node.unit("swarm-agent.service")?.n_restarts(), 0);
    assert_eq!(node.unit("docker.service")?.get("InvocationID"), engine, "the engine was touched");
    let warnings: Vec<Duration> =
        fleet.events(DISCOVERY_FAILING)?.iter().filter_map(e2e::JournalEntry::monotonic).collect();
    assert!(!warnings.is_empty(), "an outage was not said");
    for pair in warnings.windows(2) {
        assert!(pair[1] - pair[0] >= 59 * SECOND, "two warnings within {:?}", pair[1] - pair[0]);
    }
    Ok(())
}

#[test]
fn a_server_that_hangs_is_waited_for() -> TestResult {
    let fleet = Fleet::registered("server-hangs", QUICK)?;
    let signal = |signal| fleet.server.signal("swarm-discovery.service", signal);
    // without its watchdog, which would restart it
    fleet.server.write("/etc/systemd/system/swarm-discovery.service.d/hang.conf", "[Service]\nWatchdogSec=0\n")?;
    fleet.server.ok(["systemctl", "daemon-reload"])?;
    fleet.server.ok(["systemctl", "restart", "swarm-discovery"])?;
    fleet.lister()?.wait_present(&fleet.address(), 10 * SECOND)?;
    outage(&fleet, 70 * SECOND, || signal(Signal::SIGSTOP), || signal(Signal::SIGCONT))
}

#[test]
fn a_server_that_refuses_is_waited_for() -> TestResult {
    let fleet = Fleet::registered("server-refuses", QUICK)?;
    let server = |verb| fleet.server.ok(["systemctl", verb, "swarm-discovery"]).map(drop);
    outage(&fleet, 70 * SECOND, || server("stop"), || server("start"))
}

#[test]
fn a_server_that_answers_500_is_waited_for() -> TestResult {
    let fleet = Fleet::boot("server-500")?;
    let relay = Relay::start(&fleet.cluster, (fleet.server.ip(), SERVER_PORT).into())?;
    fleet.configure(&relay.url(), QUICK)?;
    fleet.enable()?;
    fleet.lister()?.wait_present(&fleet.address(), 20 * SECOND)?;
    let set = |mode| {
        relay.set(mode);
        Ok(())
    };
    outage(&fleet, 70 * SECOND, || set(Mode::Answer500), || set(Mode::Pass))?;
    let warning = fleet.events(DISCOVERY_FAILING)?[0].message();
    assert!(warning.contains("answered 500"), "{warning}");
    Ok(())
}

#[test]
fn a_server_that_is_cut_off_for_two_minutes_is_waited_for() -> TestResult {
    let fleet = Fleet::registered("cut-off", "")?;
    // the default heartbeat: one beat at least falls into the cut
    outage(&fleet, 120 * SECOND, || fleet.cluster.cut(&fleet.server), || fleet.cluster.heal(&fleet.server))
}

#[test]
fn a_frozen_journal_does_not_stop_the_heartbeats() -> TestResult {
    let fleet = Fleet::boot("journal")?;
    let relay = Relay::start(&fleet.cluster, (fleet.server.ip(), SERVER_PORT).into())?;
    // debug says something at each beat and each probe: enough to fill the socket's queue of a frozen journald
    fleet.configure(
        &relay.url(),
        "heartbeat = \"1s\"\nttl = \"10s\"\n[engine]\nprobe-interval = \"1s\"\n[agent]\nlog-level = \"debug\"\n",
    )?;
    fleet.enable()?;
    let lister = fleet.lister()?;
    lister.wait_present(&fleet.address(), 20 * SECOND)?;
    let beats = || relay.seen().concat().matches("POST /v1/clusters/").count();
    let pid = fleet.node.main_pid("swarm-agent.service")?;

    fleet.node.signal("systemd-journald.service", Signal::SIGSTOP)?;
    let (before, begin) = (beats(), Instant::now());
    sleep(60 * SECOND);
    let during = beats() - before;
    let watched = begin.elapsed();
    fleet.node.signal("systemd-journald.service", Signal::SIGCONT)?;

    assert!(during >= 50, "only {during} heartbeats in {watched:?}");
    lister.wait_present(&fleet.address(), 5 * SECOND)?;
    assert_eq!(fleet.node.main_pid("swarm-agent.service")?, pid, "the agent was restarted");
    Ok(())
}

#[test]
fn the_requests_are_those_of_the_token_protocol_on_one_kept_connection() -> TestResult {
    let fleet = Fleet::boot("wire")?;
    let relay = Relay::start(&fleet.cluster, (fleet.server.ip(), SERVER_PORT).into())?;
    fleet.configure(&relay.url(), "heartbeat = \"1s\"\nttl = \"7s\"\n")?;
    fleet.enable()?;
    wait_for("three heartbeats", 20 * SECOND, || relay.seen().concat().matches("POST").count() >= 3)?;
    fleet.node.ok(["systemctl", "stop", "swarm-agent"])?;

    let seen = relay.seen();
    assert_eq!(seen.len(), 1, "one connection for all requests: {seen:?}");
    let (cluster, address) = (format!("/v1/clusters/{}", fleet.token), fleet.address());
    let host = relay.url().replace("http://", "");
    let agent = "user-agent: swarm-agent/";
    let version = fleet.node.ok(["swarm-agent", "--version"])?.trim().replace("swarm-agent ", "");
    let register = format!(
        "POST {cluster}?ttl=7 HTTP/1.1\r\ncontent-type: application/json\r\naccept: */*\r\n{agent}{version}\r\nhost: {host}\r\ncontent-length: {}\r\n\r\n{address}",
        address.len()
    );
    let deregister =
        format!("DELETE {cluster}/{address} HTTP/1.1\r\naccept: */*\r\n{agent}{version}\r\nhost: {host}\r\n\r\n");
    // who else is in the list is looked at before the first beat, and again soon after it
    let look = format!("GET {cluster}?records=1 HTTP/1.1\r\naccept: */*\r\n{agent}{version}\r\nhost: {host}\r\n\r\n");
    assert!(seen[0].starts_with(&look), "{}", seen[0]);
    assert_eq!(seen[0].matches(&look).count(), 2, "{}", seen[0]);
    let rest = seen[0].replace(&look, "");
    let beats = rest.matches("POST").count();
    let (records, rest): (Vec<&str>, Vec<&str>) =
        rest.split_inclusive("\r\n").partition(|line| line.starts_with("x-swarm-record: "));
    assert_eq!(records.len(), beats, "{records:?}");
    assert!(
        records.iter().all(|record| record.contains("\"node\":\"") && record.contains("\"engine\":\"")),
        "{records:?}"
    );
    // only an entry that is recorded for this node is to go
    let (own, rest): (Vec<&str>, Vec<&str>) = rest.into_iter().partition(|line| line.starts_with("x-swarm-node: "));
    let id = own.first().and_then(|line| line.trim_end().strip_prefix("x-swarm-node: ")).unwrap_or_default();
    assert!(own.len() == 1 && records[0].contains(&format!("\"node\":\"{id}\"")), "{own:?} {records:?}");
    assert_eq!(rest.concat(), register.repeat(beats) + &deregister);
    Ok(())
}
