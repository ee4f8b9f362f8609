//! Where an HTTP connection ends, as a URL names it.

use super::discovery_url::with_port;
use std::fmt;
use std::net::IpAddr;

/// A scheme (`http` or `https`), a host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub tls: bool,
    pub host: Host,
    pub port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Ip(IpAddr),
    /// In lower case, without a dot at its end.
    Name(String),
}

impl Destination {
    /// An IPv6 address may stand in brackets.
    pub fn new(tls: bool, host: &str, port: u16) -> Self {
        Self { tls, host: Host::of(host), port }
    }

    /// `host` or `host:port`, IPv6 in brackets. The port is that of the scheme if there is none.
    pub fn of_authority(tls: bool, authority: &str) -> Option<Self> {
        let address = with_port(authority, if tls { 443 } else { 80 }).ok()?;
        let (host, port) = address.rsplit_once(':')?;
        Some(Self::new(tls, host, port.parse().ok()?))
    }

    /// The loopback, whose other end is on this host.
    pub fn is_local(&self) -> bool {
        match &self.host {
            // the kernel takes 0.0.0.0 for this host
            Host::Ip(ip) => ip.is_loopback() || ip.is_unspecified(),
            Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        }
    }

    /// What the HTTP client can't do through a proxy: it asks for a certificate of `[fd00::1]`, brackets included.
    pub fn is_secure_v6(&self) -> bool {
        self.tls && matches!(self.host, Host::Ip(IpAddr::V6(_)))
    }

    pub fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// `host:port`, IPv6 in brackets.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl Host {
    pub fn of(text: &str) -> Self {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        match bare.parse::<IpAddr>() {
            Ok(ip) => Self::Ip(ip.to_canonical()),
            Err(_) => Self::Name(text.trim_end_matches('.').to_ascii_lowercase()),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// `http://host:port`
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_follows_from_the_scheme() {
        for (tls, authority, shown) in [
            (false, "Disco.Example", Some("http://disco.example:80")),
            (true, "disco.example.:8443", None),
            (true, "[FD00:0::5]", Some("https://[fd00::5]:443")),
            (false, "[::ffff:10.0.0.5]:1", Some("http://10.0.0.5:1")),
            (false, "10.0.0.5:0", None),
        ] {
            let to = Destination::of_authority(tls, authority).map(|to| to.to_string());
            assert_eq!(to.as_deref(), shown, "{authority}");
        }
    }

    #[test]
    fn the_loopback_is_local_under_each_of_its_names() {
        for (host, local) in [
            ("localhost", true),
            ("LOCALHOST.", true),
            ("db.localhost", true),
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("[::1]", true),
            ("::1", true),
            ("[::ffff:127.0.0.1]", true),
            ("0.0.0.0", true),
            ("[::]", true),
            ("localhost.example", false),
            ("notlocalhost", false),
            ("128.0.0.1", false),
            ("[fd00::1]", false),
        ] {
            assert_eq!(Destination::new(false, host, 80).is_local(), local, "{host}");
        }
    }
}
