//! Which address is registered: found, waited for, followed, and proved.

use std::time::Instant;

use e2e::{Machine, Result, TestResult, wait_for};

use crate::fleet::{ADVERTISED_REACHABLE, ADVERTISED_UNREACHABLE, Fleet, SECOND};
use crate::lister::Answer;

/// The agent enabled with this `discovery.advertise` and these further lines inside `[discovery]`.
fn advertising(name: &str, advertise: &str, more: &str) -> Result<Fleet> {
    let fleet = Fleet::boot(name)?;
    fleet.configure_as(&fleet.server_url(), advertise, more)?;
    fleet.enable()?;
    Ok(fleet)
}

fn ip(node: &Machine, command: &str) -> Result<()> {
    node.sh(&format!("ip {command}")).map(drop)
}

fn wait_status(fleet: &Fleet, part: &str) -> TestResult {
    let wanted = |unit: &e2e::UnitProps| unit.get("StatusText").contains(part);
    fleet.node.wait_unit("swarm-agent.service", 20 * SECOND, wanted)?;
    Ok(())
}

fn assert_untouched(fleet: &Fleet) -> TestResult {
    let unit = fleet.node.unit("swarm-agent.service")?;
    assert_eq!((unit.active_state(), unit.n_restarts()), ("active", 0));
    Ok(())
}

#[test]
fn by_default_the_source_of_the_default_route_is_registered_and_followed() -> TestResult {
    let fleet = Fleet::boot("adv-auto")?;
    let url = format!("{}/v1/clusters/{}", fleet.server_url(), fleet.token);
    fleet.node.write("/etc/swarm-agent/config.d/10-test.toml", format!("[discovery]\nurl = \"{url}\"\n"))?;
    fleet.enable()?;
    let (node, lister, old) = (&fleet.node, fleet.lister()?, fleet.address());
    let begin = lister.wait_present(&old, 20 * SECOND)?;

    // the card gets another address, as from another DHCP server
    let new = "10.99.0.77:2375";
    ip(node, "addr add 10.99.0.77/24 dev eth0")?;
    ip(node, "route replace default via 10.99.0.254 src 10.99.0.77")?;
    let there = lister.present_since(begin, new, 10 * SECOND)?;
    let gone = lister.gone_since(there, &old, 10 * SECOND)?;
    wait_status(&fleet, "registered 10.99.0.77:2375 at ")?;
    let kept = node.read("/var/lib/swarm-agent/entries.json")?;
    assert!(kept.contains(new) && !kept.contains(&old), "{kept}");
    let seen = lister.finish_since(begin);
    assert_one_of(&seen, &[&old, new]);
    assert!(gone >= there);
    assert_untouched(&fleet)
}

/// Asserts that every answer had at least one of these.
fn assert_one_of(answers: &[Answer], nodes: &[&str]) {
    assert!(!answers.is_empty());
    for answer in answers {
        let list = answer.nodes.as_ref().expect("a list");
        assert!(list.iter().any(|node| nodes.contains(&node.as_str())), "a gap: {list:?}");
    }
}

#[test]
fn an_interface_is_waited_for_and_its_address_followed_without_a_restart() -> TestResult {
    let fleet = advertising("adv-late", "eth7:2375", "")?;
    let (node, lister) = (&fleet.node, fleet.lister()?);
    wait_status(&fleet, "not registered: interface eth7 does not exist yet, engine ")?;
    ip(node, "link add eth7 type veth peer name far7")?;
    ip(node, "link set far7 up")?;
    wait_status(&fleet, "not registered: interface eth7 is down, engine ")?;
    ip(node, "link set eth7 up")?;
    wait_status(&fleet, "not registered: interface eth7 has no address yet, engine ")?;

    let added = Instant::now();
    ip(node, "addr add 10.7.0.5/24 dev eth7")?;
    let there = lister.present_since(added, "10.7.0.5:2375", 10 * SECOND)?;
    assert!(there - added <= 3 * SECOND, "registered after {:?}", there - added);

    // without promotion the second address of a network goes with the first
    node.sh("ip addr add 10.7.1.6/24 dev eth7 && ip addr del 10.7.0.5/24 dev eth7")?;
    let moved = lister.present_since(there, "10.7.1.6:2375", 10 * SECOND)?;
    lister.gone_since(moved, "10.7.0.5:2375", 10 * SECOND)?;

    // a flap is no loss
    node.sh("ip addr del 10.7.1.6/24 dev eth7 && sleep 0.5 && ip addr add 10.7.1.6/24 dev eth7")?;
    // gone for good is
    let flapped = Instant::now();
    std::thread::sleep(3 * SECOND);
    let lost = Instant::now();
    ip(node, "addr del 10.7.1.6/24 dev eth7")?;
    let gone = lister.gone_since(lost, "10.7.1.6:2375", 10 * SECOND)?;
    assert!(gone - lost <= 5 * SECOND, "gone after {:?}", gone - lost);
    wait_status(&fleet, "not registered: interface eth7 has no address yet, engine ")?;
    let seen = lister.finish_since(there);
    let before: Vec<Answer> = seen.into_iter().filter(|answer| answer.at < lost).collect();
    assert!(before.iter().any(|answer| answer.at > flapped));
    assert_one_of(&before, &["10.7.0.5:2375", "10.7.1.6:2375"]);
    assert_untouched(&fleet)
}

