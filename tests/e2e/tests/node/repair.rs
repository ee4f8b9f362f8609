//! The supervisor of the engine: what it recognises, what it repairs, and what it leaves alone.

use std::thread::sleep;
use std::time::Duration;

use e2e::{Machine, Result, Signal, TestResult, wait_for_every};
use serde_json::Value;

use crate::fleet::{Fleet, SECOND};

const REPAIR_BEGUN: &str = "repair-begun";
const REPAIR_REFUSED: &str = "repair-refused";

/// Probes and guards that let a test see the end of things.
const QUICK: &str = "[engine]\nprobe-interval = \"2s\"\nprobe-timeout = \"1s\"\nunhealthy-after = 3\n\
                     [supervision]\nrestarts = 2\nwindow = \"10m\"\ncooldown = \"3s\"\n";

/// The node's engine, whose death is final, and whose stop takes no longer than this.
const FINAL: &str = "[Service]\nRestart=no\nTimeoutStopSec=3s\n";

fn with_docker_drop_in(fleet: &Fleet, text: &str) -> Result<()> {
    fleet.node.write("/etc/systemd/system/docker.service.d/50-test.conf", text)?;
    fleet.node.ok(["systemctl", "daemon-reload"]).map(drop)
}

fn supervision(node: &Machine) -> Result<Value> {
    let status = node.run(["swarm-agent", "status", "--json"])?;
    let report: Value = serde_json::from_str(&status.stdout)?;
    Ok(report["supervision"].clone())
}

/// Looks a few times a second, for a look takes its time.
fn until(what: &str, timeout: Duration, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
    wait_for_every(SECOND / 5, what, timeout, || match look() {
        Ok(true) => Ok(()),
        Ok(false) => Err("not so yet".to_owned()),
        Err(error) => Err(format!("{error:#}")),
    })
}

/// Waits until the supervisor makes this of the engine, and says so everywhere.
fn wait_condition(node: &Machine, condition: &str) -> Result<()> {
    let mut seen = Value::Null;
    let waited = until(condition, 40 * SECOND, || {
        seen = supervision(node)?;
        Ok(seen["condition"] == condition)
    });
    if waited.is_err() {
        anyhow::bail!("never {condition}: {seen:#}\n{}", node.ok(["swarm-agent", "status"]).unwrap_or_default());
    }
    let metric = format!("swarm_agent_engine_condition{{condition=\"{condition}\"}} 1");
    assert!(node.ok(["swarm-agent", "metrics"])?.lines().any(|line| line == metric), "{metric}");
    Ok(())
}

/// Events of this name, each with the words that its MESSAGE has to have.
fn said(node: &Machine, event: &str) -> Result<Vec<String>> {
    let entries = node.journal("swarm-agent")?;
    let of_event = entries.iter().filter(|entry| entry.field("SWARM_AGENT_EVENT").as_deref() == Some(event));
    Ok(of_event.map(|entry| entry.message().to_owned()).collect())
}

fn wait_said(node: &Machine, event: &str, part: &str) -> Result<String> {
    let mut found = None;
    until(&format!("{event}: {part}"), 60 * SECOND, || {
        found = said(node, event)?.into_iter().find(|message| message.contains(part));
        Ok(found.is_some())
    })?;
    Ok(found.unwrap_or_default())
}

fn status_text(node: &Machine) -> Result<String> {
    Ok(node.unit("swarm-agent.service")?.get("StatusText").to_owned())
}

