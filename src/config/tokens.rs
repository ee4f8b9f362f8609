//! The file with the bearer tokens of the discovery server (`server.tokens-file`): hashes, and what they allow. It is
//! TOML, one `[[token]]` each. No error repeats a value of `sha256` or `clusters`: somebody may have put a secret there.

use super::error::ConfigError;
use super::files::{self, Candidate};
use super::fragment::{Fragment, one_line};
use super::origin::{Lines, Origin};
use super::problem::{Problem, What};
use super::suggest;
use super::value::ValueProblem;
use crate::model::permission::{Clusters, Grant, RIGHTS, Right, Rules};
use crate::model::{Digest, Token};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What one token has. Each is needed.
const NAMES: &[&str] = &["name", "sha256", "rights", "clusters"];
const NAME: &str = r#"name = "fleet""#;
const SHA256: &str = r#"sha256 = "…", which `swarm-agent token new` prints"#;
const RIGHTS_EXAMPLE: &str = r#"rights = ["register", "list"]"#;
const CLUSTERS: &str = r#"clusters = ["*"], or with a cluster's token or its "sha256:…" in place of the *"#;
/// For a cluster that is named without its token.
pub const HASHED: &str = "sha256:";
const NAME_MAX: usize = 64;

/// What is wrong with one token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenProblem {
    #[error("holds no token: nobody could do anything")]
    None,
    #[error("is missing")]
    Missing { example: &'static str },
    #[error("must be an array of tables, and is {found}")]
    NotTables { found: &'static str },
    #[error("must have 1 to {NAME_MAX} characters, and no control characters")]
    BadName,
    #[error("is not a SHA-256 in hex: 64 digits")]
    NotHash,
    #[error("is neither \"*\" nor a cluster's token nor the \"sha256:…\" of one")]
    NotCluster,
    #[error("is empty")]
    Empty { example: &'static str },
    #[error("is that of the token in line {line} too")]
    Twice { line: usize },
}

impl TokenProblem {
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::None => {
                "`swarm-agent token new` makes one; without server.tokens-file everybody is let in".to_owned()
            }
            Self::Missing { example } | Self::Empty { example } => format!("write {example}"),
            Self::NotTables { .. } => "write its keys below a line [[token]]".to_owned(),
            Self::NotHash => "`swarm-agent token new` makes a token and its hash; the token itself does not belong \
                              into this file"
                .to_owned(),
            Self::BadName => "the name is for people, in answers to the token's holder".to_owned(),
            Self::NotCluster => "`printf %s TOKEN | sha256sum` prints the hash of a cluster's token".to_owned(),
            Self::Twice { .. } => "give each token its own".to_owned(),
        })
    }
}

/// Reads the file, all of whose mistakes are reported.
pub fn read(path: &Path) -> Result<Rules, Vec<ConfigError>> {
    let candidate = Candidate { path: path.to_owned(), may_be_missing: false };
    let bytes = files::read(&candidate).map_err(|problem| vec![files::whole(path, of_tokens(problem))])?;
    let bytes = bytes.unwrap_or_default();
    match std::str::from_utf8(&bytes) {
        Ok(text) => parse(path, text),
        Err(error) => {
            let (offset, byte) = (error.valid_up_to(), bytes.get(error.valid_up_to()).copied().unwrap_or_default());
            Err(vec![files::whole(path, Problem::NotUtf8 { offset, byte })])
        }
    }
}

/// What is said of configuration files in general does not help here.
fn of_tokens(problem: Problem) -> Problem {
    let cause = match problem {
        Problem::Denied => {
            "permission denied; give it to group swarm-discovery (chgrp swarm-discovery, chmod 640)".to_owned()
        }
        Problem::NotAFile { what } => format!("it is a {what}"),
        Problem::Dangling { target } => format!("it is a symbolic link to {target}, which does not exist"),
        other => return other,
    };
    Problem::Unreadable { cause }
}

