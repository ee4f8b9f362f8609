//! A restart of the engine that no container notices: whether it can be done, and whether it was.
//!
//! Containers outlive their engine while live-restore is on. The engine takes that up at a reload of its configuration, so it
//! can be on for the time of one restart.

use crate::model::{RunningContainer, Survey};
use serde_json::{Map, Value};

/// Why it is not done. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    #[error(
        "the engine is in swarm mode ({0}), where its next start with live-restore would fail; drain the node and restart it as ever"
    )]
    Swarm(String),
    #[error(
        "a --live-restore flag stands on dockerd's command line: with the same key in its configuration file it would not start; restart it as ever, if the flag says true"
    )]
    Flag,
    #[error("dockerd reads {0}, which is not in a folder of its own below /etc: restart it as ever")]
    Elsewhere(String),
    #[error("{path} is not what an engine reads ({why}): mend it first, or the engine would not start")]
    BadFile { path: String, why: String },
    #[error("the engine does not say whether live-restore is on")]
    Untold,
}

const KEY: &str = "live-restore";
/// Where dockerd looks if it is not told otherwise.
pub const FILE: &str = "/etc/docker/daemon.json";

/// Whether the engine can be restarted so, and the path of its configuration file.
pub fn may(survey: &Survey, command_line: &[String]) -> Result<String, Obstacle> {
    if !matches!(survey.swarm.as_str(), "" | "inactive") {
        return Err(Obstacle::Swarm(survey.swarm.clone()));
    }
    let flag = |word: &&String| word.trim_start_matches('-').split('=').next() == Some(KEY) && word.starts_with('-');
    if command_line.iter().any(|word| flag(&word)) {
        return Err(Obstacle::Flag);
    }
    if survey.live_restore.is_none() {
        return Err(Obstacle::Untold);
    }
    let path = config_file(command_line).unwrap_or_else(|| FILE.to_owned());
    // the whole folder is covered for a while
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let own = folder.strip_prefix("/etc/").is_some_and(|name| !name.is_empty() && !path.contains("/.."));
    if own { Ok(path) } else { Err(Obstacle::Elsewhere(path)) }
}

fn config_file(command_line: &[String]) -> Option<String> {
    let mut words = command_line.iter();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--config-file") else { continue };
        return match flag.strip_prefix('=') {
            Some(path) => Some(path.to_owned()),
            None if flag.is_empty() => words.next().cloned(),
            None => continue,
        };
    }
    None
}

/// The configuration with live-restore on or off, and otherwise as it is. None: there is no file.
pub fn with_live_restore(path: &str, text: Option<&str>, on: bool) -> Result<String, Obstacle> {
    let bad = |why: String| Obstacle::BadFile { path: path.to_owned(), why };
    let mut keys: Map<String, Value> = match text {
        None => Map::new(),
        Some(text) => serde_json::from_str(text).map_err(|error| bad(error.to_string()))?,
    };
    keys.insert(KEY.to_owned(), Value::Bool(on));
    serde_json::to_string_pretty(&keys).map_err(|error| bad(error.to_string()))
}

/// What a container lost by the restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    pub container: RunningContainer,
    pub what: &'static str,
}

/// Those that are not the same process as before.
pub fn losses(before: &[RunningContainer], after: &[RunningContainer]) -> Vec<Loss> {
    let loss = |was: &RunningContainer| {
        let what = match after.iter().find(|is| is.id == was.id) {
            None => "it does not run any more",
            Some(is) if (is.pid, is.born) != (was.pid, was.born) => "it was started anew",
            Some(_) => return None,
        };
        Some(Loss { container: was.clone(), what })
    };
    before.iter().filter_map(loss).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(swarm: &str, live_restore: Option<bool>) -> Survey {
        Survey { swarm: swarm.into(), live_restore, containers: Vec::new() }
    }

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn what_could_make_it_fatal_is_refused() {
        let plain = "/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock";
        let off = survey("inactive", Some(false));
        for (survey, line, expected) in [
            (&off, plain, Ok(FILE)),
            (&survey("", Some(true)), plain, Ok(FILE)),
            (&survey("active", Some(true)), plain, Err(Obstacle::Swarm("active".into()))),
            (&survey("locked", Some(false)), plain, Err(Obstacle::Swarm("locked".into()))),
            (&off, "dockerd --live-restore", Err(Obstacle::Flag)),
            (&off, "dockerd --live-restore=false -H fd://", Err(Obstacle::Flag)),
            (&off, "dockerd -live-restore", Err(Obstacle::Flag)),
            (&off, "dockerd --label live-restore", Ok(FILE)),
            (&off, "dockerd --config-file=/etc/moby/d.json", Ok("/etc/moby/d.json")),
            (&off, "dockerd --config-file /etc/moby/d.json -D", Ok("/etc/moby/d.json")),
            (&off, "dockerd --config-file /etc/d.json", Err(Obstacle::Elsewhere("/etc/d.json".into()))),
            (&off, "dockerd --config-file /root/d/d.json", Err(Obstacle::Elsewhere("/root/d/d.json".into()))),
            (&off, "dockerd --config-file /etc/../x/d.json", Err(Obstacle::Elsewhere("/etc/../x/d.json".into()))),
            (&survey("inactive", None), plain, Err(Obstacle::Untold)),
        ] {
            assert_eq!(may(survey, &words(line)), expected.map(str::to_owned), "{line}");
        }
    }

    #[test]
    fn only_one_key_of_the_configuration_changes() {
        let text = "{\"log-opts\": {\"max-size\": \"10m\"}, \"live-restore\": false}";
        let on = with_live_restore(FILE, Some(text), true).unwrap();
        let keys: Value = serde_json::from_str(&on).unwrap();
        assert_eq!(keys, serde_json::json!({"log-opts": {"max-size": "10m"}, "live-restore": true}));
        assert_eq!(with_live_restore(FILE, None, false).unwrap(), "{\n  \"live-restore\": false\n}");
        for bad in ["", "{", "[]", "7"] {
            assert!(matches!(with_live_restore(FILE, Some(bad), true), Err(Obstacle::BadFile { .. })), "{bad}");
        }
    }

    #[test]
    fn a_container_is_the_same_only_if_its_process_is() {
        let container =
            |id: &str, pid, born| RunningContainer { id: id.into(), name: id.into(), pid, born: Some(born) };
        let before =
            [container("a", 10, 100), container("b", 11, 100), container("c", 12, 100), container("d", 13, 100)];
        // c has another process under the same number
        let after = [container("a", 10, 100), container("b", 20, 500), container("c", 12, 700)];
        let lost: Vec<_> = losses(&before, &after).into_iter().map(|loss| (loss.container.id, loss.what)).collect();
        let anew = "it was started anew";
        assert_eq!(lost, [("b".into(), anew), ("c".into(), anew), ("d".into(), "it does not run any more")]);
    }
}
