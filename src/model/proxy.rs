//! The proxies on the way to a discovery service.

use super::destination::Destination;
use super::no_proxy::NoProxy;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What holds for the requests of this process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProxySettings {
    /// For destinations without TLS.
    pub http: Option<Sourced<ProxySetting>>,
    /// For destinations with it.
    pub https: Option<Sourced<ProxySetting>>,
    pub no_proxy: Option<Sourced<NoProxy>>,
    /// A file with one line `user:password`, for both. It beats what stands in a URL.
    pub credentials: Option<PathBuf>,
}

/// A value, and where it was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    pub value: T,
    pub source: Source,
}

/// The key, and the place that set it: a file with line and column, a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub key: &'static str,
    pub origin: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxySetting {
    /// None, whatever the environment says.
    Off,
    At(ProxyUrl),
}

/// `http://host:port`. Without TLS on the way to the proxy itself; TLS to the destination goes through it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    place: Destination,
    /// From the URL, where they may stand if it is a variable of the environment.
    pub credentials: Option<ProxyCredentials>,
}

/// Shown nowhere, also not in Debug.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyCredentials {
    pub user: String,
    pub password: String,
}

/// Why a text is not a proxy. The text is in none of them: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyUrlError {
    #[error("it is empty")]
    Empty,
    #[error("a proxy that is itself spoken to over TLS (https://) is not supported")]
    Tls,
    #[error("scheme `{0}` is not that of a proxy that can be used: only http is")]
    Scheme(String),
    #[error("behind http:// stands no host or host:port (port 1 to 65535, IPv6 in brackets)")]
    Authority,
    #[error("a path, a query or a fragment has no meaning for a proxy")]
    Extra,
    #[error("the user or the password in it can't be read")]
    Credentials,
}

/// What came of a proxy. Reads after "the proxy http://proxy:3128 (proxy.http, …) ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyFault {
    #[error("can't be reached: {0}")]
    Unreachable(String),
    #[error("gave no connection to {server} within {}", humantime::format_duration(*.timeout))]
    Slow { server: String, timeout: Duration },
    #[error("wants a user and a password ({status})")]
    NoCredentials { status: u16 },
    #[error("refuses the user and the password ({status})")]
    WrongCredentials { status: u16 },
    #[error("does not let us through to {server} ({status})")]
    Forbidden { server: String, status: u16 },
    #[error("can't reach {server} ({status})")]
    Upstream { server: String, status: u16 },
    #[error("did not connect to {server}")]
    NoTunnel { server: String },
    #[error("is of no use: {} (proxy.credentials-file) {problem}", path.display())]
    CredentialsFile { path: PathBuf, problem: String },
    #[error("can't be used for {0}: https to an IPv6 address does not work through a proxy")]
    V6(String),
}

impl ProxySettings {
    /// Which of the two settings is for this destination, and what its key is called.
    pub fn setting(&self, to: &Destination) -> (&'static str, Option<&Sourced<ProxySetting>>) {
        if to.tls { ("proxy.https", self.https.as_ref()) } else { ("proxy.http", self.http.as_ref()) }
    }

    /// The entry that takes this destination out.
    pub fn exception(&self, to: &Destination) -> Option<(&str, &Source)> {
        let list = self.no_proxy.as_ref()?;
        Some((list.value.entry_for(to)?, &list.source))
    }

    /// The proxy for this destination. `policy::proxy` says why, too.
    pub fn proxy_for(&self, to: &Destination) -> Option<&ProxyUrl> {
        match self.setting(to).1 {
            Some(Sourced { value: ProxySetting::At(proxy), .. }) if !to.is_local() => {
                Some(proxy).filter(|_| self.exception(to).is_none())
            }
            _ => None,
        }
    }

    /// Nothing ever goes through a proxy.
    pub fn is_idle(&self) -> bool {
        let set = |setting: &Option<Sourced<ProxySetting>>| {
            matches!(setting, Some(Sourced { value: ProxySetting::At(_), .. }))
        };
        !set(&self.http) && !set(&self.https)
    }
}

