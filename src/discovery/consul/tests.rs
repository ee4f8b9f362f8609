use super::*;

fn pair(key: &str, value: &str) -> Pair {
    let value = Some(value.as_bytes().to_vec()).filter(|value| !value.is_empty());
    Pair { key: format!("docker/swarm/{key}"), value, session: None, index: 7 }
}

fn folders() -> [String; 3] {
    ["docker/swarm/nodes/", "docker/swarm/drained/", "docker/swarm/records/"].map(str::to_owned)
}

const RECORD: &str = r#"{"since":"","node":"n","boot":"","engine":"","version":"","hostname":"h"}"#;

#[test]
fn values_are_nodes_and_what_is_none_is_reported() {
    let pairs = vec![
        pair("nodes/", ""),
        pair("nodes/a:1", "a:1"),
        pair("nodes/b:1", ""),
        pair("nodes/c:1", "junk"),
        pair("nodes/deep/d:1", "d:1"),
        pair("nodes-old/x:1", "x:1"),
        pair("nodes", "x:1"),
        pair("drained/", ""),
        pair("drained/e:1", " kernel \n"),
        pair("drained/f:1", ""),
        pair("drained/junk", ""),
        pair("records/a:1", RECORD),
        pair("records/b:1", RECORD),
        pair("records/d:1", "{}"),
    ];
    let list = listing(pairs.clone(), Scope::All, folders());
    assert_eq!(list.nodes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:1", "d:1"]);
    let drained: Vec<String> = list.drained.iter().map(ToString::to_string).collect();
    assert_eq!(drained, ["e:1  drained: kernel", "f:1  drained"]);
    let skipped: Vec<String> = list.unreadable.iter().map(ToString::to_string).collect();
    assert_eq!(skipped.len(), 3, "{skipped:?}");
    assert_eq!(skipped[0], r#""b:1" is no node address: its key is empty"#);
    assert!(list.records.is_empty());
    let list = listing(pairs, Scope::Records, folders());
    assert!(list.drained.is_empty());
    let records: Vec<String> = list.records.iter().map(|r| format!("{} {}", r.address, r.record)).collect();
    assert_eq!(records, ["a:1 host h"]);
}

#[test]
fn a_reader_waits_only_behind_an_index_that_still_counts() {
    let seen = |text: &str, patience| Seen { position: Position(text.into()), patience: Duration::from_secs(patience) };
    let waiting = After { index: 36, patience: Duration::from_secs(60) };
    assert_eq!(after(&seen("36", 60)), Some(waiting));
    for (text, patience) in [("0", 60), ("", 60), ("-1", 60), ("36", 0)] {
        assert_eq!(after(&seen(text, patience)), None, "{text} {patience}");
    }
    assert_eq!(position(None, 36).0, "36");
    assert_eq!(position(Some(waiting), 36).0, "36", "nothing has changed");
    assert_eq!(position(Some(waiting), 37).0, "37");
    assert_eq!(after(&Seen { position: position(Some(waiting), 35), patience: waiting.patience }), None, "backwards");
}
