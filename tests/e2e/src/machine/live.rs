//! What the supervisor says, kept for whoever waits for it.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::helper::Event;
use crate::store::State;

#[derive(Debug, Default)]
pub struct Live {
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Now {
    pub state: State,
    /// Whether there is a supervisor.
    pub on: bool,
}

impl Live {
    /// Of a machine that was on before.
    pub fn after(state: State) -> Self {
        Self { now: Mutex::new(Now { state, on: false }), changed: Condvar::default() }
    }

    pub fn boot_count(&self) -> u32 {
        self.now().state.boot
    }

    pub fn leader(&self, name: &str) -> Result<i32> {
        match self.now().state.leader {
            Some(leader) => Ok(leader.pid),
            None => bail!("machine {name} is off"),
        }
    }

    pub fn is_on(&self) -> bool {
        self.now().on
    }

    /// Called before the supervisor is started, so that nobody takes the last end for this one's.
    pub fn starting(&self) {
        self.change(|now| {
            now.on = true;
            now.state = State { boot: now.state.boot, ..State::default() };
        });
    }

    /// Reads the supervisor's events to their end.
    pub fn read(&self, events: impl Read) {
        for line in BufReader::new(events).lines().map_while(std::io::Result::ok) {
            if let Ok(event) = serde_json::from_str(&line) {
                self.change(|now| apply(&mut now.state, event));
            }
        }
        self.change(|now| now.on = false);
    }

    /// Waits for `done`. The last state is the error's, or what `Err` of `done` says.
    pub fn wait<T>(&self, what: &str, timeout: Duration, mut done: impl FnMut(&Now) -> Result<Option<T>>) -> Result<T> {
        let deadline = Instant::now() + timeout;
        let mut now = self.now();
        loop {
            if let Some(value) = done(&now)? {
                return Ok(value);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("waited {timeout:.1?} for {what}; the machine's state: {:?}", *now);
            }
            now = self.changed.wait_timeout(now, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, how: impl FnOnce(&mut Now)) {
        how(&mut self.now());
        self.changed.notify_all();
    }
}

fn apply(state: &mut State, event: Event) {
    match event {
        Event::Boot(boot) => *state = State { boot, ..State::default() },
        Event::Leader(leader) => state.leader = Some(leader),
        Event::Ready => state.ready = true,
        Event::Exit(code) => *state = State { boot: state.boot, exit: Some(code), ..State::default() },
    }
}
