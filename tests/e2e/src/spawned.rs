//! A long-running command in a machine.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::Pid;

use crate::exec::kill_entered;
use crate::process;

/// Killed when dropped.
#[derive(Debug)]
pub struct Spawned {
    child: Child,
    shown: String,
}

impl Spawned {
    pub(crate) fn start(mut command: Command, shown: String) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let child = command.spawn().with_context(|| format!("failed to start `{shown}`"))?;
        Ok(Self { child, shown })
    }

    /// Its standard output, once.
    pub fn stdout(&mut self) -> Result<ChildStdout> {
        self.child.stdout.take().with_context(|| format!("the output of `{}` was taken before", self.shown))
    }

    /// Its standard input, once.
    pub fn stdin(&mut self) -> Result<ChildStdin> {
        self.child.stdin.take().with_context(|| format!("the input of `{}` was taken before", self.shown))
    }

    /// The lines of its standard output; each call of `next` waits for one.
    pub fn lines(&mut self) -> Result<impl Iterator<Item = std::io::Result<String>> + use<>> {
        Ok(BufReader::new(self.stdout()?).lines())
    }

    /// The command's own process, as the host numbers it; `None` when it has ended or not begun.
    pub fn pid(&self) -> Option<Pid> {
        process::children(self.child.id()).first().copied()
    }

    /// Its status, or `None` if it is still running at the deadline.
    pub fn wait(&mut self, timeout: Duration) -> Result<Option<ExitStatus>> {
        process::wait_bounded(&mut self.child, timeout)
    }

    pub fn kill(&mut self) -> Result<()> {
        kill_entered(&mut self.child);
        // It can be between its birth and that of its child; a second look is then enough.
        while self.wait(Duration::from_millis(50))?.is_none() {
            kill_entered(&mut self.child);
        }
        Ok(())
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        // Nobody is left to tell; and the machine's end would end it too.
        let _ = self.kill();
    }
}
