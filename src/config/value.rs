//! One value: from text to a type, by the kind of its key.

use super::schema::Kind;
use super::settings::LogLevel;
use crate::model::advertise::AdvertiseError;
use crate::model::discovery_url::DiscoveryUrlError;
use crate::model::no_proxy::NoProxyError;
use crate::model::proxy::ProxyUrlError;
use crate::model::{
    Advertise, AdvertiseCheck, CREDENTIAL, CpuListError, CpuWish, Discovery, Duplicates, MayRestart, NoProxy,
    ProxySetting, Readers, SupervisionMode,
};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A value of its key's kind. Debug and Display don't show secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Duration(Duration),
    Integer(u32),
    Choice(&'static str),
    Advertise(Advertise),
    Discovery(Discovery),
    SocketAddress(SocketAddr),
    OptionalSocketAddress(Option<SocketAddr>),
    Path(PathBuf),
    Unit(String),
    Text(String),
    Proxy(ProxySetting),
    NoProxy(NoProxy),
    Cpus(CpuWish),
}

/// What is wrong with one value. The value of a secret is in none of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueProblem {
    #[error("{0:?} is not a duration")]
    NotDuration(String),
    #[error("{0} has no unit")]
    Unitless(String),
    #[error("{shown} is not a whole number of seconds")]
    NotWholeSeconds { shown: String, rounded: u64 },
    #[error("{shown} is out of range: {min} to {max} are possible")]
    OutOfRange { shown: String, min: String, max: String },
    #[error("{0:?} is not a whole number")]
    NotInteger(String),
    #[error("{text:?} is not one of {}", words(.choices))]
    NotChoice { text: String, choices: &'static [&'static str] },
    #[error("{text:?} is not a node address: {cause}")]
    NotNodeAddress { text: String, cause: AdvertiseError },
    #[error("{0:?} is an address to listen on; nobody can reach it from elsewhere")]
    Unspecified(String),
    #[error("not a discovery URL: {0}")]
    NotDiscoveryUrl(DiscoveryUrlError),
    /// Instead of the errors that would repeat a token which lost its URL.
    #[error("not a discovery URL: it has no scheme")]
    NoScheme,
    #[error("{0:?} is not an IP address with a port")]
    NotSocketAddress(String),
    #[error("{0:?} is neither an IP address with a port nor {OFF:?}")]
    NotOptionalSocketAddress(String),
    #[error("{0:?} is not an absolute path")]
    NotAbsolute(String),
    #[error("{0:?} is not an absolute path, nor credential:NAME")]
    NotFile(String),
    #[error("{0:?} is not the name of a user: it has no `:` and no control characters")]
    NotUser(String),
    #[error("{0:?} is too long for a unix socket ({max} bytes)", max = SOCKET_PATH_MAX)]
    SocketPathTooLong(String),
    #[error("{0:?} is not a unix socket: only unix:///path and absolute paths are")]
    NotUnixSocket(String),
    #[error("{0:?} is not the name of a service unit")]
    NotServiceUnit(String),
    #[error("not a proxy: {0}")]
    NotProxy(ProxyUrlError),
    #[error("not a list of hosts: {0}")]
    NotNoProxy(NoProxyError),
    #[error("not a list of CPUs: {0}")]
    NotCpus(CpuListError),
}

/// Instead of an address to listen on.
const OFF: &str = "off";

/// `sockaddr_un` has 108 bytes, of which one ends the path.
const SOCKET_PATH_MAX: usize = 107;

/// Reads a value as the environment and flags have it: text for every kind.
pub fn parse(kind: &Kind, text: &str) -> Result<Value, ValueProblem> {
    match *kind {
        Kind::Duration { min, max, whole_seconds } => duration(text, min..=max, whole_seconds).map(Value::Duration),
        Kind::Integer { min, max } => integer(text, min, max).map(Value::Integer),
        Kind::Choice(choices) => choice(text, choices).map(Value::Choice),
        Kind::Advertise => advertise(text).map(Value::Advertise),
        Kind::Discovery => discovery(text).map(Value::Discovery),
        Kind::SocketAddress => socket_address(text).map(Value::SocketAddress),
        Kind::OptionalSocketAddress if text == OFF => Ok(Value::OptionalSocketAddress(None)),
        Kind::OptionalSocketAddress => optional_socket_address(text).map(Value::OptionalSocketAddress),
        Kind::Path => absolute(text, text).map(Value::Path),
        Kind::File => file(text).map(Value::Path),
        Kind::User => user(text).map(Value::Text),
        Kind::UnixSocket => unix_socket(text).map(Value::Path),
        Kind::ServiceUnit => service_unit(text).map(Value::Unit),
        Kind::Proxy => text.parse().map(Value::Proxy).map_err(ValueProblem::NotProxy),
        Kind::NoProxy => text.parse().map(Value::NoProxy).map_err(ValueProblem::NotNoProxy),
        Kind::Cpus => text.parse().map(Value::Cpus).map_err(ValueProblem::NotCpus),
    }
}

