//! Whether the advertised address leads to this host's engine.

use super::{NodeAddress, TlsFault, TlsFileFault, TlsNames};
use std::fmt;

/// `discovery.advertise-check`: what a bad finding does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdvertiseCheck {
    /// It is said; the entry stays.
    Warn,
    /// Nothing is registered until the address is proved.
    Require,
    /// Nobody looks.
    Off,
}

impl AdvertiseCheck {
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "warn" => Self::Warn,
            "require" => Self::Require,
            "off" => Self::Off,
            _ => return None,
        })
    }
}

/// What was found at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    pub address: NodeAddress,
    pub finding: Finding,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// `/info` there shows the ID that the engine's socket shows.
    Proved,
    /// Something answers, and whether it is our engine can't be told: it wants TLS, or denies `/info`.
    Unproven(String),
    Unreachable(String),
    /// Nobody was asked: a file that it takes is of no use.
    Unasked(String),
    /// Another engine answers, or something that is none.
    Foreign(String),
}

impl Finding {
    /// What [`Self::name`] can be.
    pub const NAMES: [&'static str; 5] = ["proved", "unproven", "unreachable", "unasked", "foreign"];

    /// The address leads to nothing, or to somebody else, or nobody could look: somebody has to mend something.
    pub fn is_bad(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Foreign(_) | Self::Unasked(_))
    }

    /// A word for journal fields and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Proved => "proved",
            Self::Unproven(_) => "unproven",
            Self::Unreachable(_) => "unreachable",
            Self::Unasked(_) => "unasked",
            Self::Foreign(_) => "foreign",
        }
    }
}

/// A part of `STATUS=`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proved => f.write_str("advertised address proved"),
            Self::Unproven(why) => write!(f, "advertised address not proved: {why}"),
            Self::Unreachable(why) => write!(f, "advertised address unreachable: {why}"),
            Self::Unasked(why) => write!(f, "advertised address can't be asked: {why}"),
            Self::Foreign(what) => write!(f, "advertised address answers as {what}"),
        }
    }
}

/// What one question to the advertised address brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// `/info` of an engine with this ID.
    Engine {
        id: String,
    },
    /// HTTP, and a success, but not what an engine says.
    NoEngine,
    Status(u16),
    /// To a question without TLS: what a port with TLS says to it, a 400 or something that is not HTTP.
    NoPlainHttp,
}

/// Why no answer came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReachFault {
    #[error("the host name can't be resolved: {0}")]
    Name(String),
    #[error("{0}")]
    Connect(String),
    #[error("{}", .0.told(&TlsNames::ENGINE))]
    Tls(TlsFault),
    /// Nothing was sent.
    #[error("{0}")]
    Files(TlsFileFault),
    #[error("no answer within {}", humantime::format_duration(*.0))]
    Timeout(std::time::Duration),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::iter::successors;

    /// Every variant once. A new one does not compile until it has its place in the chain.
    fn next(finding: &Finding) -> Option<Finding> {
        Some(match finding {
            Finding::Proved => Finding::Unproven(String::new()),
            Finding::Unproven(_) => Finding::Unreachable(String::new()),
            Finding::Unreachable(_) => Finding::Unasked(String::new()),
            Finding::Unasked(_) => Finding::Foreign(String::new()),
            Finding::Foreign(_) => return None,
        })
    }

    #[test]
    fn the_list_of_words_has_every_variant_once() {
        let names = successors(Some(Finding::Proved), next);
        assert_eq!(names.map(|finding| finding.name()).collect::<Vec<_>>(), Finding::NAMES);
    }
}
