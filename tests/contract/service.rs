//! A real server as a process that is started, restarted, halted and ended.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub struct Service {
    child: Mutex<Child>,
    /// Makes the command anew, with the same port and the same data.
    command: Box<dyn Fn() -> Command + Send + Sync>,
}

impl Service {
    /// Its output is thrown away; a server that does not come up is told by whoever waits for it.
    pub fn start(command: impl Fn() -> Command + Send + Sync + 'static) -> io::Result<Self> {
        let child = spawn(command())?;
        Ok(Self { child: Mutex::new(child), command: Box::new(command) })
    }

    /// Ends it in an orderly way, and starts it again. The new one may not answer yet.
    pub fn restart(&self) -> io::Result<()> {
        let mut child = self.child();
        signal(&child, Signal::SIGTERM)?;
        child.wait()?;
        *child = spawn((self.command)())?;
        Ok(())
    }

    /// Stands still, and keeps its connections.
    pub fn pause(&self) -> io::Result<()> {
        signal(&self.child(), Signal::SIGSTOP)
    }

    pub fn resume(&self) -> io::Result<()> {
        signal(&self.child(), Signal::SIGCONT)
    }

    /// As a power cut would.
    pub fn kill(&self) -> io::Result<()> {
        let mut child = self.child();
        child.kill()?;
        child.wait().map(drop)
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let mut child = self.child();
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn spawn(mut command: Command) -> io::Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

fn signal(child: &Child, signal: Signal) -> io::Result<()> {
    let pid = child.id().try_into().map_err(io::Error::other)?;
    kill(Pid::from_raw(pid), signal).map_err(Into::into)
}
