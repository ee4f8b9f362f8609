//! The .deb on a host: install, enable, upgrade, remove, purge; Docker is never touched.

use std::thread::sleep;
use std::time::Instant;

use e2e::{Cluster, Machine, Result, TestResult};

use crate::fleet::{Fleet, REGISTERED, SECOND, install, package, without_docker};
use crate::lister::assert_no_gap;

/// Changes whenever docker.service is started anew, for whatever reason.
fn docker_run(machine: &Machine) -> Result<String> {
    let unit = machine.unit("docker.service")?;
    assert!(unit.is_active(), "docker is {}", unit.active_state());
    Ok(format!("{} {}", unit.get("InvocationID"), unit.main_pid()))
}

#[test]
fn from_install_to_purge() -> TestResult {
    let fleet = Fleet::boot("package")?;
    let client = fleet.cluster.machine("client").dont_wait_for_docker().boot()?;
    install(&client)?;
    let node = &fleet.node;
    let docker = docker_run(node)?;

    // installed: nothing runs, nothing is enabled, until somebody says so
    for unit in ["swarm-agent.service", "swarm-discovery.service"] {
        let props = node.unit(unit)?;
        assert_eq!((props.active_state(), props.get("UnitFileState")), ("inactive", "disabled"), "{unit}");
    }

    fleet.configure(&fleet.server_url(), "")?;
    fleet.enable()?;
    let lister = fleet.lister()?;
    lister.wait_present(&fleet.address(), 10 * SECOND)?;
    let unit = node.unit("swarm-agent.service")?;
    assert_eq!((unit.active_state(), unit.get("UnitFileState")), ("active", "enabled"));
    let url = format!("{}/v1/clusters/{}", fleet.server_url(), fleet.token);
    assert_eq!(client.ok(["swarm-agent", "list", &url])?.trim(), fleet.address());
    let entries = fleet.events(REGISTERED)?;
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!(entry.message(), format!("registered {} at {}", fleet.address(), fleet.server_url()));
    assert_eq!(entry.priority(), Some(6));
    assert_eq!(entry.field("SYSLOG_IDENTIFIER").as_deref(), Some("swarm-agent"));
    assert_eq!(entry.field("SWARM_AGENT_ADDRESS"), Some(fleet.address()));
    let expected = format!("registered {} at {}, engine ", fleet.address(), fleet.server_url());
    assert!(fleet.status()?.starts_with(&expected), "{}", fleet.status()?);
    // a fresh Docker listens on no port
    let closed = " healthy, 0 containers, advertised address unreachable: connection refused";
    node.wait_unit("swarm-agent.service", 10 * SECOND, |unit| unit.get("StatusText").ends_with(closed))?;

    let removal = Instant::now();
    node.ok(["apt-get", "remove", "--yes", "swarm-agent"])?;
    let gone = lister.gone_since(removal, &fleet.address(), 10 * SECOND)?;
    assert!(gone - removal <= 5 * SECOND, "gone after {:?}", gone - removal);
    assert_eq!(node.unit("swarm-agent.service")?.get("LoadState"), "not-found");
    assert!(node.exists("/etc/swarm-agent/config.toml")?, "a removal keeps the configuration");
    node.ok(["apt-get", "purge", "--yes", "swarm-agent"])?;
    let leftovers = node.sh(r"find / -xdev \( -name 'swarm-agent*' -o -name '*swarm-discovery*' -o -name '*-swarm-agent*' \) -not -path '/proc/*' -not -path '/root/*' -not -path '/var/log/*' -not -path '/run/log/*'")?;
    assert_eq!(leftovers.trim(), "");
    assert_eq!(docker_run(node)?, docker, "docker was restarted");
    Ok(())
}

#[test]
fn an_upgrade_is_not_seen_by_a_client() -> TestResult {
    let fleet = Fleet::registered("upgrade", "")?;
    let node = &fleet.node;
    let docker = docker_run(node)?;
    node.copy_in(package()?, "/root/old.deb")?;
    node.write("/etc/swarm-agent/config.toml", "# an administrator's own words\n")?;
    node.sh("cd /root && dpkg-deb -R old.deb new && sed -i 's/^Version: .*/&+next/' new/DEBIAN/control && dpkg-deb -b new new.deb")?;
    let old = node.main_pid("swarm-agent.service")?;

    let lister = fleet.lister()?;
    let begin = lister.wait_present(&fleet.address(), 5 * SECOND)?;
    node.ok(["dpkg", "--install", "--force-confold", "/root/new.deb"])?;
    node.wait_unit("swarm-agent.service", 20 * SECOND, |unit| unit.get("StatusText").starts_with("registered "))?;
    sleep(2 * SECOND);
    assert_no_gap(&lister.finish_since(begin), &fleet.address(), 3 * SECOND);
    assert_ne!(node.main_pid("swarm-agent.service")?, old, "the new version runs");
    assert_eq!(node.read("/etc/swarm-agent/config.toml")?, "# an administrator's own words\n");
    assert_eq!(docker_run(node)?, docker, "docker was restarted");

    // an upgrade starts nothing that was stopped
    node.ok(["systemctl", "stop", "swarm-agent"])?;
    node.sh("cd /root && sed -i 's/^Version: .*/&+more/' new/DEBIAN/control && dpkg-deb -b new newer.deb")?;
    node.ok(["dpkg", "--install", "--force-confold", "/root/newer.deb"])?;
    assert_eq!(node.unit("swarm-agent.service")?.active_state(), "inactive");
    Ok(())
}

#[test]
fn installed_before_docker_it_runs_and_says_so_and_registers_when_docker_comes() -> TestResult {
    let cluster = Cluster::new("before-docker")?;
    let bare = without_docker(&cluster)?;
    install(&bare)?;
    bare.write("/etc/swarm-agent/config.d/10-test.toml", "[server]\nlisten = \"127.0.0.1:8970\"\n")?;
    bare.ok(["systemctl", "enable", "--now", "swarm-discovery"])?;
    let token = bare.ok(["swarm-agent", "create", "http://127.0.0.1:8970"])?;
    let url = format!("http://127.0.0.1:8970/v1/clusters/{}", token.trim());
    bare.write(
        "/etc/swarm-agent/config.d/20-test.toml",
        format!("[discovery]\nurl = \"{url}\"\nadvertise = \"10.99.0.1:2375\"\n"),
    )?;
    bare.ok(["systemctl", "enable", "--now", "swarm-agent"])?;
    bare.wait_unit("swarm-agent.service", 10 * SECOND, |unit| {
        unit.get("StatusText") == "not registered, engine absent (systemd knows no such unit)"
    })?;
    assert_eq!(bare.ok(["swarm-agent", "list", &url])?, "");

    bare.sh("DEBIAN_FRONTEND=noninteractive dpkg --install /var/cache/docker-debs/*.deb")?;
    bare.wait_unit("swarm-agent.service", 30 * SECOND, |unit| unit.get("StatusText").starts_with("registered "))?;
    assert_eq!(bare.ok(["swarm-agent", "list", &url])?, "10.99.0.1:2375\n");
    assert_eq!(bare.unit("swarm-agent.service")?.n_restarts(), 0);
    Ok(())
}
