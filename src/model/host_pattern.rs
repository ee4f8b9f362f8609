//! Patterns that stand for many node addresses: `10.0.0.[10:12]:2375`, `db[01:20].example:[2375:2376]`.

use super::NodeAddress;
use super::address::AddressError;

/// What one list may expand to.
pub const MAX_ADDRESSES: usize = 65_536;

/// Why a text is no pattern. Positions count characters from 1. Reads after "not a node or pattern of nodes: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("it is empty")]
    Empty,
    #[error("character {at}: the range `[{range}` has no end; close it with `]`")]
    Unclosed { at: usize, range: String },
    #[error("character {at}: `]` ends a range that never began")]
    Unopened { at: usize },
    #[error("character {at}: `[{range}]` is not a range; write it like [1:9] or [01:20]")]
    NotARange { at: usize, range: String },
    #[error("character {at}: the range `[{range}]` runs backwards; write the smaller number first")]
    Reversed { at: usize, range: String },
    #[error("character {at}: with the range `[{range}]` it stands for more than {MAX_ADDRESSES} addresses")]
    TooMany { at: usize, range: String },
    #[error("`{text}`: {cause}")]
    Address { text: String, cause: AddressError },
}

/// The addresses that a pattern stands for, in order; the last range turns fastest.
///
/// A range is inclusive and keeps zeros in front: `[01:10]` begins with 01. Brackets around two or
/// more colons are those of an IPv6 address, and may hold a range: `[fd00::[1:9]]:2375`.
pub fn expand(pattern: &str) -> Result<Vec<NodeAddress>, PatternError> {
    if pattern.is_empty() {
        return Err(PatternError::Empty);
    }
    let parts = split(pattern)?;
    let mut texts = vec![String::new()];
    for part in &parts {
        texts = match part {
            Part::Literal(literal) => texts.into_iter().map(|text| text + literal).collect(),
            Part::Range(range) => {
                texts.iter().flat_map(|text| range.numbers().map(move |number| format!("{text}{number}"))).collect()
            }
        };
    }
    texts.into_iter().map(|text| text.parse().map_err(|cause| PatternError::Address { text, cause })).collect()
}

enum Part<'t> {
    Literal(&'t str),
    Range(Range),
}

struct Range {
    first: u32,
    last: u32,
    /// Numbers are filled up with zeros to this many digits.
    width: usize,
}

impl Range {
    fn numbers(&self) -> impl Iterator<Item = String> {
        let width = self.width;
        (self.first..=self.last).map(move |number| format!("{number:0width$}"))
    }

    fn count(&self) -> u64 {
        u64::from(self.last - self.first) + 1
    }
}

/// Literals and ranges in turn, checked for how much they stand for before anything is expanded.
fn split(pattern: &str) -> Result<Vec<Part<'_>>, PatternError> {
    let mut parts = Vec::new();
    let (mut count, mut literal, mut next) = (1_u64, 0, 0);
    while let Some(bracket) = pattern[next..].find(['[', ']']).map(|at| at + next) {
        let at = pattern[..bracket].chars().count() + 1;
        let inside = &pattern[bracket + 1..];
        next = bracket + 1;
        if pattern[bracket..].starts_with(']') {
            match literal_brackets_open(&pattern[literal..bracket]) || ends_v6(&parts, &pattern[literal..bracket]) {
                true => continue,
                false => return Err(PatternError::Unopened { at }),
            }
        }
        let end = inside.find(['[', ']']);
        let text = &inside[..end.unwrap_or(inside.len())];
        if text.matches(':').count() >= 2 {
            continue;
        }
        if end.is_none_or(|end| inside[end..].starts_with('[')) {
            return Err(PatternError::Unclosed { at, range: text.to_owned() });
        }
        let range = parse_range(text, at)?;
        count = count.saturating_mul(range.count());
        if count > MAX_ADDRESSES as u64 {
            return Err(PatternError::TooMany { at, range: text.to_owned() });
        }
        parts.push(Part::Literal(&pattern[literal..bracket]));
        parts.push(Part::Range(range));
        (literal, next) = (bracket + text.len() + 2, bracket + text.len() + 2);
    }
    parts.push(Part::Literal(&pattern[literal..]));
    Ok(parts)
}

/// A `[` of an IPv6 address that is still open.
fn literal_brackets_open(literal: &str) -> bool {
    literal.matches('[').count() > literal.matches(']').count()
}