#[test]
fn every_observation_has_its_own_condition_and_nothing_is_done_where_repair_is_off() -> TestResult {
    let fleet = Fleet::registered("observe", &format!("{QUICK}mode = \"off\"\n"))?;
    let (node, lister) = (&fleet.node, fleet.lister()?);
    wait_condition(node, "working")?;
    let starts = || node.unit("docker.service").map(|unit| unit.main_pid());

    node.signal("docker.service", Signal::SIGSTOP)?;
    wait_condition(node, "hung")?;
    let text = status_text(node)?;
    assert!(
        text.contains("no answer to /_ping") && text.contains("not restarted: supervision.mode is \"off\""),
        "{text}"
    );
    node.signal("docker.service", Signal::SIGCONT)?;
    wait_condition(node, "working")?;

    node.signal("containerd.service", Signal::SIGSTOP)?;
    wait_condition(node, "runtime_hung")?;
    assert!(status_text(node)?.contains("containerd hangs"), "{}", status_text(node)?);
    node.signal("containerd.service", Signal::SIGCONT)?;
    wait_condition(node, "working")?;

    // on a machine that has no time for anybody
    for n in 0..16 {
        node.systemd_run(&format!("busy-{n}.service"), ["sh", "-c", "while :; do :; done"])?;
    }
    let starved = until("pressure", 60 * SECOND, || {
        let pressure = node.read("/proc/pressure/cpu")?;
        let avg10 = pressure.split("avg10=").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok());
        Ok(avg10.is_some_and(|avg10| avg10 >= 92.0))
    });
    starved?;
    node.signal("docker.service", Signal::SIGSTOP)?;
    wait_condition(node, "starved")?;
    assert!(status_text(node)?.contains("this machine is starved: processes waited for CPU"), "{}", status_text(node)?);
    node.signal("docker.service", Signal::SIGCONT)?;
    for n in 0..16 {
        node.ok(["systemctl", "stop", &format!("busy-{n}.service")])?;
    }
    wait_condition(node, "working")?;

    let pid = starts()?;
    node.ok(["systemctl", "stop", "containerd"])?;
    wait_condition(node, "runtime_stopped")?;
    assert!(status_text(node)?.contains("containerd is stopped"), "{}", status_text(node)?);
    assert_eq!(starts()?, pid, "docker.service was restarted");
    node.ok(["systemctl", "start", "containerd"])?;
    wait_condition(node, "working")?;
    node.write("/etc/systemd/system/containerd.service.d/50-test.conf", "[Service]\nRestart=no\n")?;
    node.ok(["systemctl", "daemon-reload"])?;
    node.signal("containerd.service", Signal::SIGKILL)?;
    wait_condition(node, "runtime_gone")?;
    assert!(status_text(node)?.contains("containerd is gone"), "{}", status_text(node)?);
    node.ok(["systemctl", "start", "containerd"])?;
    wait_condition(node, "working")?;

    // a slow start
    with_docker_drop_in(&fleet, "[Service]\nExecStartPre=sleep 8\n")?;
    node.ok(["systemctl", "stop", "docker.service", "docker.socket"])?;
    wait_condition(node, "stopped")?;
    node.ok(["systemctl", "start", "--no-block", "docker"])?;
    wait_condition(node, "starting")?;
    wait_condition(node, "working")?;

    // its socket is lost, and so is our connection
    node.ok(["rm", "/run/docker.sock"])?;
    node.ok(["systemctl", "restart", "swarm-agent"])?;
    wait_condition(node, "socket_fault")?;
    with_docker_drop_in(&fleet, FINAL)?;
    node.ok(["systemctl", "restart", "docker.socket", "docker.service"])?;
    wait_condition(node, "working")?;

    node.ok(["chmod", "0", "/run/docker.sock"])?;
    node.ok(["systemctl", "restart", "swarm-agent"])?;
    wait_condition(node, "cannot_tell")?;
    wait_said(node, "engine-diagnosed", "nothing can be told")?;
    node.ok(["chmod", "660", "/run/docker.sock"])?;
    wait_condition(node, "working")?;

    node.signal("docker.service", Signal::SIGKILL)?;
    wait_condition(node, "failed")?;
    assert!(status_text(node)?.contains("engine failed; not restarted: supervision.mode"), "{}", status_text(node)?);
    node.ok(["systemctl", "reset-failed", "docker"])?;
    wait_condition(node, "stopped")?;
    node.ok(["systemctl", "mask", "docker.service"])?;
    wait_condition(node, "masked")?;
    node.ok(["systemctl", "unmask", "docker.service"])?;
    node.ok(["systemctl", "start", "docker.service"])?;
    wait_condition(node, "working")?;

    node.ok(["systemctl", "stop", "dbus.socket", "dbus.service"])?;
    wait_condition(node, "cannot_tell")?;
    node.ok(["systemctl", "start", "dbus.socket", "dbus.service"])?;
    wait_condition(node, "working")?;

    node.write("/etc/swarm-agent/config.d/20-test.toml", "[engine]\nunit = \"nowhere.service\"\n")?;
    node.ok(["systemctl", "reload", "swarm-agent"])?;
    wait_condition(node, "absent")?;
    node.ok(["rm", "/etc/swarm-agent/config.d/20-test.toml"])?;
    node.ok(["systemctl", "reload", "swarm-agent"])?;
    wait_condition(node, "working")?;

    assert_eq!(said(node, REPAIR_BEGUN)?, [""; 0]);
    for part in [
        "the engine hangs",
        "containerd hangs",
        "this machine is starved",
        "containerd is gone",
        "nobody listens",
        "it has failed",
    ] {
        wait_said(node, "engine-diagnosed", part)?;
    }
    lister.wait_present(&fleet.address(), 20 * SECOND)?;
    Ok(())
}

