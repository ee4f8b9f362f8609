//! The proxies, with what set them, and what does not fit together.

use super::error::{ConfigError, ConfigErrors};
use super::merged::{Merged, collect};
use super::origin::Origin;
use super::problem::Problem;
use super::schema;
use super::sources::Sources;
use super::value::FromValue;
use crate::model::{Discovery, ProxySetting, ProxySettings, Source, Sourced};

const HTTP: &str = "proxy.http";
const HTTPS: &str = "proxy.https";
const NO_PROXY: &str = "proxy.no-proxy";
const CREDENTIALS: &str = "proxy.credentials-file";

/// Without a look at whether they fit.
pub(super) fn settings(merged: &Merged) -> ProxySettings {
    ProxySettings {
        http: sourced(merged, HTTP),
        https: sourced(merged, HTTPS),
        no_proxy: sourced(merged, NO_PROXY),
        credentials: merged.file(CREDENTIALS),
    }
}

fn sourced<T: FromValue>(merged: &Merged, key: &'static str) -> Option<Sourced<T>> {
    let origin = merged.origin(key)?.to_string();
    Some(Sourced { value: merged.get(key)?, source: Source { key, origin } })
}

/// How requests of a command go out, whatever may be wrong with the rest of the configuration. Files that can't be read
/// are passed over: whoever names a cluster on the command line need not be allowed to.
pub fn read_proxy(sources: &Sources) -> Result<ProxySettings, ConfigErrors> {
    let (merged, mut errors) = collect(sources);
    errors.retain(|error| error.key().is_some_and(|key| key.split('.').next() == Some("proxy")));
    errors.extend(misplaced(&merged));
    if errors.is_empty() { Ok(settings(&merged)) } else { Err(ConfigErrors::new(errors)) }
}

/// Credentials in a URL that is not from a variable that programs share, and a destination that no proxy serves.
pub(super) fn misfits(merged: &Merged) -> Vec<ConfigError> {
    misplaced(merged).into_iter().chain(unserved(merged)).collect()
}

fn misplaced(merged: &Merged) -> Vec<ConfigError> {
    let wrong = |key: &&str| {
        let known = matches!(merged.get(key), Some(ProxySetting::At(proxy)) if proxy.credentials.is_some());
        known && !is_shared(merged, key)
    };
    let error = |key: &str| ConfigError {
        origin: merged.origin(key).cloned(),
        key: Some(key.to_owned()),
        problem: Problem::ProxyCredentials,
    };
    [HTTP, HTTPS].iter().filter(|key| wrong(key)).map(|key| error(key)).collect()
}

/// Whether a value comes from a variable that is not ours alone.
fn is_shared(merged: &Merged, key: &str) -> bool {
    let Some(Origin::Environment(name)) = merged.origin(key) else { return false };
    schema::find(key).is_some_and(|key| key.default.variables().contains(&name.as_str()))
}

impl Merged {
    /// The proxies that were set for us, and not just for every program of this host.
    pub fn own_proxies(&self) -> Vec<Source> {
        let set = |key: &&'static str| matches!(self.get(key), Some(ProxySetting::At(_))) && !is_shared(self, key);
        let source = |key: &'static str| Some(Source { key, origin: self.origin(key)?.to_string() });
        [HTTP, HTTPS].into_iter().filter(set).filter_map(source).collect()
    }
}

fn unserved(merged: &Merged) -> Option<ConfigError> {
    const URL: &str = "discovery.url";
    let Some(Discovery::At(url)) = merged.get(URL).filter(|_| !merged.doubtful(URL)) else { return None };
    let settings = settings(merged);
    let to = url.destinations().into_iter().find(|to| to.is_secure_v6() && settings.proxy_for(to).is_some())?;
    let proxy = settings.setting(&to).1?.source.clone();
    let problem = Problem::ProxyV6 { to: to.to_string(), proxy };
    Some(ConfigError { origin: merged.origin(URL).cloned(), key: Some(URL.to_owned()), problem })
}
