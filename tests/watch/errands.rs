//! `--exec` and `--write-file`.

use crate::common::{self, Outcome, Server, TTL, address, agent};
use crate::scene::{Again, Watcher, replace, run, text_of, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use swarm_agent::discovery::Claim;

/// A folder with a list of nodes, which is the cluster.
struct Place {
    directory: tempfile::TempDir,
    url: String,
}

impl Place {
    fn new(nodes: &str) -> std::io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let url = format!("file://{}", directory.path().join("nodes").display());
        fs::write(directory.path().join("nodes"), nodes)?;
        Ok(Self { directory, url })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn change(&self, nodes: &str) -> std::io::Result<()> {
        replace(&self.path("nodes"), nodes)
    }

    /// A watch that runs a shell script in the folder, with more arguments in front.
    fn watch(&self, args: &[&str], script: &str) -> Watcher {
        let script = format!("cd '{}'; {script}", self.directory.path().display());
        Watcher::with(&[args, &[&self.url, "--exec", "sh", "-c", &script, "name", "-x", "--json"]].concat())
    }
}

#[test]
fn a_command_finds_the_list_on_its_stdin_at_first_and_at_each_change() -> Outcome {
    let place = Place::new("a:1\nb:1\n")?;
    let watcher = place.watch(&["--quiet"], "echo $0 $@ $(cat) >> runs; exit 3");
    let runs = place.path("runs");
    // what stands behind the command is its own, whatever it looks like
    assert_eq!(text_of(&runs, |text| text.lines().count() == 1), "name -x --json a:1 b:1\n");
    watcher.says("warning: the command exited with 3");
    place.change("b:1\njunk\n")?;
    assert_eq!(text_of(&runs, |text| text.lines().count() == 2).lines().last(), Some("name -x --json b:1"));
    watcher.says("skipped");
    // no change of the list, no run
    place.change("b:1 # the same\n")?;
    place.change("")?;
    assert_eq!(text_of(&runs, |text| text.lines().count() == 3).lines().last(), Some("name -x --json"));
    assert!(watcher.lines.try_recv().is_err(), "quiet");
    assert_eq!(watcher.end(Signal::SIGTERM).code(), Some(0));
    Ok(())
}

#[test]
fn what_changes_during_a_run_is_one_run_with_the_newest_list() -> Outcome {
    let place = Place::new("a:1\n")?;
    let watcher = place.watch(&["--json"], "cat >> runs; until [ -e go ]; do sleep 0.02; done; echo out");
    assert_eq!(watcher.next()["event"], "list");
    let runs = place.path("runs");
    text_of(&runs, |text| !text.is_empty());
    for node in ["b:1", "c:1", "d:1"] {
        place.change(node)?;
        assert_eq!(watcher.next()["event"], "leave");
        assert_eq!(watcher.next()["event"], "join");
    }
    fs::write(place.path("go"), "")?;
    let exec = json!({ "event": "exec", "code": 0, "signal": null, "error": null });
    assert_eq!((watcher.next(), watcher.next()), (exec.clone(), exec));
    assert_eq!(fs::read_to_string(&runs)?, "[\"a:1\"]\n[\"d:1\"]\n", "an array with --json");
    // stdout is for objects alone
    watcher.says("out");
    Ok(())
}

#[test]
fn a_command_that_does_not_read_or_is_not_there_does_not_hold_the_watch_up() -> Outcome {
    // more than a pipe holds
    let place = Place::new("node-[1:20000]:1\n")?;
    let watcher = place.watch(&["--quiet"], "echo . >> runs");
    text_of(&place.path("runs"), |text| text == ".\n");
    place.change("node-[2:20000]:1\n")?;
    text_of(&place.path("runs"), |text| text == ".\n.\n");
    assert_eq!(watcher.end(Signal::SIGTERM).code(), Some(0));

    let watcher = Watcher::with(&["--json", &place.url, "--exec", "--", "/nowhere/command"]);
    let exec = watcher.next_of("exec");
    assert!(exec["error"].as_str().is_some_and(|error| error.starts_with("/nowhere/command: No such file")), "{exec}");
    place.change("a:1\n")?;
    assert_eq!(watcher.next_of("exec")["code"], Value::Null);
    Ok(())
}

#[test]
fn the_command_ends_with_the_watch_which_waits_for_it() -> Outcome {
    let place = Place::new("a:1\n")?;
    // the child says itself that it is there: a shell that was just forked may still swallow a signal
    let script = "trap 'sleep 0.2; echo bye > said; exit' TERM; sh -c 'echo $$ > child; exec sleep 600' & wait";
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let watcher = place.watch(&[], script);
        let child = text_of(&place.path("child"), |text| text.ends_with('\n'));
        assert_eq!(watcher.end(signal).code(), Some(0));
        assert_eq!(fs::read_to_string(place.path("said"))?, "bye\n", "it was waited for");
        until("the child of the command is gone", || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        });
        fs::remove_file(place.path("child"))?;
        fs::remove_file(place.path("said"))?;
    }
    Ok(())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_file_is_kept_at_the_list_and_stays_in_an_outage() -> Outcome {
    let (directory, state) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let server = Server::start(state.path());
    let token = server.cluster().await;
    let (backend, url) = (server.backend(&token), format!("http://{}/v1/clusters/{token}", server.address));
    let file = directory.path().join("list.json");
    fs::write(&file, "[]\n")?;
    fs::set_permissions(&file, Permissions::from_mode(0o640))?;
    let inode = || fs::metadata(&file).map(|file| file.ino());
    let first = inode()?;
    let path = file.to_str().ok_or("a path")?;
    let watcher = Watcher::with(&["--json", "--write-file", path, &url]);
    assert_eq!(watcher.next()["event"], "list");
    backend.register(&Claim::new(&address("10.0.0.1:2375"), TTL)).await?;
    text_of(&file, |text| text == "[\"10.0.0.1:2375\"]\n");
    assert_ne!(inode()?, first, "it was replaced");
    assert_eq!(fs::metadata(&file)?.mode() & 0o777, 0o640);
    let (place, second) = (server.address, inode()?);
    server.kill();
    watcher.next_of("stale");
    assert!(inode()? == second && fs::read_to_string(&file)? == "[\"10.0.0.1:2375\"]\n");
    let _again = Again::start(state.path(), place);
    watcher.next_of("recovered");
    // the old one's connection broke with the server
    let backend = common::backend(place, &token);
    backend.register(&Claim::new(&address("10.0.0.2:2375"), TTL)).await?;
    text_of(&file, |text| text == "[\"10.0.0.1:2375\",\"10.0.0.2:2375\"]\n");
    assert_ne!(inode()?, second);
    // another watch finds it as it is to be
    let third = inode()?;
    let script = format!("cat '{path}' >> '{path}.runs'");
    let other =
        Watcher::with(&["--quiet", "--format", "json", "--write-file", path, &url, "--exec", "sh", "-c", &script]);
    text_of(&directory.path().join("list.json.runs"), |text| text == "[\"10.0.0.1:2375\",\"10.0.0.2:2375\"]\n");
    assert_eq!(inode()?, third, "it was left alone");
    for watcher in [watcher, other] {
        assert_eq!(watcher.end(Signal::SIGTERM).code(), Some(0));
    }
    assert_eq!(names(directory.path()), ["list.json", "list.json.runs"]);
    Ok(())
}