/// The same, with a range in between.
fn ends_v6(parts: &[Part<'_>], literal: &str) -> bool {
    let before = parts.iter().filter_map(|part| match part {
        Part::Literal(text) => Some(*text),
        Part::Range(_) => None,
    });
    literal_brackets_open(&before.chain([literal]).collect::<String>())
}

fn parse_range(text: &str, at: usize) -> Result<Range, PatternError> {
    let range = || text.to_owned();
    let number = |digits: &str| {
        let legal = (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<u32>().ok().filter(|_| legal)
    };
    let not = || PatternError::NotARange { at, range: range() };
    let (first, last) = text.split_once(':').ok_or_else(not)?;
    let padded = [first, last].iter().any(|digits| digits.len() > 1 && digits.starts_with('0'));
    let width = if padded { first.len().max(last.len()) } else { 1 };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok(Range { first, last, width }),
        (Some(_), Some(_)) => Err(PatternError::Reversed { at, range: range() }),
        _ => Err(not()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(pattern: &str) -> Result<Vec<String>, PatternError> {
        Ok(expand(pattern)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn stands_for_many_addresses() {
        for (pattern, addresses) in [
            ("10.0.0.5:2375", &["10.0.0.5:2375"][..]),
            ("10.0.0.[10:12]:2375", &["10.0.0.10:2375", "10.0.0.11:2375", "10.0.0.12:2375"]),
            ("192.168.1.2:[2:4]375", &["192.168.1.2:2375", "192.168.1.2:3375", "192.168.1.2:4375"]),
            ("db[01:03]:1", &["db01:1", "db02:1", "db03:1"]),
            ("db[8:10]:1", &["db8:1", "db9:1", "db10:1"]),
            ("db[08:10]:1", &["db08:1", "db09:1", "db10:1"]),
            ("a[1:2]b[1:2]:1", &["a1b1:1", "a1b2:1", "a2b1:1", "a2b2:1"]),
            ("a[5:5]:1", &["a5:1"]),
            ("a[0:1]:1", &["a0:1", "a1:1"]),
            ("[fd00::1]:[1:2]", &["[fd00::1]:1", "[fd00::1]:2"]),
            ("[fd00::[1:2]]:1", &["[fd00::1]:1", "[fd00::2]:1"]),
        ] {
            assert_eq!(shown(pattern), Ok(addresses.iter().map(|a| (*a).to_owned()).collect()), "{pattern}");
        }
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        use PatternError as E;
        let not = |at, range: &str| E::NotARange { at, range: range.into() };
        let reversed = |at, range: &str| E::Reversed { at, range: range.into() };
        let many = |at, range: &str| E::TooMany { at, range: range.into() };
        for (pattern, error) in [
            ("", E::Empty),
            ("a[9:1]:1", reversed(2, "9:1")),
            ("a[1:2]é[9:1]:1", reversed(8, "9:1")),
            ("a[]:1", not(2, "")),
            ("a[1]:1", not(2, "1")),
            ("a[1:]:1", not(2, "1:")),
            ("a[:]:1", not(2, ":")),
            ("a[a:b]:1", not(2, "a:b")),
            ("a[+1:2]:1", not(2, "+1:2")),
            ("a[1:4294967296]:1", not(2, "1:4294967296")),
            ("a[1:3:1", E::Address { text: "a[1:3:1".into(), cause: AddressError::Brackets("a[1:3".into()) }),
            ("a[1:3", E::Unclosed { at: 2, range: "1:3".into() }),
            ("a[1:[2:3]", E::Unclosed { at: 2, range: "1:".into() }),
            ("a]:1", E::Unopened { at: 2 }),
            ("a[1:2]]:1", E::Unopened { at: 7 }),
            ("a[0:65536]:1", many(2, "0:65536")),
            ("a[1:300][1:300]:1", many(9, "1:300")),
            ("a[0:999999999][0:999999999][0:999999999]:1", many(2, "0:999999999")),
            (
                "10.0.0.[255:256]:1",
                E::Address { text: "10.0.0.256:1".into(), cause: AddressError::V4("10.0.0.256".into()) },
            ),
            ("db[1:2]", E::Address { text: "db1".into(), cause: AddressError::NoPort }),
        ] {
            assert_eq!(shown(pattern), Err(error), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in prop_oneof![any::<String>(), "[a-f0-9.:\\[\\]é]{0,40}"]) {
            if let Ok(addresses) = expand(&text) {
                prop_assert!((1..=MAX_ADDRESSES).contains(&addresses.len()));
            }
        }

        #[test]
        fn the_count_is_the_product_of_the_ranges(one in (0_u32..500, 0_u32..60), other in (0_u32..500, 0_u32..60)) {
            let pattern = format!("a[{}:{}]-[{}:{}]:1", one.0, one.0 + one.1, other.0, other.0 + other.1);
            let addresses = expand(&pattern).expect("a pattern");
            prop_assert_eq!(addresses.len() as u32, (one.1 + 1) * (other.1 + 1));
            let first = format!("a{}-{}:1", one.0, other.0);
            let last = format!("a{}-{}:1", one.0 + one.1, other.0 + other.1);
            prop_assert_eq!(addresses.first().map(ToString::to_string), Some(first));
            prop_assert_eq!(addresses.last().map(ToString::to_string), Some(last));
        }
    }
}
