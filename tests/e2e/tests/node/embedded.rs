//! The discovery server inside the agent: a host that works with no set-up, and one that serves others.

use std::net::{Ipv4Addr, SocketAddr};

use e2e::{Cluster, Machine, Result, TestResult, wait_for};

use crate::fleet::{SECOND, install};
use crate::lister::{Lister, assert_no_gap};

const PORT: u16 = 8971;
const CONFIG: &str = "/etc/swarm-agent/config.d/10-test.toml";
const STATE: &str = "/var/lib/swarm-agent";

struct Host {
    // dropped before its cluster
    node: Machine,
    cluster: Cluster,
}

impl Host {
    /// As an operator does it: install, enable, nothing else.
    fn enabled(name: &str) -> Result<Self> {
        let cluster = Cluster::new(name)?;
        let node = cluster.machine("node").boot()?;
        install(&node)?;
        node.ok(["systemctl", "enable", "--now", "swarm-agent"])?;
        Ok(Self { node, cluster })
    }

    fn address(&self) -> String {
        format!("{}:2375", self.node.ip())
    }

    fn token(&self) -> Result<String> {
        let url = self.node.read(&format!("{STATE}/cluster.url"))?;
        Ok(url.trim().rsplit('/').next().unwrap_or_default().to_owned())
    }

    fn wait_status(&self, part: &str) -> TestResult {
        self.node.wait_unit("swarm-agent.service", 20 * SECOND, |unit| unit.get("StatusText").contains(part))?;
        Ok(())
    }

    /// A client on the host itself, which lists every 50 ms.
    fn lister(&self) -> Result<Lister> {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
        Lister::start_in(&self.node.dir().netns(), server, &self.token()?)
    }

    fn wait_listed(&self, nodes: &[&str]) -> TestResult {
        let expected: String = nodes.iter().map(|node| format!("{node}\n")).collect();
        wait_for("the list", 20 * SECOND, || self.node.ok(["swarm-agent", "list"]).is_ok_and(|list| list == expected))?;
        Ok(())
    }
}

#[test]
fn one_host_works_with_no_set_up_and_a_restart_refuses_no_client() -> TestResult {
    let host = Host::enabled("embedded")?;
    let (node, address) = (&host.node, host.address());
    host.wait_listed(&[&address])?;
    host.wait_status("; cluster of one, on this host only")?;
    let token = host.token()?;
    // whoever may not know the token is told whom to ask
    let stranger =
        node.run(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "swarm-agent", "list"])?;
    assert_eq!(stranger.status, 1);
    assert!(stranger.stderr.contains("group swarm-agent"), "{}", stranger.stderr);
    assert_eq!(node.ok(["stat", "--format=%a %G", &format!("{STATE}/cluster.url")])?.trim(), "640 swarm-agent");

    let lister = host.lister()?;
    let begin = lister.wait_present(&address, 5 * SECOND)?;
    for _ in 0..5 {
        node.ok(["systemctl", "restart", "swarm-agent"])?;
        host.wait_status("registered ")?;
    }
    assert_eq!(host.token()?, token);
    assert_no_gap(&lister.finish_since(begin), &address, SECOND);

    // after a crash a client may have to wait for the next process, and is not refused
    let lister = host.lister()?;
    let begin = lister.wait_present(&address, 5 * SECOND)?;
    node.signal("swarm-agent.service", e2e::Signal::SIGKILL)?;
    node.wait_unit("swarm-agent.service", 20 * SECOND, |unit| unit.n_restarts() == 1 && unit.is_active())?;
    host.wait_status("registered ")?;
    lister.wait_present(&address, 5 * SECOND)?;
    for answer in lister.finish_since(begin) {
        match answer.nodes {
            Ok(nodes) => assert!(nodes.contains(&address), "a gap: {nodes:?}"),
            Err(error) => assert!(!error.contains("refused"), "{error}"),
        }
    }

    // a stop is a stop: nobody listens, and no client starts the agent again
    node.ok(["systemctl", "stop", "swarm-agent"])?;
    let list = node.run(["swarm-agent", "list"])?;
    assert_eq!(list.status, 69, "{}", list.stderr);
    assert!(list.stderr.contains("no connection"), "{}", list.stderr);
    assert_eq!(node.unit("swarm-agent.service")?.active_state(), "inactive");
    node.ok(["systemctl", "start", "swarm-agent"])?;
    host.wait_listed(&[&address])?;
    assert_eq!(host.token()?, token);
    Ok(())
}