#[test]
fn two_addresses_in_a_network_are_a_state_that_is_explained_and_resolves_by_itself() -> TestResult {
    let fleet = Fleet::boot("adv-network")?;
    let (node, address) = (&fleet.node, fleet.address());
    ip(node, "link add lan1 type veth peer name far1")?;
    ip(node, "link set far1 up")?;
    ip(node, "link set lan1 up")?;
    ip(node, "addr add 10.1.0.5/24 dev lan1")?;
    fleet.configure_as(&fleet.server_url(), "10.0.0.0/8:2375", "")?;
    fleet.enable()?;
    let both = format!("2 addresses fit 10.0.0.0/8:2375: 10.1.0.5 (lan1), {} (eth0)", node.ip());
    wait_status(&fleet, &format!("not registered: {both}"))?;
    let lister = fleet.lister()?;
    ip(node, "addr del 10.1.0.5/24 dev lan1")?;
    let there = lister.wait_present(&address, 10 * SECOND)?;

    ip(node, "addr add 10.1.0.5/24 dev lan1")?;
    lister.gone_since(there, &address, 10 * SECOND)?;
    wait_status(&fleet, &format!("not registered: {both}"))?;
    assert_untouched(&fleet)
}

#[test]
fn a_host_with_ipv6_only_is_registered_in_brackets() -> TestResult {
    let fleet = Fleet::boot("adv-ipv6")?;
    let (node, server) = (&fleet.node, &fleet.server);
    ip(server, "addr add fd00:99::1/64 dev eth0 nodad")?;
    server.write("/etc/swarm-agent/config.d/10-test.toml", "[server]\nlisten = \"[::]:8970\"\n")?;
    server.ok(["systemctl", "restart", "swarm-discovery"])?;
    ip(node, "addr add fd00:99::2/64 dev eth0 nodad")?;
    ip(node, "-6 route add default via fd00:99::1")?;
    ip(node, "-4 route flush table main")?;
    ip(node, "-4 addr flush dev eth0")?;
    fleet.configure_as("http://[fd00:99::1]:8970", "auto:2375", "")?;
    fleet.enable()?;
    fleet.lister()?.wait_present("[fd00:99::2]:2375", 20 * SECOND)?;
    wait_status(&fleet, "registered [fd00:99::2]:2375 at http://[fd00:99::1]:8970")
}

/// Lets the engine listen on TCP too, at this address.
fn open_port(node: &Machine, listen: &str) -> TestResult {
    let drop_in = format!(
        "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// -H tcp://{listen} --tls=false --containerd=/run/containerd/containerd.sock\n"
    );
    node.write("/etc/systemd/system/docker.service.d/tcp.conf", drop_in)?;
    node.ok(["systemctl", "daemon-reload"])?;
    node.ok(["systemctl", "restart", "docker"])?;
    Ok(())
}

/// Answers at the engine's port with another ID.
fn impersonate(node: &Machine) -> TestResult {
    let script = r#"while read -r line && [ ${#line} -gt 1 ]; do :; done
        printf 'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"ID":"other"}'"#;
    let units = "/etc/systemd/system/other";
    node.write("/root/other.sh", script)?;
    node.write(&format!("{units}.socket"), "[Socket]\nListenStream=2375\nAccept=yes\n")?;
    node.write(&format!("{units}@.service"), "[Service]\nStandardInput=socket\nExecStart=/bin/sh /root/other.sh\n")?;
    node.ok(["systemctl", "daemon-reload"])?;
    node.ok(["systemctl", "start", "other.socket"])?;
    Ok(())
}

#[test]
fn an_unreachable_address_is_said_once_and_so_is_its_recovery() -> TestResult {
    let fleet = Fleet::registered("adv-warn", "")?;
    wait_status(&fleet, "containers, advertised address unreachable: connection refused")?;
    assert_eq!(fleet.events(ADVERTISED_UNREACHABLE)?.len(), 1);

    open_port(&fleet.node, "0.0.0.0:2375")?;
    wait_for("the word that it is reachable", 60 * SECOND, || {
        fleet.events(ADVERTISED_REACHABLE).is_ok_and(|events| events.len() == 1)
    })?;
    let status = fleet.status()?;
    assert!(status.ends_with(" healthy, 0 containers"), "{status}");
    assert_eq!(fleet.events(ADVERTISED_UNREACHABLE)?.len(), 1);
    assert_untouched(&fleet)
}

#[test]
fn a_required_proof_keeps_the_node_out_until_its_engine_answers_there() -> TestResult {
    let fleet = advertising("adv-require", "auto:2375", "advertise-check = \"require\"\n")?;
    wait_status(&fleet, "not registered: advertised address unreachable: connection refused, engine ")?;
    let lister = fleet.lister()?;
    lister.gone_since(Instant::now(), &fleet.address(), 5 * SECOND)?;
    open_port(&fleet.node, "0.0.0.0:2375")?;
    let there = lister.wait_present(&fleet.address(), 60 * SECOND)?;
    wait_status(&fleet, "registered ")?;

    // somebody else's engine
    fleet.node.ok(["systemctl", "stop", "docker.service", "docker.socket"])?;
    lister.gone_since(there, &fleet.address(), 5 * SECOND)?;
    fleet.node.remove("/etc/systemd/system/docker.service.d/tcp.conf")?;
    fleet.node.ok(["systemctl", "daemon-reload"])?;
    impersonate(&fleet.node)?;
    fleet.node.ok(["systemctl", "start", "docker"])?;
    wait_status(&fleet, "not registered: advertised address answers as another engine, engine ")
}
