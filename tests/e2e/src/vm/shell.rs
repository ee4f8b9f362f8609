//! Scripts in the machine, through the service vm-shell at the other end of a virtual serial line. It needs no network
//! and no clock, and a suspend leaves it alone.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;

use super::wire::Wire;
use crate::exec::Output;

/// On top of what the script may take.
const GRACE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Shell(Mutex<State>);

#[derive(Debug)]
struct State {
    wire: Wire,
    sent: u32,
}

impl Shell {
    pub fn connect(path: &Path) -> Result<Self> {
        Ok(Self(Mutex::new(State { wire: Wire::connect(path)?, sent: 0 })))
    }

    /// Waits until the machine has come as far as to listen.
    pub fn wait_ready(&self, timeout: Duration) -> Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.wire.next("the shell", timeout, |line| (line == "ready").then_some(()))
    }

    /// Runs a script with `bash -e` to its end, or until `timeout` by the machine's clock.
    pub fn run(&self, script: &str, timeout: Duration) -> Result<Output> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.sent += 1;
        let number = state.sent.to_string();
        let line = format!("{number} {} {}", timeout.as_secs().max(1), BASE64.encode(script));
        state.wire.send(&line)?;
        let what = format!("the end of `{script}`");
        let answer = state
            .wire
            .next(&what, timeout + GRACE, |line| line.strip_prefix(&number)?.strip_prefix(' ').map(str::to_owned))?;
        let mut parts = answer.split(' ');
        let mut part = || parts.next().context("the machine's shell said less than it should");
        let (status, stdout, stderr) = (part()?.parse()?, text(part()?)?, text(part()?)?);
        Ok(Output { command: script.to_owned(), status, stdout, stderr })
    }
}

fn text(coded: &str) -> Result<String> {
    let bytes = BASE64.decode(coded).context("the machine's shell said what is no base64")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
