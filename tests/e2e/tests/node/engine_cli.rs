//! `swarm-agent engine status` and `engine restart`, as an operator uses them.

use std::io::Write;
use std::time::Instant;

use e2e::{Cluster, Image, Machine, Output, Result, TestResult, wait_for};
use serde_json::Value;

use crate::fleet::{Fleet, SECOND, install};

/// A machine with a real Docker Engine and the package, the agent not enabled.
fn node(cluster: &Cluster) -> Result<Machine> {
    let node = cluster.machine("node").boot()?;
    install(&node)?;
    Ok(node)
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error} in {output:?}"))
}

/// `engine status --json`: its exit status and what it printed.
fn status(machine: &Machine) -> Result<(i32, Value)> {
    let output = machine.run(["swarm-agent", "engine", "status", "--json"])?;
    Ok((output.status, json(&output)))
}

fn restart(machine: &Machine, flags: &[&str]) -> Result<Output> {
    machine.run(["swarm-agent", "engine", "restart"].iter().chain(flags))
}

/// As a user who is nobody special.
fn as_nobody(machine: &Machine, args: &[&str]) -> Result<Output> {
    machine.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"].iter().chain(args))
}

fn assert_says(output: &Output, parts: &[&str]) {
    for part in parts {
        assert!(output.stderr.contains(part), "{part:?} is not in {output:?}");
    }
}

/// What `engine restart` ends with for somebody who types this answer.
fn at_a_terminal(machine: &Machine, answer: &str) -> Result<Option<i32>> {
    let restart = "swarm-agent engine restart";
    let mut terminal = machine.spawn(["script", "--quiet", "--return", "--command", restart, "/dev/null"])?;
    let mut keyboard = terminal.stdin()?;
    writeln!(keyboard, "{answer}")?;
    let ended = terminal.wait(30 * SECOND)?;
    Ok(ended.and_then(|status| status.code()))
}

fn docker_active(machine: &Machine) -> Result<bool> {
    Ok(machine.unit("docker.service")?.is_active())
}