#[test]
fn one_setting_lets_a_host_serve_others() -> TestResult {
    let host = Host::enabled("embedded-others")?;
    host.wait_listed(&[&host.address()])?;
    host.node.write(CONFIG, format!("[discovery]\nembedded-listen = \"0.0.0.0:{PORT}\"\n"))?;
    host.node.ok(["systemctl", "reload", "swarm-agent"])?;
    host.wait_status(&format!("; serving 1 node in 1 cluster on 0.0.0.0:{PORT}"))?;

    let other = host.cluster.machine("other").boot()?;
    install(&other)?;
    let url = format!("http://{}:{PORT}/v1/clusters/{}", host.node.ip(), host.token()?);
    other.write(CONFIG, format!("[discovery]\nurl = \"{url}\"\n"))?;
    other.ok(["systemctl", "enable", "--now", "swarm-agent"])?;
    let theirs = format!("{}:2375", other.ip());
    host.wait_listed(&[&host.address(), &theirs])?;
    assert_eq!(other.ok(["swarm-agent", "list"])?.lines().count(), 2);
    host.wait_status("; serving 2 nodes in 1 cluster")?;

    // a client elsewhere sees no gap and no refusal either while the host's agent restarts
    let lister = Lister::start(&host.cluster, (host.node.ip(), PORT).into(), &host.token()?)?;
    let begin = lister.wait_present(&theirs, 5 * SECOND)?;
    for _ in 0..3 {
        host.node.ok(["systemctl", "restart", "swarm-agent"])?;
        host.wait_status("registered ")?;
    }
    assert_no_gap(&lister.finish_since(begin), &theirs, SECOND);

    // and back: the others are refused
    host.node.remove(CONFIG)?;
    host.node.ok(["systemctl", "reload", "swarm-agent"])?;
    host.wait_status("; cluster of one, on this host only")?;
    let refused = other.run(["swarm-agent", "list"])?;
    assert_eq!(refused.status, 69, "{}", refused.stderr);
    Ok(())
}

#[test]
fn what_is_corrupt_is_set_aside_and_a_port_that_is_taken_is_waited_for() -> TestResult {
    let host = Host::enabled("embedded-trouble")?;
    let (node, address) = (&host.node, host.address());
    host.wait_listed(&[&address])?;
    let token = host.token()?;

    node.ok(["systemctl", "stop", "swarm-agent"])?;
    node.sh(&format!("head -c 65536 /dev/urandom > {STATE}/discovery/discovery.redb"))?;
    node.ok(["systemctl", "start", "swarm-agent"])?;
    host.wait_listed(&[&address])?;
    assert_eq!(host.token()?, token, "the token is no part of the store");
    assert!(node.exists(&format!("{STATE}/discovery/discovery.redb.damaged"))?);

    node.ok(["systemctl", "stop", "swarm-agent"])?;
    node.write(&format!("{STATE}/cluster.url"), "gibberish")?;
    node.ok(["systemctl", "start", "swarm-agent"])?;
    host.wait_listed(&[&address])?;
    assert_ne!(host.token()?, token);
    assert!(node.exists(&format!("{STATE}/cluster.url.corrupt"))?);

    node.ok(["systemctl", "stop", "swarm-agent"])?;
    let squatter = ["swarm-agent", "serve", "--listen", "127.0.0.1:8971", "--state-directory", "/tmp/squatter"];
    node.systemd_run("squatter.service", squatter)?;
    node.wait_journal("squatter.service", 10 * SECOND, |entry| entry.message().contains("listening on"))?;
    node.ok(["systemctl", "start", "swarm-agent"])?;
    host.wait_status("its own discovery server does not work: can't listen on 127.0.0.1:8971")?;
    node.ok(["systemctl", "stop", "squatter.service"])?;
    host.wait_listed(&[&address])?;
    assert_eq!(node.unit("swarm-agent.service")?.n_restarts(), 0);
    Ok(())
}
