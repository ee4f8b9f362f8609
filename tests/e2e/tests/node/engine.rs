//! The engine decides whether the node is in the list.

use std::thread::sleep;
use std::time::{Duration, Instant};

use e2e::{Machine, Signal, TestResult};

use crate::fleet::{ENGINE_NOT_WORKING, Fleet, SECOND};
use crate::lister::assert_no_gap;

/// What systemd logs when a unit was started.
const UNIT_STARTED: &str = "39f53479d3a045ac8e11786248231fbf";

#[test]
fn a_stopped_engine_is_gone_at_once_stays_stopped_and_is_back_soon_after_its_start() -> TestResult {
    let fleet = Fleet::registered("stop", "")?;
    let (node, address, lister) = (&fleet.node, fleet.address(), fleet.lister()?);

    let stop = Instant::now();
    node.ok(["systemctl", "stop", "docker"])?;
    let gone = lister.gone_since(stop, &address, 5 * SECOND)?;
    assert!(gone - stop <= SECOND, "gone after {:?}", gone - stop);
    node.wait_unit("swarm-agent.service", 5 * SECOND, |unit| {
        unit.get("StatusText") == "not registered, engine stopped"
    })?;

    let start = Instant::now();
    node.ok(["systemctl", "start", "docker"])?;
    let back = lister.present_since(start, &address, 10 * SECOND)?;
    assert!(back - start <= 5 * SECOND, "back after {:?}", back - start);
    Ok(())
}

/// dockerd tells systemd that it is ready some 10 ms before it accepts: a connection made meanwhile would outlive it. So
/// would one that is made while it stops; every other stop meets the agent's only connect, a quarter of a second after the
/// start.
#[test]
fn an_engine_that_is_stopped_right_after_its_start_stays_stopped() -> TestResult {
    const CYCLES: usize = 60;
    const ROUND: usize = 10;
    let fleet = Fleet::registered("start-stop", "")?;
    let node = &fleet.node;
    node.ok(["systemctl", "stop", "docker"])?;
    // on a busy machine it takes longer
    for n in 0..4 {
        node.systemd_run(&format!("busy-{n}.service"), ["sh", "-c", "while :; do :; done"])?;
    }
    let before = starts(node)?;
    for first in (1..=CYCLES).step_by(ROUND) {
        // in one shell, so that nothing comes between the two; a job of systemd that somebody else made would fail the
        // next. A round at a time: where other machines are busy, too, all of them take longer than a command may
        node.sh(&format!(
            "for cycle in $(seq {first} {last}); do
                 systemctl reset-failed docker.service docker.socket
                 systemctl start docker
                 if [ $((cycle % 2)) = 0 ]; then sleep 0.00$((cycle % 10)); else sleep 0.$((238 + cycle % 18)); fi
                 systemctl stop docker; sleep 0.3
             done",
            last = first + ROUND - 1
        ))?;
    }
    assert_eq!(starts(node)? - before, CYCLES, "somebody else started docker.service");
    assert_eq!(node.unit("docker.service")?.active_state(), "inactive");
    Ok(())
}

#[test]
fn an_engine_is_never_resurrected_in_200_cycles_of_stop_and_start() -> TestResult {
    const CYCLES: u64 = 200;
    let fleet = Fleet::registered("cycles", "[engine]\nprobe-interval = \"1s\"\n")?;
    let node = &fleet.node;
    let before = starts(node)?;
    for cycle in 0..CYCLES {
        // the stop meets the agent at every phase of its probing: 0 to 1.2 s after the start, in steps of 6 ms
        sleep(Duration::from_millis(cycle * 6));
        node.ok(["systemctl", "stop", "docker"])?;
        assert_eq!(node.unit("docker.service")?.active_state(), "inactive", "in cycle {cycle}");
        // this many starts in a row are meant: systemd's limit must not end them
        node.ok(["systemctl", "reset-failed", "docker.service", "docker.socket"])?;
        node.ok(["systemctl", "start", "docker"])?;
    }
    node.ok(["systemctl", "stop", "docker"])?;
    let lister = fleet.lister()?;
    lister.gone_since(Instant::now(), &fleet.address(), 5 * SECOND)?;
    // a pending connection would start it now
    sleep(3 * SECOND);
    assert_eq!(node.unit("docker.service")?.active_state(), "inactive");
    assert_eq!(starts(node)? - before, CYCLES as usize, "somebody else started docker.service");
    assert_eq!(node.unit("swarm-agent.service")?.n_restarts(), 0);
    let said = node.journal("swarm-agent")?.len();
    assert!(said < 100, "{said} lines in the journal");
    Ok(())
}

