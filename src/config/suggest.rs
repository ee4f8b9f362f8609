//! "Did you mean …?"

use super::schema::{KEYS, Key, TABLES, is_table};

/// The nearest of some words, if it is near enough to be meant.
pub fn nearest<'w>(text: &str, words: &[&'w str]) -> Option<&'w str> {
    let folded = fold(text);
    // `warning` means `warn`, `err` means `error`
    let mut extended = words.iter().filter(|word| folded.len() >= 3 && prefix_of_other(&folded, &fold(word)));
    if let (Some(word), None) = (extended.next(), extended.next()) {
        return Some(word);
    }
    let scored = words.iter().map(|word| (strsim::osa_distance(&folded, &fold(word)), *word));
    let (distance, word) = scored.min_by_key(|(distance, _)| *distance)?;
    // about one slip per three characters: more is another word
    (distance <= (word.chars().count() / 3).max(1)).then_some(word)
}

/// The key that `path` was probably meant to be.
pub fn key(path: &str) -> Option<&'static Key> {
    // a quoted "discovery.ttl" is another key than discovery.ttl, but it is what was meant
    let path = &path.replace('"', "");
    // tls-ca for tls.ca, and the other way round
    let dashed = |path: &str| fold(path).replace('.', "-");
    if let Some(found) = KEYS.iter().find(|k| dashed(k.path) == dashed(path)) {
        return Some(found);
    }
    let (table, name) = path.rsplit_once('.').unwrap_or(("", path));
    let here = if is_table(table) { Some(table) } else { self::table(table) };
    let names: Vec<&str> = KEYS.iter().filter(|k| Some(k.split().0) == here).map(|k| k.split().1).collect();
    if let Some(found) = nearest(name, &names) {
        return KEYS.iter().find(|k| Some(k.split().0) == here && k.split().1 == found);
    }
    // the right name in the wrong table, if only one table has it
    let mut elsewhere = KEYS.iter().filter(|k| k.split().1 == fold(name));
    elsewhere.next().filter(|_| elsewhere.next().is_none())
}

/// The table that `name` was probably meant to be.
pub fn table(name: &str) -> Option<&'static str> {
    let depth = |name: &str| name.matches('.').count();
    let names: Vec<&'static str> =
        TABLES.iter().map(|(table, _)| *table).filter(|table| depth(table) == depth(name)).collect();
    nearest(name, &names)
}

/// The environment variable that `name` was probably meant to be.
pub fn variable(name: &str) -> Option<&'static Key> {
    // the prefix is always right, and would hide how far the rest is
    let tail = name.strip_prefix(super::schema::ENVIRONMENT_PREFIX)?;
    let folded: Vec<String> = KEYS.iter().map(|k| k.path.replace('.', "-")).collect();
    let words: Vec<&str> = folded.iter().map(String::as_str).collect();
    if let Some(found) = nearest(tail, &words) {
        return KEYS.iter().zip(&words).find(|(_, word)| **word == found).map(|(key, _)| key);
    }
    let name = fold(tail);
    let mut named = KEYS.iter().filter(|k| k.split().1 == name);
    named.next().filter(|_| named.next().is_none())
}

fn prefix_of_other(a: &str, b: &str) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

fn fold(text: &str) -> String {
    text.to_ascii_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_was_meant() {
        for (written, meant) in [
            ("discovery.tll", Some("discovery.ttl")),
            ("discovery.connect_timeout", Some("discovery.connect-timeout")),
            ("discovery.hartbeat", Some("discovery.heartbeat")),
            ("discvery.tll", Some("discovery.ttl")),
            ("discovery.abc", None),
            ("ttl", Some("discovery.ttl")),
            ("engine.heartbeat", Some("discovery.heartbeat")),
            ("discovery.state-directory", None),
            ("discovery.colour", None),
            ("discovery.tls-ca", Some("discovery.tls.ca")),
            ("discovery.auth.token", Some("discovery.auth.token-file")),
            ("token-file", Some("discovery.auth.token-file")),
            ("discovery.password-file", Some("discovery.auth.password-file")),
        ] {
            assert_eq!(key(written).map(|k| k.path), meant, "{written}");
        }
        assert_eq!(table("discvery"), Some("discovery"));
        assert_eq!(table("supervision"), Some("supervision"));
        assert_eq!(table("logging"), None);
        assert_eq!(table("discovery.tsl"), Some("discovery.tls"));
        for (written, meant) in [
            ("SWARM_AGENT_DISCOVERY_TLL", Some("discovery.ttl")),
            ("SWARM_AGENT_HEARTBEAT", Some("discovery.heartbeat")),
            ("SWARM_AGENT_COLOUR", None),
        ] {
            assert_eq!(variable(written).map(|k| k.path), meant, "{written}");
        }
    }
}
