//! The default configuration file, and what no input may do.

use super::{ELSEWHERE, MAIN, Root, TestResult, environment, set};
use crate::config::schema::{KEYS, Kind, TABLES};
use crate::config::{document, load, load_agent, value};
use proptest::prelude::*;
use std::path::Path;

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/config.toml");

/// The file as it follows from the table of keys.
fn rendered() -> String {
    let mut text = String::from(
        "# Configuration of swarm-agent. See swarm-agent(8).\n#\n\
         # Every line that begins with `#` and a key shows the default, or an example if the key\n\
         # has none. Put changes here, or into files below /etc/swarm-agent/config.d/; check them with\n\
         # `swarm-agent check-config`. Above the files stand the environment (for discovery.ttl:\n\
         # SWARM_AGENT_DISCOVERY_TTL=90s) and flags (--set discovery.ttl=90s).\n",
    );
    for (table, about) in TABLES {
        text += &format!("\n# {}.\n[{table}]\n", capital(about));
        for key in KEYS.iter().filter(|key| key.split().0 == *table) {
            text += &format!("\n{}#{} = {}\n", comment(key.doc), key.split().1, literal(key));
        }
    }
    text
}

fn capital(text: &str) -> String {
    text.chars().take(1).flat_map(char::to_uppercase).chain(text.chars().skip(1)).collect()
}

fn comment(text: &str) -> String {
    let mut lines = Vec::new();
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > 100 {
            lines.push(std::mem::replace(&mut line, String::from("#")));
        }
        line += &format!(" {word}");
    }
    lines.push(line);
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn literal(key: &crate::config::schema::Key) -> String {
    match (key.default.text(), key.kind) {
        (None, _) => key.example.to_owned(),
        (Some(text), Kind::Integer { .. }) => text.to_owned(),
        (Some(text), _) => format!("{text:?}"),
    }
}

/// `BLESS=1 cargo test --lib shipped` writes the file anew.
#[test]
fn the_shipped_file_follows_from_the_table_of_keys() -> TestResult {
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(SHIPPED, rendered())?;
    }
    assert_eq!(std::fs::read_to_string(SHIPPED)?, rendered());
    Ok(())
}

#[test]
fn the_shipped_file_is_valid_as_it_is_and_uncommented() -> TestResult {
    let text = std::fs::read_to_string(SHIPPED)?;
    let root = Root::new(&[(MAIN, &text)])?;
    assert_eq!(load(&root.sources())?.files().len(), 1);
    let is_key = |rest: &str| rest.starts_with(|c: char| c.is_ascii_lowercase());
    let uncommented: String = text
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix('#').filter(|rest| is_key(rest)).unwrap_or(line)))
        .collect();
    // no service has a use for all that may let us in
    let (before, rest) = uncommented.split_once("[discovery.tls]").ok_or("no TLS")?;
    let (_, after) = rest.split_once("[engine]").ok_or("no engine")?;
    let root = Root::new(&[(MAIN, &format!("{before}[engine]{after}"))])?;
    load_agent(&root.sources())?;
    let fragment = document::parse(Path::new("x"), uncommented.as_bytes());
    for key in KEYS {
        let entry = fragment.entries.iter().find(|e| e.key == key).ok_or(key.path)?;
        if let Some(text) = key.default.text() {
            assert_eq!(entry.value, value::parse(&key.kind, text)?, "{}", key.path);
        }
    }
    Ok(())
}

#[test]
fn every_example_of_the_table_is_valid() {
    for key in KEYS {
        let (table, name) = key.split();
        let fragment = document::parse(Path::new("x"), format!("[{table}]\n{name} = {}", key.example).as_bytes());
        assert_eq!((fragment.entries.len(), fragment.errors), (1, vec![]), "{}", key.path);
    }
}

/// Lines that look like configuration, so that more than the first error path is reached.
fn lines() -> impl Strategy<Value = String> {
    let head =
        prop::sample::select(vec!["[discovery]", "[[engine]]", "[a.b]", "[discovery.ttl]", "[", "\"", "'''", ""]);
    let key = prop::sample::select(vec!["ttl", "discovery.ttl", "url", "\"a.b\"", "engine", "grace.x", "é", ""]);
    let value = prop::sample::select(vec![
        "= 1", "= \"3m\"", "= {a=1}", "= [", "= [{}]", "]", "= \"\\u", "= 0x", "=", "= s3cret",
    ]);
    prop::collection::vec((head, key, value), 0..8)
        .prop_map(|lines| lines.iter().map(|(h, k, v)| format!("{h}\n{k} {v}\n")).collect())
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in prop_oneof![any::<String>(), "\\PC*", "[\\[\\]a-z.=\"'{},\n#\\\\ 0-9-]{0,200}", lines()]) {
        let fragment = document::parse(Path::new("x"), text.as_bytes());
        for error in &fragment.errors {
            prop_assert!(!error.to_string().contains('\n'), "{error:?}");
        }
    }

    #[test]
    fn no_bytes_make_the_loader_panic(bytes in any::<Vec<u8>>()) {
        document::parse(Path::new("x"), &bytes);
    }

    #[test]
    fn no_value_makes_a_kind_panic(text in prop_oneof![any::<String>(), "[0-9a-z:/.@µ +-]{0,40}"]) {
        for key in KEYS {
            if let Ok(value) = value::parse(&key.kind, &text) {
                // nothing may be excepted from the proxy
                prop_assert!(!value.to_string().is_empty() || key.kind == Kind::NoProxy);
            }
        }
    }
}

#[test]
fn no_error_repeats_the_token() -> TestResult {
    for url in [
        "s3cret",
        "disco/v1/clusters/s3cret",
        "http://disco/s3cret",
        "http://disco/v1/clusters/s3cret!",
        "token://s3cret",
        "ftp://a/s3cret",
        "etcd://u:s3cret@a",
    ] {
        let root = Root::new(&[
            (MAIN, ELSEWHERE),
            ("etc/swarm-agent/config.d/a.toml", &format!("[discovery]\nurl = \"{url}\"\nulr = \"{url}\"\n")),
        ])?;
        root.write("etc/swarm-agent/config.d/b.toml", format!("[discovery]\nurl = {url}\n").as_bytes())?;
        let sources = root.sources().with_environment(environment(&[("SWARM_DISCOVERY", url)])).with_flags([set(
            "--discovery",
            "discovery.url",
            url,
        )]);
        let errors = load_agent(&sources).err().ok_or("valid")?;
        assert_eq!(errors.len(), 5, "{errors}");
        assert!(!format!("{errors} {errors:?}").contains("s3cret"), "{errors:?}");
    }
    let merged = load(&Root::new(&[(MAIN, ELSEWHERE)])?.sources())?;
    assert!(!format!("{merged:?}").contains("s3cret"));
    Ok(())
}
