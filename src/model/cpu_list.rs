//! Sets of CPUs as people write them: `0-3,8`, or all of a NUMA node's, `numa:0`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// The kernel is built for at most this many.
const MOST_CPUS: usize = 8192;
const NUMA: &str = "numa:";

/// At least one CPU, unless it is of a mask that has none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CpuSet(BTreeSet<usize>);

/// What a setting asks for. A node's CPUs are known only to the machine that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CpuWish {
    Cpus(CpuSet),
    NumaNode(u32),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CpuListError {
    #[error("it names no CPU")]
    Empty,
    #[error("{0:?} is no number of a CPU and no range of them")]
    NotCpu(String),
    #[error("{0:?} ends before it begins")]
    Backwards(String),
    #[error("CPU {cpu} can't be: the highest is {}", MOST_CPUS - 1)]
    TooHigh { cpu: usize },
    #[error("{0:?} is no number of a NUMA node")]
    NotNode(String),
}

impl CpuSet {
    /// A mask as systemd's `CPUAffinity` has it: bit n of byte m is CPU 8m+n.
    pub fn of_mask(mask: &[u8]) -> Self {
        let set = |cpu: &usize| mask[cpu / 8] & (1 << (cpu % 8)) != 0;
        Self((0..mask.len() * 8).filter(set).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().copied()
    }

    /// Those that both have.
    pub fn common(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).copied().collect())
    }
}

impl FromIterator<usize> for CpuSet {
    fn from_iter<I: IntoIterator<Item = usize>>(cpus: I) -> Self {
        Self(cpus.into_iter().collect())
    }
}

/// `0-3,8`, as the kernel writes it, too; spaces around a word are nothing.
impl FromStr for CpuSet {
    type Err = CpuListError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut cpus = BTreeSet::new();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let (first, last) = (cpu(first, word)?, cpu(last, word)?);
            if last < first {
                return Err(CpuListError::Backwards(word.to_owned()));
            }
            cpus.extend(first..=last);
        }
        if cpus.is_empty() { Err(CpuListError::Empty) } else { Ok(Self(cpus)) }
    }
}

fn cpu(text: &str, word: &str) -> Result<usize, CpuListError> {
    // parse takes a sign
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits).ok_or_else(|| CpuListError::NotCpu(word.to_owned()))?;
    if number < MOST_CPUS { Ok(number) } else { Err(CpuListError::TooHigh { cpu: number }) }
}

impl FromStr for CpuWish {
    type Err = CpuListError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().strip_prefix(NUMA) {
            Some(node) if node.bytes().all(|byte| byte.is_ascii_digit()) => {
                node.parse().map(Self::NumaNode).map_err(|_| CpuListError::NotNode(node.to_owned()))
            }
            Some(node) => Err(CpuListError::NotNode(node.to_owned())),
            None => text.parse().map(Self::Cpus),
        }
    }
}

/// Empty for none.
impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpus: Vec<usize> = self.iter().collect();
        for (index, run) in cpus.chunk_by(|a, b| a + 1 == *b).enumerate() {
            let comma = if index > 0 { "," } else { "" };
            match run {
                [only] => write!(f, "{comma}{only}")?,
                _ => write!(f, "{comma}{}-{}", run[0], run[run.len() - 1])?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for CpuWish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpus(cpus) => cpus.fmt(f),
            Self::NumaNode(node) => write!(f, "{NUMA}{node}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn masks_become_ranges() {
        for (mask, text) in [
            (&[][..], ""),
            (&[0, 0], ""),
            (&[0b1], "0"),
            (&[0b1111], "0-3"),
            (&[0b1101], "0,2-3"),
            (&[0b1000_0000, 0b11], "7-9"),
            (&[0b1, 0, 0b1], "0,16"),
        ] {
            assert_eq!(CpuSet::of_mask(mask).to_string(), text, "{mask:?}");
        }
    }

    #[test]
    fn lists_are_read_as_they_are_written() {
        for (text, read) in [
            ("0-1,4", Ok("0-1,4")),
            (" 4 , 0-1 ,1", Ok("0-1,4")),
            ("7", Ok("7")),
            ("0-8191", Ok("0-8191")),
            ("numa:0", Ok("numa:0")),
            ("", Err("it names no CPU")),
            (" , ", Err("it names no CPU")),
            ("a", Err("\"a\" is no number of a CPU and no range of them")),
            ("1-", Err("\"1-\" is no number of a CPU and no range of them")),
            ("-1", Err("\"-1\" is no number of a CPU and no range of them")),
            ("+1", Err("\"+1\" is no number of a CPU and no range of them")),
            ("1-2-3", Err("\"1-2-3\" is no number of a CPU and no range of them")),
            ("99999999999999999999", Err("\"99999999999999999999\" is no number of a CPU and no range of them")),
            ("3-1", Err("\"3-1\" ends before it begins")),
            ("8192", Err("CPU 8192 can't be: the highest is 8191")),
            ("numa:", Err("\"\" is no number of a NUMA node")),
            ("numa:+1", Err("\"+1\" is no number of a NUMA node")),
        ] {
            let found = text.parse::<CpuWish>().map(|wish| wish.to_string()).map_err(|error| error.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), read, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(cpus in prop::collection::btree_set(0..MOST_CPUS, 1..50)) {
            let set: CpuSet = cpus.into_iter().collect();
            prop_assert_eq!(set.to_string().parse::<CpuSet>(), Ok(set));
        }
    }
}
