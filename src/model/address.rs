//! The address under which an engine is registered: `host:port`, IPv6 in brackets.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// One node of a cluster, as it stands in the discovery service: `10.0.0.5:2375`, `[fd00::5]:2375`, `db1.example:2376`.
///
/// Parsing normalises: IPv6 is written in its shortest form, host names in lower case, so that one
/// node can't be registered twice under two spellings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeAddress {
    host: Host,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Host {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    Name(String),
}

/// Why a text is not a node address. Reads after "not a node address: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("it is empty")]
    Empty,
    #[error("the port is missing (write host:port, for example 10.0.0.5:2375)")]
    NoPort,
    #[error("port `{0}` is not a number from 1 to 65535")]
    Port(String),
    #[error("an IPv6 address goes in brackets: [{0}]:port")]
    Brackets(String),
    #[error("`{0}` is not an IPv6 address")]
    V6(String),
    #[error("`{0}` is not an IPv4 address")]
    V4(String),
    #[error("`{0}` is not a host name (letters, digits, `-`, `_` and `.`, at most 253 characters)")]
    Name(String),
}

impl NodeAddress {
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn new(ip: IpAddr, port: u16) -> Self {
        let host = match ip {
            IpAddr::V4(ip) => Host::V4(ip),
            IpAddr::V6(ip) => Host::V6(ip),
        };
        Self { host, port }
    }

    /// None for a host name.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.host {
            Host::V4(ip) => Some(ip.into()),
            Host::V6(ip) => Some(ip.into()),
            Host::Name(_) => None,
        }
    }

    /// The same host at another port.
    pub fn with_port(&self, port: u16) -> Self {
        Self { host: self.host.clone(), port }
    }

    /// The host without brackets, as a resolver wants it.
    pub fn host(&self) -> String {
        match &self.host {
            Host::V4(ip) => ip.to_string(),
            Host::V6(ip) => ip.to_string(),
            Host::Name(name) => name.clone(),
        }
    }
}

impl FromStr for NodeAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        let (host, port) = split(text)?;
        Ok(Self { host: parse_host(host)?, port: parse_port(port)? })
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::V4(ip) => write!(f, "{ip}:{}", self.port),
            Host::V6(ip) => write!(f, "[{ip}]:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

impl serde::Serialize for NodeAddress {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Host (brackets kept) and port, split where the port begins.
pub(super) fn split(text: &str) -> Result<(&str, &str), AddressError> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or_else(|| AddressError::V6(text.to_owned()))?;
        let (host, rest) = text.split_at(end + 1);
        return Ok((host, rest.strip_prefix(':').ok_or(AddressError::NoPort)?));
    }
    let (host, port) = text.rsplit_once(':').ok_or(AddressError::NoPort)?;
    if host.contains(':') {
        return Err(AddressError::Brackets(host.to_owned()));
    }
    Ok((host, port))
}

pub(super) fn parse_port(text: &str) -> Result<u16, AddressError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits && port != 0 => Ok(port),
        _ => Err(AddressError::Port(text.to_owned())),
    }
}

fn parse_host(text: &str) -> Result<Host, AddressError> {
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        return inner.parse().map(Host::V6).map_err(|_| AddressError::V6(inner.to_owned()));
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return text.parse().map(Host::V4).map_err(|_| AddressError::V4(text.to_owned()));
    }
    if is_host_name(text) {
        return Ok(Host::Name(text.to_ascii_lowercase()));
    }
    Err(AddressError::Name(text.to_owned()))
}

pub(super) fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_an_operator_writes() {
        for (text, shown) in [
            ("10.0.0.5:2375", "10.0.0.5:2375"),
            ("[fd00:0:0::5]:2376", "[fd00::5]:2376"),
            ("DB1.example:1", "db1.example:1"),
            ("node_7:65535", "node_7:65535"),
        ] {
            assert_eq!(text.parse::<NodeAddress>().map(|a| a.to_string()), Ok(shown.to_owned()), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_an_address() {
        for (text, error) in [
            ("", AddressError::Empty),
            ("10.0.0.5", AddressError::NoPort),
            ("[::1]", AddressError::NoPort),
            ("10.0.0.5:0", AddressError::Port("0".into())),
            ("10.0.0.5:65536", AddressError::Port("65536".into())),
            ("10.0.0.5:+80", AddressError::Port("+80".into())),
            ("fd00::5:2375", AddressError::Brackets("fd00::5".into())),
            ("[fd00::z]:1", AddressError::V6("fd00::z".into())),
            ("10.0.0.256:1", AddressError::V4("10.0.0.256".into())),
            ("a b:1", AddressError::Name("a b".into())),
            ("-a:1", AddressError::Name("-a".into())),
            ("a..b:1", AddressError::Name("a..b".into())),
            (":1", AddressError::Name(String::new())),
        ] {
            assert_eq!(text.parse::<NodeAddress>(), Err(error), "{text}");
        }
    }
}