#[test]
fn status_tells_every_state_and_never_starts_an_engine() -> TestResult {
    let cluster = Cluster::new("engine-status")?;
    let node = node(&cluster)?;
    let drop_in =
        "[Service]\nEnvironment=\"HTTP_PROXY=http://user:geheim@proxy:3128\" API_TOKEN=geheim\nCPUAffinity=0\n";
    node.write("/etc/systemd/system/docker.service.d/50-test.conf", drop_in)?;
    node.ok(["systemctl", "daemon-reload"])?;
    node.ok(["systemctl", "restart", "docker"])?;

    let (code, seen) = status(&node)?;
    assert_eq!((code, &seen["verdict"], &seen["unit"]["active"]), (0, &"works".into(), &"active".into()), "{seen:#}");
    assert_eq!(seen["unit"]["main_pid"], node.unit("docker.service")?.main_pid());
    assert_eq!(seen["unit"]["start_limit"]["burst"], 3);
    assert_eq!(seen["unit"]["cpu_affinity"], "0");
    assert_eq!(seen["unit"]["drop_ins"][0], "/etc/systemd/system/docker.service.d/50-test.conf");
    assert_eq!(seen["unit"]["environment"][0], "HTTP_PROXY=http://user:***@proxy:3128");
    assert_eq!(seen["unit"]["environment"][1], "API_TOKEN=***");
    assert_eq!((&seen["socket"]["name"], &seen["socket"]["active"]), (&"docker.socket".into(), &"active".into()));
    assert_eq!((&seen["bus"], &seen["polkit"]), (&"dbus.service".into(), &true.into()), "{seen:#}");
    assert_eq!(seen["engine"]["live_restore"], false);
    assert_eq!(seen["engine"]["id"].as_str(), Some(node.ok(["docker", "info", "--format", "{{.ID}}"])?.trim()));
    let text = node.ok(["swarm-agent", "engine", "status"])?;
    assert!(text.contains("active (running) since") && text.contains("yes, to /_ping and /info"), "{text}");
    assert!(!text.contains("geheim") && !text.contains('\x1b'), "{text}");

    // systemd tells anybody; the engine's socket does not
    let anybody = as_nobody(&node, &["swarm-agent", "engine", "status"])?;
    assert_eq!(anybody.status, 69, "{anybody:?}");
    assert!(anybody.stdout.contains("active (running)") && anybody.stdout.contains("you may not open"), "{anybody:?}");

    node.ok(["systemctl", "stop", "docker"])?;
    let (code, seen) = status(&node)?;
    assert_eq!((code, &seen["unit"]["active"], &seen["engine"]["asked"]), (1, &"inactive".into(), &false.into()));
    assert!(node.run(["swarm-agent", "engine", "status"])?.stdout.contains("a connection would start it"));
    assert_eq!(node.unit("docker.service")?.active_state(), "inactive", "it was started");

    node.ok(["systemctl", "mask", "docker.service"])?;
    let (code, seen) = status(&node)?;
    assert_eq!((code, &seen["unit"]["load"], &seen["engine"]["asked"]), (1, &"masked".into(), &false.into()));
    assert_eq!(seen["socket"]["active"], "active", "{seen:#}");
    let refused = restart(&node, &["--json"])?;
    assert_eq!((refused.status, &json(&refused)["reason"]), (1, &"masked".into()), "{refused:?}");
    assert_says(&refused, &["systemctl unmask docker.service"]);
    node.ok(["systemctl", "unmask", "docker.service"])?;

    node.write("/etc/docker/daemon.json", "{ broken")?;
    assert!(!node.systemctl(["start", "docker"])?.success());
    node.wait_unit("docker.service", 30 * SECOND, |unit| unit.active_state() == "failed")?;
    let (code, seen) = status(&node)?;
    assert_eq!((code, &seen["unit"]["active"], &seen["unit"]["result"]), (1, &"failed".into(), &"exit-code".into()));
    assert_eq!(seen["engine"]["asked"], false);
    let failed = restart(&node, &["--json"])?;
    assert_eq!((failed.status, &json(&failed)["reason"]), (1, &"job-failed".into()), "{failed:?}");
    assert_says(&failed, &["restart job ended with failed", "journalctl -u docker.service"]);

    let absent = node.run(["swarm-agent", "engine", "status", "--json", "--unit", "moby.service"])?;
    assert_eq!((absent.status, &json(&absent)["unit"]["load"]), (1, &"not-found".into()), "{absent:?}");
    let absent = restart(&node, &["--unit", "moby.service"])?;
    assert_says(&absent, &["systemd knows no moby.service"]);
    Ok(())
}

