//! The environment and the command line as fragments.

use super::fragment::Fragment;
use super::origin::Origin;
use super::problem::{Problem, What};
use super::schema::{ENVIRONMENT_OTHER, ENVIRONMENT_PREFIX, KEYS, Key};
use super::sources::Sources;
use super::{schema, suggest};
use std::collections::BTreeSet;
use std::ffi::OsStr;

/// What systemd sets from `StateDirectory=`: absolute paths, separated by colons.
pub const STATE_DIRECTORY: &str = "STATE_DIRECTORY";

/// What systemd sets from `LoadCredential=`: the folder with the unit's credentials.
pub const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Our own variables, classic names where our own are not set, and a complaint about each variable
/// of ours that names no key: it is a typo, and a service that ignored it would do what nobody asked for.
pub fn from_environment(sources: &Sources) -> Fragment {
    let mut fragment = Fragment::default();
    let mut known: BTreeSet<String> = ENVIRONMENT_OTHER.iter().map(|name| (*name).to_owned()).collect();
    for key in KEYS {
        let own = key.environment_name();
        let names = std::iter::once(own.as_str()).chain(key.classic);
        if let Some((name, value)) = names.filter_map(|name| Some((name, sources.variable(name)?))).next() {
            put(&mut fragment, key, name, value);
        }
        known.insert(own);
    }
    for (name, _) in &sources.environment {
        let name = name.to_string_lossy();
        if name.starts_with(ENVIRONMENT_PREFIX) && !known.contains(&*name) {
            reject_variable(&mut fragment, &name);
        }
    }
    fragment
}

/// The first of some variables that is set to something. An empty one counts as unset, as other programs have it.
pub fn put_first(fragment: &mut Fragment, key: &'static Key, names: &[&str], sources: &Sources) {
    let set =
        names.iter().filter_map(|name| Some((name, sources.variable(name)?))).find(|(_, value)| !value.is_empty());
    if let Some((name, value)) = set {
        put(fragment, key, name, value);
    }
}

fn put(fragment: &mut Fragment, key: &'static Key, name: &str, value: &OsStr) {
    let origin = Origin::Environment(name.to_owned());
    match value.to_str() {
        Some(text) => fragment.put(key, text, origin),
        None => fragment.reject(origin, key.path, Problem::NotUnicode),
    }
}

fn reject_variable(fragment: &mut Fragment, name: &str) {
    let suggestion = suggest::variable(name).map(Key::environment_name);
    let problem = Problem::Unknown { what: What::Variable, suggestion, known: Vec::new() };
    let origin = Origin::Environment(name.escape_debug().to_string());
    fragment.errors.push(super::error::ConfigError { origin: Some(origin), key: None, problem });
}

pub fn from_flags(sources: &Sources) -> Fragment {
    let mut fragment = Fragment::default();
    for flag in &sources.flags {
        let origin = Origin::Flag(flag.name.clone());
        match schema::find(&flag.key) {
            Some(key) => fragment.put(key, &flag.value, origin),
            None => fragment.reject_unknown_key(origin, &flag.key),
        }
    }
    fragment
}
