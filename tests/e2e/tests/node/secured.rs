//! A discovery server that speaks TLS, wants a client certificate and a bearer token; and the installed agent, which has
//! all that from credentials of its unit: root's files, which nobody else may read.

use e2e::{Machine, Result, TestResult, wait_for};

use crate::fleet::{Fleet, REGISTERED, SECOND, SERVER_PORT};

const TOKENS: &str = "/etc/swarm-agent/server/tokens.toml";
const SECRETS: &str = "/root/secrets";

/// A CA with a certificate for the server and one for the node; the server uses them from now on.
fn secure(server: &Machine) -> Result<String> {
    let ip = server.ip();
    server.sh(&format!(
        "set -e; mkdir -p /etc/swarm-agent/server; cd /etc/swarm-agent/server
        new='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
        openssl req -x509 $new -days 30 -subj /CN=fleet -keyout ca.key -out ca.pem
        sign() {{
            openssl req -new $new -subj \"/CN=$1\" -keyout \"$1.key\" -out \"$1.csr\"
            printf '%s\\n' \"$2\" >\"$1.ext\"
            openssl x509 -req -in \"$1.csr\" -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile \"$1.ext\" -out \"$1.pem\"
        }}
        sign server 'subjectAltName = IP:{ip}'
        sign node 'extendedKeyUsage = clientAuth'"
    ))?;
    let bearer = new_bearer(server, "first")?;
    let folder = "/etc/swarm-agent/server";
    server.write(
        "/etc/swarm-agent/config.d/20-tls.toml",
        format!(
            "[server]\ntls-cert = \"{folder}/server.pem\"\ntls-key = \"{folder}/server.key\"\n\
             tls-client-ca = \"{folder}/ca.pem\"\ntokens-file = \"{TOKENS}\"\n"
        ),
    )?;
    server.ok(["chgrp", "-R", "swarm-discovery", folder])?;
    server.ok(["chmod", "640", &format!("{folder}/server.key")])?;
    server.ok(["systemctl", "restart", "swarm-discovery"])?;
    Ok(bearer)
}

/// May beat and list, and is in the server's file.
fn new_bearer(server: &Machine, name: &str) -> Result<String> {
    let rights = ["--right", "register", "--right", "list", "--cluster", "*", "--file", TOKENS];
    let command = ["swarm-agent", "token", "new", "--name", name].into_iter().chain(rights);
    Ok(server.ok(command.collect::<Vec<_>>())?.trim().to_owned())
}

#[test]
fn credentials_of_the_unit_open_a_server_over_tls() -> TestResult {
    let fleet = Fleet::boot("secured")?;
    let (server, node) = (&fleet.server, &fleet.node);
    let bearer = secure(server)?;
    node.ok(["install", "--directory", "--mode=700", SECRETS])?;
    for name in ["ca.pem", "node.pem", "node.key"] {
        node.write(&format!("{SECRETS}/{name}"), server.read(&format!("/etc/swarm-agent/server/{name}"))?)?;
    }
    node.write(&format!("{SECRETS}/token"), format!("{bearer}\n"))?;
    node.ok(["chmod", "-R", "go=", SECRETS])?;
    let loads = ["ca:ca.pem", "cert:node.pem", "key:node.key", "token:token"];
    let lines = loads.map(|load| format!("LoadCredential={}\n", load.replace(':', &format!(":{SECRETS}/"))));
    node.write("/etc/systemd/system/swarm-agent.service.d/secrets.conf", format!("[Service]\n{}", lines.concat()))?;
    node.ok(["systemctl", "daemon-reload"])?;
    let more = "heartbeat = \"1s\"\n[discovery.tls]\nca = \"credential:ca\"\ncert = \"credential:cert\"\n\
                key = \"credential:key\"\n[discovery.auth]\ntoken-file = \"credential:token\"\n";
    fleet.configure(&format!("https://{}:{SERVER_PORT}", server.ip()), more)?;
    fleet.enable()?;
    let registered = |status: &str| status.starts_with(&format!("registered {}", fleet.address()));
    node.wait_unit("swarm-agent.service", 20 * SECOND, |unit| registered(unit.get("StatusText")))?;

    // a person names the files; by the credentials' names there is nothing to find
    let paths = ["--tls-ca", "ca.pem", "--tls-cert", "node.pem", "--tls-key", "node.key", "--token-file", "token"];
    let flags = paths.chunks(2).flat_map(|pair| [pair[0].to_owned(), format!("{SECRETS}/{}", pair[1])]);
    let list: Vec<String> = ["swarm-agent", "list"].map(str::to_owned).into_iter().chain(flags).collect();
    assert_eq!(node.ok(&list)?.trim(), fleet.address());
    let blind = node.run(["swarm-agent", "list"])?;
    assert!(blind.status != 0 && blind.stderr.contains("the unit needs LoadCredential="), "{blind:?}");
    // without any of them nothing goes
    for flag in ["--tls-ca", "--tls-cert", "--token-file"] {
        let without = |at: usize| list[at] != flag && (at == 0 || list[at - 1] != flag);
        let mut rest: Vec<_> = (0..list.len()).filter(|at| without(*at)).map(|at| list[at].clone()).collect();
        if flag == "--tls-cert" {
            rest.retain(|word| word != "--tls-key" && !word.ends_with("node.key"));
        }
        assert_ne!(node.run(&rest)?.status, 0, "{rest:?}");
    }

    // the token is taken back: the agent says so; a new one counts after the restart that credentials need
    server.ok(["rm", TOKENS])?;
    let second = new_bearer(server, "second")?;
    server.ok(["systemctl", "reload", "swarm-discovery"])?;
    node.wait_unit("swarm-agent.service", 20 * SECOND, |unit| unit.get("StatusText").contains("bearer token"))?;
    node.write(&format!("{SECRETS}/token"), format!("{second}\n"))?;
    node.ok(["systemctl", "restart", "swarm-agent"])?;
    node.wait_unit("swarm-agent.service", 20 * SECOND, |unit| registered(unit.get("StatusText")))?;
    wait_for("both registrations in the journal", 10 * SECOND, || {
        fleet.events(REGISTERED).is_ok_and(|events| events.len() == 2)
    })?;

    let key = node.read(&format!("{SECRETS}/node.key"))?;
    let key = key.lines().nth(1).unwrap_or_default();
    for secret in [bearer.as_str(), second.as_str(), key] {
        assert!(secret.len() > 20, "{secret}");
        let pid = node.main_pid("swarm-agent.service")?;
        for command in [
            "journalctl --output=export --no-pager".to_owned(),
            "swarm-agent status --json || :; swarm-agent metrics; swarm-agent show-config --origin".to_owned(),
            "systemctl show swarm-agent".to_owned(),
            format!("cat /proc/{pid}/cmdline /proc/{pid}/environ | tr '\\0' '\\n'"),
        ] {
            let text = node.sh(&command)?;
            assert!(!text.contains(secret), "{command} tells a secret");
        }
    }
    Ok(())
}
