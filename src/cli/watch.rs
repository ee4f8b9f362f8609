//! `swarm-agent watch`: the nodes of a cluster as they come and go.

use super::discovery_args::DiscoveryArgs;
use super::exit::Failure;
use crate::model::NodeAddress;
use crate::policy::watch::{Event, Watch as Policy};
use crate::service::watcher::Watcher;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};
use tokio::signal::unix::{SignalKind, signal};

/// Print the nodes of a cluster as they come and go
#[derive(clap::Args)]
#[command(long_about = "Print the nodes of a cluster as they come and go, until SIGINT or SIGTERM.

    $ swarm-agent watch http://disco.example:8970/v1/clusters/TOKEN
    2026-11-23T07:13:03Z = 10.0.0.5:2375          # there when the watch began
    2026-11-23T07:13:42Z + 10.0.0.6:2375          # came
    2026-11-23T07:15:01Z - 10.0.0.5:2375          # left

While the list can't be read, the last one stands: the error is said once (on stderr), and so is the recovery. \
With --json each line is an object with time and event: list (nodes), join (node), leave (node), skipped (entry, \
reason), error (error), recovered (nodes). list and recovered carry the whole list, so a consumer that starts anew at \
each of them misses nothing. Nothing is ever written to the discovery service.")]
pub struct Watch {
    #[command(flatten)]
    cluster: DiscoveryArgs,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// Read the list this often, at least 100ms
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    interval: Duration,
}

fn interval(text: &str) -> Result<Duration, String> {
    let range = Duration::from_millis(100)..=Duration::from_secs(24 * 3600);
    let interval = super::positive_duration(text)?;
    if range.contains(&interval) { Ok(interval) } else { Err("from 100ms to 1d are possible".to_owned()) }
}

impl Watch {
    pub fn run(self) -> Result<(), Failure> {
        let watcher = Watcher::new(self.cluster.open()?, Policy::new(self.interval));
        let runtime = super::runtime()?;
        let outcome = runtime.block_on(watch(watcher, self.json));
        // a reader that takes nothing, or a file that hangs, does not hold the end up
        runtime.shutdown_background();
        outcome
    }
}

async fn watch(mut watcher: Watcher, json: bool) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::other)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::other)?;
    let following = async {
        loop {
            let events = watcher.next().await;
            if say(events, json).await?.is_break() {
                return Ok(());
            }
        }
    };
    // Cancel-safe: whichever ends first ends the command.
    tokio::select! {
        outcome = following => outcome,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// Breaks when nobody reads any more. On a thread of its own: a reader that takes nothing must not keep
/// signals from being heard.
async fn say(events: Vec<Event>, json: bool) -> Result<ControlFlow<()>, Failure> {
    let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let writing = move || {
        for event in &events {
            if json { print_line(&format!("{}\n", object(event, &time))) } else { print_text(event, &time) }?;
        }
        Ok(if super::deserted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    tokio::task::spawn_blocking(writing).await.map_err(Failure::other)?
}

fn print_line(text: &str) -> Result<(), Failure> {
    if text.is_empty() { Ok(()) } else { super::print(text) }
}

fn print_text(event: &Event, time: &str) -> Result<(), Failure> {
    match event {
        Event::List(nodes) => print_line(&nodes.iter().map(|node| format!("{time} = {node}\n")).collect::<String>()),
        Event::Join(node) => print_line(&format!("{time} + {node}\n")),
        Event::Leave(node) => print_line(&format!("{time} - {node}\n")),
        Event::Skipped(entry) => {
            super::remark(&format!("{time} warning: skipped an entry: {entry}"));
            Ok(())
        }
        Event::Error(error) => {
            super::remark(&format!("{time} error: {error}; the last list stands, trying again"));
            Ok(())
        }
        Event::Recovered(nodes) => {
            super::remark(&format!("{time} recovered: {} in the list", count(nodes)));
            Ok(())
        }
    }
}

fn count(nodes: &[NodeAddress]) -> String {
    format!("{} node{}", nodes.len(), if nodes.len() == 1 { "" } else { "s" })
}

fn object(event: &Event, time: &str) -> Value {
    match event {
        Event::List(nodes) => json!({ "time": time, "event": "list", "nodes": nodes }),
        Event::Join(node) => json!({ "time": time, "event": "join", "node": node }),
        Event::Leave(node) => json!({ "time": time, "event": "leave", "node": node }),
        Event::Skipped(skipped) => {
            json!({ "time": time, "event": "skipped", "entry": skipped.entry, "reason": skipped.why })
        }
        Event::Error(error) => json!({ "time": time, "event": "error", "error": error }),
        Event::Recovered(nodes) => json!({ "time": time, "event": "recovered", "nodes": nodes }),
    }
}
