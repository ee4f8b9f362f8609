//! Hosts that are reached without the proxy.

use super::address::{is_host_name, parse_port};
use super::advertise::Network;
use super::destination::{Destination, Host};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// What `proxy.no-proxy` says: entries between commas or white space.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoProxy {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// As it was written.
    text: String,
    pattern: Pattern,
    /// None: each port.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    /// `*`
    Everything,
    /// `10.0.0.5`, `10.0.0.0/8`, `fd00::/8`
    Network(Network),
    /// `example.com`: the host of that name, and all below it.
    Domain(String),
    /// `.example.com`, `*.example.com`: all below it, and not the host of that name itself.
    Below(String),
}

/// Why a text is no list of such entries. Names the entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoProxyError {
    #[error("`{0}` is not a network (write it like 10.0.0.0/8 or fd00::/8)")]
    Network(String),
    #[error("`{0}` has no port from 1 to 65535 behind its colon")]
    Port(String),
    #[error("`{0}` has a `*` where none can stand: only `*` alone and `*.example.com` are possible")]
    Star(String),
    #[error("`{0}` is a URL; write the host alone")]
    Url(String),
    #[error("`{0}` is neither a host name nor an IP address, a network or `*`")]
    Name(String),
}

impl FromStr for NoProxy {
    type Err = NoProxyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
        Ok(Self { entries: words.map(str::parse).collect::<Result<_, _>>()? })
    }
}

impl NoProxy {
    /// The first entry that takes the destination out, as it was written.
    pub fn entry_for(&self, to: &Destination) -> Option<&str> {
        self.entries.iter().find(|entry| entry.matches(to)).map(|entry| entry.text.as_str())
    }
}

impl Entry {
    fn matches(&self, to: &Destination) -> bool {
        self.port.is_none_or(|port| port == to.port) && self.pattern.matches(&to.host)
    }
}

impl Pattern {
    fn matches(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Everything, _) => true,
            (Self::Network(network), Host::Ip(ip)) => network.contains(*ip),
            (Self::Domain(domain), Host::Name(name)) => name == domain || is_below(name, domain),
            (Self::Below(domain), Host::Name(name)) => is_below(name, domain),
            // names are not looked up
            (Self::Network(_), Host::Name(_)) | (Self::Domain(_) | Self::Below(_), Host::Ip(_)) => false,
        }
    }
}

fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

impl FromStr for Entry {
    type Err = NoProxyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let owned = || text.to_owned();
        if text.contains("://") {
            return Err(NoProxyError::Url(owned()));
        }
        let (host, port) = split_port(text).map_err(|()| NoProxyError::Port(owned()))?;
        Ok(Self { text: owned(), pattern: pattern(host, text)?, port })
    }
}

/// IPv6 may stand without brackets, but then has no port.
fn split_port(text: &str) -> Result<(&str, Option<u16>), ()> {
    if text.parse::<IpAddr>().is_ok() || text.matches(':').count() > 1 && !text.contains(']') {
        return Ok((text, None));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => Ok((host, Some(parse_port(port).map_err(|_| ())?))),
        _ => Ok((text, None)),
    }
}

/// Of an entry without its port.
fn pattern(host: &str, entry: &str) -> Result<Pattern, NoProxyError> {
    if host == "*" {
        return Ok(Pattern::Everything);
    }
    if host.contains('/') {
        return network(host).map(Pattern::Network).ok_or_else(|| NoProxyError::Network(entry.to_owned()));
    }
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Ok(ip) = bare.unwrap_or(host).parse::<IpAddr>() {
        let ip = ip.to_canonical();
        let all = if ip.is_ipv4() { 32 } else { 128 };
        return Network::new(ip, all).map(Pattern::Network).ok_or_else(|| NoProxyError::Name(entry.to_owned()));
    }
    let (below, domain) = match host.strip_prefix("*.").or_else(|| host.strip_prefix('.')) {
        Some(domain) => (true, domain),
        None => (false, host),
    };
    if domain.contains('*') {
        return Err(NoProxyError::Star(entry.to_owned()));
    }
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    // 10.0.0 and 10.0.0.256 are mistakes, and no names
    let digits = domain.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if digits || !is_host_name(domain) {
        return Err(NoProxyError::Name(entry.to_owned()));
    }
    let domain = domain.to_ascii_lowercase();
    Ok(if below { Pattern::Below(domain) } else { Pattern::Domain(domain) })
}

/// `10.0.0.0/8`, `fd00::/8`, `[fd00::/8]`, `[fd00::]/8`: of those with brackets all forms are seen.
fn network(text: &str) -> Option<Network> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let (base, prefix) = bare.split_once('/')?;
    let base = base.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(base);
    let digits = prefix.bytes().all(|b| b.is_ascii_digit());
    Network::new(base.parse().ok()?, prefix.parse().ok().filter(|_| digits)?)
}

