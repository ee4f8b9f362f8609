//! A socket of qemu's on which both sides talk in lines.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

#[derive(Debug)]
pub struct Wire {
    out: UnixStream,
    lines: Receiver<String>,
}

impl Wire {
    pub fn connect(path: &Path) -> Result<Self> {
        let out = UnixStream::connect(path).with_context(|| format!("failed to connect to {}", path.display()))?;
        let reader = BufReader::new(out.try_clone()?);
        let (sender, lines) = channel();
        // Ends with qemu, or with the receiver at the next line.
        thread::spawn(move || {
            for line in reader.lines().map_while(std::io::Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { out, lines })
    }

    pub fn send(&mut self, line: &str) -> Result<()> {
        self.out.write_all(format!("{line}\n").as_bytes()).context("failed to write to the virtual machine")
    }

    /// The first line for which `wanted` has a value; the others are passed over.
    pub fn next<T>(&mut self, what: &str, timeout: Duration, mut wanted: impl FnMut(&str) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(value) = wanted(&line) {
                        return Ok(value);
                    }
                }
                Err(RecvTimeoutError::Timeout) => bail!("waited {timeout:.0?} for {what} of the virtual machine"),
                Err(RecvTimeoutError::Disconnected) => bail!("qemu has ended; it was asked for {what}"),
            }
        }
    }
}
