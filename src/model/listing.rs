//! One answer to "who is in the cluster?".

use super::{NodeAddress, host_pattern};
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// Sorted, each once.
    pub nodes: Vec<NodeAddress>,
    /// Entries that are no node addresses: to be reported and skipped.
    pub unreadable: Vec<Unreadable>,
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
        let mut listing = Self::default();
        for entry in entries {
            match entry.parse() {
                Ok(address) => listing.nodes.push(address),
                Err(error) => listing.skip(entry, &error),
            }
        }
        listing.sorted()
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

    fn sorted(mut self) -> Self {
        self.nodes.sort();
        self.nodes.dedup();
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
    fn a_list_has_a_limit_as_a_whole() {
        let listing = Listing::of_patterns([("1".to_owned(), "a[1:65536]:1"), ("2".to_owned(), "b:1")]);
        assert_eq!((listing.nodes.len(), listing.unreadable.len()), (65_536, 1));
    }
}