#[test]
fn a_failed_engine_is_restarted_once_and_the_story_is_kept() -> TestResult {
    let fleet = Fleet::registered("repair", QUICK)?;
    let (node, address, lister) = (&fleet.node, fleet.address(), fleet.lister()?);
    with_docker_drop_in(&fleet, FINAL)?;
    wait_condition(node, "working")?;
    let kill = std::time::Instant::now();
    node.signal("docker.service", Signal::SIGKILL)?;
    let gone = lister.gone_since(kill, &address, 5 * SECOND)?;
    lister.present_since(gone, &address, 40 * SECOND)?;
    assert_eq!(said(node, REPAIR_BEGUN)?.len(), 1);
    let begun = wait_said(node, REPAIR_BEGUN, "restarting docker.service (restart 1 of 2)")?;
    assert!(begun.contains("systemd has given up on it"), "{begun}");
    wait_said(node, "repair-done", "docker.service was restarted: the engine works again after ")?;
    wait_condition(node, "working")?;
    assert_eq!(supervision(node)?["restarts_in_window"], 1);
    let metrics = node.ok(["swarm-agent", "metrics"])?;
    assert!(metrics.contains("swarm_agent_engine_restarts_total{outcome=\"recovered\"} 1"), "{metrics}");

    let why = node.ok(["swarm-agent", "why"])?;
    for part in [
        "docker.service: failed, over since ",
        "decided   restart docker.service (1 of 2 restarts)",
        "happened  the engine works again after ",
        "happened  the engine works",
        "What to do: Nothing to do",
        "units.txt",
    ] {
        assert!(why.contains(part), "{part:?} is not in\n{why}");
    }
    let folder = why.lines().find_map(|line| line.strip_prefix("Evidence: ")?.split(": ").next()).unwrap_or_default();
    let units = node.read(&format!("{folder}/units.txt"))?;
    assert!(units.contains("Id=docker.service") && units.contains("ActiveState=failed"), "{units}");
    let journal = node.read(&format!("{folder}/docker.journal.txt"))?;
    assert!(journal.contains("API listen on /run/docker.sock"), "{journal}");
    assert!(node.read(&format!("{folder}/pressure.txt"))?.contains("avg10="));
    Ok(())
}

#[test]
fn a_hung_engine_is_restarted_and_one_that_was_stopped_while_it_hung_is_not() -> TestResult {
    let fleet = Fleet::registered("unhang", QUICK)?;
    let (node, address, lister) = (&fleet.node, fleet.address(), fleet.lister()?);
    with_docker_drop_in(&fleet, "[Service]\nTimeoutStopSec=3s\n")?;
    let pid = node.unit("docker.service")?.main_pid();
    let hang = std::time::Instant::now();
    node.signal("docker.service", Signal::SIGSTOP)?;
    let gone = lister.gone_since(hang, &address, 30 * SECOND)?;
    lister.present_since(gone, &address, 60 * SECOND)?;
    assert_ne!(node.unit("docker.service")?.main_pid(), pid);
    wait_said(node, REPAIR_BEGUN, "the engine hangs")?;
    wait_said(node, "repair-done", "the engine works again")?;

    // an administrator is quicker: systemd has to kill what takes too long, and calls that a failure
    with_docker_drop_in(&fleet, "[Service]\nTimeoutStopSec=1us\n")?;
    wait_condition(node, "working")?;
    node.ok(["systemctl", "stop", "docker.service", "docker.socket"])?;
    assert_eq!(node.unit("docker.service")?.active_state(), "failed");
    wait_condition(node, "stopped")?;
    sleep(10 * SECOND);
    assert_eq!(said(node, REPAIR_BEGUN)?.len(), 1, "an engine that was stopped was started");
    assert_eq!(node.unit("docker.service")?.main_pid(), 0);
    Ok(())
}

