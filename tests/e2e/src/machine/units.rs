//! Its units and its journal.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Machine;
use crate::exec::Output;
use crate::journal::{Cursor, Follower, JournalEntry};
use crate::process;
use crate::unit::UnitProps;
use crate::wait::wait_for_every;

impl Machine {
    pub fn systemctl<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Result<Output> {
        self.run(std::iter::once("systemctl").chain(args))
    }

    /// All properties of a unit, now.
    pub fn unit(&self, unit: &str) -> Result<UnitProps> {
        // Not through `run`: looks that are repeated would fill the timeline.
        let args = ["systemctl", "show", "--", unit];
        let output =
            crate::exec::run(self.leader()?.as_raw(), &args, std::process::Stdio::null(), Duration::from_secs(30))?;
        Ok(UnitProps::parse(&output.ok()?))
    }

    /// Looks every 30 ms until `wanted` is content with the unit.
    pub fn wait_unit(&self, unit: &str, timeout: Duration, wanted: impl Fn(&UnitProps) -> bool) -> Result<UnitProps> {
        let what = format!("the wanted state of {unit} on machine {}", self.name());
        wait_for_every(Duration::from_millis(30), &what, timeout, || match self.unit(unit) {
            Ok(props) if wanted(&props) => Ok(props),
            Ok(props) => Err(props.to_string()),
            Err(e) => Err(format!("{e:#}")),
        })
        .with_context(|| format!("the journal of {unit} ends:\n{}", self.unit_tail(unit)))
    }

    /// The main process of a unit, as the host numbers it.
    pub fn main_pid(&self, unit: &str) -> Result<Pid> {
        let props = self.unit(unit)?;
        if props.main_pid() <= 1 {
            bail!("{unit} on machine {} has no main process: {props}", self.name());
        }
        process::host_pid(self.leader()?.as_raw(), props.main_pid())
    }

    /// Sends a signal to the main process of a unit, past systemd.
    pub fn signal(&self, unit: &str, signal: Signal) -> Result<()> {
        let pid = self.main_pid(unit)?;
        self.note(format!("{signal} to {unit}"));
        kill(pid, signal).with_context(|| format!("failed to send {signal} to {unit}"))
    }

    /// What a unit wrote since this boot, and what systemd wrote about it.
    pub fn journal(&self, unit: &str) -> Result<Vec<JournalEntry>> {
        self.journal_query(&["--boot", "--unit", unit])
    }

    pub fn journal_since(&self, unit: &str, cursor: &Cursor) -> Result<Vec<JournalEntry>> {
        self.journal_query(&["--unit", unit, "--after-cursor", &cursor.0])
    }

    /// Entries by journalctl's own options and matches, after everything said so far has been written.
    pub fn journal_query(&self, args: &[&str]) -> Result<Vec<JournalEntry>> {
        self.ok(["journalctl", "--sync"])?;
        let options = ["journalctl", "--quiet", "--output=json", "--all", "--no-pager"];
        let output = self.run(options.iter().chain(args))?;
        // With nothing to print, some releases end with 1.
        if !output.success() && !output.stderr.trim().is_empty() {
            output.ok()?;
            return Ok(Vec::new());
        }
        JournalEntry::parse_all(&output.stdout)
    }

    /// The place after the newest entry: what [`Machine::journal_since`] and [`Machine::follow`] get with it is new.
    pub fn cursor(&self) -> Result<Cursor> {
        let last = self.journal_query(&["--lines=1"])?;
        last.last()
            .and_then(JournalEntry::cursor)
            .with_context(|| format!("the journal of machine {} is empty", self.name()))
    }

    /// The entries of a unit as they come: those after `cursor`, or all of this boot.
    pub fn follow(&self, unit: &str, cursor: Option<&Cursor>) -> Result<Follower> {
        let mut args = vec!["journalctl", "--quiet", "--output=json", "--all", "--follow", "--no-tail", "--unit", unit];
        match cursor {
            Some(cursor) => args.extend(["--after-cursor", &cursor.0]),
            None => args.push("--boot"),
        }
        Follower::new(self.spawn(args)?)
    }

    /// Waits for an entry of a unit in this boot, which may be there already.
    pub fn wait_journal(
        &self,
        unit: &str,
        timeout: Duration,
        wanted: impl FnMut(&JournalEntry) -> bool,
    ) -> Result<JournalEntry> {
        self.follow(unit, None)?.next(timeout, wanted).with_context(|| format!("{unit} on machine {}", self.name()))
    }

    /// Waits for an entry of a unit that is newer than `cursor`.
    pub fn wait_journal_since(
        &self,
        unit: &str,
        cursor: &Cursor,
        timeout: Duration,
        wanted: impl FnMut(&JournalEntry) -> bool,
    ) -> Result<JournalEntry> {
        self.follow(unit, Some(cursor))?
            .next(timeout, wanted)
            .with_context(|| format!("{unit} on machine {}", self.name()))
    }

    fn unit_tail(&self, unit: &str) -> String {
        let output = self.run(["journalctl", "--no-pager", "--boot", "--lines=20", "--unit", unit]);
        output.map_or_else(|e| format!("{e:#}"), |o| o.stdout)
    }
}
