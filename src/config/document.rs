//! One TOML file as a fragment. All its mistakes are reported, not just the first.

use super::error::ConfigError;
use super::fragment::{Fragment, expected, one_line};
use super::origin::{Lines, Origin, Position};
use super::problem::{Problem, What};
use super::schema::{Key, Kind};
use super::value::ValueProblem;
use super::{schema, suggest};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// A file that is no configuration at all shall not fill the journal.
const MAX_ERRORS: usize = 100;

/// Reads the bytes of one file.
pub fn parse(path: &Path, bytes: &[u8]) -> Fragment {
    let path: Arc<Path> = path.into();
    match std::str::from_utf8(bytes) {
        Ok(text) => parse_text(path, text),
        Err(error) => not_utf8(path, bytes, error.valid_up_to()),
    }
}

fn not_utf8(path: Arc<Path>, bytes: &[u8], offset: usize) -> Fragment {
    let (good, bad) = bytes.split_at(offset);
    let good = String::from_utf8_lossy(good);
    let position = Some(Lines::new(&good).position(good.len()));
    let problem = Problem::NotUtf8 { offset, byte: bad.first().copied().unwrap_or_default() };
    let error = ConfigError { origin: Some(Origin::File { path, position }), key: None, problem };
    Fragment { entries: Vec::new(), errors: vec![error] }
}

fn parse_text(path: Arc<Path>, text: &str) -> Fragment {
    // editors count columns from behind the byte order mark
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut reader =
        Reader { path, text, lines: Lines::new(text), broken: BTreeSet::new(), fragment: Fragment::default() };
    for error in &errors {
        reader.syntax(error);
    }
    reader.root(document.get_ref());
    reader.finish()
}

struct Reader<'t> {
    path: Arc<Path>,
    text: &'t str,
    lines: Lines<'t>,
    /// Lines with a syntax error: what the parser makes of the rest of them is guesswork.
    broken: BTreeSet<usize>,
    fragment: Fragment,
}

