//! A list of nodes as `list` prints it, and as `watch` hands it on.

use super::exit::Failure;
use crate::model::Listing;
use crate::model::targets::target_groups;
use serde_json::json;

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One address a line
    Text,
    /// An array of strings
    Json,
    /// What file_sd_configs of Prometheus reads
    PrometheusFileSd,
}

#[derive(clap::Args)]
pub struct FormatArgs {
    /// How the list is written; without it text, or json with --json
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The port that Prometheus is to scrape, in place of the engine's; with --format prometheus-file-sd
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

/// How one list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    format: Format,
    port: Option<u16>,
}

impl FormatArgs {
    pub fn given(&self) -> bool {
        self.format.is_some() || self.port.is_some()
    }

    pub fn shape(&self, json: bool) -> Result<Shape, Failure> {
        let format = self.format.unwrap_or(if json { Format::Json } else { Format::Text });
        if self.port.is_some() && format != Format::PrometheusFileSd {
            return Err(Failure::usage("--port is for --format prometheus-file-sd".to_owned()));
        }
        Ok(Shape { format, port: self.port })
    }
}

impl Shape {
    /// `all`: the drained nodes too.
    pub fn write(&self, listing: &Listing, all: bool) -> String {
        let json = match (self.format, all) {
            (Format::Text, _) => return lines(listing),
            (Format::Json, false) => json!(listing.nodes),
            (Format::Json, true) => objects(listing),
            (Format::PrometheusFileSd, _) => json!(target_groups(listing, self.port)),
        };
        format!("{}\n", plain(&json.to_string()))
    }
}

fn lines(listing: &Listing) -> String {
    let active = listing.nodes.iter().map(|node| format!("{node}\n"));
    active.chain(listing.drained.iter().map(|node| format!("{node}\n"))).collect()
}

fn objects(listing: &Listing) -> serde_json::Value {
    let active = listing.nodes.iter().map(|node| json!({ "address": node, "drained": false, "reason": null }));
    let drained = listing.drained.iter();
    let drained = drained.map(|node| json!({ "address": node.address, "drained": true, "reason": node.reason }));
    json!(active.chain(drained).collect::<Vec<_>>())
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

    fn shape(format: Format) -> Shape {
        Shape { format, port: None }
    }

    #[test]
    fn drained_nodes_come_last_and_can_not_touch_the_terminal() {
        let text = shape(Format::Text).write(&listing(), true);
        assert_eq!(text, "b:1\na:1  drained: new \"kernel\" \\u{1b}[2J\\u{9b}\\u{7f}\nc:1  drained\n");
    }

    #[test]
    fn json_has_one_object_a_node_and_says_the_same() -> Result<(), serde_json::Error> {
        let text = shape(Format::Json).write(&listing(), true);
        assert!(!text.trim_end().contains(char::is_control), "{text:?}");
        let expected = json!([
            { "address": "b:1", "drained": false, "reason": null },
            { "address": "a:1", "drained": true, "reason": "new \"kernel\" \u{1b}[2J\u{9b}\u{7f}" },
            { "address": "c:1", "drained": true, "reason": null },
        ]);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text)?, expected);
        assert_eq!(shape(Format::Json).write(&listing(), false), "[\"b:1\"]\n");
        Ok(())
    }

    #[test]
    fn a_port_is_for_prometheus_alone() {
        let args = |format, port| FormatArgs { format, port };
        assert!(args(None, Some(9100)).shape(true).is_err());
        assert!(args(Some(Format::Text), Some(9100)).shape(false).is_err());
        assert!(args(Some(Format::PrometheusFileSd), Some(9100)).shape(true).is_ok());
        assert!(args(None, None).shape(true).is_ok_and(|shape| shape.format == Format::Json));
    }
}