/// As it was written, with commas between the entries.
impl fmt::Display for NoProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<&str> = self.entries.iter().map(|entry| entry.text.as_str()).collect();
        f.write_str(&texts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn excepts(entries: &str, authority: &str) -> bool {
        let to = Destination::of_authority(false, authority).expect(authority);
        entries.parse::<NoProxy>().expect(entries).entry_for(&to).is_some()
    }

    #[test]
    fn an_entry_takes_out_what_it_names_and_nothing_else() {
        for (entry, inside, outside) in [
            ("*", &["a", "10.0.0.5", "[fd00::1]:8080"][..], &[][..]),
            (
                "example.com",
                &["example.com", "Example.COM:8080", "a.b.example.com"],
                &["notexample.com", "com", "example.com.org"],
            ),
            ("EXAMPLE.com.", &["example.com"], &["example.org"]),
            (".example.com", &["a.example.com", "a.b.example.com"], &["example.com", "aexample.com"]),
            ("*.example.com", &["a.example.com", "a.b.example.com"], &["example.com", "aexample.com"]),
            ("disco", &["disco", "a.disco"], &["disco2", "xdisco"]),
            ("example.com:8080", &["example.com:8080", "a.example.com:8080"], &["example.com", "example.com:80"]),
            ("example.com:80", &["example.com", "example.com:80"], &["example.com:8080"]),
            (".example.com:8080", &["a.example.com:8080"], &["a.example.com:80", "example.com:8080"]),
            ("*:8080", &["a:8080"], &["a:80"]),
            ("10.0.0.5", &["10.0.0.5", "10.0.0.5:2379", "[::ffff:10.0.0.5]"], &["10.0.0.50", "110.0.0.5"]),
            ("10.0.0.5:2379", &["10.0.0.5:2379"], &["10.0.0.5:2380"]),
            ("10.0.0.0/8", &["10.0.0.5", "10.255.255.255:1"], &["11.0.0.0", "a", "[fd00::1]"]),
            ("10.1.2.3/8", &["10.255.0.0"], &["11.0.0.0"]),
            ("10.0.0.0/8:80", &["10.0.0.5"], &["10.0.0.5:81"]),
            ("0.0.0.0/0", &["8.8.8.8"], &["[fd00::1]", "a"]),
            ("fd00::1", &["[fd00::1]", "[fd00:0::1]:8080"], &["[fd00::11]"]),
            ("[fd00::1]", &["[fd00::1]:8080"], &["[fd00::2]"]),
            ("[fd00::1]:8080", &["[fd00::1]:8080"], &["[fd00::1]"]),
            ("fd00::/8", &["[fd12::1]"], &["[fe80::1]", "10.0.0.1"]),
            ("[fd00::/8]", &["[fd12::1]"], &["[fe80::1]"]),
            ("[fd00::]/8:8080", &["[fd12::1]:8080"], &["[fd12::1]"]),
            ("", &[], &["a", "10.0.0.5"]),
            (" a ,\t10.0.0.5\n,, b c", &["a", "b", "c", "10.0.0.5"], &["d"]),
        ] {
            for host in inside {
                assert!(excepts(entry, host), "{entry:?} takes out {host}");
            }
            for host in outside {
                assert!(!excepts(entry, host), "{entry:?} does not take out {host}");
            }
        }
    }

    #[test]
    fn the_first_entry_that_fits_is_named_as_it_was_written() {
        let list: NoProxy = "b, .Example.com *".parse().expect("a list");
        let entry = |host| list.entry_for(&Destination::new(true, host, 443)).map(str::to_owned);
        assert_eq!(entry("a.example.com").as_deref(), Some(".Example.com"));
        assert_eq!(entry("b").as_deref(), Some("b"));
        assert_eq!(entry("c").as_deref(), Some("*"));
        assert_eq!(list.to_string(), "b,.Example.com,*");
    }

    #[test]
    fn an_entry_that_is_none_is_named() {
        use NoProxyError as E;
        for (list, error) in [
            ("a, 10.0.0.0/33", E::Network("10.0.0.0/33".into())),
            ("fd00::/129", E::Network("fd00::/129".into())),
            ("10.0.0.0/+8", E::Network("10.0.0.0/+8".into())),
            ("a/8", E::Network("a/8".into())),
            ("10.0.0.0/", E::Network("10.0.0.0/".into())),
            ("a:0", E::Port("a:0".into())),
            ("a:x b", E::Port("a:x".into())),
            ("10.0.0.*", E::Star("10.0.0.*".into())),
            ("*example.com", E::Star("*example.com".into())),
            ("**", E::Star("**".into())),
            ("http://a", E::Url("http://a".into())),
            ("10.0.0", E::Name("10.0.0".into())),
            ("10.0.0.256", E::Name("10.0.0.256".into())),
            ("fd00::z", E::Name("fd00::z".into())),
            ("[fd00::1", E::Name("[fd00::1".into())),
            ("a..b", E::Name("a..b".into())),
            (".", E::Name(".".into())),
            ("a;b", E::Name("a;b".into())),
        ] {
            assert_eq!(list.parse::<NoProxy>(), Err(error), "{list}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in prop_oneof![any::<String>(), "[a-f0-9.:/*,\\[\\] ]{0,40}"]) {
            if let Ok(list) = text.parse::<NoProxy>() {
                prop_assert_eq!(list.to_string().parse::<NoProxy>(), Ok(list));
            }
        }
    }
}
