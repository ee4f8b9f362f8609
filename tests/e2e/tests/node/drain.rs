//! A node that is drained, and comes back.

use std::time::Instant;

use e2e::TestResult;
use serde_json::Value;

use crate::fleet::{DEREGISTERED, Fleet, REGISTERED, SECOND};
use crate::lister::assert_no_gap;

const QUICK: &str = "heartbeat = \"2s\"\nttl = \"10s\"\n";

#[test]
fn a_drain_survives_restarts_and_reboots_until_it_is_ended() -> TestResult {
    let fleet = Fleet::registered("drain", QUICK)?;
    let (node, address, lister) = (&fleet.node, fleet.address(), fleet.lister()?);
    let engine = node.main_pid("docker.service")?;
    lister.wait_present(&address, 5 * SECOND)?;
    let asked = Instant::now();
    let said = node.ok(["swarm-agent", "drain", "--reason", "new kernel"])?;
    assert_eq!(said, "drained by root: new kernel\n");
    let gone = lister.gone_since(asked, &address, 5 * SECOND)?;
    assert!(gone - asked < SECOND, "{:?}", gone - asked);
    assert_eq!(node.main_pid("docker.service")?, engine, "the engine is left alone");

    let drained = |place: &str| -> TestResult {
        let unit = node.wait_unit("swarm-agent.service", 20 * SECOND, |unit| {
            let text = unit.get("StatusText");
            // of a process that was killed the text stands until the next one says its own
            let drained = text.starts_with("not registered: drained by root: new kernel, engine ");
            unit.is_active() && drained && text.contains(" healthy")
        });
        assert!(unit.is_ok(), "{place}: {unit:?}");
        let status = node.run(["swarm-agent", "status"])?;
        assert_eq!(status.status, 3);
        assert!(status.stdout.contains("  by root: new kernel, "), "{place}: {}", status.stdout);
        let report: Value = serde_json::from_str(&node.run(["swarm-agent", "status", "--json"])?.stdout)?;
        assert_eq!((&report["drain"]["reason"], &report["drain"]["by"]), (&"new kernel".into(), &"root".into()));
        let metrics = node.ok(["swarm-agent", "metrics"])?;
        assert!(metrics.contains("\nswarm_agent_drained 1\n") && metrics.contains("\nswarm_agent_registered 0\n"));
        Ok(())
    };
    drained("at once")?;
    let journal: Vec<String> = fleet.events(DEREGISTERED)?.iter().map(e2e::JournalEntry::message).collect();
    assert!(journal.last().is_some_and(|line| line.ends_with(": drained by root: new kernel")), "{journal:?}");
    node.wait_journal("swarm-agent", SECOND, |entry| entry.field("SWARM_AGENT_EVENT").as_deref() == Some("drained"))?;

    // where the service has room for it, others see it too
    let url = format!("{}/v1/clusters/{}", fleet.server_url(), fleet.token);
    let all = || fleet.server.ok(["swarm-agent", "list", "--all", &url]);
    e2e::wait_for("list --all", 5 * SECOND, || all().is_ok_and(|list| list.contains("drained: new kernel")))?;
    assert!(all()?.starts_with(&address), "{}", all()?);
    assert_eq!(fleet.server.ok(["swarm-agent", "list", &url])?, "");

    let registered = fleet.events(REGISTERED)?.len();
    node.ok(["systemctl", "restart", "swarm-agent"])?;
    drained("after a restart")?;
    node.ok(["systemctl", "kill", "--signal=KILL", "swarm-agent"])?;
    drained("after a crash")?;
    assert_eq!(fleet.events(REGISTERED)?.len(), registered);
    node.reboot()?;
    drained("after a reboot")?;
    assert!(fleet.events(REGISTERED)?.is_empty());
    let this_boot = node.journal("swarm-agent")?;
    let drained_event = |entry: &e2e::JournalEntry| entry.field("SWARM_AGENT_EVENT").as_deref() == Some("drained");
    assert!(this_boot.iter().any(drained_event), "the journal of this boot does not say it");

    let asked = Instant::now();
    let said = node.ok(["swarm-agent", "undrain"])?;
    assert!(said.starts_with(&format!("not drained: registered {address} at ")), "{said}");
    lister.present_since(asked, &address, 5 * SECOND)?;
    assert_eq!(all()?, format!("{address}\n"));
    let before = lister.finish_since(gone + SECOND / 2);
    let seen =
        before.iter().filter(|answer| answer.at < asked && answer.nodes.as_ref().is_ok_and(|nodes| !nodes.is_empty()));
    assert_eq!(seen.count(), 0, "it was listed while it was drained");
    let lister = fleet.lister()?;
    let begin = lister.wait_present(&address, 5 * SECOND)?;
    node.ok(["systemctl", "restart", "swarm-agent"])?;
    node.wait_unit("swarm-agent.service", 10 * SECOND, |unit| unit.get("StatusText").contains("registered "))?;
    assert_no_gap(&lister.finish_since(begin), &address, SECOND / 4);
    Ok(())
}

#[test]
fn a_drain_can_end_by_itself_and_needs_no_disk() -> TestResult {
    let fleet = Fleet::registered("drain-time", QUICK)?;
    let (node, address, lister) = (&fleet.node, fleet.address(), fleet.lister()?);
    lister.wait_present(&address, 5 * SECOND)?;
    let asked = Instant::now();
    let said = node.ok(["swarm-agent", "drain", "--for", "4s"])?;
    assert!(said.starts_with("drained by root until 20") && said.ends_with(" UTC\n"), "{said}");
    let gone = lister.gone_since(asked, &address, 5 * SECOND)?;
    let back = lister.present_since(gone, &address, 10 * SECOND)?;
    assert!((3 * SECOND..7 * SECOND).contains(&(back - asked)), "{:?}", back - asked);
    // also over a restart
    node.ok(["swarm-agent", "drain", "--for", "6s"])?;
    node.ok(["systemctl", "restart", "swarm-agent"])?;
    node.wait_unit("swarm-agent.service", 10 * SECOND, |unit| {
        unit.get("StatusText").contains("drained by root until")
    })?;
    let restarted = Instant::now();
    lister.present_since(restarted, &address, 15 * SECOND)?;

    for (flags, part) in [
        (&["--for", "0s"][..], "more than 0"),
        (&["--for", "soon"], "write it like"),
        (&["--reason", "a\nb"], "control character"),
    ] {
        let wrong = node.run(["swarm-agent", "drain"].into_iter().chain(flags.iter().copied()))?;
        assert_eq!(wrong.status, 64, "{wrong:?}");
        assert!(wrong.stderr.contains(part), "{wrong:?}");
    }

    // a state directory that takes nothing keeps nobody in
    node.sh("systemctl stop swarm-agent; u=$(id -u swarm-agent)
         mount -t tmpfs -o uid=$u,gid=$u,mode=700 tmpfs /var/lib/swarm-agent
         systemctl start swarm-agent; mount -o remount,ro /var/lib/swarm-agent")?;
    lister.present_since(Instant::now(), &address, 10 * SECOND)?;
    let asked = Instant::now();
    let half = node.run(["swarm-agent", "drain"])?;
    assert_eq!(half.status, 1, "{half:?}");
    assert!(
        half.stderr.contains("does not survive a restart of the agent: /var/lib/swarm-agent/drain.json"),
        "{half:?}"
    );
    lister.gone_since(asked, &address, 5 * SECOND)?;
    assert_eq!(node.run(["swarm-agent", "undrain"])?.status, 0);
    lister.present_since(asked, &address, 5 * SECOND)?;
    Ok(())
}