#[test]
fn containers_that_would_die_keep_the_engine_down_until_somebody_decides() -> TestResult {
    let fleet = Fleet::registered("risk", QUICK)?;
    let node = &fleet.node;
    with_docker_drop_in(&fleet, FINAL)?;
    node.docker_import_busybox()?;
    node.docker_run_idle("web", &[])?;
    let id = node.ok(["docker", "inspect", "--format", "{{.Id}} {{.State.Pid}}", "web"])?;
    let (id, pid) = id.trim().split_once(' ').unwrap_or_default();
    until("the count", 20 * SECOND, || Ok(status_text(node)?.contains("1 container")))?;
    node.signal("docker.service", Signal::SIGKILL)?;
    let refused = wait_said(node, REPAIR_REFUSED, "1 container would die (live-restore is off)")?;
    assert!(refused.contains(&id[..12]), "{refused}");
    assert!(status_text(node)?.contains("not restarted: 1 container would die"), "{}", status_text(node)?);
    assert_eq!(supervision(node)?["refused"]["guard"], "containers_at_risk");
    sleep(10 * SECOND);
    node.ok(["test", "-d", &format!("/proc/{pid}")])?;
    assert_eq!((said(node, REPAIR_REFUSED)?.len(), said(node, REPAIR_BEGUN)?.len()), (1, 0), "it is said once");
    let why = node.ok(["swarm-agent", "why"])?;
    assert!(why.contains("The containers still run") && why.contains("not over as far as the agent knows"), "{why}");

    // whose containers may die gets its restart
    let may = "/etc/swarm-agent/config.d/20-test.toml";
    node.write(may, "[supervision]\nwhen-containers-at-risk = \"restart\"\n")?;
    node.ok(["systemctl", "reload", "swarm-agent"])?;
    wait_said(node, REPAIR_BEGUN, "restarting docker.service (restart 1 of 2)")?;
    wait_condition(node, "working")?;
    assert!(!node.run(["test", "-d", &format!("/proc/{pid}")])?.success(), "it died with the engine's restart");
    node.ok(["rm", may])?;
    node.ok(["systemctl", "reload", "swarm-agent"])?;
    node.ok(["swarm-agent", "engine", "reset"])?;

    // with live-restore they outlive it
    node.write("/etc/docker/daemon.json", "{\"live-restore\": true}")?;
    node.ok(["systemctl", "reload", "docker"])?;
    node.ok(["docker", "start", "web"])?;
    let pid = node.ok(["docker", "inspect", "--format", "{{.State.Pid}}", "web"])?;
    wait_condition(node, "working")?;
    until("the agent knows of live-restore", 20 * SECOND, || {
        Ok(node.read("/var/lib/swarm-agent/supervision.json")?.contains("\"live_restore\":true"))
    })?;
    node.signal("docker.service", Signal::SIGKILL)?;
    until("one more restart", 30 * SECOND, || Ok(said(node, REPAIR_BEGUN)?.len() == 2))?;
    wait_condition(node, "working")?;
    assert_eq!(node.ok(["docker", "inspect", "--format", "{{.State.Pid}}", "web"])?, pid, "the container died");
    Ok(())
}

