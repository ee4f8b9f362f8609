//! `swarm-agent list`: the nodes of a cluster.

use super::discovery_args::DiscoveryArgs;
use super::exit::Failure;
use crate::discovery::Scope;
use crate::model::Listing;
use serde_json::json;

/// Print the nodes of a cluster
#[derive(clap::Args)]
#[command(long_about = "Print the nodes of a cluster, one address a line.

    $ swarm-agent list http://disco.example:8970/v1/clusters/TOKEN
    10.0.0.5:2375
    10.0.0.6:2375
    $ swarm-agent list db[01:20].example:2375     # what a pattern stands for
    $ swarm-agent list file:///etc/nodes          # one address or pattern a line, # comments
    $ swarm-agent list --all                      # drained nodes, too
    10.0.0.5:2375
    10.0.0.6:2375  drained: kernel update

A drained node is out of the cluster on purpose. `swarm-agent serve` and the agent's own server have room for drained \
nodes; where a discovery service has none, --all shows the others. With --json the array then has objects with \
address (a string), drained (a boolean) and reason (a string or null).

Entries that are no node addresses are skipped, with a warning on stderr. The list is only read, never changed.")]
pub struct List {
    #[command(flatten)]
    cluster: DiscoveryArgs,
    /// Print drained nodes too, behind the others
    #[arg(long)]
    all: bool,
    /// Print a JSON array of strings; with --all, of objects
    #[arg(long)]
    json: bool,
}

impl List {
    pub fn run(self) -> Result<(), Failure> {
        let backend = self.cluster.open()?;
        let runtime = super::runtime()?;
        let scope = if self.all { Scope::All } else { Scope::Active };
        let listing = runtime.block_on(backend.list(scope));
        // a file that hangs does not hold the end up
        runtime.shutdown_background();
        let listing = listing.map_err(Failure::discovery)?;
        for entry in &listing.unreadable {
            super::remark(&format!("warning: skipped an entry: {entry}"));
        }
        super::print(&match (self.json, self.all) {
            (false, _) => lines(&listing),
            (true, false) => format!("{}\n", json!(listing.nodes)),
            (true, true) => objects(&listing),
        })
    }
}

fn lines(listing: &Listing) -> String {
    let active = listing.nodes.iter().map(|node| format!("{node}\n"));
    active.chain(listing.drained.iter().map(|node| format!("{node}\n"))).collect()
}

fn objects(listing: &Listing) -> String {
    let active = listing.nodes.iter().map(|node| json!({ "address": node, "drained": false, "reason": null }));
    let drained = listing.drained.iter();
    let drained = drained.map(|node| json!({ "address": node.address, "drained": true, "reason": node.reason }));
    format!("{}\n", plain(&json!(active.chain(drained).collect::<Vec<_>>()).to_string()))
}

/// JSON escapes the control characters of ASCII but for DEL, and none of the others; a terminal obeys some of them.
fn plain(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_control() { plain.push_str(&format!("\\u{:04x}", u32::from(c))) } else { plain.push(c) }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Entry;

    fn listing() -> Listing {
        Listing::of_entries([
            Entry::Active("b:1".into()),
            Entry::Drained { address: "a:1".into(), reason: Some("new \"kernel\" \u{1b}[2J\u{9b}\u{7f}".into()) },
            Entry::Drained { address: "c:1".into(), reason: None },
        ])
    }

    #[test]
    fn drained_nodes_come_last_and_can_not_touch_the_terminal() {
        assert_eq!(lines(&listing()), "b:1\na:1  drained: new \"kernel\" \\u{1b}[2J\\u{9b}\\u{7f}\nc:1  drained\n");
    }

    #[test]
    fn json_has_one_object_a_node_and_says_the_same() -> Result<(), serde_json::Error> {
        let text = objects(&listing());
        assert!(!text.trim_end().contains(char::is_control), "{text:?}");
        let expected = json!([
            { "address": "b:1", "drained": false, "reason": null },
            { "address": "a:1", "drained": true, "reason": "new \"kernel\" \u{1b}[2J\u{9b}\u{7f}" },
            { "address": "c:1", "drained": true, "reason": null },
        ]);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text)?, expected);
        Ok(())
    }
}