#[test]
fn a_restart_is_guarded_asks_about_containers_and_proves_that_the_engine_is_back() -> TestResult {
    let cluster = Cluster::new("engine-restart")?;
    let node = node(&cluster)?;
    node.docker_import_busybox()?;
    let container = node.docker_run_idle("web", &[])?;
    let engine = node.main_pid("docker.service")?;

    let refused = restart(&node, &[])?;
    assert_eq!(refused.status, 1, "{refused:?}");
    assert_says(&refused, &["1 running container would die (live-restore is off)", &container[..12], "web", "--yes"]);
    let refused = restart(&node, &["--json"])?;
    let said = json(&refused);
    assert_eq!((&said["reason"], &said["containers"][0]["name"]), (&"containers-at-risk".into(), &"web".into()));
    assert_eq!(node.main_pid("docker.service")?, engine, "it was restarted all the same");

    assert_eq!(at_a_terminal(&node, "no")?, Some(1));
    assert_eq!(node.main_pid("docker.service")?, engine, "it was restarted all the same");
    assert_eq!(at_a_terminal(&node, "yes")?, Some(0));
    assert_ne!(node.main_pid("docker.service")?, engine);

    node.ok(["docker", "start", "web"])?;
    let engine = node.main_pid("docker.service")?;
    let done = restart(&node, &["--yes"])?;
    assert_eq!(done.status, 0, "{done:?}");
    assert!(done.stdout.starts_with("docker.service restarted in "), "{done:?}");
    assert_ne!(node.main_pid("docker.service")?, engine);
    assert_eq!(node.ok(["docker", "inspect", "--format", "{{.State.Running}}", &container])?.trim(), "false");

    // containers outlive a restart with live-restore, and nobody is asked
    node.write("/etc/docker/daemon.json", "{\"live-restore\": true}\n")?;
    node.ok(["systemctl", "reload", "docker"])?;
    node.ok(["docker", "start", "web"])?;
    let pid = || node.ok(["docker", "inspect", "--format", "{{.State.Pid}} {{.State.Running}}", &container]);
    let before = pid()?;
    // more than systemd's limit of 3 starts in 60 s
    for _ in 0..4 {
        let done = restart(&node, &["--json"])?;
        let said = json(&done);
        assert_eq!((done.status, &said["ok"], &said["job"]), (0, &true.into(), &"done".into()), "{done:?}");
        assert_ne!(said["main_pid"]["before"], said["main_pid"]["after"]);
    }
    assert_eq!(pid()?, before, "the container did not live on");

    // what is at risk is known without the engine
    node.write("/etc/docker/daemon.json", "{ broken")?;
    node.signal("docker.service", e2e::Signal::SIGKILL)?;
    node.wait_unit("docker.service", 60 * SECOND, |unit| unit.active_state() == "failed")?;
    let refused = restart(&node, &[])?;
    assert_eq!(refused.status, 1, "{refused:?}");
    assert_says(
        &refused,
        &["1 running container would die (the engine does not say", &container[..12], "name unknown"],
    );
    node.write("/etc/docker/daemon.json", "{\"live-restore\": true}\n")?;
    assert_eq!(restart(&node, &["--yes"])?.status, 0);
    node.ok(["docker", "rm", "--force", "web"])?;

    node.ok(["systemctl", "stop", "docker"])?;
    let refused = restart(&node, &["--yes", "--force"])?;
    assert_eq!(refused.status, 1, "{refused:?}");
    assert_says(&refused, &["is stopped", "systemctl start docker.service"]);
    assert!(!docker_active(&node)?);

    // a job in the queue
    node.write("/etc/systemd/system/docker.service.d/slow.conf", "[Service]\nExecStartPre=/bin/sleep 20\n")?;
    node.ok(["systemctl", "daemon-reload"])?;
    node.ok(["systemctl", "start", "--no-block", "docker"])?;
    let refused = restart(&node, &["--yes"])?;
    assert_says(&refused, &["a start job is under way", "--force"]);
    // too little time: it says so, and systemd goes on
    let late = restart(&node, &["--force", "--timeout", "2s", "--json"])?;
    assert_eq!((late.status, &json(&late)["reason"]), (1, &"out-of-time".into()), "{late:?}");
    node.wait_unit("docker.service", 40 * SECOND, e2e::UnitProps::is_active)?;
    Ok(())
}

#[test]
fn whoever_may_not_restart_is_told_why_with_polkit_and_without() -> TestResult {
    let cluster = Cluster::new("engine-polkit")?;
    let node = node(&cluster)?;
    let engine = node.main_pid("docker.service")?;
    // a configuration that only others may read: the defaults are assumed, and said
    node.write_mode("/etc/swarm-agent/config.d/10-secret.toml", 0o600, "[discovery]\nttl = \"90s\"\n")?;
    let denied = as_nobody(&node, &["swarm-agent", "engine", "restart"])?;
    assert_eq!(denied.status, 1, "{denied:?}");
    assert_says(&denied, &["polkit does not allow it", "run it as root", "10-secret.toml"]);

    node.ok(["systemctl", "mask", "--now", "polkit.service"])?;
    let denied = as_nobody(&node, &["swarm-agent", "engine", "restart"])?;
    assert_eq!(denied.status, 1, "{denied:?}");
    assert_says(&denied, &["polkit, which could allow it, does not run", "run it as root"]);
    let seen = as_nobody(&node, &["swarm-agent", "engine", "status"])?;
    assert!(seen.stdout.contains("absent or masked: only root"), "{seen:?}");
    assert_eq!(node.main_pid("docker.service")?, engine);
    // stopped, and to be started when it is needed
    node.ok(["systemctl", "unmask", "polkit.service"])?;
    assert_says(&as_nobody(&node, &["swarm-agent", "engine", "restart"])?, &["polkit does not allow it"]);
    node.ok(["systemctl", "mask", "--now", "polkit.service"])?;
    // root needs no polkit
    assert_eq!(restart(&node, &[])?.status, 0);
    let engine_now = node.main_pid("docker.service")?;
    assert_ne!(engine_now, engine);

    // a unit that docker.service needs: systemd names it, and nothing is broken
    node.ok(["systemctl", "mask", "docker.socket"])?;
    let refused = restart(&node, &[])?;
    assert_eq!(refused.status, 1, "{refused:?}");
    assert_says(&refused, &["docker.socket is masked", "systemctl unmask"]);
    assert_eq!(node.main_pid("docker.service")?, engine_now);
    Ok(())
}

