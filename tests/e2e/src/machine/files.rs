//! Files of a machine that is on. They go through a command inside, because a path of the machine means something else to
//! the host wherever an absolute link is on the way. [`Builder`](super::Builder) puts files on a disk before the boot.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::{COMMAND_TIMEOUT, Machine};
use crate::exec;

impl Machine {
    /// Writes a file (mode 644), and the folders above it.
    pub fn write(&self, path: &str, contents: impl AsRef<[u8]>) -> Result<()> {
        self.write_mode(path, 0o644, contents)
    }

    pub fn write_mode(&self, path: &str, mode: u32, contents: impl AsRef<[u8]>) -> Result<()> {
        self.note(format!("write {path}"));
        let mut spool = self.spool()?;
        spool.write_all(contents.as_ref())?;
        spool.seek(SeekFrom::Start(0))?;
        exec::install(self.leader()?.as_raw(), spool, path, mode, COMMAND_TIMEOUT)
            .with_context(|| format!("on machine {}", self.name()))
    }

    /// Copies a host file in, with its mode.
    pub fn copy_in(&self, from: impl AsRef<Path>, path: &str) -> Result<()> {
        self.note(format!("copy {} to {path}", from.as_ref().display()));
        exec::copy_in(self.leader()?.as_raw(), from.as_ref(), path, COMMAND_TIMEOUT)
            .with_context(|| format!("on machine {}", self.name()))
    }

    pub fn read(&self, path: &str) -> Result<String> {
        self.ok(["cat", "--", path])
    }

    pub fn exists(&self, path: &str) -> Result<bool> {
        Ok(self.run(["test", "-e", path])?.success())
    }

    /// Removes a file or a folder with all in it; nothing there is fine.
    pub fn remove(&self, path: &str) -> Result<()> {
        self.ok(["rm", "-rf", "--", path]).map(drop)
    }

    /// A file without a name, as standard input for a command: unlike a pipe it never blocks the writer.
    fn spool(&self) -> Result<File> {
        let flags = OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let fd =
            open(self.dir().path(), flags, Mode::S_IRUSR | Mode::S_IWUSR).context("failed to make a temporary file")?;
        Ok(File::from(fd))
    }
}