/// Reads its text.
pub fn parse(path: &Path, text: &str) -> Result<Rules, Vec<ConfigError>> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let mut reader =
        Reader { path: path.into(), lines: Lines::new(text), places: Vec::new(), found: Fragment::default() };
    for error in &syntax {
        let problem = Problem::Syntax { message: error.message().to_owned(), example: None };
        let origin = reader.origin(error.span().unwrap_or_default());
        reader.found.errors.push(ConfigError { origin: Some(origin), key: None, problem });
    }
    // what the parser makes of the rest is guesswork
    let grants = if syntax.is_empty() { reader.root(document.get_ref()) } else { Vec::new() };
    if grants.is_empty() && reader.found.errors.is_empty() {
        return Err(vec![files::whole(path, TokenProblem::None.into())]);
    }
    let mut errors = reader.found.errors;
    if errors.is_empty() {
        return Ok(Rules(grants));
    }
    errors.sort_by_key(|error| (error.line(), error.column()));
    Err(errors)
}

type Item<'t> = Spanned<DeValue<'t>>;

struct Reader<'t> {
    path: Arc<Path>,
    lines: Lines<'t>,
    /// Where the names and hashes of the tokens so far stand.
    places: Vec<(usize, Option<String>, Option<Digest>)>,
    found: Fragment,
}

impl Reader<'_> {
    fn root(&mut self, table: &DeTable<'_>) -> Vec<Grant> {
        let mut grants = Vec::new();
        for (name, value) in table {
            if name.get_ref() != "token" {
                let problem = Problem::Unknown { what: What::Table, suggestion: None, known: vec!["[[token]]"] };
                self.reject(name.span(), name.get_ref(), problem);
                continue;
            }
            let DeValue::Array(tokens) = value.get_ref() else {
                let problem = TokenProblem::NotTables { found: super::document::name_of(value.get_ref()) };
                self.reject(name.span(), "token", problem.into());
                continue;
            };
            for token in tokens {
                match token.get_ref() {
                    DeValue::Table(entries) => grants.extend(self.token(token.span(), entries)),
                    other => {
                        let problem = TokenProblem::NotTables { found: super::document::name_of(other) };
                        self.reject(token.span(), "token", problem.into());
                    }
                }
            }
        }
        grants
    }

    fn token(&mut self, span: Range<usize>, entries: &DeTable<'_>) -> Option<Grant> {
        for (name, _) in entries.iter().filter(|(name, _)| !NAMES.contains(&&**name.get_ref())) {
            let suggestion = suggest::nearest(name.get_ref(), NAMES).map(str::to_owned);
            let problem = Problem::Unknown { what: What::Key, suggestion, known: NAMES.to_vec() };
            self.reject(name.span(), &format!("token.{}", name.get_ref()), problem);
        }
        let mut entry = |name: &'static str, example: &'static str| {
            let found = entries.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value);
            if found.is_none() {
                self.reject(span.clone(), &format!("token.{name}"), TokenProblem::Missing { example }.into());
            }
            found
        };
        let (name, hash) = (entry("name", NAME), entry("sha256", SHA256));
        let (rights, clusters) = (entry("rights", RIGHTS_EXAMPLE), entry("clusters", CLUSTERS));
        let (name, digest) = (name.and_then(|item| self.name(item)), hash.and_then(|item| self.hash(item)));
        self.places.push((self.lines.position(span.start).line, name.clone(), digest));
        let rights = rights.map(|item| self.rights(item));
        let clusters = clusters.map(|item| self.clusters(item));
        Some(Grant { name: name?, digest: digest?, rights: rights?, clusters: clusters? })
    }

    fn name(&mut self, item: &Item<'_>) -> Option<String> {
        let name = self.text(item, "token.name", NAME)?.to_owned();
        if name.is_empty() || name.chars().count() > NAME_MAX || name.contains(char::is_control) {
            return self.none(item.span(), "token.name", TokenProblem::BadName.into());
        }
        match self.places.iter().find(|(_, other, _)| other.as_deref() == Some(name.as_str())) {
            Some((line, ..)) => {
                let line = *line;
                self.none(item.span(), "token.name", TokenProblem::Twice { line }.into())
            }
            None => Some(name),
        }
    }

    fn hash(&mut self, item: &Item<'_>) -> Option<Digest> {
        let Ok(digest) = self.text(item, "token.sha256", SHA256)?.parse::<Digest>() else {
            return self.none(item.span(), "token.sha256", TokenProblem::NotHash.into());
        };
        match self.places.iter().find(|(.., other)| *other == Some(digest)) {
            Some((line, ..)) => {
                let line = *line;
                self.none(item.span(), "token.sha256", TokenProblem::Twice { line }.into())
            }
            None => Some(digest),
        }
    }

    fn rights(&mut self, item: &Item<'_>) -> Vec<Right> {
        let mut rights = Vec::new();
        for item in self.array(item, "token.rights", RIGHTS_EXAMPLE) {
            let Some(text) = self.text(item, "token.rights", RIGHTS_EXAMPLE) else { continue };
            match Right::from_name(text) {
                Some(right) => rights.push(right),
                None => {
                    let problem = ValueProblem::NotChoice { text: text.to_owned(), choices: RIGHTS };
                    self.reject(item.span(), "token.rights", problem.into());
                }
            }
        }
        rights
    }

    fn clusters(&mut self, item: &Item<'_>) -> Clusters {
        let (mut all, mut some) = (false, Vec::new());
        for item in self.array(item, "token.clusters", CLUSTERS) {
            match self.text(item, "token.clusters", CLUSTERS).map(cluster) {
                None => {}
                Some(Some(Clusters::All)) => all = true,
                Some(Some(Clusters::Some(digests))) => some.extend(digests),
                Some(None) => self.reject(item.span(), "token.clusters", TokenProblem::NotCluster.into()),
            }
        }
        if all { Clusters::All } else { Clusters::Some(some) }
    }

    /// Empty only with a complaint.
    fn array<'i, 't>(&mut self, item: &'i Item<'t>, key: &str, example: &'static str) -> &'i [Item<'t>] {
        match item.get_ref() {
            DeValue::Array(items) => {
                if items.is_empty() {
                    self.reject(item.span(), key, TokenProblem::Empty { example }.into());
                }
                items
            }
            other => {
                let (expected, found) = ("an array of strings", super::document::name_of(other));
                self.reject(item.span(), key, Problem::WrongType { expected, found, example });
                &[]
            }
        }
    }

    fn text<'i>(&mut self, item: &'i Item<'_>, key: &str, example: &'static str) -> Option<&'i str> {
        match item.get_ref() {
            DeValue::String(text) => Some(text),
            other => {
                let (expected, found) = ("a string in quotes", super::document::name_of(other));
                self.none(item.span(), key, Problem::WrongType { expected, found, example })
            }
        }
    }

    /// In place of a value.
    fn none<T>(&mut self, span: Range<usize>, key: &str, problem: Problem) -> Option<T> {
        self.reject(span, key, problem);
        None
    }

    fn reject(&mut self, span: Range<usize>, key: &str, problem: Problem) {
        let origin = self.origin(span);
        self.found.reject(origin, one_line(key), problem);
    }

    fn origin(&self, span: Range<usize>) -> Origin {
        let position = Some(self.lines.position(span.start));
        Origin::File { path: Arc::clone(&self.path), position }
    }
}

