//! Who a node is: what its agent records beside its address, where the discovery service has room for that.

use super::NodeAddress;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A reader ignores the fields that it does not know. Names and ids, no secrets: everybody who reads the list sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Since when the entry is in, RFC 3339 in UTC with whole seconds, so that texts compare as times do.
    pub since: String,
    /// A hash of the machine's id that tells nothing of it: 32 hexadecimal digits.
    pub node: String,
    /// The boot that the agent runs in, that of the container if it is in one: 32 hexadecimal digits.
    pub boot: String,
    /// What the engine calls itself.
    pub engine: String,
    /// Of the agent.
    pub version: String,
    pub hostname: String,
}

/// `discovery.duplicates`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    Refuse,
    Allow,
}

impl Duplicates {
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "refuse" => Some(Self::Refuse),
            "allow" => Some(Self::Allow),
            _ => None,
        }
    }
}

/// What does not change while the machine is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostIdentity {
    pub node: String,
    pub boot: String,
}

/// What a list says of one node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recorded {
    pub address: NodeAddress,
    pub record: NodeRecord,
}

/// The longest record that is written or read, in bytes: a value for a header of HTTP, too.
pub const RECORD_LIMIT: usize = 1024;

impl NodeRecord {
    /// One line of JSON in ASCII.
    pub fn to_json(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        let mut ascii = String::with_capacity(json.len());
        for c in json.chars() {
            if c.is_ascii() {
                ascii.push(c);
            } else {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| ascii.push_str(&format!("\\u{unit:04x}")));
            }
        }
        ascii
    }

    /// None if it is none; whatever somebody wrote there takes nothing away from the node.
    pub fn from_json(text: &[u8]) -> Option<Self> {
        if text.len() > RECORD_LIMIT { None } else { serde_json::from_slice(text).ok() }
    }
}

/// For people: `db1 (engine ABCD:…)`.
impl fmt::Display for NodeRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {}", self.hostname.escape_debug())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_of_ascii_and_comes_back() {
        let record = NodeRecord {
            since: "2026-11-26T08:00:00Z".into(),
            node: "0123456789abcdef0123456789abcdef".into(),
            boot: "fedcba9876543210fedcba9876543210".into(),
            engine: "ABCD:EFGH".into(),
            version: "0.1.0".into(),
            hostname: "bäume-☃-\u{1f332}\n\"".into(),
        };
        let json = record.to_json();
        assert!(json.bytes().all(|b| (0x20..0x7f).contains(&b)), "{json}");
        assert_eq!(NodeRecord::from_json(json.as_bytes()), Some(record));
    }

    #[test]
    fn what_is_none_is_none() {
        let long = format!("{{\"since\":\"{}\"}}", "x".repeat(RECORD_LIMIT));
        for text in ["", "null", "[]", r#"{"node":"a"}"#, long.as_str()] {
            assert_eq!(NodeRecord::from_json(text.as_bytes()), None, "{text}");
        }
        let more = r#"{"since":"a","node":"b","boot":"c","engine":"d","version":"e","hostname":"f","colour":1}"#;
        assert!(NodeRecord::from_json(more.as_bytes()).is_some(), "of a later version");
    }
}
