//! The configuration changed while the agent runs.

use std::time::Instant;

use e2e::{Output, Result, TestResult};

use crate::fleet::{CONFIG_INVALID, DEREGISTERED, Fleet, REGISTERED, RELOADED, SECOND};
use crate::lister::{Lister, assert_no_gap};

const PATH: &str = "/etc/swarm-agent/config.d/20-reload.toml";

fn reload(fleet: &Fleet) -> Result<Output> {
    fleet.node.systemctl(["reload", "swarm-agent"])
}

/// Writes the file and reloads; what the journal says of it.
fn reload_with(fleet: &Fleet, text: &str) -> Result<String> {
    fleet.node.write(PATH, text)?;
    let output = reload(fleet)?;
    assert!(output.success(), "{output:?}");
    let said = fleet.events(RELOADED)?;
    Ok(said.last().expect("systemctl returns after the reload").message())
}

#[test]
fn only_what_was_changed_is_started_anew_and_the_entry_stays() -> TestResult {
    let fleet = Fleet::registered("reload", "heartbeat = \"2s\"\nttl = \"10s\"\n")?;
    let (node, address, lister) = (&fleet.node, fleet.address(), fleet.lister()?);
    let begin = lister.wait_present(&address, 5 * SECOND)?;
    let pid = node.main_pid("swarm-agent.service")?;

    assert_eq!(reload_with(&fleet, "")?, "configuration reloaded: nothing changed");
    // the engine's side alone: the registrar goes on as if nothing were
    let registered = fleet.events(REGISTERED)?.len();
    let said = reload_with(&fleet, "[engine]\nprobe-interval = \"1s\"\n")?;
    assert_eq!(said, "configuration reloaded: engine.probe-interval changed");
    node.wait_unit("swarm-agent.service", 10 * SECOND, |unit| unit.get("StatusText").contains(" healthy"))?;
    assert_eq!(fleet.events(REGISTERED)?.len(), registered);
    // an engine that hangs is now noticed in seconds: the new interval is in force
    let said =
        reload_with(&fleet, "[engine]\nprobe-interval = \"1s\"\nprobe-timeout = \"500ms\"\nunhealthy-after = 1\n")?;
    assert_eq!(said, "configuration reloaded: engine.probe-timeout, engine.unhealthy-after changed");
    // and the registrar's
    let said = reload_with(
        &fleet,
        "[discovery]\nttl = \"30s\"\n[agent]\nlog-level = \"debug\"\n[server]\nlisten = \"[::]:1\"\n",
    )?;
    assert!(
        said.starts_with("configuration reloaded: agent.log-level, discovery.ttl, engine.probe-interval, "),
        "{said}"
    );
    node.wait_journal("swarm-agent", 10 * SECOND, |entry| entry.message() == "heartbeat accepted")?;
    let said = reload_with(&fleet, "[agent]\nstate-directory = \"/var/lib/elsewhere\"\n")?;
    assert!(said.ends_with("; agent.state-directory will change with a restart of the service"), "{said}");
    assert_no_gap(&lister.finish_since(begin), &address, SECOND);

    // a signal does the same
    node.write(PATH, "")?;
    let cursor = node.cursor()?;
    node.ok(["systemctl", "kill", "--signal=HUP", "swarm-agent"])?;
    node.wait_journal_since("swarm-agent", &cursor, 10 * SECOND, |e| e.message_id().as_deref() == Some(RELOADED))?;
    node.wait_unit("swarm-agent.service", 10 * SECOND, |unit| unit.active_state() == "active")?;
    assert_eq!(node.main_pid("swarm-agent.service")?, pid);

    // so that the interval was really changed: a hung engine leaves within seconds, not 30
    reload_with(&fleet, "[engine]\nprobe-interval = \"1s\"\nprobe-timeout = \"500ms\"\nunhealthy-after = 1\n")?;
    let lister = fleet.lister()?;
    lister.wait_present(&address, 10 * SECOND)?;
    node.wait_unit("swarm-agent.service", 10 * SECOND, |unit| unit.get("StatusText").contains(" healthy"))?;
    let hung = Instant::now();
    node.signal("docker.service", e2e::Signal::SIGSTOP)?;
    let gone = lister.gone_since(hung, &address, 15 * SECOND)?;
    node.signal("docker.service", e2e::Signal::SIGCONT)?;
    assert!(gone - hung < 5 * SECOND, "{:?}", gone - hung);
    Ok(())
}

