//! Who may do what at a discovery server: what the tokens file says, without the secrets.

use super::Digest;

/// What a bearer token can allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Put entries and drain marks in and take them out.
    Register,
    List,
    /// The other two, and to make and remove clusters.
    Admin,
}

/// The names of the rights, as files and flags have them.
pub const RIGHTS: &[&str] = &["register", "list", "admin"];

impl Right {
    /// Reads a name of [`RIGHTS`].
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "register" => Self::Register,
            "list" => Self::List,
            "admin" => Self::Admin,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::List => "list",
            Self::Admin => "admin",
        }
    }
}

/// At which clusters a token's rights count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clusters {
    /// Also those that will be made.
    All,
    /// By the digests of their tokens, which are secrets too.
    Some(Vec<Digest>),
}

/// One bearer token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// No secret: it may appear in answers.
    pub name: String,
    /// Of the token.
    pub digest: Digest,
    pub rights: Vec<Right>,
    pub clusters: Clusters,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules(pub Vec<Grant>);

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// No cluster that there is: a new one is to be made.
    Server,
    /// The cluster with the token of this digest, whether there is one or not.
    Cluster(Digest),
}