#[test]
fn a_restart_with_live_restore_is_not_seen_by_a_client() -> TestResult {
    let fleet = Fleet::registered("restart", "")?;
    let node = &fleet.node;
    node.write("/etc/docker/daemon.json", "{\"live-restore\": true}\n")?;
    node.ok(["systemctl", "reload", "docker"])?;
    node.docker_import_busybox()?;
    let container = node.docker_run_idle("idle", &[])?;
    let pid = || node.ok(["docker", "inspect", "--format", "{{.State.Pid}} {{.State.Running}}", &container]);
    let (pid_before, engine_before) = (pid()?, node.main_pid("docker.service")?);

    let lister = fleet.lister()?;
    let begin = lister.wait_present(&fleet.address(), 5 * SECOND)?;
    for _ in 0..2 {
        node.ok(["systemctl", "restart", "docker"])?;
        sleep(4 * SECOND);
    }
    assert_no_gap(&lister.finish_since(begin), &fleet.address(), 8 * SECOND);
    assert_ne!(node.main_pid("docker.service")?, engine_before);
    assert_eq!(pid()?, pid_before, "the container lived on");
    assert_eq!(fleet.events(ENGINE_NOT_WORKING)?.len(), 0);
    Ok(())
}

#[test]
fn a_restart_that_takes_longer_than_the_grace_leaves() -> TestResult {
    let fleet = Fleet::registered("grace", "[engine]\ngrace = \"3s\"\n")?;
    let node = &fleet.node;
    // an engine that takes its time to come up
    node.write("/etc/systemd/system/docker.service.d/slow.conf", "[Service]\nExecStartPre=/bin/sleep 8\n")?;
    node.ok(["systemctl", "daemon-reload"])?;
    let lister = fleet.lister()?;
    let begin = Instant::now();
    node.ok(["systemctl", "restart", "--no-block", "docker"])?;
    let gone = lister.gone_since(begin, &fleet.address(), 10 * SECOND)?;
    assert!(gone - begin >= 3 * SECOND && gone - begin <= 4 * SECOND, "gone after {:?}", gone - begin);
    lister.present_since(gone, &fleet.address(), 20 * SECOND)?;
    Ok(())
}

#[test]
fn a_killed_engine_is_gone_at_once_and_back_after_systemd_restarted_it() -> TestResult {
    let fleet = Fleet::registered("kill", "")?;
    let (node, address, lister) = (&fleet.node, fleet.address(), fleet.lister()?);
    let kill = Instant::now();
    node.signal("docker.service", Signal::SIGKILL)?;
    let gone = lister.gone_since(kill, &address, 5 * SECOND)?;
    assert!(gone - kill <= SECOND, "gone after {:?}", gone - kill);
    lister.present_since(gone, &address, 30 * SECOND)?;
    assert_eq!(node.unit("docker.service")?.n_restarts(), 1);
    Ok(())
}

#[test]
fn a_hung_engine_is_gone_after_the_configured_failures_and_back_when_it_answers() -> TestResult {
    let more = "[engine]\nprobe-interval = \"2s\"\nprobe-timeout = \"1s\"\nunhealthy-after = 3\n";
    let fleet = Fleet::registered("hang", more)?;
    let (node, address, lister) = (&fleet.node, fleet.address(), fleet.lister()?);
    let hang = Instant::now();
    node.signal("docker.service", Signal::SIGSTOP)?;
    let gone = lister.gone_since(hang, &address, 20 * SECOND)?;
    // three time-outs of 1 s, 2 s apart after each
    assert!(gone - hang >= 5 * SECOND, "gone after {:?}: that was no three failures", gone - hang);
    assert!(gone - hang <= 12 * SECOND, "gone after {:?}", gone - hang);
    let status = "not registered, engine not working: no answer to /_ping within 1s";
    node.wait_unit("swarm-agent.service", 5 * SECOND, |unit| unit.get("StatusText").starts_with(status))?;

    let go_on = Instant::now();
    node.signal("docker.service", Signal::SIGCONT)?;
    let back = lister.present_since(go_on, &address, 20 * SECOND)?;
    assert!(back - go_on <= 8 * SECOND, "back after {:?}", back - go_on);

    // what waited in the engine's backlog must not start it after a stop either
    node.signal("docker.service", Signal::SIGSTOP)?;
    lister.gone_since(back, &address, 20 * SECOND)?;
    let before = starts(node)?;
    node.signal("docker.service", Signal::SIGKILL)?;
    node.ok(["systemctl", "stop", "docker"])?;
    sleep(5 * SECOND);
    // inactive, or failed where systemd saw the kill before it saw the stop
    let unit = node.unit("docker.service")?;
    assert!(["inactive", "failed"].contains(&unit.active_state()) && unit.main_pid() == 0, "{unit}");
    assert_eq!(starts(node)?, before, "somebody started docker.service");
    Ok(())
}

/// How often docker.service was started in this boot, by systemd's own word.
fn starts(node: &Machine) -> e2e::Result<usize> {
    let matches = [format!("MESSAGE_ID={UNIT_STARTED}"), "UNIT=docker.service".to_owned()];
    Ok(node.journal_query(&["--boot", &matches[0], &matches[1]])?.len())
}
