//! Running things in it.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{COMMAND_TIMEOUT, Machine};
use crate::exec::{self, Output};
use crate::spawned::Spawned;

impl Machine {
    /// Runs a command to its end, outside of the machine's units. An error means that it could not be run or did not end
    /// within two minutes; how it ended is in the output.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Output> {
        self.run_within(COMMAND_TIMEOUT, args)
    }

    pub fn run_within<S: AsRef<OsStr>>(&self, timeout: Duration, args: impl IntoIterator<Item = S>) -> Result<Output> {
        let args: Vec<S> = args.into_iter().collect();
        self.run_with_input(&args, Stdio::null(), timeout)
    }

    /// Standard output of a command that must succeed.
    pub fn ok<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<String> {
        self.run(args)?.ok().with_context(|| format!("on machine {}", self.name()))
    }

    /// A shell script that must succeed (`sh -ec`); its standard output.
    pub fn sh(&self, script: &str) -> Result<String> {
        self.ok(["sh", "-ec", script])
    }

    /// Starts a command and lets it run; see [`Spawned`].
    pub fn spawn<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Spawned> {
        let args: Vec<S> = args.into_iter().collect();
        let shown = shown(&args);
        self.note(format!("spawn {shown}"));
        let mut command = exec::enter(self.leader()?.as_raw());
        command.args(&args);
        Spawned::start(command, shown)
    }

    /// Starts a transient service `unit`, in the machine's own cgroups; comes back when it is started.
    pub fn systemd_run<S: AsRef<OsStr>>(&self, unit: &str, args: impl IntoIterator<Item = S>) -> Result<String> {
        let unit = format!("--unit={unit}");
        let mut all = vec!["systemd-run".into(), "--quiet".into(), "--collect".into(), unit.into(), "--".into()];
        all.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self.ok::<std::ffi::OsString>(all)
    }

    /// Runs a command as a transient service with these properties (such as `User=nobody`) to its end.
    pub fn systemd_run_wait<S: AsRef<OsStr>>(
        &self,
        properties: &[&str],
        args: impl IntoIterator<Item = S>,
    ) -> Result<Output> {
        let mut all: Vec<std::ffi::OsString> =
            ["systemd-run", "--quiet", "--wait", "--pipe", "--collect"].map(Into::into).into();
        all.extend(properties.iter().map(|p| format!("--property={p}").into()));
        all.push("--".into());
        all.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self.run(all)
    }

    pub(super) fn run_with_input<S: AsRef<OsStr>>(
        &self,
        args: &[S],
        stdin: Stdio,
        timeout: Duration,
    ) -> Result<Output> {
        let leader = self.leader()?.as_raw();
        let output = exec::run(leader, args, stdin, timeout).with_context(|| format!("on machine {}", self.name()));
        let how = output.as_ref().map_or_else(|_| "no end".to_owned(), |o| o.status.to_string());
        self.note(format!("run {} -> {how}", shown(args)));
        output
    }
}

fn shown<S: AsRef<OsStr>>(args: &[S]) -> String {
    let mut text = args.iter().map(|a| a.as_ref().to_string_lossy()).collect::<Vec<_>>().join(" ").replace('\n', " ");
    if let Some((cut, _)) = text.char_indices().nth(160) {
        text.truncate(cut);
        text.push('…');
    }
    text
}