impl Reader<'_> {
    fn syntax(&mut self, error: &toml::de::Error) {
        let offset = error.span().map_or(0, |span| span.start);
        let position = self.lines.position(offset);
        // the second error of a line follows from the first
        if !self.broken.insert(position.line) {
            return;
        }
        // looks back through the text: not for errors that nobody will see
        let key = if self.fragment.errors.len() < MAX_ERRORS { key_at(self.text, offset) } else { None };
        let example = key.as_deref().and_then(schema::find).map(|key| key.example);
        let problem = match error.message() {
            "duplicate key" => Problem::Duplicate,
            message if message.starts_with("string values must be quoted") => {
                let missing = error.span().is_some_and(|span| span.is_empty());
                let message = if missing { "the value is missing" } else { "strings and durations need quotes" };
                Problem::Syntax { message: message.to_owned(), example }
            }
            // the rest is not about the type of the value, so the example would not help
            message => Problem::Syntax { message: message.to_owned(), example: None },
        };
        self.fragment.errors.push(ConfigError { origin: Some(self.origin(position)), key, problem });
    }

    fn root(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            let at = self.lines.position(name.span().start);
            if self.broken.contains(&at.line) {
                continue;
            }
            match (schema::is_table(name.get_ref()), value.get_ref()) {
                (true, DeValue::Table(table)) => self.table(name.get_ref(), table),
                (true, other) => {
                    let problem = Problem::NotATable { table: name.get_ref().to_string(), found: name_of(other) };
                    self.reject(at, name.get_ref(), problem);
                }
                (false, DeValue::Table(_)) => self.unknown_table(at, name.get_ref()),
                (false, _) => self.unknown_key(at, "", name.get_ref()),
            }
        }
    }

    fn table(&mut self, table: &str, entries: &DeTable<'_>) {
        for (name, value) in entries {
            let at = self.lines.position(name.span().start);
            let value_at = self.lines.position(value.span().start);
            if self.broken.contains(&at.line) || self.broken.contains(&value_at.line) {
                continue;
            }
            let path = format!("{table}.{}", name.get_ref());
            match (schema::find(&path), value.get_ref()) {
                (Some(key), _) => self.value(key, value),
                (None, DeValue::Table(inner)) if schema::is_table(&path) => self.table(&path, inner),
                (None, other) if schema::is_table(&path) => {
                    let found = name_of(other);
                    self.reject(at, &path, Problem::NotATable { table: path.clone(), found });
                }
                (None, DeValue::Table(_)) => self.unknown_table(at, &path),
                (None, _) => self.unknown_key(at, table, name.get_ref()),
            }
        }
    }

    fn value(&mut self, key: &'static Key, value: &Spanned<DeValue<'_>>) {
        let origin = self.origin(self.lines.position(value.span().start));
        match (&key.kind, value.get_ref()) {
            (Kind::Integer { .. }, DeValue::Integer(number)) => {
                // the table of keys bounds it; a number that no i64 holds fails there as itself
                let text = i64::from_str_radix(number.as_str(), number.radix()).map(|n| n.to_string());
                self.fragment.put(key, &text.unwrap_or_else(|_| number.to_string()), origin);
            }
            (Kind::Duration { .. }, DeValue::Integer(number)) if !number.as_str().starts_with('-') => {
                self.fragment.reject(origin, key.path, ValueProblem::Unitless(number.to_string()).into());
            }
            (kind, DeValue::String(text)) if !matches!(kind, Kind::Integer { .. }) => {
                self.fragment.put(key, text, origin);
            }
            (kind, other) => {
                let (expected, found) = (expected(kind), name_of(other));
                self.fragment.reject(origin, key.path, Problem::WrongType { expected, found, example: key.example });
            }
        }
    }

    fn unknown_table(&mut self, at: Position, name: &str) {
        let suggestion = suggest::table(name).map(|table| format!("[{table}]"));
        let known = schema::TABLES.iter().map(|(name, _)| *name).collect();
        self.reject(at, name, Problem::Unknown { what: What::Table, suggestion, known });
    }

    fn unknown_key(&mut self, at: Position, table: &str, name: &DeString<'_>) {
        // a quoted "discovery.ttl" is one name with a dot in it; the suggestion shows it unquoted
        let name = if name.contains('.') { format!("{name:?}") } else { name.to_string() };
        let path = if table.is_empty() { name } else { format!("{table}.{name}") };
        self.fragment.reject_unknown_key(self.origin(at), &path);
    }

    fn reject(&mut self, at: Position, name: &str, problem: Problem) {
        self.fragment.reject(self.origin(at), one_line(name), problem);
    }

    fn origin(&self, position: Position) -> Origin {
        Origin::File { path: Arc::clone(&self.path), position: Some(position) }
    }

    fn finish(mut self) -> Fragment {
        let errors = &mut self.fragment.errors;
        errors.sort_by_key(|error| (error.line(), error.column()));
        if errors.len() > MAX_ERRORS {
            let problem = Problem::More { count: errors.len() - MAX_ERRORS };
            errors.truncate(MAX_ERRORS);
            errors.push(super::files::whole(&self.path, problem));
        }
        self.fragment
    }
}

fn name_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// The key or table that the line at `offset` is about, as far as text that is not TOML lets us tell.
fn key_at(text: &str, offset: usize) -> Option<String> {
    let offset = text.floor_char_boundary(offset);
    let start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let line = text[start..].lines().next().unwrap_or("");
    if let Some(table) = header(line) {
        return schema::is_table(table).then(|| table.to_owned());
    }
    let name = line.split('=').next().unwrap_or("").trim();
    let table = text[..start].lines().rev().find_map(header);
    let path = table.map_or_else(|| name.to_owned(), |table| format!("{table}.{name}"));
    schema::find(&path).map(|key| key.path.to_owned())
}

fn header(line: &str) -> Option<&str> {
    line.trim().strip_prefix('[')?.split(']').next().map(str::trim)
}
