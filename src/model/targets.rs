//! A list of nodes as Prometheus takes it, from a file (`file_sd_configs`) or over HTTP (`http_sd_configs`).

use super::{Listing, NodeAddress};
use serde::Serialize;
use std::collections::BTreeMap;

/// One node. Its labels are for relabelling, as those of Prometheus's own discoveries are: whatever begins with `__`
/// is gone from the series, so a node that is drained or comes back begins no new ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetGroup {
    targets: [String; 1],
    labels: BTreeMap<&'static str, String>,
}

/// The node as it stands in the list, whatever port is scraped.
const ADDRESS: &str = "__meta_swarm_agent_address";
/// On drained nodes alone, with the value `true`.
const DRAINED: &str = "__meta_swarm_agent_drained";

/// A group for each node, the drained ones behind the others; `port` stands in place of the engine's, which speaks no
/// metrics.
pub fn target_groups(listing: &Listing, port: Option<u16>) -> Vec<TargetGroup> {
    let active = listing.nodes.iter().map(|node| group(node, port, false));
    active.chain(listing.drained.iter().map(|node| group(&node.address, port, true))).collect()
}

fn group(node: &NodeAddress, port: Option<u16>, drained: bool) -> TargetGroup {
    let target = port.map_or_else(|| node.to_string(), |port| node.with_port(port).to_string());
    let mut labels = BTreeMap::from([(ADDRESS, node.to_string())]);
    if drained {
        labels.insert(DRAINED, "true".to_owned());
    }
    TargetGroup { targets: [target], labels }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Entry;
    use serde_json::json;

    #[test]
    fn a_group_has_one_node_and_says_what_it_is_registered_as() {
        let listing = Listing::of_entries([
            Entry::Active("[fd00::5]:2375".into()),
            Entry::Active("db1:2376".into()),
            Entry::Drained { address: "10.0.0.6:2375".into(), reason: Some("x".into()) },
        ]);
        let expected = json!([
            { "targets": ["[fd00::5]:9100"], "labels": { "__meta_swarm_agent_address": "[fd00::5]:2375" } },
            { "targets": ["db1:9100"], "labels": { "__meta_swarm_agent_address": "db1:2376" } },
            {
                "targets": ["10.0.0.6:9100"],
                "labels": { "__meta_swarm_agent_address": "10.0.0.6:2375", "__meta_swarm_agent_drained": "true" },
            },
        ]);
        assert_eq!(json!(target_groups(&listing, Some(9100))), expected);
        assert_eq!(json!(target_groups(&listing, None))[1]["targets"], json!(["db1:2376"]));
        assert_eq!(json!(target_groups(&Listing::default(), None)), json!([]));
    }
}
