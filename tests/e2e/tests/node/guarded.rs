//! A discovery server with bearer tokens under systemd: `systemctl reload` tells the truth.

use e2e::{TestResult, wait_for};

use crate::fleet::{CONFIG_INVALID, RELOADED, SECOND, SERVER_PORT, serve};

const UNIT: &str = "swarm-discovery.service";
const TOKENS: &str = "/etc/swarm-agent/tokens.toml";

#[test]
fn a_reload_of_the_server_takes_tokens_in_and_fails_with_what_is_wrong() -> TestResult {
    let cluster = e2e::Cluster::new("guarded")?;
    let server = cluster.machine("server").dont_wait_for_docker().boot()?;
    let token = serve(&server)?;
    let pid = server.main_pid(UNIT)?;
    let url = format!("http://127.0.0.1:{SERVER_PORT}/v1/clusters/{token}");
    let list = || server.run(["swarm-agent", "list", &url]);
    assert_eq!(list()?.status, 0);

    // the service's user may read what root made
    let new =
        ["swarm-agent", "token", "new", "--name", "reader", "--right", "list", "--cluster", "*", "--file", TOKENS];
    let bearer = server.ok(new)?.trim().to_owned();
    server.write("/etc/swarm-agent/config.d/20-tokens.toml", format!("[server]\ntokens-file = \"{TOKENS}\"\n"))?;
    let output = server.systemctl(["reload", "swarm-discovery"])?;
    assert!(output.success(), "{output:?}");
    let refused = || list().is_ok_and(|list| list.status == 1 && list.stderr.contains("wants a bearer token"));
    wait_for("a list that is refused", 10 * SECOND, refused)?;

    let good = server.ok(["cat", TOKENS])?;
    server.write(TOKENS, good.replace("\"list\"", "\"lst\""))?;
    assert!(!server.systemctl(["reload", "swarm-discovery"])?.success(), "a reload that failed was called a success");
    let unit = server.wait_unit(UNIT, 10 * SECOND, |unit| {
        unit.get("StatusText").contains(&format!("; the configuration was not reloaded: {TOKENS}:4:11: "))
    })?;
    assert_eq!((unit.active_state(), unit.n_restarts()), ("active", 0));
    assert_eq!(server.main_pid(UNIT)?, pid);
    let journal = server.journal("swarm-discovery")?;
    let of_kind = |id: &str| journal.iter().filter(|entry| entry.message_id().as_deref() == Some(id)).count();
    assert_eq!((of_kind(RELOADED), of_kind(CONFIG_INVALID)), (1, 1));
    assert!(!journal.iter().any(|entry| entry.message().contains(&bearer)), "a secret is in the journal");
    assert!(refused(), "the old rules hold");

    server.write(TOKENS, good)?;
    assert!(server.systemctl(["reload", "swarm-discovery"])?.success());
    server.wait_unit(UNIT, 10 * SECOND, |unit| !unit.get("StatusText").contains("not reloaded"))?;
    Ok(())
}
