//! `discovery.advertise`: what is configured, and what it comes to at the moment.

use super::NodeAddress;
use super::address::{AddressError, is_host_name, parse_port, split};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Which address is registered, as an operator says it. All but the first depend on the host's interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advertise {
    /// An IP address: `10.0.0.5:2375`, `[fd00::5]:2375`.
    Exact(NodeAddress),
    /// `eth0:2375` or `db1.example:2375`: an interface if the host has one of this name, else a host name.
    Named { name: String, port: u16 },
    /// The one address in a network: `10.0.0.0/8:2375`, `[fd00::/8]:2375`.
    Network { network: Network, port: u16 },
    /// The address from which the host reaches the rest of the world: `auto:2375`.
    Auto { port: u16 },
}

/// An IP network in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

/// Why a text is not an address to advertise. Reads after "not a node address: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdvertiseError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("`{0}` is not a network (write it like 10.0.0.0/8:2375 or [fd00::/8]:2375)")]
    Network(String),
}

/// What `discovery.advertise` comes to at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressState {
    /// The interfaces have not been looked at yet.
    Unknown,
    Resolved(NodeAddress),
    /// There is none at the moment; the reason reads after "not registered: ".
    Missing(String),
    /// Several fit, and the agent does not guess.
    Ambiguous {
        wanted: String,
        candidates: Vec<Candidate>,
    },
}

/// An address that fits, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    pub ip: IpAddr,
    pub interface: String,
}

impl AddressState {
    pub fn resolved(&self) -> Option<&NodeAddress> {
        match self {
            Self::Resolved(address) => Some(address),
            _ => None,
        }
    }
}

/// Why there is no address, after "not registered: "; or the address.
impl fmt::Display for AddressState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("the interfaces have not been looked at yet"),
            Self::Resolved(address) => address.fmt(f),
            Self::Missing(reason) => f.write_str(reason),
            Self::Ambiguous { wanted, candidates } => {
                let all: Vec<String> = candidates.iter().map(ToString::to_string).collect();
                write!(f, "{} addresses fit {wanted}: {}; advertise one of them", all.len(), all.join(", "))
            }
        }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.ip, self.interface)
    }
}

impl FromStr for Advertise {
    type Err = AdvertiseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(AddressError::Empty.into());
        }
        let (host, port_text) = split(text)?;
        if host == "auto" {
            return Ok(Self::Auto { port: parse_port(port_text)? });
        }
        if host.contains('/') {
            return Ok(Self::Network { network: network(host)?, port: parse_port(port_text)? });
        }
        let address: NodeAddress = text.parse()?;
        // a name keeps its letters: those of interfaces differ by case
        match address.ip() {
            None if is_host_name(host) => Ok(Self::Named { name: host.to_owned(), port: address.port() }),
            _ => Ok(Self::Exact(address)),
        }
    }
}

/// `10.0.0.0/8` or `[fd00::/8]`: each family as it stands before a port.
fn network(text: &str) -> Result<Network, AdvertiseError> {
    let error = || AdvertiseError::Network(text.to_owned());
    let (bare, bracketed) = match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => (inner, true),
        None => (text, false),
    };
    let (base, prefix) = bare.split_once('/').ok_or_else(error)?;
    let base: IpAddr = base.parse().map_err(|_| error())?;
    let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
    match prefix.parse::<u8>() {
        Ok(prefix) if digits && base.is_ipv6() == bracketed => Network::new(base, prefix).ok_or_else(error),
        _ => Err(error()),
    }
}

impl Network {
    /// The network of an address in it; none if the prefix is longer than the address.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= longest).then(|| Self { base: masked(address, prefix), prefix })
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        self.base.is_ipv4() == address.is_ipv4() && masked(address, self.prefix) == self.base
    }
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix)).unwrap_or(0);
            Ipv4Addr::from_bits(ip.to_bits() & mask).into()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix)).unwrap_or(0);
            Ipv6Addr::from_bits(ip.to_bits() & mask).into()
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl fmt::Display for Advertise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(address) => address.fmt(f),
            Self::Named { name, port } => write!(f, "{name}:{port}"),
            Self::Network { network, port } if network.base.is_ipv6() => write!(f, "[{network}]:{port}"),
            Self::Network { network, port } => write!(f, "{network}:{port}"),
            Self::Auto { port } => write!(f, "auto:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Advertise {
        text.parse().unwrap()
    }

    #[test]
    fn reads_each_form_and_shows_it_again() {
        assert!(matches!(parse("10.0.0.5:2375"), Advertise::Exact(_)));
        assert!(matches!(parse("[fd00::5]:2375"), Advertise::Exact(_)));
        assert_eq!(parse("Lan0:1"), Advertise::Named { name: "Lan0".into(), port: 1 });
        assert_eq!(parse("auto:2376"), Advertise::Auto { port: 2376 });
        for text in ["10.0.0.5:2375", "[fd00::5]:2375", "Lan0:1", "db1.example:2375", "auto:2376", "10.0.0.0/8:2375"] {
            assert_eq!(parse(text).to_string(), text);
        }
        assert_eq!(parse("10.1.2.3/8:2375").to_string(), "10.0.0.0/8:2375");
        assert_eq!(parse("[fd00:0::7/8]:1").to_string(), "[fd00::/8]:1");
        assert_eq!(parse("0.0.0.0/0:1").to_string(), "0.0.0.0/0:1");
    }

    #[test]
    fn says_what_is_wrong_with_it() {
        use AddressError::{Brackets, NoPort, Port};
        for (text, error) in [
            ("auto", AdvertiseError::Address(NoPort)),
            ("auto:0", AdvertiseError::Address(Port("0".into()))),
            ("10.0.0.0/33:1", AdvertiseError::Network("10.0.0.0/33".into())),
            ("10.0.0.0/:1", AdvertiseError::Network("10.0.0.0/".into())),
            ("10.0.0.0/+8:1", AdvertiseError::Network("10.0.0.0/+8".into())),
            ("eth0/8:1", AdvertiseError::Network("eth0/8".into())),
            ("[10.0.0.0/8]:1", AdvertiseError::Network("[10.0.0.0/8]".into())),
            ("[fd00::/129]:1", AdvertiseError::Network("[fd00::/129]".into())),
            ("fd00::/8:1", AdvertiseError::Address(Brackets("fd00::/8".into()))),
        ] {
            assert_eq!(text.parse::<Advertise>(), Err(error), "{text}");
        }
    }

    #[test]
    fn a_network_holds_what_shares_its_prefix() {
        let holds = |network: &str, ip: &str| match parse(&format!("{network}:1")) {
            Advertise::Network { network, .. } => network.contains(ip.parse().unwrap()),
            other => panic!("{other:?}"),
        };
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("0.0.0.0/0", "192.0.2.1") && !holds("0.0.0.0/0", "fd00::1"));
        assert!(holds("10.0.0.5/32", "10.0.0.5") && !holds("10.0.0.5/32", "10.0.0.4"));
        assert!(holds("[fd00::/8]", "fdff::1") && !holds("[fd00::/8]", "fe00::1"));
        assert!(holds("[::/0]", "2001:db8::1") && !holds("[::/0]", "10.0.0.1"));
    }
}
