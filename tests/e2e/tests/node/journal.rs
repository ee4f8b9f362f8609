//! What an operator finds in the journal.

use e2e::{Machine, Result, TestResult};

use crate::fleet::Fleet;

/// What `journalctl -x` shows of the agent, as one line without the marks before its explanations.
fn explained(node: &Machine) -> Result<String> {
    node.ok(["journalctl", "--sync"])?;
    let shown = node.ok(["journalctl", "--no-pager", "--catalog", "--boot", "--unit=swarm-agent"])?;
    let words = shown.split_whitespace().filter(|word| !matches!(*word, "░░" | "--"));
    Ok(words.collect::<Vec<_>>().join(" "))
}

#[test]
fn the_journal_explains_what_it_says_as_long_as_the_package_is_there() -> TestResult {
    let fleet = Fleet::registered("catalog", "")?;
    let node = &fleet.node;
    let shown = explained(node)?;
    let happened = format!("{} is registered at {}: the engine works.", fleet.address(), fleet.server_url());
    for part in [
        "Subject: This host's engine is in the list Defined-By: swarm-agent",
        &happened,
        "Clients of the cluster find this host from now on.",
        "Nothing to do. `swarm-agent list` shows the whole list, `swarm-agent engine status` the engine.",
        "Subject: The agent has started",
    ] {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }

    let ours = || -> Result<usize> {
        let list = node.ok(["journalctl", "--no-pager", "--list-catalog"])?;
        Ok(list.lines().filter(|line| line.contains(" swarm-agent: ")).count())
    };
    assert!(ours()? > 40, "{} entries", ours()?);
    node.ok(["apt-get", "remove", "--yes", "swarm-agent"])?;
    assert_eq!(ours()?, 0);
    Ok(())
}
