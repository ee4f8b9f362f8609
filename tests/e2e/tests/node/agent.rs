//! The agent as a service: its watchdog, its stops and restarts, its configuration.

use std::time::Instant;

use e2e::{Signal, TestResult, wait_for};

use crate::fleet::{CONFIG_INVALID, Fleet, SECOND};
use crate::lister::assert_no_gap;

#[test]
fn a_frozen_agent_is_killed_by_the_watchdog_and_its_successor_takes_over_without_a_gap() -> TestResult {
    let fleet = Fleet::registered("watchdog", "")?;
    let (node, lister) = (&fleet.node, fleet.lister()?);
    let begin = lister.wait_present(&fleet.address(), 5 * SECOND)?;
    let frozen = node.main_pid("swarm-agent.service")?;
    node.signal("swarm-agent.service", Signal::SIGSTOP)?;
    node.wait_unit("swarm-agent.service", 60 * SECOND, |unit| unit.n_restarts() == 1 && unit.is_active())?;
    assert_ne!(node.main_pid("swarm-agent.service")?, frozen);
    node.wait_unit("swarm-agent.service", 20 * SECOND, |unit| unit.get("StatusText").starts_with("registered "))?;
    assert_no_gap(&lister.finish_since(begin), &fleet.address(), 25 * SECOND);
    Ok(())
}

#[test]
fn a_stop_takes_the_entry_out_and_a_restart_keeps_it() -> TestResult {
    let fleet = Fleet::registered("agent-stop", "")?;
    let (node, address, lister) = (&fleet.node, fleet.address(), fleet.lister()?);

    let stop = Instant::now();
    node.ok(["systemctl", "stop", "swarm-agent"])?;
    let gone = lister.gone_since(stop, &address, 10 * SECOND)?;
    assert!(gone - stop <= 5 * SECOND, "gone after {:?}", gone - stop);
    assert_eq!(node.unit("swarm-agent.service")?.result(), "success");

    node.ok(["systemctl", "start", "swarm-agent"])?;
    let begin = lister.wait_present(&address, 10 * SECOND)?;
    for _ in 0..3 {
        node.ok(["systemctl", "restart", "swarm-agent"])?;
        node.wait_unit("swarm-agent.service", 20 * SECOND, |unit| unit.get("StatusText").starts_with("registered "))?;
    }
    assert_no_gap(&lister.finish_since(begin), &address, 3 * SECOND);
    Ok(())
}

#[test]
fn an_engine_that_died_while_the_agent_restarted_is_taken_out_by_the_next_process() -> TestResult {
    let fleet = Fleet::registered("resume", "")?;
    let (node, address, lister) = (&fleet.node, fleet.address(), fleet.lister()?);
    // the same as a crash of the agent: nothing is said to the server
    node.ok(["systemctl", "kill", "--signal=SIGUSR2", "swarm-agent"])?;
    node.wait_unit("swarm-agent.service", 10 * SECOND, |unit| unit.active_state() == "inactive")?;
    node.ok(["systemctl", "stop", "docker"])?;
    lister.wait_present(&address, 5 * SECOND)?;
    let start = Instant::now();
    node.ok(["systemctl", "start", "swarm-agent"])?;
    let gone = lister.gone_since(start, &address, 10 * SECOND)?;
    assert!(gone - start <= 2 * SECOND, "gone after {:?}", gone - start);
    assert_eq!(node.unit("docker.service")?.active_state(), "inactive");
    Ok(())
}

#[test]
fn a_node_without_power_is_gone_within_its_ttl_and_back_after_its_boot() -> TestResult {
    let fleet = Fleet::registered("power-cut", "heartbeat = \"3s\"\nttl = \"12s\"\n")?;
    let (node, address, lister) = (&fleet.node, fleet.address(), fleet.lister()?);
    let cut = Instant::now();
    node.power_cut()?;
    let gone = lister.gone_since(cut, &address, 30 * SECOND)?;
    assert!(gone - cut >= 8 * SECOND, "gone after {:?}: a ttl of 12 s was asked for", gone - cut);
    assert!(gone - cut <= 13 * SECOND, "gone after {:?}", gone - cut);
    node.start()?;
    lister.present_since(gone, &address, 30 * SECOND)?;
    Ok(())
}