impl ProxyFault {
    /// What a status means that a proxy gave, to a request that named somebody or not.
    pub fn of_status(status: u16, known: bool, server: &str) -> Self {
        let server = server.to_owned();
        match status {
            // some give 401 to a wrong password
            401 | 407 if known => Self::WrongCredentials { status },
            401 | 407 => Self::NoCredentials { status },
            500.. => Self::Upstream { server, status },
            _ => Self::Forbidden { server, status },
        }
    }

    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable(_) => Some("is it running there? what needs none goes into proxy.no-proxy"),
            Self::NoCredentials { .. } => Some("put user:password into a file and name it in proxy.credentials-file"),
            Self::WrongCredentials { .. } => {
                Some("see proxy.credentials-file, or the variable that the proxy comes from")
            }
            Self::CredentialsFile { .. } => {
                Some("it has one line, user:password, and whoever runs this must be able to read it")
            }
            Self::V6(_) => Some("write a host name, or put the address into proxy.no-proxy"),
            Self::Forbidden { .. } | Self::Upstream { .. } | Self::NoTunnel { .. } => Some("see the log of the proxy"),
            Self::Slow { .. } => None,
        }
    }
}

impl ProxyUrl {
    /// `host:port`, IPv6 in brackets.
    pub fn authority(&self) -> String {
        self.place.authority()
    }
}

impl FromStr for ProxySetting {
    type Err = ProxyUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == OFF { Ok(Self::Off) } else { text.parse().map(Self::At) }
    }
}

const OFF: &str = "off";

impl FromStr for ProxyUrl {
    type Err = ProxyUrlError;

    /// `http://` may be missing, as programs are used to from the environment.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = match text.split_once("://") {
            _ if text.is_empty() => return Err(ProxyUrlError::Empty),
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => return Err(ProxyUrlError::Tls),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            // what looks like a scheme may be a user with an odd password
            Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                return Err(ProxyUrlError::Scheme(scheme.to_owned()));
            }
            _ => text,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, authority) = match rest.rsplit_once('@') {
            Some((info, authority)) => (Some(ProxyCredentials::of_url(info)?), authority),
            None => (None, rest),
        };
        if authority.contains(['/', '?', '#']) {
            return Err(ProxyUrlError::Extra);
        }
        let place = Destination::of_authority(false, authority).ok_or(ProxyUrlError::Authority)?;
        Ok(Self { place, credentials })
    }
}

impl ProxyCredentials {
    fn of_url(info: &str) -> Result<Self, ProxyUrlError> {
        let (user, password) = info.split_once(':').unwrap_or((info, ""));
        let decoded = |text: &str| {
            let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
            decoded.map(std::borrow::Cow::into_owned).map_err(|_| ProxyUrlError::Credentials)
        };
        Self::checked(decoded(user)?, decoded(password)?).ok_or(ProxyUrlError::Credentials)
    }

    /// One line, as it stands in a file.
    pub fn of_line(line: &str) -> Option<Self> {
        let (user, password) = line.split_once(':')?;
        Self::checked(user.to_owned(), password.to_owned())
    }

    fn checked(user: String, password: String) -> Option<Self> {
        let legal = |text: &str| !text.chars().any(char::is_control);
        (!user.is_empty() && !user.contains(':') && legal(&user) && legal(&password)).then_some(Self { user, password })
    }
}

impl fmt::Debug for ProxyCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyCredentials(…)")
    }
}

/// Without credentials: what a log may say.
impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

impl ProxySetting {
    /// With the user and without the password.
    pub fn to_masked_string(&self) -> String {
        match self {
            Self::At(ProxyUrl { place, credentials: Some(known) }) => {
                format!("http://{}:***@{}", known.user, place.authority())
            }
            other => other.to_string(),
        }
    }
}

impl fmt::Display for ProxySetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str(OFF),
            Self::At(proxy) => proxy.fmt(f),
        }
    }
}