#[test]
fn the_bus_goes_and_comes_back_and_neither_agent_nor_command_is_lost() -> TestResult {
    let fleet = Fleet::registered("dbus", "")?;
    bus_goes_and_comes_back(&fleet, "dbus.service")
}

#[test]
fn with_dbus_broker_everything_is_the_same() -> TestResult {
    let image = Image::base()?.with_packages("broker", &["dbus-broker"]);
    let fleet = Fleet::registered_on("dbus-broker", image)?;
    let (code, seen) = status(&fleet.node)?;
    assert_eq!((code, &seen["bus"]), (0, &"dbus-broker.service".into()), "{seen:#}");
    bus_goes_and_comes_back(&fleet, "dbus-broker.service")
}

fn bus_goes_and_comes_back(fleet: &Fleet, bus: &str) -> TestResult {
    let (node, address, lister) = (&fleet.node, fleet.address(), fleet.lister()?);
    let agent = node.main_pid("swarm-agent.service")?;
    for how in [&["systemctl", "restart", bus][..], &["systemctl", "kill", "--signal=SIGKILL", bus]] {
        node.ok(how)?;
        // in dbus-daemon's place comes another by socket activation, or by systemd
        wait_for("the bus", 20 * SECOND, || {
            node.run(["busctl", "--timeout=2", "status", "org.freedesktop.systemd1"]).is_ok_and(|out| out.success())
        })?;
        let stop = Instant::now();
        node.ok(["systemctl", "stop", "docker"])?;
        let gone = lister.gone_since(stop, &address, 10 * SECOND)?;
        assert!(gone - stop <= 2 * SECOND, "{how:?}: gone after {:?}", gone - stop);
        node.ok(["systemctl", "start", "docker"])?;
        lister.present_since(gone, &address, 20 * SECOND)?;
        node.ok(["systemctl", "reset-failed", "docker.service", bus])?;
    }
    assert_eq!(node.main_pid("swarm-agent.service")?, agent, "the agent was restarted");

    // no bus at all
    node.ok(["systemctl", "stop", "dbus.socket", bus])?;
    let away = node.run(["swarm-agent", "engine", "status"])?;
    assert_eq!(away.status, 69, "{away:?}");
    assert_says(&away, &["the system bus can't be reached", "systemctl status dbus.socket"]);
    let away = restart(node, &["--yes", "--json"])?;
    assert_eq!((away.status, &json(&away)["reason"]), (69, &"bus".into()), "{away:?}");
    node.ok(["systemctl", "start", "dbus.socket"])?;

    // the bus goes while a restart is under way: systemd goes on, and the command sees how it ends
    node.write("/etc/systemd/system/docker.service.d/slow.conf", "[Service]\nExecStartPre=/bin/sleep 6\n")?;
    node.ok(["systemctl", "daemon-reload"])?;
    let mut command = node.spawn(["swarm-agent", "engine", "restart"])?;
    node.wait_unit("docker.service", 20 * SECOND, |unit| unit.active_state() == "activating")?;
    node.ok(["systemctl", "restart", bus])?;
    let ended = command.wait(60 * SECOND)?;
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    assert!(docker_active(node)?);
    assert_eq!(node.main_pid("swarm-agent.service")?, agent, "the agent was restarted");
    Ok(())
}
