//! The proof of the advertised address where the engine wants TLS and client certificates.

use std::time::Instant;

use e2e::{Machine, Result, TestResult};

use crate::fleet::{ADVERTISED_UNREACHABLE, Fleet, SECOND};

/// Where the agent's files are.
const TLS: &str = "/etc/swarm-agent/tls";

/// Three CAs: of the fleet, of this host's agent, and one that no engine knows. openssl comes with ca-certificates.
const PKI: &str = r#"
mkdir -p /root/pki /etc/swarm-agent/tls && cd /root/pki
for ca in engines agents strangers; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=$ca" -keyout $ca.key -out $ca.pem
done
issue() { # NAME CA EXTENSIONS
    openssl req -new -newkey rsa:2048 -nodes -subj "/CN=$1" -keyout $1.key -out $1.csr
    printf "$3\n" > $1.ext
    openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key -CAcreateserial -days 30 -extfile $1.ext -out $1.pem
}
issue here engines "subjectAltName = IP:ADDRESS\nextendedKeyUsage = serverAuth"
issue elsewhere engines "subjectAltName = DNS:db9.example, IP:10.99.0.99\nextendedKeyUsage = serverAuth"
issue agent agents "extendedKeyUsage = clientAuth"
issue stranger strangers "extendedKeyUsage = clientAuth"
"#;

/// A fleet whose engine listens with --tlsverify on port 2376, and the agent's files: CA and client certificate.
fn fleet(name: &str) -> Result<Fleet> {
    let fleet = Fleet::boot(name)?;
    let node = &fleet.node;
    node.sh(&PKI.replace("ADDRESS", &node.ip().to_string()))?;
    node.write(
        "/etc/systemd/system/docker.service.d/tls.conf",
        "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock \
         -H tcp://0.0.0.0:2376 --tlsverify --tlscacert=/etc/docker/ca.pem --tlscert=/etc/docker/cert.pem \
         --tlskey=/etc/docker/key.pem\n",
    )?;
    node.ok(["systemctl", "daemon-reload"])?;
    // as the README advises: the CA of the fleet, and one for the agent of this host
    node.sh("cat /root/pki/engines.pem /root/pki/agents.pem > /etc/docker/ca.pem")?;
    serve_as(node, "here")?;
    Ok(fleet)
}

/// Restarts the engine with this certificate. It reads it at the start only.
fn serve_as(node: &Machine, name: &str) -> Result<()> {
    node.sh(&format!("cp /root/pki/{name}.pem /etc/docker/cert.pem; cp /root/pki/{name}.key /etc/docker/key.pem"))?;
    // the restarts of a test are more than systemd's start limit
    node.sh("systemctl reset-failed docker; systemctl restart docker").map(drop)
}

/// Puts a file of the PKI where the agent looks for it, as the README says.
fn give(node: &Machine, from: &str, to: &str) -> Result<()> {
    node.sh(&format!("install -m 640 -g swarm-agent /root/pki/{from} {TLS}/{to}")).map(drop)
}

/// Lines for `[discovery]` and `[engine]`.
fn settings(check: &str, client: bool) -> String {
    let client =
        if client { format!("tls-cert = \"{TLS}/cert.pem\"\ntls-key = \"{TLS}/key.pem\"\n") } else { "".into() };
    format!("advertise-check = \"{check}\"\n[engine]\ntls-ca = \"{TLS}/ca.pem\"\n{client}")
}

/// A bad address is asked every 30 s.
fn wait_status(fleet: &Fleet, part: &str) -> TestResult {
    let wanted = |unit: &e2e::UnitProps| unit.get("StatusText").contains(part);
    fleet.node.wait_unit("swarm-agent.service", 70 * SECOND, wanted)?;
    Ok(())
}

fn wait_not_registered(fleet: &Fleet, finding: &str) -> TestResult {
    wait_status(fleet, &format!("not registered: advertised address {finding}"))
}

