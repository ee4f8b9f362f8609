//! What it takes to be let in by the discovery service, and whether its URL has a use for it.

use super::environment;
use super::error::{ConfigError, ConfigErrors};
use super::merged::{Merged, collect};
use super::origin::Origin;
use super::problem::{Placed, Problem};
use super::sources::{Flag, Sources};
use crate::model::{AuthFiles, AuthNames, ClientFiles, Credential, Discovery, TlsFiles, TlsNames};

const TLS: TlsNames = TlsNames::DISCOVERY;
const AUTH: AuthNames = AuthNames::DISCOVERY;

/// The keys, with what each stands for.
const KEYS: [(&str, Credential); 6] = [
    (TLS.ca, Credential::Tls),
    (TLS.certificate, Credential::Tls),
    (TLS.key, Credential::Tls),
    (AUTH.token, Credential::Token),
    (AUTH.user, Credential::UserAndPassword),
    (AUTH.password, Credential::UserAndPassword),
];

/// They make sense together only.
const PAIRS: [(&str, &str); 2] = [(TLS.certificate, TLS.key), (AUTH.user, AUTH.password)];

/// A cluster elsewhere, as somebody on this host wants to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    pub url: Discovery,
    pub credentials: Credentials,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    pub tls: Option<TlsFiles>,
    pub auth: AuthFiles,
}

impl Credentials {
    /// Without a look at whether they fit.
    pub(super) fn of(merged: &Merged) -> Self {
        let names = TlsNames { ca: named(merged, TLS.ca), certificate: named(merged, TLS.certificate), ..TLS };
        let names = TlsNames { key: named(merged, TLS.key), ..names };
        let pair = merged.file(TLS.certificate).zip(merged.file(TLS.key));
        let client = pair.map(|(certificate, key)| ClientFiles { certificate, key });
        let ca = merged.file(TLS.ca);
        let tls = (ca.is_some() || client.is_some()).then_some(TlsFiles { ca, client, names });
        let auth = AuthFiles {
            token: merged.file(AUTH.token),
            user: merged.get(AUTH.user),
            password: merged.file(AUTH.password),
            names: AuthNames {
                token: named(merged, AUTH.token),
                user: named(merged, AUTH.user),
                password: named(merged, AUTH.password),
            },
        };
        Self { tls, auth }
    }
}

/// How what is said of a value names it: a flag by itself.
fn named(merged: &Merged, key: &'static str) -> &'static str {
    let flag = FLAGS.iter().find(|(flagged, _)| *flagged == key).map(|(_, flag)| *flag);
    match (merged.origin(key), flag) {
        (Some(Origin::Flag(name)), Some(flag)) if name == flag => flag,
        _ => key,
    }
}

/// The flags of the commands that ask a discovery service, by key.
pub const FLAGS: [(&str, &str); 6] = [
    (TLS.ca, "--tls-ca"),
    (TLS.certificate, "--tls-cert"),
    (TLS.key, "--tls-key"),
    (AUTH.token, "--token-file"),
    (AUTH.user, "--user"),
    (AUTH.password, "--password-file"),
];

/// The cluster that this host is configured for, whatever may be wrong with other keys. Flags beat files.
pub fn read_cluster(sources: &Sources) -> Result<Cluster, ConfigErrors> {
    const URL: &str = "discovery.url";
    let (merged, errors) = collect(sources);
    // nothing that could not be read stands above a flag or a variable
    let last_word = matches!(merged.origin(URL), Some(Origin::Flag(_) | Origin::Environment(_)));
    let wrong = errors.iter().any(|error| error.key().is_some_and(|key| KEYS.iter().any(|(known, _)| *known == key)));
    match merged.get(URL).filter(|_| (last_word || !merged.doubtful(URL)) && !wrong) {
        Some(url) => of(&merged, url, merged.placed(URL)),
        None => Err(ConfigErrors::new(errors)),
    }
}

/// A cluster that somebody named on the command line: only what stands beside it counts. The configuration of this host
/// may be for another service, which has no business with its secrets.
pub fn named_cluster(url: Discovery, flags: Vec<Flag>) -> Result<Cluster, ConfigErrors> {
    let sources = Sources::default().with_flags(flags);
    let mut merged = Merged::default();
    let mut errors = Vec::new();
    merged.take(environment::from_flags(&sources), &mut errors);
    if !errors.is_empty() {
        return Err(ConfigErrors::new(errors));
    }
    let origin = Origin::Argument;
    let placed = Placed { path: "DISCOVERY_URL", shown: url.to_masked_string(), origin };
    of(&merged, url, Some(placed))
}

fn of(merged: &Merged, url: Discovery, placed: Option<Placed>) -> Result<Cluster, ConfigErrors> {
    let errors = misfits(merged, Some(&url), placed);
    if !errors.is_empty() {
        return Err(ConfigErrors::new(errors));
    }
    Ok(Cluster { url, credentials: Credentials::of(merged) })
}

/// What does not fit together.
pub(super) fn misfits(merged: &Merged, url: Option<&Discovery>, placed: Option<Placed>) -> Vec<ConfigError> {
    let mut errors: Vec<ConfigError> = PAIRS.iter().filter_map(|(one, other)| unpaired(merged, one, other)).collect();
    let (Some(url), Some(placed)) = (url, placed) else { return errors };
    errors.extend(KEYS.iter().filter_map(|(key, credential)| {
        let misfit = url.misfit(*credential)?;
        let set = merged.placed(key).filter(|_| !merged.doubtful(key))?;
        let (origin, key) = (Some(set.origin.clone()), Some((*key).to_owned()));
        let problem = Problem::Misfit { set: Box::new(set), url: Box::new(placed.clone()), misfit };
        Some(ConfigError { origin, key, problem })
    }));
    errors
}

/// Both or none.
pub(super) fn unpaired(merged: &Merged, one: &'static str, other: &'static str) -> Option<ConfigError> {
    let (set, missing) = match (merged.placed(one), merged.placed(other)) {
        (Some(set), None) => (set, other),
        (None, Some(set)) => (set, one),
        _ => return None,
    };
    if merged.doubtful(missing) || merged.doubtful(set.path) {
        return None;
    }
    let (origin, key) = (Some(set.origin), Some(set.path.to_owned()));
    Some(ConfigError { origin, key, problem: Problem::Unpaired { set: set.path, missing } })
}