/// `proxy.http, /etc/swarm-agent/config.toml:5:8`
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.key, self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_written_in_several_ways() {
        for (text, shown, credentials) in [
            ("http://proxy:3128", "http://proxy:3128", None),
            ("http://Proxy/", "http://proxy:80", None),
            ("HTTP://10.0.0.1:8080", "http://10.0.0.1:8080", None),
            ("proxy:3128", "http://proxy:3128", None),
            ("http://[fd00::1]:3128", "http://[fd00::1]:3128", None),
            ("http://me:s3cret@proxy:3128", "http://proxy:3128", Some(("me", "s3cret"))),
            ("me:s3cret@proxy:3128", "http://proxy:3128", Some(("me", "s3cret"))),
            ("http://me:s%40c%3ar%2fet@proxy", "http://proxy:80", Some(("me", "s@c:r/et"))),
            ("http://me:s@c:r@proxy", "http://proxy:80", Some(("me", "s@c:r"))),
            ("http://me:a/b@proxy", "http://proxy:80", Some(("me", "a/b"))),
            ("http://me@proxy", "http://proxy:80", Some(("me", ""))),
        ] {
            let proxy: ProxyUrl = text.parse().expect(text);
            assert_eq!(proxy.to_string(), shown, "{text}");
            let read = proxy.credentials.as_ref().map(|known| (known.user.as_str(), known.password.as_str()));
            assert_eq!(read, credentials, "{text}");
            assert!(!format!("{proxy:?}{proxy}").contains("s3cret"), "{proxy:?}");
        }
        let masked = "http://me:s3cret@proxy:3128".parse().map(|set: ProxySetting| set.to_masked_string());
        assert_eq!(masked.as_deref(), Ok("http://me:***@proxy:3128"));
        assert_eq!("off".parse::<ProxySetting>(), Ok(ProxySetting::Off));
    }

    #[test]
    fn says_what_is_wrong_and_repeats_no_password() {
        use ProxyUrlError as E;
        for (text, error) in [
            ("", E::Empty),
            ("https://proxy:3128", E::Tls),
            ("socks5://proxy:1080", E::Scheme("socks5".into())),
            ("http://", E::Authority),
            ("http://proxy:0", E::Authority),
            ("http://proxy:s3cret", E::Authority),
            ("http://fd00::1", E::Authority),
            ("http://proxy/path", E::Extra),
            ("http://proxy?x", E::Extra),
            ("http://:s3cret@proxy", E::Credentials),
            ("http://a%3ab:s3cret@proxy", E::Credentials),
            ("http://a:s3cret%0a@proxy", E::Credentials),
            ("http://a:%ff@proxy", E::Credentials),
        ] {
            assert_eq!(text.parse::<ProxySetting>(), Err(error.clone()), "{text}");
            assert!(!format!("{error}{error:?}").contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn a_file_has_a_user_and_a_password_which_may_hold_colons() {
        let read = |line| ProxyCredentials::of_line(line).map(|known| (known.user, known.password));
        assert_eq!(read("me:a:b"), Some(("me".into(), "a:b".into())));
        assert_eq!(read("me:"), Some(("me".into(), String::new())));
        for line in ["", "me", ":secret", "me:a\nb"] {
            assert_eq!(read(line), None, "{line:?}");
        }
    }

    #[test]
    fn a_status_of_a_proxy_has_a_meaning() {
        let said = |status, known| ProxyFault::of_status(status, known, "http://disco").to_string();
        assert_eq!(said(407, false), "wants a user and a password (407)");
        assert_eq!(said(407, true), "refuses the user and the password (407)");
        assert_eq!(said(401, true), "refuses the user and the password (401)");
        assert_eq!(said(403, true), "does not let us through to http://disco (403)");
        for status in [500, 502, 503, 504] {
            assert_eq!(said(status, false), format!("can't reach http://disco ({status})"));
        }
    }
}