#[test]
fn another_address_or_cluster_is_registered_before_the_old_entry_goes() -> TestResult {
    let fleet = Fleet::registered("reload-move", "heartbeat = \"2s\"\nttl = \"30s\"\n")?;
    let (old, lister) = (fleet.address(), fleet.lister()?);
    let begin = lister.wait_present(&old, 5 * SECOND)?;
    let new = format!("{}:2376", fleet.node.ip());
    reload_with(&fleet, &format!("[discovery]\nadvertise = \"{new}\"\n"))?;
    lister.gone_since(begin, &old, 10 * SECOND)?;
    for answer in lister.finish_since(begin) {
        let nodes = answer.nodes.expect("a list");
        assert!(nodes == [new.clone()] || nodes.contains(&old), "a gap: {nodes:?}");
    }

    let server = format!("http://127.0.0.1:{}", crate::fleet::SERVER_PORT);
    let other = fleet.server.ok(["swarm-agent", "create", &server])?.trim().to_owned();
    let (here, there) = (fleet.lister()?, Lister::start(&fleet.cluster, fleet.server_address(), &other)?);
    let (begin, cursor) = (here.wait_present(&new, 5 * SECOND)?, fleet.node.cursor()?);
    let url = format!("{}/v1/clusters/{other}", fleet.server_url());
    reload_with(&fleet, &format!("[discovery]\nadvertise = \"{new}\"\nurl = \"{url}\"\n"))?;
    there.present_since(begin, &new, 10 * SECOND)?;
    here.gone_since(begin, &new, 10 * SECOND)?;
    let mut said = fleet.node.journal_since("swarm-agent", &cursor)?;
    said.retain(|entry| entry.message_id().is_some_and(|id| id == REGISTERED || id == DEREGISTERED));
    let ids: Vec<_> = said.iter().filter_map(e2e::JournalEntry::message_id).collect();
    assert_eq!(ids, [REGISTERED, DEREGISTERED]);
    Ok(())
}

#[test]
fn with_errors_the_old_settings_stay_and_everybody_who_looks_is_told() -> TestResult {
    let fleet = Fleet::registered("reload-errors", "heartbeat = \"2s\"\nttl = \"10s\"\n")?;
    let (node, address, lister) = (&fleet.node, fleet.address(), fleet.lister()?);
    let begin = lister.wait_present(&address, 5 * SECOND)?;
    let pid = node.unit("swarm-agent.service")?.main_pid();
    node.write(PATH, "[discovery]\nttl = \"1s\"\nadvertize = \"x\"\n")?;
    let output = reload(&fleet)?;
    assert!(!output.success(), "a reload that failed was called a success");
    let unit = node.wait_unit("swarm-agent.service", 10 * SECOND, |unit| {
        unit.get("StatusText").contains(&format!("; configuration not reloaded: {PATH}:"))
    })?;
    assert!(unit.get("StatusText").starts_with("registered "), "{}", unit.get("StatusText"));
    assert_eq!((unit.active_state(), unit.n_restarts(), unit.main_pid()), ("active", 0, pid));
    let said: Vec<String> = fleet.events(CONFIG_INVALID)?.iter().map(e2e::JournalEntry::message).collect();
    assert!(said.iter().any(|line| line.contains(&format!("{PATH}:3:1: discovery.advertize"))), "{said:#?}");
    assert!(said.iter().any(|line| line.contains(&format!("{PATH}:2:7"))), "{said:#?}");

    let by_hand = node.run(["swarm-agent", "reload"])?;
    assert_eq!(by_hand.status, 78);
    assert!(by_hand.stderr.contains("did you mean discovery.advertise?"), "{}", by_hand.stderr);
    let stranger =
        node.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "swarm-agent", "reload"])?;
    assert_eq!(stranger.status, 77);
    assert!(stranger.stderr.contains("root and members of group swarm-agent"), "{}", stranger.stderr);
    node.ok(["useradd", "--groups", "swarm-agent", "oncall"])?;
    let member = node.run(["setpriv", "--reuid=oncall", "--regid=oncall", "--init-groups", "swarm-agent", "reload"])?;
    assert_eq!(member.status, 78, "{}", member.stderr);

    node.remove(PATH)?;
    assert!(reload(&fleet)?.success());
    node.wait_unit("swarm-agent.service", 10 * SECOND, |unit| !unit.get("StatusText").contains("not reloaded"))?;
    assert_no_gap(&lister.finish_since(begin), &address, SECOND / 4);

    node.ok(["systemctl", "stop", "swarm-agent"])?;
    let nobody = node.run(["swarm-agent", "reload"])?;
    assert_eq!(nobody.status, 69);
    assert!(nobody.stderr.contains("systemctl status swarm-agent"), "{}", nobody.stderr);
    Ok(())
}