#[test]
fn a_bad_configuration_ends_with_78_says_where_and_is_not_tried_again() -> TestResult {
    let fleet = Fleet::boot("bad-config")?;
    let node = &fleet.node;
    node.write(
        "/etc/swarm-agent/config.d/10-test.toml",
        "[discovery]\nurl = \"http://a/v1/clusters/t\"\nttl = \"20s\"\n",
    )?;
    node.write(
        "/etc/swarm-agent/config.d/20-more.toml",
        "[discovery]\nheartbeet = \"20s\"\nheartbeat = \"30s\"\nadvertise = \"10.0.0.1\"\n",
    )?;
    let start = node.systemctl(["start", "swarm-agent"])?;
    assert!(!start.success());
    let unit = node.unit("swarm-agent.service")?;
    assert_eq!((unit.get("ExecMainStatus"), unit.active_state(), unit.n_restarts()), ("78", "failed", 0));
    let said: Vec<String> = fleet.events(CONFIG_INVALID)?.iter().map(e2e::JournalEntry::message).collect();
    let all = said.join("\n");
    for part in ["20-more.toml:2:1", "heartbeet", "20-more.toml:4:13", "discovery.advertise"] {
        assert!(all.contains(part), "{part} is not in:\n{all}");
    }
    let check = node.run(["swarm-agent", "check-config"])?;
    assert_eq!(check.status, 78);

    // each error is mended in turn; the cross-check names both places
    node.write(
        "/etc/swarm-agent/config.d/20-more.toml",
        "[discovery]\nheartbeat = \"30s\"\nadvertise = \"10.0.0.1:1\"\n",
    )?;
    let check = node.run(["swarm-agent", "check-config"])?;
    for part in ["10-test.toml:3", "20-more.toml:2", "discovery.ttl", "discovery.heartbeat"] {
        assert!(check.stderr.contains(part), "{part} is not in:\n{}", check.stderr);
    }
    node.write(
        "/etc/swarm-agent/config.d/20-more.toml",
        "[discovery]\nheartbeat = \"10s\"\nadvertise = \"10.0.0.1:1\"\n",
    )?;
    node.ok(["swarm-agent", "check-config"])?;
    Ok(())
}

#[test]
fn the_unit_is_sandboxed_and_may_do_nothing_but_its_work() -> TestResult {
    let fleet = Fleet::registered("sandbox", "")?;
    let node = &fleet.node;
    for unit in [(node, "swarm-agent.service"), (&fleet.server, "swarm-discovery.service")] {
        let (machine, name) = unit;
        let verdict = machine.ok(["systemd-analyze", "security", "--no-pager", name])?;
        let score =
            verdict.lines().last().and_then(|line| line.split_whitespace().find_map(|word| word.parse::<f32>().ok()));
        assert!(score.is_some_and(|score| score <= 1.5), "{name}: {}", verdict.lines().last().unwrap_or(""));
    }
    let pid = node.unit("swarm-agent.service")?.main_pid().to_string();
    let status = node.read(&format!("/proc/{pid}/status"))?;
    for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"] {
        assert!(status.contains(line), "{line} is not in:\n{status}");
    }
    assert_eq!(node.ok(["ps", "-o", "user=", "-p", &pid])?.trim(), "swarm-agent");
    Ok(())
}

#[test]
fn polkit_lets_the_agent_restart_docker_and_nothing_else() -> TestResult {
    let fleet = Fleet::boot("polkit")?;
    let node = &fleet.node;
    let as_agent = |args: &[&str]| -> e2e::Result<bool> {
        let mut all = vec![
            "setpriv",
            "--reuid=swarm-agent",
            "--regid=swarm-agent",
            "--init-groups",
            "systemctl",
            "--no-ask-password",
        ];
        all.extend(args);
        Ok(node.run(all)?.success())
    };
    assert!(as_agent(&["restart", "docker.service"])?);
    assert!(as_agent(&["reset-failed", "docker.service"])?);
    for denied in [
        &["stop", "docker.service"][..],
        &["start", "docker.service"],
        &["kill", "docker.service"],
        &["restart", "docker.socket"],
        &["restart", "containerd.service"],
        &["set-property", "--runtime", "docker.service", "CPUWeight=50"],
        &["daemon-reload"],
        &["start", "swarm-agent.service"],
    ] {
        assert!(!as_agent(denied)?, "{denied:?} is allowed");
    }
    wait_for("docker active", 10 * SECOND, || {
        node.unit("docker.service").map(|unit| unit.is_active()).unwrap_or(false)
    })?;
    Ok(())
}
