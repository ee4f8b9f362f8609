//! Commands inside a machine, by entering the namespaces of its PID 1.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};

use crate::process::{self, Finished, run_bounded};

/// A command that will run in the machine with this leader. It is outside of the machine's units and their limits: use
/// systemd-run inside for whatever should have those.
pub fn enter(leader: i32) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &leader.to_string(), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"]);
    command.args(["/usr/bin/env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]);
    command.args(["HOME=/root", "LANG=C.UTF-8"]);
    command
}

/// How a command ended and what it said.
#[derive(Debug, Clone)]
pub struct Output {
    pub command: String,
    /// The exit status, or 128 and the number of the signal.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// Standard output, or an error with everything there is to know.
    pub fn ok(self) -> Result<String> {
        if !self.success() {
            bail!(
                "`{}` ended with {}\n  stdout: {}\n  stderr: {}",
                self.command,
                self.status,
                self.stdout.trim(),
                self.stderr.trim()
            );
        }
        Ok(self.stdout)
    }

    fn new(command: String, finished: Finished) -> Self {
        let status = finished.status;
        Self {
            command,
            status: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
            stdout: String::from_utf8_lossy(&finished.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&finished.stderr).into_owned(),
        }
    }
}

/// Runs a command in the machine to its end, or kills it at the deadline.
pub fn run<S: AsRef<OsStr>>(leader: i32, args: &[S], stdin: Stdio, timeout: Duration) -> Result<Output> {
    let shown = args.iter().map(|a| a.as_ref().to_string_lossy()).collect::<Vec<_>>().join(" ");
    let mut command = enter(leader);
    command.args(args).stdin(stdin);
    let finished = run_bounded(command, timeout, kill_entered).with_context(|| format!("failed to run `{shown}`"))?;
    Ok(Output::new(shown, finished))
}

/// Writes what a host file holds to a file of the machine, all or nothing, and makes the folders above it.
pub fn install(leader: i32, from: File, path: &str, mode: u32, timeout: Duration) -> Result<()> {
    let args = ["sh", "-ec", INSTALL, "sh", path, &format!("{mode:o}")];
    let output = run(leader, &args, Stdio::from(from), timeout)?;
    output.ok().map(drop).with_context(|| format!("failed to write {path}"))
}

const INSTALL: &str = r#"
new="$1.new~"
mkdir -p "$(dirname "$1")"
cat > "$new"
chmod "$2" "$new"
mv -T "$new" "$1"
"#;

/// Copies a host file into a machine, with its mode.
pub fn copy_in(leader: i32, from: &Path, path: &str, timeout: Duration) -> Result<()> {
    let file = File::open(from).with_context(|| format!("failed to open {}", from.display()))?;
    let meta = file.metadata()?;
    ensure!(meta.is_file(), "{} is no plain file", from.display());
    install(leader, file, path, meta.permissions().mode() & 0o7777, timeout)
}

/// Kills what runs inside. To kill nsenter alone would leave its child running in the machine.
pub fn kill_entered(nsenter: &mut Child) {
    for inner in process::children(nsenter.id()) {
        let _ = kill(inner, Signal::SIGKILL);
    }
    if process::children(nsenter.id()).is_empty() {
        let _ = nsenter.kill();
    }
}