#[test]
fn with_both_the_command_finds_the_file_written_as_soon_as_it_can_be() -> Outcome {
    let place = Place::new("a:1\nb:1\n")?;
    let folder = place.path("later");
    let file = folder.join("list");
    let path = file.to_str().ok_or("a path")?;
    let watcher = place.watch(&["--quiet", "--write-file", path], "cat later/list > copy");
    watcher.says("the file can't be written: ");
    assert!(!place.path("copy").exists(), "nothing is run for a file that is not there");
    fs::create_dir(&folder)?;
    watcher.says("the file is written again");
    text_of(&place.path("copy"), |text| text == "a:1\nb:1\n");
    Ok(())
}

#[test]
fn options_that_mean_nothing_are_refused() {
    let cases: [(&[&str], &str); 8] = [
        (&["watch", "a:1", "--exec"], "--exec"),
        (&["watch", "a:1", "--exec", "--"], "no command"),
        (&["watch", "--format", "text", "a:1"], "--write-file"),
        (&["watch", "--port", "9100", "a:1"], "--format"),
        (&["watch", "--write-file", "x", "--port", "9100", "a:1"], "prometheus-file-sd"),
        (&["list", "--port", "9100", "a:1"], "prometheus-file-sd"),
        (&["list", "--json", "--format", "text", "a:1"], "cannot be used with"),
        (&["list", "--format", "prometheus-file-sd", "--port", "0", "a:1"], "0"),
    ];
    for (args, word) in cases {
        let (code, _, said) = run(agent().args(args));
        assert!(code == Some(64) && said.contains(word), "{args:?}: {said}");
    }
}