/// The CPUs of each thread of the agent.
fn cpus(fleet: &Fleet) -> Result<Vec<String>> {
    let pid = fleet.node.unit("swarm-agent.service")?.main_pid();
    let found = fleet.node.sh(&format!("grep -h Cpus_allowed_list /proc/{pid}/task/*/status"))?;
    Ok(found.lines().filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect())
}

#[test]
fn every_thread_runs_on_the_cpus_that_are_wanted_and_an_impossible_wish_is_explained() -> TestResult {
    let fleet = Fleet::registered("affinity", "")?;
    let node = &fleet.node;
    let all = cpus(&fleet)?;
    assert!(all.len() >= 2 && all.iter().all(|set| *set == all[0]), "{all:?}");
    let only = |cpu: &str| -> Result<bool> { Ok(cpus(&fleet)?.iter().all(|set| set == cpu)) };

    assert_eq!(
        reload_with(&fleet, "[agent]\ncpu-affinity = \"1,700\"\n")?,
        "configuration reloaded: agent.cpu-affinity changed"
    );
    assert!(only("1")?, "{:?}", cpus(&fleet)?);
    node.write(PATH, "[agent]\ncpu-affinity = \"700-701\"\n")?;
    let output = reload(&fleet)?;
    assert!(!output.success(), "{output:?}");
    let told = node.run(["swarm-agent", "reload"])?;
    let why = format!("{PATH}:2:16: agent.cpu-affinity: none of the CPUs 700-701 can be used here; 0-1 can");
    assert!(told.status == 78 && told.stderr.contains(&why), "{told:?}");
    assert!(node.unit("swarm-agent.service")?.get("StatusText").contains(&why));
    assert!(only("1")?, "the old setting stays");
    assert!(node.ok(["swarm-agent", "check-config"])?.contains(&format!("notice: on this machine: {why}")));
    // a start with it ends at once, and is not tried again
    node.run(["systemctl", "restart", "swarm-agent"])?;
    let unit = node.wait_unit("swarm-agent.service", 10 * SECOND, |unit| unit.active_state() == "failed")?;
    assert_eq!((unit.get("ExecMainStatus"), unit.n_restarts()), ("78", 0));

    node.write(PATH, "[agent]\ncpu-affinity = \"0\"\n")?;
    node.ok(["systemctl", "start", "swarm-agent"])?;
    assert!(only("0")?, "{:?}", cpus(&fleet)?);
    assert_eq!(reload_with(&fleet, "")?, "configuration reloaded: agent.cpu-affinity changed");
    assert_eq!(cpus(&fleet)?[0], all[0], "back to what systemd gave it");
    Ok(())
}
