//! `swarm-agent engine restart --lossless`: a restart that no container notices.

use std::thread::sleep;
use std::time::{Duration, Instant};

use e2e::{Cluster, Machine, Result, Signal, TestResult, wait_for};

use crate::fleet::{SECOND, install};

const DAEMON_JSON: &str = "/etc/docker/daemon.json";
/// Not as a program would write it.
const ODD: &str = "{ \"log-level\":\"warn\" ,\n\n   \"max-concurrent-downloads\": 2 }  ";

fn node(cluster: &Cluster) -> Result<Machine> {
    let node = cluster.machine("node").boot()?;
    install(&node)?;
    node.write(DAEMON_JSON, ODD)?;
    node.ok(["systemctl", "restart", "docker"])?;
    node.docker_import_busybox()?;
    Ok(node)
}

/// Each container with its process and when it was started.
fn containers(node: &Machine) -> Result<String> {
    let format = "{{.Name}} {{.State.Pid}} {{.State.StartedAt}} {{.RestartCount}}";
    node.sh(&format!("docker ps --quiet --no-trunc | sort | xargs docker inspect --format '{format}'"))
}

fn live_restore(node: &Machine) -> Result<String> {
    Ok(node.ok(["docker", "info", "--format", "{{.LiveRestoreEnabled}}"])?.trim().to_owned())
}

fn refused(node: &Machine, part: &str) -> TestResult {
    let (pid, before) = (node.unit("docker.service")?.main_pid(), node.read(DAEMON_JSON)?);
    let output = node.run(["swarm-agent", "engine", "restart", "--lossless"])?;
    assert!(output.status == 1 && output.stderr.contains(part), "{part:?} is not in {output:?}");
    assert_eq!((node.unit("docker.service")?.main_pid(), node.read(DAEMON_JSON)?), (pid, before));
    assert!(!node.read("/proc/mounts")?.contains("swarm-agent-lossless"));
    Ok(())
}

#[test]
fn every_container_survives_under_traffic_and_the_configuration_is_as_it_was() -> TestResult {
    let cluster = Cluster::new("lossless")?;
    let [node, client] = [node(&cluster)?, cluster.machine("client").dont_wait_for_docker().boot()?];
    for n in 0..3 {
        node.docker_run_idle(&format!("idle-{n}"), &[])?;
    }
    let web = "docker run --detach --name web --publish 8080:80 busybox httpd -f -p 80 -h /etc";
    node.sh(web)?;
    let url = format!("http://{}:8080/hostname", node.ip());
    let once = ["curl", "--silent", "--max-time", "1", "--output", "/dev/null", &url];
    wait_for("the published port", 20 * SECOND, || client.ok(once))?;
    client.systemd_run("traffic.service", [
        "sh",
        "-c",
        &format!("while :; do curl -s -m 1 -o /dev/null -w '%{{time_total}} %{{http_code}}\\n' {url} >>/root/traffic; sleep 0.02; done"),
    ])?;
    sleep(2 * SECOND);
    let (before, pid, mtime) = (
        containers(&node)?,
        node.unit("docker.service")?.main_pid(),
        node.sh("stat -c '%Y %i' /etc/docker/daemon.json")?,
    );
    assert_eq!((before.lines().count(), live_restore(&node)?.as_str()), (4, "false"));

    let said = node.ok(["swarm-agent", "engine", "restart", "--lossless"])?;
    assert!(said.contains("4 containers run on as the same processes; live-restore is off again, as before"), "{said}");
    sleep(2 * SECOND);
    client.ok(["systemctl", "stop", "traffic.service"])?;
    assert_ne!(node.unit("docker.service")?.main_pid(), pid);
    assert_eq!(containers(&node)?, before);
    assert_eq!((node.read(DAEMON_JSON)?.as_str(), live_restore(&node)?.as_str()), (ODD, "false"));
    assert_eq!(node.sh("stat -c '%Y %i' /etc/docker/daemon.json")?, mtime, "it was written");
    assert!(!node.read("/proc/mounts")?.contains("swarm-agent-lossless"));
    let traffic = client.read("/root/traffic")?;
    let bad: Vec<_> = traffic.lines().filter(|line| !line.ends_with(" 200")).collect();
    // a report, not a promise: what is published goes through rules of the kernel while the engine is away
    println!(
        "traffic over the restart: {} requests, {} without an answer: {bad:?}",
        traffic.lines().count(),
        bad.len()
    );
    assert!(traffic.lines().count() > 50, "{traffic}");
    client.ok(once)?;

    // again, where it is on for good
    node.write(DAEMON_JSON, "{\"live-restore\": true}")?;
    node.ok(["systemctl", "reload", "docker"])?;
    let said = node.ok(["swarm-agent", "engine", "restart", "--lossless"])?;
    assert!(said.contains("live-restore stays on"), "{said}");
    assert_eq!((containers(&node)?, live_restore(&node)?.as_str()), (before, "true"));
    Ok(())
}