fn duration(text: &str, range: std::ops::RangeInclusive<Duration>, whole: bool) -> Result<Duration, ValueProblem> {
    let value = match humantime::parse_duration(text) {
        Ok(value) => value,
        Err(humantime::DurationError::UnknownUnit { unit, .. }) if unit.is_empty() => {
            return Err(ValueProblem::Unitless(text.trim().to_owned()));
        }
        Err(_) => return Err(ValueProblem::NotDuration(text.to_owned())),
    };
    if !range.contains(&value) {
        let (min, max) = (short(*range.start()), short(*range.end()));
        return Err(ValueProblem::OutOfRange { shown: text.to_owned(), min, max });
    }
    if whole && value.subsec_nanos() != 0 {
        return Err(ValueProblem::NotWholeSeconds { shown: text.to_owned(), rounded: value.as_secs() + 1 });
    }
    Ok(value)
}

/// A duration in its largest unit that leaves no rest: `90s`, `3m`, `100ms`.
pub fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if duration.subsec_nanos() != 0 {
        return humantime::format_duration(duration).to_string();
    }
    let units = [(24 * 3600, "d"), (3600, "h"), (60, "m")];
    match units.iter().find(|(unit, _)| seconds != 0 && seconds.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

fn integer(text: &str, min: u32, max: u32) -> Result<u32, ValueProblem> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ValueProblem::NotInteger(text.to_owned()));
    }
    match text.parse() {
        Ok(value) if (min..=max).contains(&value) => Ok(value),
        _ => Err(ValueProblem::OutOfRange { shown: text.to_owned(), min: min.to_string(), max: max.to_string() }),
    }
}

fn choice(text: &str, choices: &'static [&'static str]) -> Result<&'static str, ValueProblem> {
    let found = choices.iter().find(|choice| **choice == text);
    found.copied().ok_or_else(|| ValueProblem::NotChoice { text: text.to_owned(), choices })
}

fn advertise(text: &str) -> Result<Advertise, ValueProblem> {
    let cause = |cause| ValueProblem::NotNodeAddress { text: text.to_owned(), cause };
    match text.parse().map_err(cause)? {
        Advertise::Exact(address) if address.ip().is_some_and(|ip| ip.is_unspecified()) => {
            Err(ValueProblem::Unspecified(text.to_owned()))
        }
        advertise => Ok(advertise),
    }
}

fn discovery(text: &str) -> Result<Discovery, ValueProblem> {
    text.parse().map_err(|error| match error {
        DiscoveryUrlError::NoScheme(_) | DiscoveryUrlError::NoNodesNoScheme(_) => ValueProblem::NoScheme,
        error => ValueProblem::NotDiscoveryUrl(error),
    })
}

fn socket_address(text: &str) -> Result<SocketAddr, ValueProblem> {
    text.parse().map_err(|_| ValueProblem::NotSocketAddress(text.to_owned()))
}

fn optional_socket_address(text: &str) -> Result<Option<SocketAddr>, ValueProblem> {
    text.parse().map(Some).map_err(|_| ValueProblem::NotOptionalSocketAddress(text.to_owned()))
}

fn unix_socket(text: &str) -> Result<PathBuf, ValueProblem> {
    let path = text.strip_prefix("unix://").unwrap_or(text);
    if path.contains("://") {
        return Err(ValueProblem::NotUnixSocket(text.to_owned()));
    }
    if path.len() > SOCKET_PATH_MAX {
        return Err(ValueProblem::SocketPathTooLong(text.to_owned()));
    }
    absolute(path, text)
}

fn absolute(path: &str, text: &str) -> Result<PathBuf, ValueProblem> {
    // TOML can write a NUL, the kernel can't
    if path.starts_with('/') && !path.contains('\0') {
        Ok(PathBuf::from(path))
    } else {
        Err(ValueProblem::NotAbsolute(text.to_owned()))
    }
}

/// systemd.exec(5): the name of a credential is one of a file.
fn file(text: &str) -> Result<PathBuf, ValueProblem> {
    let legal = |name: &str| {
        !matches!(name, "" | "." | "..") && name.len() <= 255 && !name.contains(|c: char| c == '/' || c.is_control())
    };
    match text.strip_prefix(CREDENTIAL) {
        Some(name) if legal(name) => Ok(PathBuf::from(text)),
        Some(_) => Err(ValueProblem::NotFile(text.to_owned())),
        None => absolute(text, text).map_err(|_| ValueProblem::NotFile(text.to_owned())),
    }
}

fn user(text: &str) -> Result<String, ValueProblem> {
    if text.is_empty() || text.contains(|c: char| c == ':' || c.is_control()) {
        return Err(ValueProblem::NotUser(text.to_owned()));
    }
    Ok(text.to_owned())
}

