//! `swarm-agent watch`: the nodes of a cluster as they come and go.

mod voice;

use super::discovery_args::DiscoveryArgs;
use super::exit::Failure;
use super::list_format::{FormatArgs, Shape};
use crate::model::Listing;
use crate::policy::watch::{Event, Watch as Policy};
use crate::service::errands::Errands;
use crate::service::publisher::Publisher;
use crate::service::runner::{Output, Runner};
use crate::service::watcher::Watcher;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior, interval};
use voice::{Line, Voice};

/// Print the nodes of a cluster as they come and go
#[derive(clap::Args)]
#[command(long_about = "Print the nodes of a cluster as they come and go, until SIGINT or SIGTERM.

    $ swarm-agent watch http://disco.example:8970/v1/clusters/TOKEN
    2026-11-23T07:13:03Z = 10.0.0.5:2375          # there when the watch began
    2026-11-23T07:13:42Z + 10.0.0.6:2375          # came
    2026-11-23T07:15:01Z - 10.0.0.5:2375          # left

While the list can't be read, the last one stands: each error of an outage is said once, since when the list is stale, \
and after how long it can be read again; all this on stderr. With --json each line is an object with time and event: \
list (nodes), join (node), leave (node), skipped (entry, reason), error (error), stale (since), recovered (nodes, \
since, seconds), exec (code, signal, error), write (error). list and recovered carry the whole list, so a consumer that starts \
anew at each of them misses nothing. Nothing is ever written to the discovery service.

    $ swarm-agent watch --quiet --exec ./update-balancer --all
    $ swarm-agent watch --quiet --write-file nodes.json --format prometheus-file-sd --port 9100

--exec runs a command for the first list and for each change, with the current list on its stdin: an address a line, or \
what --format says (with --json an array). Everything behind --exec is the command, also behind a first --; it is no \
line for a shell, but sh -c '…' is a command. One run is made at a time, and what changes meanwhile is one more run with the newest list. A run \
that fails is said and does not end the watch; there is no time limit (timeout 60 CMD has one). What it prints goes \
where our lines go, with --json to stderr. At the end of the watch it gets SIGTERM, with all its process group, and SIGKILL 10s later.

--write-file keeps a file at the current list, written to a file beside it and renamed, and only if it says something \
else; in an outage it stays. With both, the command is run when the file is written. Lines that nobody takes hold up \
everything: --quiet is for where only the file or the command matters.")]
pub struct Watch {
    #[command(flatten)]
    cluster: DiscoveryArgs,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Print no lines for nodes; what goes wrong is still said on stderr
    #[arg(long, short)]
    quiet: bool,
    /// Read the list this often where the discovery service can't tell of changes, at least 100ms
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = pace)]
    interval: Duration,
    /// Keep this file at the current list
    #[arg(long, value_name = "PATH")]
    write_file: Option<PathBuf>,
    #[command(flatten)]
    format: FormatArgs,
    /// Run this for the first list and for each change, with the list on stdin; the last option, with its arguments
    #[arg(long, value_name = "CMD", num_args = 1.., allow_hyphen_values = true)]
    exec: Vec<OsString>,
}

/// Between two looks whether anybody still reads.
const LOOK: Duration = Duration::from_secs(1);

fn pace(text: &str) -> Result<Duration, String> {
    let range = Duration::from_millis(100)..=Duration::from_secs(24 * 3600);
    let interval = super::positive_duration(text)?;
    if range.contains(&interval) { Ok(interval) } else { Err("from 100ms to 1d are possible".to_owned()) }
}

impl Watch {
    pub fn run(self) -> Result<(), Failure> {
        let shape = self.format.shape(self.json)?;
        if self.format.given() && self.write_file.is_none() && self.exec.is_empty() {
            return Err(Failure::usage("--format and --port are for --write-file and --exec".to_owned()));
        }
        let voice = Voice { json: self.json, quiet: self.quiet };
        let runner = runner(self.exec, voice)?;
        let watcher = Watcher::new(self.cluster.open()?, Policy::new(self.interval));
        let runtime = super::runtime()?;
        let errands = Errands::new(self.write_file.map(Publisher::new), runner);
        let outcome = runtime.block_on(watch(Session { watcher, errands, shape, voice }));
        // a reader that takes nothing, or a file that hangs, does not hold the end up
        runtime.shutdown_background();
        outcome
    }
}

fn runner(command: Vec<OsString>, voice: Voice) -> Result<Option<Runner>, Failure> {
    if command.is_empty() {
        return Ok(None);
    }
    let output = if voice.json && !voice.quiet { Output::Stderr } else { Output::Ours };
    let separated = usize::from(command[0] == "--");
    let mut words = command.into_iter().skip(separated);
    let program = words.next().ok_or_else(|| Failure::usage("--exec: there is no command behind --".to_owned()))?;
    Ok(Some(Runner::new(program, words.collect(), output)))
}

async fn watch(mut session: Session) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::other)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::other)?;
    // Cancel-safe: whichever ends first ends the command.
    let outcome = tokio::select! {
        outcome = session.follow() => outcome,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    // Cancel-safe: a second signal is for who has no patience, and what still runs is killed.
    tokio::select! {
        () = session.errands.end() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    outcome
}

struct Session {
    watcher: Watcher,
    errands: Errands,
    /// How a list is handed on.
    shape: Shape,
    voice: Voice,
}

impl Session {
    /// Returns when nobody reads any more.
    async fn follow(&mut self) -> Result<(), Failure> {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Some(events) = self.events(&mut looks).await? {
            if events.iter().any(|event| matches!(event, Event::List(_) | Event::Join(_) | Event::Leave(_))) {
                self.errands.changed(self.list().into());
            }
            if !say(self.voice.events(&events, |moment| self.watcher.date(moment))).await? {
                break;
            }
        }
        Ok(())
    }

    /// The next events, often none; None when nobody reads any more.
    async fn events(&mut self, looks: &mut Interval) -> Result<Option<Vec<Event>>, Failure> {
        let Self { watcher, errands, voice, .. } = self;
        // one call to the service, whatever happens meanwhile
        let next = watcher.next();
        tokio::pin!(next);
        loop {
            // Cancel-safe: `next` is kept, errands go on without being waited for, and a look is made again.
            tokio::select! {
                events = &mut next => return Ok(Some(events)),
                done = errands.next() => if !say(voice.done(&done)).await? { return Ok(None) },
                _ = looks.tick(), if !voice.quiet => if super::deserted() { return Ok(None) },
            }
        }
    }

    fn list(&self) -> String {
        let nodes = self.watcher.nodes().into_iter().flatten().cloned().collect();
        self.shape.write(&Listing { nodes, ..Listing::default() }, false)
    }
}

/// Whether anybody still reads. On a thread of its own: a reader that takes nothing must not keep signals from being
/// heard.
async fn say(lines: Vec<Line>) -> Result<bool, Failure> {
    if lines.is_empty() {
        return Ok(true);
    }
    let writing = move || {
        let results = lines.iter().any(|line| matches!(line, Line::Result(_)));
        for line in lines {
            match line {
                Line::Result(text) => super::print(&text)?,
                Line::Remark(text) => super::remark(&text),
            }
        }
        Ok(!(results && super::deserted()))
    };
    tokio::task::spawn_blocking(writing).await.map_err(Failure::other)?
}