#[test]
fn an_engine_that_can_not_start_gets_its_budget_over_restarts_and_reboots_and_no_more() -> TestResult {
    let fleet = Fleet::registered("flap", QUICK)?;
    let node = &fleet.node;
    node.write("/etc/docker/daemon.json", "{ this is no JSON")?;
    node.signal("docker.service", Signal::SIGKILL)?;
    let given_up = wait_said(node, "repair-given-up", "giving up on docker.service until ")?;
    assert!(given_up.contains("because 2 restarts within 10m did not help"), "{given_up}");
    assert_eq!(said(node, REPAIR_BEGUN)?.len(), 2);
    let critical = node.ok(["journalctl", "--boot", "--unit=swarm-agent", "--priority=crit", "--output=cat"])?;
    assert!(critical.lines().count() == 1 && critical.contains("giving up on docker.service"), "{critical}");
    node.ok(["systemctl", "restart", "swarm-agent"])?;
    until("the budget is still used up", 30 * SECOND, || Ok(supervision(node)?["refused"]["guard"] == "budget"))?;
    // a boot that waits for nobody
    node.ok(["systemctl", "disable", "docker.service", "docker.socket"])?;
    node.reboot()?;
    wait_condition(node, "stopped")?;
    node.run(["systemctl", "start", "docker"])?;
    until("the budget survives a reboot", 60 * SECOND, || {
        Ok(supervision(node).is_ok_and(|seen| seen["refused"]["guard"] == "budget"))
    })?;
    assert_eq!(said(node, REPAIR_BEGUN)?, [""; 0], "in this boot");

    node.ok(["rm", "/etc/docker/daemon.json"])?;
    let reset = node.ok(["swarm-agent", "engine", "reset"])?;
    assert_eq!(reset, "2 restarts are forgotten\n");
    fleet.lister()?.wait_present(&fleet.address(), 40 * SECOND)?;
    wait_condition(node, "working")?;
    // systemd's limit was not reached because of us: one more start is possible
    node.ok(["systemctl", "restart", "docker"])?;
    Ok(())
}

#[test]
fn dry_run_counts_what_it_would_have_done() -> TestResult {
    let fleet = Fleet::registered("dry", &format!("{QUICK}mode = \"dry-run\"\n"))?;
    let node = &fleet.node;
    with_docker_drop_in(&fleet, FINAL)?;
    wait_condition(node, "working")?;
    node.signal("docker.service", Signal::SIGKILL)?;
    wait_said(node, "repair-would", "docker.service would be restarted now (dry-run)")?;
    wait_said(node, "repair-given-up", "giving up")?;
    assert_eq!(node.unit("docker.service")?.active_state(), "failed");
    let metrics = node.ok(["swarm-agent", "metrics"])?;
    assert!(metrics.contains("swarm_agent_engine_restarts_dry_total 2"), "{metrics}");
    assert!(metrics.contains("swarm_agent_engine_restarts_total{outcome=\"recovered\"} 0"), "{metrics}");
    assert!(node.ok(["swarm-agent", "why"])?.contains("would be restarted now (supervision.mode is dry-run)"));
    Ok(())
}

#[test]
fn containerd_is_named_as_the_culprit_and_restarted_where_that_is_wanted() -> TestResult {
    let fleet = Fleet::registered("culprit", QUICK)?;
    let node = &fleet.node;
    node.write("/etc/systemd/system/containerd.service.d/50-test.conf", "[Service]\nTimeoutStopSec=3s\n")?;
    node.ok(["systemctl", "daemon-reload"])?;
    wait_condition(node, "working")?;
    let docker = node.unit("docker.service")?.main_pid();
    node.signal("containerd.service", Signal::SIGSTOP)?;
    wait_said(node, REPAIR_REFUSED, "containerd.service is not restarted: containerd is to blame")?;
    assert_eq!(supervision(node)?["refused"]["guard"], "runtime");
    node.write("/etc/swarm-agent/config.d/20-test.toml", "[supervision]\ncontainerd = \"restart\"\n")?;
    let checked = node.ok(["swarm-agent", "check-config"])?;
    assert!(checked.contains("cp /usr/share/swarm-agent/60-swarm-agent-containerd.rules"), "{checked}");
    node.ok(["cp", "/usr/share/swarm-agent/60-swarm-agent-containerd.rules", "/etc/polkit-1/rules.d/"])?;
    let checked = node.ok(["swarm-agent", "check-config"])?;
    assert!(!checked.contains("60-swarm-agent-containerd.rules"), "{checked}");
    node.ok(["systemctl", "reload", "swarm-agent"])?;
    wait_said(node, REPAIR_BEGUN, "restarting containerd.service (restart 1 of 2): containerd hangs")?;
    wait_said(node, "repair-done", "containerd.service was restarted: the engine works again")?;
    wait_condition(node, "working")?;
    assert_eq!(node.unit("docker.service")?.main_pid(), docker, "docker.service was restarted");
    Ok(())
}
