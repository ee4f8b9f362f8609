//! `list --long`: the nodes of a cluster, and who they are.

use crate::model::{Listing, NodeAddress, NodeRecord};
use serde_json::json;

const TITLES: [&str; 5] = ["ADDRESS", "HOST", "AGENT", "SINCE", "ENGINE"];

/// Aligned columns for people; a node without a record has `-` in them.
pub fn columns(listing: &Listing) -> String {
    let mut rows = vec![TITLES.map(str::to_owned)];
    rows.extend(listing.nodes.iter().map(|node| row(node, record(listing, node))));
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3, 4].map(width);
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// An object for each node.
pub fn objects(listing: &Listing) -> String {
    let objects = listing.nodes.iter().map(|node| {
        let record = record(listing, node).map(NodeRecord::to_json);
        let record = record.and_then(|record| serde_json::from_str::<serde_json::Value>(&record).ok());
        json!({ "address": node, "record": record })
    });
    let text = json!(objects.collect::<Vec<_>>()).to_string();
    // JSON leaves some control characters as they are; a terminal obeys them
    format!("{}\n", text.replace(|c: char| c.is_control(), "\u{fffd}"))
}

fn record<'l>(listing: &'l Listing, node: &NodeAddress) -> Option<&'l NodeRecord> {
    listing.records.iter().find(|recorded| recorded.address == *node).map(|recorded| &recorded.record)
}

fn row(node: &NodeAddress, record: Option<&NodeRecord>) -> [String; 5] {
    // whoever may write into the list may not write to this terminal
    let plain = |text: &str| text.escape_debug().to_string();
    let cell = |part: fn(&NodeRecord) -> &str| record.map_or_else(|| "-".to_owned(), |record| plain(part(record)));
    [
        node.to_string(),
        cell(|record| &record.hostname),
        cell(|record| &record.version),
        cell(|record| &record.since),
        cell(|record| &record.engine),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_has_a_line_and_nobody_writes_to_the_terminal() {
        let record = br#"{"since":"2026-11-26T08:00:00Z","node":"n","boot":"b","engine":"AB:CD","version":"0.1.0","hostname":"d\u001b[2Jb"}"#;
        let listing = Listing::of_addresses(["10.0.0.5:2375".to_owned(), "a:1".to_owned()]);
        let listing = listing.with_records([("10.0.0.5:2375", record.as_slice())]);
        let shown = columns(&listing);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "ADDRESS        HOST         AGENT  SINCE                 ENGINE");
        assert_eq!(lines[1], "10.0.0.5:2375  d\\u{1b}[2Jb  0.1.0  2026-11-26T08:00:00Z  AB:CD");
        assert_eq!(lines[2], "a:1            -            -      -                     -");
        let objects = objects(&listing);
        assert!(!objects.trim_end().contains(char::is_control), "{objects:?}");
        let objects: serde_json::Value = serde_json::from_str(&objects).expect("JSON");
        assert_eq!((&objects[0]["record"]["engine"], &objects[1]["record"]), (&json!("AB:CD"), &json!(null)));
    }
}