#[test]
fn what_could_lose_a_container_or_the_engine_is_refused_and_changes_nothing() -> TestResult {
    let cluster = Cluster::new("lossless-no")?;
    let node = node(&cluster)?;
    node.signal("docker.service", Signal::SIGSTOP)?;
    refused(&node, "nothing was changed: the engine can't be asked")?;
    node.signal("docker.service", Signal::SIGCONT)?;
    node.write(DAEMON_JSON, "{ this is no JSON")?;
    refused(&node, "/etc/docker/daemon.json is not what an engine reads")?;
    node.write(DAEMON_JSON, ODD)?;
    node.ok(["docker", "swarm", "init", "--advertise-addr", &node.ip().to_string()])?;
    refused(&node, "the engine is in swarm mode (active)")?;
    node.ok(["docker", "swarm", "leave", "--force"])?;
    node.ok(["systemctl", "stop", "docker.service"])?;
    refused(&node, "docker.service is inactive")?;
    let flags = "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// --live-restore=false\n";
    node.write("/etc/systemd/system/docker.service.d/50-test.conf", flags)?;
    node.ok(["systemctl", "daemon-reload"])?;
    node.ok(["systemctl", "start", "docker"])?;
    refused(&node, "a --live-restore flag stands on dockerd's command line")
}

#[test]
fn a_power_cut_at_any_time_leaves_the_configuration_as_it_was() -> TestResult {
    let cluster = Cluster::new("lossless-cut")?;
    let node = node(&cluster)?;
    for millis in [60, 250, 700, 1500] {
        node.docker_run_idle(&format!("idle-{millis}"), &[])?;
        node.ok(["systemctl", "start", "--no-block", "swarm-agent-lossless.service"])?;
        sleep(Duration::from_millis(millis));
        node.power_cut()?;
        node.start()?;
        assert_eq!(node.read(DAEMON_JSON)?, ODD, "after {millis} ms");
        assert_eq!(live_restore(&node)?, "false", "after {millis} ms");
        assert!(!node.read("/proc/mounts")?.contains("swarm-agent-lossless"));
    }
    // one that dies is taken back without a boot
    let begin = Instant::now();
    node.docker_run_idle("last", &[])?;
    node.ok(["systemctl", "start", "--no-block", "swarm-agent-lossless.service"])?;
    while !node.read("/proc/mounts")?.contains("swarm-agent-lossless") && begin.elapsed() < 20 * SECOND {}
    node.ok(["systemctl", "kill", "--kill-whom=main", "--signal=KILL", "swarm-agent-lossless.service"])?;
    wait_for("the layer is lifted", 20 * SECOND, || {
        !node.read("/proc/mounts").unwrap_or_default().contains("swarm-agent-lossless")
    })?;
    assert_eq!(node.read(DAEMON_JSON)?, ODD);
    Ok(())
}
