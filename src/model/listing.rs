//! One answer to "who is in the cluster?".

use super::{DrainedNode, NodeAddress, NodeRecord, Recorded, host_pattern};
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// Sorted, each once.
    pub nodes: Vec<NodeAddress>,
    /// Sorted, each once, and none of `nodes`. Empty unless asked for, and where the service has no room for them.
    pub drained: Vec<DrainedNode>,
    /// Who the nodes are, sorted. Empty unless asked for, and where the service has no room for it.
    pub records: Vec<Recorded>,
    /// Entries that are no node addresses: to be reported and skipped.
    pub unreadable: Vec<Unreadable>,
}

/// One entry as a service gives it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Active(String),
    Drained {
        address: String,
        reason: Option<String>,
    },
    /// Something else, as text.
    Other(String),
    /// What a service keeps in a way that can't be an entry.
    Bad(Unreadable),
}

/// An entry as it stands in the list, and why it is none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unreadable {
    pub entry: String,
    pub why: String,
}

/// Whatever somebody wrote into the list, on one line.
impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no node address: {}", self.entry, self.why.escape_debug())
    }
}

impl Listing {
    /// Takes in entries as a service keeps them: plain addresses.
    pub fn of_addresses(entries: impl IntoIterator<Item = String>) -> Self {
        Self::of_entries(entries.into_iter().map(Entry::Active))
    }

    /// The same from a service that also keeps drained nodes.
    pub fn of_entries(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut listing = Self::default();
        for entry in entries {
            match entry {
                Entry::Active(text) => match text.parse() {
                    Ok(address) => listing.nodes.push(address),
                    Err(error) => listing.skip(text, &error),
                },
                Entry::Drained { address: text, reason } => match text.parse() {
                    Ok(address) => listing.drained.push(DrainedNode { address, reason }),
                    Err(error) => listing.skip(text, &error),
                },
                Entry::Bad(skipped) => listing.unreadable.push(skipped),
                Entry::Other(text) => listing.skip(text, &"it is neither a text nor a drained node"),
            }
        }
        listing.sorted()
    }

    /// Adds who the nodes are: texts of an address and of a record. What can't be read, or is of nobody in the list, says
    /// nothing.
    #[must_use]
    pub fn with_records<'t>(mut self, records: impl IntoIterator<Item = (&'t str, &'t [u8])>) -> Self {
        let recorded = |(address, record): (&str, &[u8])| {
            Some(Recorded { address: address.parse().ok()?, record: NodeRecord::from_json(record)? })
        };
        self.records = records.into_iter().filter_map(recorded).collect();
        self.records.retain(|recorded| self.nodes.binary_search(&recorded.address).is_ok());
        self.records.sort();
        self
    }

    /// Takes in entries as a person writes them: addresses and patterns, each with its place (`line 3`).
    pub fn of_patterns<'t>(entries: impl IntoIterator<Item = (String, &'t str)>) -> Self {
        let mut listing = Self::default();
        for (place, entry) in entries {
            match host_pattern::expand(entry) {
                Ok(found) if listing.nodes.len() + found.len() <= host_pattern::MAX_ADDRESSES => {
                    listing.nodes.extend(found);
                }
                Ok(_) => {
                    let limit = host_pattern::MAX_ADDRESSES;
                    listing.skip(entry.to_owned(), &format_args!("{place}: the list has more than {limit} addresses"));
                }
                Err(error) => listing.skip(entry.to_owned(), &format_args!("{place}: {error}")),
            }
        }
        listing.sorted()
    }

    fn skip(&mut self, entry: String, why: &dyn fmt::Display) {
        self.unreadable.push(Unreadable { entry, why: why.to_string() });
    }

    /// A node that is in the cluster is not drained, whatever else is said of it.
    fn sorted(mut self) -> Self {
        self.nodes.sort();
        self.nodes.dedup();
        self.drained.sort();
        self.drained.dedup_by(|a, b| a.address == b.address);
        self.drained.retain(|node| self.nodes.binary_search(&node.address).is_err());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_entry_takes_nothing_away_from_the_others() {
        let entries = ["a[2:1]:1", "b[1:2]:1", "a:1", "b1:1"];
        let numbered = entries.iter().enumerate().map(|(at, entry)| (format!("line {}", at + 1), *entry));
        let listing = Listing::of_patterns(numbered);
        assert_eq!(listing.nodes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:1", "b1:1", "b2:1"]);
        let said: Vec<String> = listing.unreadable.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("\"a[2:1]:1\" is no node address: line 1: character 2: the range"), "{said:?}");
    }

    #[test]
    fn a_node_is_listed_as_active_or_as_drained_and_once() {
        let active = |text: &str| Entry::Active(text.to_owned());
        let drained =
            |text: &str, reason: &str| Entry::Drained { address: text.to_owned(), reason: Some(reason.to_owned()) };
        let listing = Listing::of_entries([
            drained("c:1", "x"),
            active("a:1"),
            drained("a:1", "x"),
            drained("b:1", "y"),
            drained("b:1", "z"),
            drained("junk", "x"),
            Entry::Other("1".to_owned()),
        ]);
        assert_eq!(listing.nodes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:1"]);
        let shown: Vec<String> = listing.drained.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["b:1  drained: y", "c:1  drained: x"]);
        assert_eq!(listing.unreadable.iter().map(|skipped| skipped.entry.as_str()).collect::<Vec<_>>(), ["junk", "1"]);
    }

    #[test]
    fn a_record_is_of_a_node_in_the_list() {
        let record = br#"{"since":"","node":"n","boot":"","engine":"","version":"","hostname":"h"}"#.as_slice();
        let listing = Listing::of_addresses(["b:1".to_owned(), "a:1".to_owned()]);
        let listing = listing.with_records([("b:1", record), ("a:1", b"{}"), ("c:1", record), ("junk", record)]);
        let shown: Vec<String> = listing.records.iter().map(|r| format!("{} {}", r.address, r.record)).collect();
        assert_eq!(shown, ["b:1 host h"]);
    }

    #[test]
    fn a_list_has_a_limit_as_a_whole() {
        let listing = Listing::of_patterns([("1".to_owned(), "a[1:65536]:1"), ("2".to_owned(), "b:1")]);
        assert_eq!((listing.nodes.len(), listing.unreadable.len()), (65_536, 1));
    }
}
