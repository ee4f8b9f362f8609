//! All fragments as one: the last word on each key, with its origin.

use super::error::{ConfigError, ConfigErrors};
use super::fragment::{Entry, Fragment};
use super::origin::Origin;
use super::problem::{Placed, Problem, What};
use super::schema::{DefaultValue, KEYS, Key};
use super::sources::Sources;
use super::value::FromValue;
use super::{document, environment, files};
use crate::model::CREDENTIAL;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The value of every key that has one.
#[derive(Debug, Clone, Default)]
pub struct Merged {
    values: BTreeMap<&'static str, Entry>,
    files: Vec<PathBuf>,
    doubt: Doubt,
    /// Where systemd put the credentials of the service; none outside of it.
    credentials: Option<PathBuf>,
}

/// Which values can't be relied on because something is wrong with their source: a complaint about
/// them would only repeat it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Doubt {
    all: bool,
    keys: BTreeSet<String>,
}

/// Reads everything. Afterwards every value has the right type and is in range; what is required,
/// and how values fit together, is checked by the settings.
pub fn load(sources: &Sources) -> Result<Merged, ConfigErrors> {
    match collect(sources) {
        (merged, errors) if errors.is_empty() => Ok(merged),
        (_, errors) => Err(ConfigErrors::new(errors)),
    }
}

/// The value of one key, whatever may be wrong with others: for commands that need no more.
pub fn read_key<T: FromValue>(sources: &Sources, key: &str) -> Result<T, ConfigErrors> {
    let (merged, errors) = collect(sources);
    // nothing that could not be read stands above a flag or a variable
    let last_word = matches!(merged.origin(key), Some(Origin::Flag(_) | Origin::Environment(_)));
    match merged.get(key).filter(|_| last_word || !merged.doubtful(key)) {
        Some(value) => Ok(value),
        None => Err(ConfigErrors::new(errors)),
    }
}

/// The merged values that could be read, and what is wrong with the others.
pub(super) fn collect(sources: &Sources) -> (Merged, Vec<ConfigError>) {
    let (candidates, mut errors) = files::candidates(sources);
    let credentials = sources.variable(environment::CREDENTIALS_DIRECTORY).map(PathBuf::from);
    let mut merged = Merged { values: BTreeMap::new(), files: Vec::new(), doubt: Doubt::default(), credentials };
    for candidate in candidates {
        match files::read(&candidate) {
            Ok(None) => {}
            Ok(Some(bytes)) => {
                merged.take(document::parse(&candidate.path, &bytes), &mut errors);
                merged.files.push(candidate.path);
            }
            Err(problem) => errors.push(files::whole(&candidate.path, problem)),
        }
    }
    merged.take(environment::from_environment(sources), &mut errors);
    merged.take(environment::from_flags(sources), &mut errors);
    merged.take(defaults(sources, &merged.values, &errors), &mut errors);
    merged.doubt = Doubt::about(&errors);
    (merged, errors)
}

/// The defaults of the keys that nobody has set. A key whose value could not be read has been set.
fn defaults(sources: &Sources, set: &BTreeMap<&'static str, Entry>, errors: &[ConfigError]) -> Fragment {
    let mut fragment = Fragment::default();
    let tried = |key: &Key| errors.iter().any(|error| error.key() == Some(key.path));
    for key in KEYS.iter().filter(|key| !set.contains_key(key.path) && !tried(key)) {
        let given = sources.variable(environment::STATE_DIRECTORY).map(|value| value.to_string_lossy());
        match (key.default, given) {
            (DefaultValue::StateDirectory(_), Some(paths)) => {
                let first = paths.split(':').next().unwrap_or("");
                fragment.put(key, first, Origin::Environment(environment::STATE_DIRECTORY.to_owned()));
            }
            (DefaultValue::StateDirectory(text) | DefaultValue::Text(text), _) => {
                fragment.put(key, text, Origin::Default)
            }
            (DefaultValue::Variables(names), _) => environment::put_first(&mut fragment, key, names, sources),
            (DefaultValue::Unset, _) => {}
        }
    }
    fragment
}

impl Merged {
    /// Where the value of a key comes from; `None` for a key that is unknown or has no value.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        self.values.get(key).map(|entry| &entry.origin)
    }

    /// Every key with its value as it was written (a secret masked) and its origin, in
    /// the order of the table of keys.
    pub fn entries(&self) -> impl Iterator<Item = (&'static Key, Option<(&str, &Origin)>)> {
        KEYS.iter().map(|key| (key, self.values.get(key.path).map(|e| (e.shown.as_str(), &e.origin))))
    }

    /// The keys whose values are others in the two, in the order of the table of keys.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let value = |merged: &Self, key: &str| merged.values.get(key).map(|entry| entry.value.clone());
        KEYS.iter().map(|key| key.path).filter(|key| value(self, key) != value(other, key)).collect()
    }

    /// The files that were read, in the order in which they apply.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The value of one key; `None` for a key of another type, or one whose value could not be read.
    pub fn get<T: FromValue>(&self, key: &str) -> Option<T> {
        self.values.get(key).and_then(|entry| T::from_value(&entry.value))
    }

    /// The path of a file that a key names. A credential that systemd gave no folder for stays as it is written: to read
    /// it says why.
    pub fn file(&self, key: &str) -> Option<PathBuf> {
        let path: PathBuf = self.get(key)?;
        let name = path.to_str().and_then(|path| path.strip_prefix(CREDENTIAL));
        Some(match (name, &self.credentials) {
            (Some(name), Some(folder)) => folder.join(name),
            _ => path,
        })
    }

    pub(super) fn placed(&self, key: &str) -> Option<Placed> {
        let entry = self.values.get(key)?;
        Some(Placed { path: entry.key.path, shown: entry.shown.clone(), origin: entry.origin.clone() })
    }

    /// Something is wrong with the sources of this key already.
    pub(super) fn doubtful(&self, key: &str) -> bool {
        self.doubt.all || self.doubt.keys.contains(key)
    }

    pub(super) fn take(&mut self, fragment: Fragment, errors: &mut Vec<ConfigError>) {
        self.values.extend(fragment.entries.into_iter().map(|entry| (entry.key.path, entry)));
        errors.extend(fragment.errors);
    }
}

impl Doubt {
    fn about(errors: &[ConfigError]) -> Self {
        let mut doubt = Self::default();
        for error in errors {
            doubt.all |= error.problem.hides_values();
            doubt.keys.extend(error.key.clone());
            if let Problem::Unknown { what, suggestion, .. } = &error.problem {
                // a table under a wrong name hides its keys
                doubt.all |= *what == What::Table;
                doubt.keys.extend(suggestion.clone());
            }
        }
        doubt
    }
}