fn service_unit(text: &str) -> Result<String, ValueProblem> {
    // systemd.unit(5): at most 255 characters of these; `a@.service` is a template and no unit
    let legal = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b);
    match text.strip_suffix(".service") {
        Some(name) if !name.is_empty() && !name.ends_with('@') && text.len() <= 255 && text.bytes().all(legal) => {
            Ok(text.to_owned())
        }
        _ => Err(ValueProblem::NotServiceUnit(text.to_owned())),
    }
}

impl ValueProblem {
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::NotDuration(_) => r#"write it like "180s" or "3m""#.to_owned(),
            Self::Unitless(number) => format!("write {:?}", format!("{number}s")),
            Self::NotWholeSeconds { rounded, .. } => format!("write {:?}", format!("{rounded}s")),
            Self::NotChoice { text, choices } => format!("did you mean {:?}?", super::suggest::nearest(text, choices)?),
            Self::Unspecified(_) => "write the address that other hosts use".to_owned(),
            Self::NoScheme => "write http://HOST:PORT/v1/clusters/TOKEN, or embedded".to_owned(),
            Self::NotSocketAddress(_) => r#"write it like "127.0.0.1:8970" or "[::1]:8970""#.to_owned(),
            Self::NotOptionalSocketAddress(_) => r#"write it like "127.0.0.1:9732" or "off""#.to_owned(),
            Self::NotAbsolute(_) => "begin it with /".to_owned(),
            Self::NotFile(_) => "begin it with / (or write the name of a credential of the unit, without /)".to_owned(),
            Self::NotUser(_) => r#"write it like "swarm""#.to_owned(),
            Self::NotUnixSocket(_) => r#"write it like "unix:///run/docker.sock""#.to_owned(),
            Self::NotServiceUnit(_) => r#"write it like "docker.service""#.to_owned(),
            Self::NotProxy(_) => r#"write it like "http://proxy.example:3128", or "off" for none"#.to_owned(),
            Self::NotCpus(_) => r#"write it like "0-1,4" or "numa:0""#.to_owned(),
            Self::NotNoProxy(_) => r#"write it like ".example.com,10.0.0.0/8""#.to_owned(),
            Self::NotInteger(_) => "write it like 3".to_owned(),
            Self::SocketPathTooLong(_) => "choose a shorter path".to_owned(),
            // their messages say it
            Self::OutOfRange { .. } | Self::NotNodeAddress { .. } | Self::NotDiscoveryUrl(_) => return None,
        })
    }
}

/// As the environment would have it, without what is secret.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration(duration) => f.write_str(&short(*duration)),
            Self::Integer(number) => number.fmt(f),
            Self::Choice(word) => f.write_str(word),
            Self::Advertise(advertise) => advertise.fmt(f),
            Self::Discovery(discovery) => discovery.fmt(f),
            Self::SocketAddress(address) | Self::OptionalSocketAddress(Some(address)) => address.fmt(f),
            Self::OptionalSocketAddress(None) => f.write_str(OFF),
            Self::Path(path) => path.display().fmt(f),
            Self::Unit(name) | Self::Text(name) => f.write_str(name),
            Self::Proxy(proxy) => proxy.fmt(f),
            Self::NoProxy(list) => list.fmt(f),
            Self::Cpus(cpus) => cpus.fmt(f),
        }
    }
}

impl Value {
    /// As it may be shown, and written back: what is secret in it is replaced by `***`.
    pub fn masked(&self) -> String {
        match self {
            Self::Discovery(discovery) => discovery.to_masked_string(),
            Self::Proxy(proxy) => proxy.to_masked_string(),
            other => other.to_string(),
        }
    }
}

/// A type that a value can be taken out as; `None` for a value of another kind.
pub trait FromValue: Sized {
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! from_value {
    ($($variant:ident => $type:ty),* $(,)?) => {
        $(impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::$variant(inner) => Some(inner.clone()),
                    _ => None,
                }
            }
        })*
    };
}

from_value! {
    Duration => Duration,
    Integer => u32,
    Advertise => Advertise,
    Discovery => Discovery,
    SocketAddress => SocketAddr,
    OptionalSocketAddress => Option<SocketAddr>,
    Path => PathBuf,
    Proxy => ProxySetting,
    NoProxy => NoProxy,
    Cpus => CpuWish,
}

impl FromValue for String {
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Unit(text) | Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

macro_rules! from_choice {
    ($($type:ty),*) => {
        $(impl FromValue for $type {
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::Choice(name) => Self::from_name(name),
                    _ => None,
                }
            }
        })*
    };
}

from_choice!(AdvertiseCheck, Duplicates, LogLevel, MayRestart, Readers, SupervisionMode);

/// `a, b, c`
pub(super) fn words(words: &[&str]) -> String {
    words.join(", ")
}
