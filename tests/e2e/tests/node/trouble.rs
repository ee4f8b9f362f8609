//! A world that is not perfect: what may go wrong around an agent, and what is left of it.

use std::thread::sleep;
use std::time::{Duration, Instant};

use e2e::{Direction, TestResult};

use crate::discovery::{QUICK, outage};
use crate::fleet::{DISCOVERY_FAILING, Fleet, SECOND, SERVER_PORT};
use crate::lister::assert_no_gap;
use crate::relay::{Mode, Relay};

const STATE_TROUBLE: &str = "bbd4841693c542c3b034a5263af84323";

#[test]
fn a_slow_server_is_a_server_and_one_that_hangs_up_is_an_outage() -> TestResult {
    let fleet = Fleet::boot("slow")?;
    let relay = Relay::start(&fleet.cluster, (fleet.server.ip(), SERVER_PORT).into())?;
    fleet.configure(&relay.url(), QUICK)?;
    fleet.enable()?;
    let lister = fleet.lister()?;
    let begin = lister.wait_present(&fleet.address(), 20 * SECOND)?;
    relay.set(Mode::Slow(6 * SECOND));
    sleep(30 * SECOND);
    relay.set(Mode::Pass);
    assert_no_gap(&lister.finish_since(begin), &fleet.address(), 25 * SECOND);
    assert_eq!(fleet.events(DISCOVERY_FAILING)?.len(), 0);

    let set = |mode| {
        relay.set(mode);
        Ok(())
    };
    outage(&fleet, 25 * SECOND, || set(Mode::Reset), || set(Mode::Pass))
}

#[test]
fn a_name_that_goes_away_and_comes_back_elsewhere_is_followed() -> TestResult {
    let fleet = Fleet::boot("dns")?;
    let (node, server) = (&fleet.node, &fleet.server);
    let hosts = |line: &str| node.write("/etc/hosts", format!("127.0.0.1 localhost\n{line}\n"));
    hosts(&format!("{} disco.test", server.ip()))?;
    fleet.configure(&format!("http://disco.test:{SERVER_PORT}"), QUICK)?;
    fleet.enable()?;
    fleet.lister()?.wait_present(&fleet.address(), 20 * SECOND)?;

    let restart = || server.ok(["systemctl", "restart", "swarm-discovery"]).map(drop);
    outage(
        &fleet,
        30 * SECOND,
        || hosts("").and_then(|()| restart()),
        || hosts(&format!("{} disco.test", server.ip())),
    )?;
    let said = fleet.events(DISCOVERY_FAILING)?[0].message();
    assert!(said.contains("no connection to http://disco.test:8970"), "{said}");

    // the server moves: the name says where to (the kernel drops further addresses with the first one)
    hosts("10.99.0.77 disco.test")?;
    let first = format!("{}/24", server.ip());
    server.sh(&format!("ip address delete {first} dev eth0; ip address add 10.99.0.77/24 dev eth0"))?;
    let moved = Instant::now();
    let lister = crate::lister::Lister::start(&fleet.cluster, ([10, 99, 0, 77], SERVER_PORT).into(), &fleet.token)?;
    sleep(QUICK_TTL);
    lister.present_since(moved + QUICK_TTL, &fleet.address(), 40 * SECOND)?;
    Ok(())
}

/// The ttl of `QUICK`, and a little more.
const QUICK_TTL: Duration = Duration::from_secs(21);

#[test]
fn a_partition_in_one_direction_is_an_outage_and_heals() -> TestResult {
    let fleet = Fleet::registered("one-way", QUICK)?;
    let node = &fleet.node;
    outage(&fleet, 40 * SECOND, || node.cut_one_way(Direction::In), || node.heal())?;
    outage(&fleet, 40 * SECOND, || node.cut_one_way(Direction::Out), || node.heal())
}

#[test]
fn a_sick_state_directory_is_said_and_costs_no_registration() -> TestResult {
    let fleet = Fleet::registered("state", QUICK)?;
    let (node, address, lister) = (&fleet.node, fleet.address(), fleet.lister()?);
    let folder = "/var/lib/swarm-agent";

    // corrupt: set aside
    node.ok(["systemctl", "stop", "swarm-agent"])?;
    node.write(&format!("{folder}/entries.json"), "{\"entries\": [")?;
    let begin = Instant::now();
    node.ok(["systemctl", "start", "swarm-agent"])?;
    lister.present_since(begin, &address, 10 * SECOND)?;
    assert!(node.exists(&format!("{folder}/entries.json.corrupt"))?);
    let said = fleet.events(STATE_TROUBLE)?;
    assert!(said.len() == 1 && said[0].message().contains("set aside as"), "{}", said[0].message());

    // full, then read-only
    for (mount, error) in [("size=4k", "No space left"), ("ro", "Read-only file system")] {
        node.ok(["systemctl", "stop", "swarm-agent"])?;
        let cursor = node.cursor()?;
        node.sh(&format!(
            "u=$(id -u swarm-agent); mount -t tmpfs -o size=4k,uid=$u,gid=$u,mode=700 tmpfs {folder}
             dd if=/dev/zero of={folder}/filler bs=4k count=1 2>/dev/null; systemctl start swarm-agent
             mount -o remount,{mount} {folder}"
        ))?;
        // an entry that changes is one that is to be written down
        node.ok(["systemctl", "stop", "docker"])?;
        lister.gone_since(Instant::now(), &address, 10 * SECOND)?;
        node.ok(["systemctl", "start", "docker"])?;
        lister.wait_present(&address, 10 * SECOND)?;
        let said = node.wait_journal_since("swarm-agent", &cursor, 10 * SECOND, |entry| {
            entry.message_id().as_deref() == Some(STATE_TROUBLE)
        })?;
        assert!(said.message().contains(error) || said.message().contains("No space left"), "{}", said.message());
        assert_eq!(node.unit("swarm-agent.service")?.n_restarts(), 0);
        node.sh(&format!("systemctl stop swarm-agent; umount {folder}"))?;
    }
    Ok(())
}

