//! The files that follow from the declarations: the journal's catalog, and a table for people.

use super::{logged, sparse};
use crate::telemetry::events::{DECLARED, Declared, Level, Text};
use std::collections::BTreeSet;

const CATALOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/swarm-agent.catalog");
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.md");
/// A terminal shows the text behind a mark.
const WIDTH: usize = 72;

fn catalog() -> String {
    let mut text = String::from(
        "# What `journalctl -x` says of the events of swarm-agent. It follows from src/telemetry/events/kinds:\n\
         # `BLESS=1 cargo test --lib catalog` writes it anew.\n",
    );
    for Declared { kind, text: Text { subject, happened, matters, remedy } } in DECLARED {
        let [happened, matters, remedy] = [happened, matters, remedy].map(|part| wrap(part));
        text += &format!(
            "\n-- {}\nSubject: {subject}\nDefined-By: swarm-agent\nDocumentation: man:swarm-agent(8)\n\n\
             {happened}{matters}\n{remedy}",
            kind.id
        );
    }
    text
}

fn table() -> String {
    let mut text = String::from(
        "# Events\n\n\
         Every entry of swarm-agent's journal at level `info` and above is one of these events. Its field `SWARM_AGENT_EVENT` has\n\
         the name, `MESSAGE_ID` the id; `journalctl -x -u swarm-agent` shows what it means and what to do about it, and\n\
         `journalctl MESSAGE_ID=…` finds all of one kind. Names and ids do not change. Those marked \\* are never held back.\n\n\
         | event | level | what it means | `MESSAGE_ID` |\n| --- | --- | --- | --- |\n",
    );
    for Declared { kind, text: Text { subject, .. } } in DECLARED {
        let level = match kind.level {
            Level::Critical => "critical",
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
        };
        let mark = if kind.always { " \\*" } else { "" };
        text += &format!("| `{}`{mark} | {level} | {subject} | `{}` |\n", kind.name, kind.id);
    }
    text
}

/// Lines of words; what stands between backticks is one word, so that a command can be copied.
fn wrap(text: &str) -> String {
    let (mut wrapped, mut column) = (String::new(), 0);
    for word in words(text) {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > WIDTH {
            wrapped.push('\n');
            column = 0;
        }
        if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped += &word;
        column += width;
    }
    wrapped + "\n"
}

fn words(text: &str) -> Vec<String> {
    let mut quoted = false;
    let breaks = |c: char| {
        quoted ^= c == '`';
        c == ' ' && !quoted
    };
    text.split(breaks).map(str::to_owned).collect()
}

/// `BLESS=1 cargo test --lib catalog` writes the files anew.
#[test]
fn the_catalog_and_the_table_follow_from_the_declarations() -> std::io::Result<()> {
    for (path, text) in [(CATALOG, catalog()), (TABLE, table())] {
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, &text)?;
        }
        assert_eq!(std::fs::read_to_string(path)?, text, "{path}: BLESS=1 cargo test --lib catalog");
    }
    Ok(())
}

#[test]
fn each_text_says_what_happened_why_it_matters_and_what_to_do_in_a_few_lines() {
    for Declared { kind, text } in DECLARED {
        let name = kind.name;
        let Text { subject, happened, matters, remedy } = *text;
        assert!(!subject.is_empty() && subject.len() <= WIDTH && !subject.contains('@'), "{name}: {subject}");
        for part in [happened, matters, remedy] {
            assert_eq!(part.split_whitespace().collect::<Vec<_>>().join(" "), *part, "{name}");
            assert_eq!(part.matches('`').count() % 2, 0, "{name}: {part}");
            assert!(part.len() >= 20, "{name}: {part}");
        }
        for part in [happened, matters] {
            assert!(part.ends_with(['.', '@']), "{name}: {part}");
        }
        assert!(remedy.ends_with('.'), "{name}: {remedy}");
        let lines: usize = [happened, matters, remedy].iter().map(|part| wrap(part).lines().count()).sum();
        assert!((3..=8).contains(&lines), "{name}: {lines} lines");
    }
}

/// The fields that a text names.
fn named(text: &Text) -> BTreeSet<&'static str> {
    let Text { happened, matters, remedy, .. } = *text;
    [happened, matters, remedy].iter().flat_map(|part| part.split('@').skip(1).step_by(2)).collect()
}

#[test]
fn every_field_that_a_text_names_is_in_each_entry_of_its_kind() {
    let mut fields_seen = 0;
    for (event, Declared { kind, text }) in sparse().iter().zip(DECLARED) {
        let logged = logged(event);
        for field in named(text) {
            assert!(logged.contains_key(&field.to_lowercase()), "{}: {field} is not always there", kind.name);
            fields_seen += 1;
        }
    }
    assert!(fields_seen > 40, "{fields_seen}");
}