/// `*`, a cluster's token, or the hash of one.
pub fn cluster(text: &str) -> Option<Clusters> {
    let one = |digest| Clusters::Some(vec![digest]);
    match text.strip_prefix(HASHED) {
        Some(hash) => hash.parse().ok().map(one),
        None if text == "*" => Some(Clusters::All),
        None => text.parse::<Token>().ok().map(|token| one(Digest::of(token.as_str().as_bytes()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(secret: &str) -> String {
        Digest::of(secret.as_bytes()).to_string()
    }

    fn errors(text: &str) -> Vec<String> {
        match parse(Path::new("/t.toml"), text) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn tokens_are_read_with_their_rights_and_clusters() {
        let (a, b, c) = (hash("a"), hash("b"), hash("c1"));
        let text = format!(
            "# who may\n[[token]]\nname = \"fleet\"\nsha256 = \"{a}\"\nrights = [\"register\", \"list\"]\nclusters = [\"*\"]\n\
             [[token]]\nname = \"one\"\nsha256 = \"{b}\"\nrights = [\"admin\"]\nclusters = [\"c2\", \"sha256:{c}\"]\n"
        );
        let one = [Digest::of(b"c2"), Digest::of(b"c1")];
        let grant = |name: &str, secret: &str, rights: &[Right], clusters| Grant {
            name: name.to_owned(),
            digest: Digest::of(secret.as_bytes()),
            rights: rights.to_vec(),
            clusters,
        };
        let expected = Rules(vec![
            grant("fleet", "a", &[Right::Register, Right::List], Clusters::All),
            grant("one", "b", &[Right::Admin], Clusters::Some(one.to_vec())),
        ]);
        assert_eq!(parse(Path::new("/t.toml"), &text), Ok(expected));
    }

    #[test]
    fn every_mistake_has_its_line_and_no_secret_is_repeated() {
        let good = hash("a");
        let token =
            |name: &str, hash: &str, rest: &str| format!("[[token]]\nname = \"{name}\"\nsha256 = \"{hash}\"\n{rest}\n");
        let rest = "rights = [\"list\"]\nclusters = [\"*\"]";
        for (text, expected) in [
            (
                String::new(),
                vec![
                    "/t.toml: holds no token: nobody could do anything; `swarm-agent token new` makes one; without server.tokens-file everybody is let in",
                ],
            ),
            (
                "[[token]]\n".to_owned(),
                vec![
                    "/t.toml:1:1: token.name: is missing; write name = \"fleet\"",
                    "/t.toml:1:1: token.sha256: is missing; write sha256 = \"…\", which `swarm-agent token new` prints",
                    "/t.toml:1:1: token.rights: is missing; write rights = [\"register\", \"list\"]",
                    "/t.toml:1:1: token.clusters: is missing; write clusters = [\"*\"], or with a cluster's token or its \"sha256:…\" in place of the *",
                ],
            ),
            (
                token("a", "s3cret", rest),
                vec![
                    "/t.toml:3:10: token.sha256: is not a SHA-256 in hex: 64 digits; `swarm-agent token new` makes a token and its hash; the token itself does not belong into this file",
                ],
            ),
            (
                token("a", &good, "rights = [\"list\", \"lst\", 7]\nclusters = [\"s3cret!\"]"),
                vec![
                    "/t.toml:4:19: token.rights: \"lst\" is not one of register, list, admin; did you mean \"list\"?",
                    "/t.toml:4:26: token.rights: must be a string in quotes, and is an integer; write it like rights = [\"register\", \"list\"]",
                    "/t.toml:5:13: token.clusters: is neither \"*\" nor a cluster's token nor the \"sha256:…\" of one; `printf %s TOKEN | sha256sum` prints the hash of a cluster's token",
                ],
            ),
            (
                token("a", &good, "rights = []\nclusters = \"*\""),
                vec![
                    "/t.toml:4:10: token.rights: is empty; write rights = [\"register\", \"list\"]",
                    "/t.toml:5:12: token.clusters: must be an array of strings, and is a string; write it like clusters = [\"*\"], or with a cluster's token or its \"sha256:…\" in place of the *",
                ],
            ),
            (
                token("a", &good, rest) + &token("a", &good, rest),
                vec![
                    "/t.toml:7:8: token.name: is that of the token in line 1 too; give each token its own",
                    "/t.toml:8:10: token.sha256: is that of the token in line 1 too; give each token its own",
                ],
            ),
            (
                token("a", &good, &format!("{rest}\nright = 1")),
                vec!["/t.toml:6:1: token.right: unknown key; did you mean rights?"],
            ),
            (
                token("a\\n", &good, rest),
                vec![
                    "/t.toml:2:8: token.name: must have 1 to 64 characters, and no control characters; the name is for people, in answers to the token's holder",
                ],
            ),
            (
                "[token]\nx = 1\n".to_owned(),
                vec![
                    "/t.toml:1:2: token: must be an array of tables, and is a table; write its keys below a line [[token]]",
                ],
            ),
            ("[tokens]\n".to_owned(), vec!["/t.toml:1:2: tokens: unknown table; known tables: [[token]]"]),
            (
                "[[token]]\nname = s3cret\n".to_owned(),
                vec!["/t.toml:2:8: not TOML: string values must be quoted, expected literal string"],
            ),
        ] {
            assert_eq!(errors(&text), expected, "{text}");
        }
    }
}