#[test]
fn two_agents_on_one_host_do_not_fight_and_a_clone_stays_out_and_says_so() -> TestResult {
    let fleet = Fleet::registered("twins", "heartbeat = \"2s\"\nttl = \"10s\"\n")?;
    let (node, address, lister) = (&fleet.node, fleet.address(), fleet.lister()?);
    node.systemd_run("second-agent.service", ["swarm-agent", "run", "--set", "agent.state-directory=/tmp"])?;
    node.wait_journal("second-agent.service", 20 * SECOND, |entry| entry.message().starts_with("registered "))?;
    let begin = lister.wait_present(&address, 5 * SECOND)?;
    sleep(10 * SECOND);
    assert_no_gap(&lister.finish_since(begin), &address, 9 * SECOND);
    // the one that stops takes out what both keep; the other puts it back with its next beat
    let lister = fleet.lister()?;
    let stop = Instant::now();
    node.ok(["systemctl", "stop", "second-agent.service"])?;
    let gone = lister.gone_since(stop, &address, 5 * SECOND)?;
    let back = lister.present_since(gone, &address, 10 * SECOND)?;
    assert!(back - gone <= 3 * SECOND, "back after {:?}", back - gone);

    let clone = fleet.cluster.machine("clone").boot()?;
    crate::fleet::install(&clone)?;
    clone.write("/etc/machine-id", node.read("/etc/machine-id")?)?;
    // which names its folder by the id
    clone.ok(["systemctl", "restart", "systemd-journald"])?;
    let own = format!("{}:2375", clone.ip());
    let config = node.read("/etc/swarm-agent/config.d/10-test.toml")?.replace(&address, &own);
    clone.write("/etc/swarm-agent/config.d/10-test.toml", config)?;
    // a copy of a disk has also what the original wrote down
    let kept = "/var/lib/swarm-agent/entries.json";
    clone.write(kept, node.read(kept)?)?;
    let lister = fleet.lister()?;
    let begin = lister.wait_present(&address, 5 * SECOND)?;
    clone.ok(["systemctl", "start", "swarm-agent"])?;
    let why = format!("a machine with this one's id is registered at {address} already: host node");
    clone.wait_unit("swarm-agent.service", 20 * SECOND, |unit| unit.get("StatusText").contains(&why))?;
    clone.wait_journal("swarm-agent.service", 10 * SECOND, |entry| {
        entry.field("SWARM_AGENT_EVENT").as_deref() == Some("duplicate") && entry.message().contains(&why)
    })?;
    assert!(!node.ok(["swarm-agent", "list"])?.contains(&own), "the clone is in the list");
    // time enough to take something out
    sleep(5 * SECOND);
    assert_no_gap(&lister.finish_since(begin), &address, 5 * SECOND);
    let shown = node.ok(["swarm-agent", "list", "--long"])?;
    assert!(shown.lines().any(|line| line.starts_with(&address) && line.contains(" node ")), "{shown}");
    // who says that it is all right comes in
    let lister = fleet.lister()?;
    clone.write("/etc/swarm-agent/config.d/20-test.toml", "[discovery]\nduplicates = \"allow\"\n")?;
    clone.ok(["systemctl", "reload", "swarm-agent"])?;
    lister.wait_present(&own, 10 * SECOND)?;
    let begin = lister.wait_present(&address, 5 * SECOND)?;

    // with an id of its own, and what the original wrote down: that stays the original's
    clone.ok(["systemctl", "stop", "swarm-agent"])?;
    clone.write("/etc/machine-id", "5eed5eed5eed5eed5eed5eed5eed5eed\n")?;
    clone.write(kept, node.read(kept)?)?;
    clone.ok(["systemctl", "restart", "systemd-journald"])?;
    clone.ok(["systemctl", "start", "swarm-agent"])?;
    clone.wait_unit("swarm-agent.service", 20 * SECOND, |unit| {
        unit.get("StatusText").starts_with(&format!("registered {own}"))
    })?;
    // time enough to take something out
    sleep(5 * SECOND);
    assert_no_gap(&lister.finish_since(begin), &address, 5 * SECOND);
    let said = clone.journal("swarm-agent")?;
    assert!(said.iter().any(|entry| entry.message().contains("on a machine with another id")), "nothing is said of it");
    assert!(clone.read(kept)?.contains(&own) && !clone.read(kept)?.contains(&address), "it keeps another's entry");
    Ok(())
}
