//! The token that names a cluster at a discovery server.

use std::fmt;
use std::str::FromStr;

/// 1 to 128 characters of `A–Z a–z 0–9 - _`. Whoever knows it can read and write the cluster's
/// list, so it is printed only where somebody asked for it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a cluster token is 1 to 128 characters of A-Z, a-z, 0-9, `-` and `_`")]
pub struct TokenError;

impl Token {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if (1..=128).contains(&text.len()) && text.bytes().all(legal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(TokenError)
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