#[test]
fn a_required_proof_over_tls_explains_what_is_missing_and_recovers_without_a_restart() -> TestResult {
    let fleet = fleet("tls-require")?;
    let (node, address) = (&fleet.node, format!("{}:2376", fleet.node.ip()));
    give(node, "engines.pem", "ca.pem")?;
    give(node, "stranger.pem", "cert.pem")?;
    node.sh(&format!("install -m 600 /root/pki/stranger.key {TLS}/key.pem"))?;
    fleet.configure_as(&fleet.server_url(), "auto:2376", &settings("require", true))?;
    fleet.enable()?;
    let lister = fleet.lister()?;
    wait_not_registered(
        &fleet,
        &format!("can't be asked: {TLS}/key.pem (engine.tls-key) may not be read; give it to group swarm-agent (chgrp"),
    )?;
    let agent = node.main_pid("swarm-agent.service")?;

    give(node, "stranger.key", "key.pem")?;
    let refused = format!("unreachable: the engine does not accept the client certificate {TLS}/cert.pem (");
    wait_not_registered(&fleet, &refused)?;
    assert_eq!(fleet.events(ADVERTISED_UNREACHABLE)?.len(), 2, "one for each reason");
    lister.gone_since(Instant::now(), &address, 5 * SECOND)?;

    // half of a rotation is a finding like others
    give(node, "agent.pem", "cert.pem")?;
    wait_not_registered(
        &fleet,
        &format!("can't be asked: {TLS}/key.pem (engine.tls-key) is not the key of {TLS}/cert"),
    )?;
    give(node, "agent.key", "key.pem")?;
    let there = lister.wait_present(&address, 70 * SECOND)?;
    wait_status(&fleet, &format!("registered {address} at "))?;
    assert!(!fleet.status()?.contains("advertised"), "nothing to complain about: {}", fleet.status()?);
    let checked = node.ok(["swarm-agent", "check-config", "--connect"])?;
    assert!(checked.contains(&format!("this engine answers at {address}")), "{checked}");

    give(node, "strangers.pem", "ca.pem")?;
    serve_as(node, "here")?;
    lister.gone_since(there, &address, 30 * SECOND)?;
    let unknown = format!("unreachable: its certificate is from no CA in {TLS}/ca.pem (engine.tls-ca), engine ");
    wait_not_registered(&fleet, &unknown)?;
    let checked = node.run(["swarm-agent", "check-config", "--connect"])?;
    assert!(checked.stdout.contains("fail  advertised"), "{}", checked.stdout);

    give(node, "engines.pem", "ca.pem")?;
    serve_as(node, "elsewhere")?;
    let other =
        format!("unreachable: its certificate is not valid for {}, but for db9.example, 10.99.0.99; ", node.ip());
    wait_not_registered(&fleet, &other)?;

    serve_as(node, "here")?;
    lister.wait_present(&address, 70 * SECOND)?;
    assert_eq!(node.main_pid("swarm-agent.service")?, agent, "all of it without a restart");
    Ok(())
}

#[test]
fn a_doubt_about_tls_is_said_while_the_node_stays_registered() -> TestResult {
    let fleet = fleet("tls-warn")?;
    let (node, address) = (&fleet.node, format!("{}:2376", fleet.node.ip()));
    give(node, "engines.pem", "ca.pem")?;
    fleet.configure_as(&fleet.server_url(), "auto:2376", &settings("warn", false))?;
    fleet.enable()?;
    fleet.lister()?.wait_present(&address, 20 * SECOND)?;
    wait_status(
        &fleet,
        "containers, advertised address unreachable: the engine wants a client certificate; set engine.tls-cert and \
         engine.tls-key",
    )?;
    assert_eq!(fleet.events(ADVERTISED_UNREACHABLE)?.len(), 1);

    // an agent that was told nothing about TLS says what to tell it
    fleet.configure_as(&fleet.server_url(), "auto:2376", "")?;
    node.ok(["systemctl", "restart", "swarm-agent"])?;
    wait_status(&fleet, "containers, advertised address not proved: it seems to want TLS; set engine.tls-ca to ")?;
    let status = fleet.status()?;
    assert!(status.starts_with(&format!("registered {address} at ")), "{status}");
    Ok(())
}
