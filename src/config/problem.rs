//! The kinds of mistake, with what they are about. Display says what is wrong and reads after
//! "place: key: "; [`Problem::remedy`] says what to do.

use super::origin::Origin;
use super::tokens::TokenProblem;
use super::value::{ValueProblem, words};
use crate::model::Source;
use crate::model::{AuthKind, AuthNames, Misfit, StoreKind};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("can't be read: {cause}")]
    Unreadable { cause: String },
    #[error("can't be read: permission denied")]
    Denied,
    #[error("is a {what}, not a file")]
    NotAFile { what: &'static str },
    #[error("is a symbolic link to {target}, which does not exist")]
    Dangling { target: String },
    #[error("is larger than {limit} bytes; that can't be a configuration file")]
    TooLarge { limit: u64 },
    #[error("is not UTF-8: byte {offset} is 0x{byte:02x}")]
    NotUtf8 { offset: usize, byte: u8 },
    #[error("is not UTF-8")]
    NotUnicode,
    #[error("not TOML: {message}")]
    Syntax { message: String, example: Option<&'static str> },
    #[error("is set twice in this file")]
    Duplicate,
    #[error("and {count} more errors in this file")]
    More { count: usize },
    #[error("unknown {what}")]
    Unknown { what: What, suggestion: Option<String>, known: Vec<&'static str> },
    #[error("must be a table, and is {found}")]
    NotATable { table: String, found: &'static str },
    #[error("must be {expected}, and is {found}")]
    WrongType { expected: &'static str, found: &'static str, example: &'static str },
    #[error(transparent)]
    Value(#[from] ValueProblem),
    #[error(transparent)]
    Token(#[from] TokenProblem),
    #[error("{scheme}:// is a list that can only be read: no engine can be registered there")]
    ReadOnlyList { scheme: &'static str },
    #[error("{shown} is a ttl that {store} can't keep: {min} to {max} are possible")]
    UnkeptTtl { store: StoreKind, shown: String, min: String, max: String },
    #[error("port 0 stands for any port, and nobody could know which")]
    AnyPort,
    #[error("is of no use without {missing}, which is not set")]
    Unpaired { set: &'static str, missing: &'static str },
    #[error("{} = {} ({}) is of no use with {} = {} ({}), {}",
        .set.path, .set.shown, .set.origin, .url.path, .url.shown, .url.origin, .misfit.why())]
    Misfit { set: Box<Placed>, url: Box<Placed>, misfit: Misfit },
    /// The password is not repeated.
    #[error("a user and a password don't belong in a URL")]
    ProxyCredentials,
    #[error("{to} can't be reached through the proxy ({proxy}): https to an IPv6 address does not work through one")]
    ProxyV6 { to: String, proxy: Source },
    #[error("{} = {} ({}) must be greater than {} = {} ({})",
        .greater.path, .greater.shown, .greater.origin, .smaller.path, .smaller.shown, .smaller.origin)]
    NotGreater { greater: Box<Placed>, smaller: Box<Placed> },
}

/// What is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Key,
    Table,
    Variable,
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Key => "key",
            Self::Table => "table",
            Self::Variable => "environment variable",
        })
    }
}

/// A value and its place, for checks that compare two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    pub path: &'static str,
    pub shown: String,
    pub origin: Origin,
}

impl Problem {
    /// What to do about it. Reads after "message; ".
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Denied => Some(
                "a file that holds a token is not for everybody: use sudo, or become a member of group swarm-agent"
                    .to_owned(),
            ),
            Self::ReadOnlyList { .. } => Some(
                "write http://HOST:PORT/v1/clusters/TOKEN here; `swarm-agent list` and `watch` take such a list as an \
                 argument"
                    .to_owned(),
            ),
            Self::NotAFile { .. } => Some("move it away, or give it a name that does not end in .toml".to_owned()),
            Self::Dangling { .. } => Some("remove it; to mask a file of that name, link to /dev/null".to_owned()),
            Self::NotUtf8 { .. } => Some("save the file as UTF-8".to_owned()),
            Self::NotUnicode => Some("set it to text in UTF-8".to_owned()),
            Self::Duplicate => Some("keep one of the two".to_owned()),
            Self::Syntax { example, .. } => example.map(|example| format!("write it like {example}")),
            Self::Unknown { suggestion: Some(suggestion), .. } => Some(format!("did you mean {suggestion}?")),
            Self::Unknown { what, known, suggestion: None } => Some(known_names(*what, known)),
            Self::NotATable { table, .. } => Some(format!("write its keys below a line [{table}]")),
            Self::WrongType { example, .. } => Some(format!("write it like {example}")),
            Self::Value(problem) => problem.remedy(),
            Self::Token(problem) => problem.remedy(),
            Self::NotGreater { greater, smaller } => Some(format!("raise {} or lower {}", greater.path, smaller.path)),
            Self::UnkeptTtl { min, max, .. } => Some(format!("set it to {min} or more, and to {max} at most")),
            Self::AnyPort => Some("write a port from 1 to 65535".to_owned()),
            Self::Misfit { set, url, misfit } => Some(misfit_remedy(set.path, url.path, *misfit)),
            Self::Unpaired { set, missing } => Some(format!("set {missing} too, or take {set} out")),
            Self::ProxyCredentials => Some(
                "put user:password on the one line of a file and name that file in proxy.credentials-file".to_owned(),
            ),
            Self::ProxyV6 { .. } => Some("write a host name, or put the address into proxy.no-proxy".to_owned()),
            Self::Unreadable { .. } | Self::TooLarge { .. } | Self::More { .. } => None,
        }
    }

    /// The message says where, so it needs no prefix.
    pub(super) fn names_its_places(&self) -> bool {
        matches!(self, Self::NotGreater { .. } | Self::Misfit { .. })
    }

    /// After this the values of the file are not all known: what seems to be missing may be there.
    pub(super) fn hides_values(&self) -> bool {
        matches!(
            self,
            Self::Unreadable { .. }
                | Self::Denied
                | Self::NotAFile { .. }
                | Self::Dangling { .. }
                | Self::TooLarge { .. }
                | Self::NotUtf8 { .. }
                | Self::Syntax { .. }
                | Self::Duplicate
                | Self::More { .. }
        )
    }
}

fn misfit_remedy(set: &str, url: &str, misfit: Misfit) -> String {
    match misfit {
        Misfit::Plain { secure } => format!("begin {url} with {secure}://, or take {set} out"),
        Misfit::Other(AuthKind::Token) => format!("set {} instead", AuthNames::DISCOVERY.token),
        Misfit::Other(AuthKind::UserAndPassword) => {
            format!("set {} and {} instead", AuthNames::DISCOVERY.user, AuthNames::DISCOVERY.password)
        }
        Misfit::Nothing => format!("take {set} out"),
    }
}

fn known_names(what: What, known: &[&'static str]) -> String {
    match what {
        What::Key => format!("known here: {}", words(known)),
        What::Table => format!("known tables: {}", words(known)),
        What::Variable => "unset it; the names follow from the keys, as SWARM_AGENT_DISCOVERY_TTL from discovery.ttl \
                           (SWARM_AGENT_ is kept for them)"
            .to_owned(),
    }
}
