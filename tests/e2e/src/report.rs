//! What a failing test leaves to read.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::machine::Machine;
use crate::process::run_bounded;
use crate::timeline::Timeline;

const PATIENCE: Duration = Duration::from_secs(10);

/// Prints the story of a cluster, and writes all of it to `SWARM_E2E_LOGS` if that is set.
pub fn print(id: &str, timeline: &Timeline, machines: &[Machine]) {
    let timeline = timeline.render();
    let mut text = format!("\n==== cluster {id}: what the test did (UTC)\n{timeline}");
    for machine in machines {
        text += &format!("\n==== machine {}: end of the console\n{}", machine.name(), machine.console_tail());
        for (title, args) in [
            ("journal of swarm-agent", ["--unit=swarm-agent*", "--lines=80"]),
            ("journal of docker", ["--unit=docker", "--lines=25"]),
            ("warnings", ["--priority=warning", "--lines=40"]),
        ] {
            text += &format!("\n==== machine {}: {title}\n{}", machine.name(), shorten(&journal(machine, &args)));
        }
    }
    // As the test runner expects it: with the test's own captured output.
    eprintln!("{text}");
    if let Some(folder) = std::env::var_os("SWARM_E2E_LOGS") {
        let folder = PathBuf::from(folder).join(id);
        match save(&folder, &timeline, machines) {
            Ok(()) => eprintln!("==== all logs are in {}", folder.display()),
            Err(e) => eprintln!("==== failed to save the logs in {}: {e}", folder.display()),
        }
    }
}

/// The same for a virtual machine, whose journal is read by asking it.
pub fn print_vm(id: &str, console: &str, journal: impl Fn(&str) -> String) {
    let mut text = format!("\n==== virtual machine of {id}: end of the console\n{console}");
    for (title, args) in [
        ("journal of swarm-agent", "--unit='swarm-*' --lines=80"),
        ("journal of docker", "--unit=docker --lines=25"),
        ("warnings", "--priority=warning --lines=40"),
    ] {
        text += &format!("\n==== virtual machine: {title}\n{}", shorten(&journal(args)));
    }
    eprintln!("{text}");
    if let Some(folder) = std::env::var_os("SWARM_E2E_LOGS") {
        let folder = PathBuf::from(folder).join(id);
        let saved = fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join("vm.journal.txt"), journal("")));
        if let Err(e) = saved {
            eprintln!("==== failed to save the journal in {}: {e}", folder.display());
        }
    }
}

fn save(folder: &Path, timeline: &str, machines: &[Machine]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("timeline.txt"), timeline)?;
    for machine in machines {
        fs::write(folder.join(format!("{}.journal.txt", machine.name())), journal(machine, &[]))?;
        fs::copy(machine.dir().console(), folder.join(format!("{}.console.txt", machine.name())))?;
    }
    Ok(())
}

/// From inside if the machine is on, else from its disk. Never an error: this is for a test that failed already.
fn journal(machine: &Machine, args: &[&str]) -> String {
    let mut command = match machine.leader() {
        Ok(leader) => {
            let mut command = crate::exec::enter(leader.as_raw());
            command.arg("journalctl");
            command
        }
        Err(_) => {
            let mut command = std::process::Command::new("journalctl");
            command.arg("--directory").arg(machine.dir().disk().upper().join("var/log/journal"));
            command
        }
    };
    command.args(["--no-pager", "--output=short-precise"]).args(args);
    match run_bounded(command, PATIENCE, crate::exec::kill_entered) {
        Ok(out) => format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr)),
        Err(e) => format!("failed to read the journal: {e:#}\n"),
    }
}

/// Long lines, of which engines write many, hide the others. All of them are in `SWARM_E2E_LOGS`.
fn shorten(text: &str) -> String {
    let cut = |line: &str| match line.char_indices().nth(240) {
        Some((at, _)) => format!("{}…\n", &line[..at]),
        None => format!("{line}\n"),
    };
    text.lines().map(cut).collect()
}

/// The last lines of a text.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].iter().map(|l| format!("{l}\n")).collect()
}
