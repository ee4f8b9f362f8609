//! Whether a request goes through a proxy, through which, and why.

use crate::model::{Destination, Discovery, DiscoveryUrl, ProxySetting, ProxySettings, ProxyUrl, Source, Sourced};
use crate::model::{ServerUrl, StoreKind};
use std::fmt;

/// The way to one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    Direct { rule: Rule },
    Through { proxy: ProxyUrl, rule: Rule },
}

/// Why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The proxy that was set for the scheme.
    Set(Source),
    /// The proxy was switched off.
    Off(Source),
    /// There is none for the scheme; its key.
    Unset(&'static str),
    /// An entry of `proxy.no-proxy`, as it was written.
    Listed {
        entry: String,
        source: Source,
    },
    /// The other end is on this host.
    Loopback,
    UnixSocket,
    /// The agent's own discovery server.
    Embedded,
    /// Nothing is asked over a network.
    List,
    /// The service has a protocol of its own.
    NotHttp(&'static str),
}

/// The one place that decides. The loopback comes first: nothing that is set sends it to a proxy.
pub fn choose(to: &Destination, settings: &ProxySettings) -> Choice {
    if to.is_local() {
        return Choice::Direct { rule: Rule::Loopback };
    }
    match settings.setting(to) {
        (key, None) => Choice::Direct { rule: Rule::Unset(key) },
        (_, Some(Sourced { value: ProxySetting::Off, source })) => Choice::Direct { rule: Rule::Off(source.clone()) },
        (_, Some(Sourced { value: ProxySetting::At(proxy), source })) => match settings.exception(to) {
            Some((entry, source)) => {
                Choice::Direct { rule: Rule::Listed { entry: entry.to_owned(), source: source.clone() } }
            }
            None => Choice::Through { proxy: proxy.clone(), rule: Rule::Set(source.clone()) },
        },
    }
}

/// One place that a URL names, and the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    pub to: String,
    pub choice: Choice,
}

/// For each server of a discovery URL, the URL of any other server, or `unix:///path`. The error repeats no token.
pub fn explain(url: &str, settings: &ProxySettings) -> Result<Vec<Explained>, String> {
    if url.starts_with("unix:") || url.starts_with('/') {
        return Ok(vec![direct(url.to_owned(), Rule::UnixSocket)]);
    }
    match url.parse::<Discovery>() {
        Ok(discovery) => Ok(explain_discovery(&discovery, settings)),
        // the URL of a server, or of anything else that is spoken to over HTTP
        Err(error) => match url.parse::<ServerUrl>().ok().and_then(|server| server.destination()) {
            Some(to) => Ok(vec![chosen(&to, settings)]),
            None => Err(error.to_string()),
        },
    }
}

pub fn explain_discovery(discovery: &Discovery, settings: &ProxySettings) -> Vec<Explained> {
    match discovery {
        Discovery::Embedded => vec![direct(discovery.to_string(), Rule::Embedded)],
        Discovery::At(url) => match without_http(url) {
            Some(rule) => vec![direct(url.to_string(), rule)],
            None => url.destinations().iter().map(|to| chosen(to, settings)).collect(),
        },
    }
}

/// Why a proxy is of no use for a whole service.
pub fn without_http(url: &DiscoveryUrl) -> Option<Rule> {
    match url {
        DiscoveryUrl::Nodes(_) | DiscoveryUrl::File(_) => Some(Rule::List),
        DiscoveryUrl::Store(store) if store.kind == StoreKind::Zookeeper => Some(Rule::NotHttp("ZooKeeper")),
        DiscoveryUrl::Store(_) | DiscoveryUrl::Token(_) => None,
    }
}

fn direct(to: String, rule: Rule) -> Explained {
    Explained { to, choice: Choice::Direct { rule } }
}

fn chosen(to: &Destination, settings: &ProxySettings) -> Explained {
    Explained { to: to.to_string(), choice: choose(to, settings) }
}

impl Choice {
    pub fn rule(&self) -> &Rule {
        match self {
            Self::Direct { rule } | Self::Through { rule, .. } => rule,
        }
    }
}

impl Rule {
    /// For scripts: it never changes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Set(_) => "set",
            Self::Off(_) => "off",
            Self::Unset(_) => "unset",
            Self::Listed { .. } => "no_proxy",
            Self::Loopback => "loopback",
            Self::UnixSocket => "unix_socket",
            Self::Embedded => "embedded",
            Self::List => "list",
            Self::NotHttp(_) => "not_http",
        }
    }

    /// What was set and led to it.
    pub fn source(&self) -> Option<&Source> {
        match self {
            Self::Set(source) | Self::Off(source) | Self::Listed { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Reads after "goes direct: ", and [`Rule::Set`] behind the proxy, in brackets.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(source) => source.fmt(f),
            Self::Off(source) => write!(f, "{} is off ({})", source.key, source.origin),
            Self::Unset(key) => write!(f, "neither {key} nor the environment names a proxy"),
            Self::Listed { entry, source } => write!(f, "{} has `{entry}` ({})", source.key, source.origin),
            Self::Loopback => f.write_str("it is on this host"),
            Self::UnixSocket => f.write_str("a unix socket has no use for a proxy"),
            Self::Embedded => f.write_str("it is the agent's own discovery server"),
            Self::List => f.write_str("it is a list that nobody is asked for"),
            Self::NotHttp(service) => {
                write!(f, "{service} is not spoken to over HTTP and can't be reached through a proxy")
            }
        }
    }
}

/// `http://disco:8970 goes direct: …`
impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.choice {
            Choice::Direct { rule } => write!(f, "{} goes direct: {rule}", self.to),
            Choice::Through { proxy, rule } => write!(f, "{} goes through the proxy {proxy} ({rule})", self.to),
        }
    }
}

#[cfg(test)]
mod tests;
