//! The other side of the machine's hardware: its power, by qemu's QMP.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::wire::Wire;

const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Monitor(Mutex<State>);

#[derive(Debug)]
struct State {
    wire: Wire,
    /// Events that came while something else was waited for.
    events: Vec<String>,
}

impl Monitor {
    pub fn connect(path: &Path) -> Result<Self> {
        let monitor = Self(Mutex::new(State { wire: Wire::connect(path)?, events: Vec::new() }));
        monitor.execute("qmp_capabilities")?;
        Ok(monitor)
    }

    pub fn execute(&self, command: &str) -> Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.wire.send(&json!({ "execute": command }).to_string())?;
        let State { wire, events } = &mut *state;
        let answer = wire.next(&format!("the answer to {command}"), TIMEOUT, |line| {
            let message: Value = serde_json::from_str(line).ok()?;
            events.extend(event(&message));
            ["return", "error"].iter().any(|key| message.get(key).is_some()).then_some(message)
        })?;
        match answer.get("error") {
            Some(error) => bail!("qemu refuses {command}: {error}"),
            None => Ok(()),
        }
    }

    /// Waits for an event, unless it came already. Each is told once.
    pub fn wait_event(&self, name: &str, timeout: Duration) -> Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = state.events.iter().position(|event| event == name) {
            state.events.remove(index);
            return Ok(());
        }
        let State { wire, events } = &mut *state;
        wire.next(&format!("the event {name}"), timeout, |line| {
            let seen = serde_json::from_str(line).ok().as_ref().and_then(event)?;
            if seen == name {
                return Some(());
            }
            events.push(seen);
            None
        })
    }
}

fn event(message: &Value) -> Option<String> {
    message.get("event")?.as_str().map(str::to_owned)
}
