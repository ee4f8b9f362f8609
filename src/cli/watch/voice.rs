//! What `watch` prints.

use crate::cli::words::span;
use crate::model::moment::utc;
use crate::model::{Moment, NodeAddress};
use crate::policy::watch::{Event, Outage};
use crate::service::errands::Done;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, SystemTime};

#[derive(Debug, Clone, Copy)]
pub struct Voice {
    pub json: bool,
    /// Nothing goes to stdout.
    pub quiet: bool,
}

/// Of our output, with its newline, or of what is said beside it.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    Result(String),
    Remark(String),
}

impl Voice {
    /// `date` tells when a moment was.
    pub fn events(self, events: &[Event], date: impl Fn(Moment) -> SystemTime) -> Vec<Line> {
        let time = now();
        let line = |event| match (self.json && !self.quiet, self.quiet) {
            (true, _) => Some(object(&time, event_object(event, &date))),
            (false, quiet) => text(event, &time, &date).filter(|line| !(quiet && matches!(line, Line::Result(_)))),
        };
        events.iter().filter_map(line).collect()
    }

    pub fn done(self, done: &Done) -> Vec<Line> {
        let time = now();
        if self.json && !self.quiet {
            return done_object(done).map(|fields| object(&time, fields)).into_iter().collect();
        }
        let text = match done {
            Done::Written { recovered: false } => None,
            Done::Written { recovered: true } => Some("the file is written again".to_owned()),
            Done::NotWritten(error) => Some(format!("warning: the file can't be written: {error}; trying again")),
            Done::Ran(status) if status.success() => None,
            Done::Ran(status) => Some(format!("warning: the command {}", ending(*status))),
            Done::NotRun(error) => Some(format!("warning: the command can't be run: {error}")),
        };
        text.map(|text| Line::Remark(format!("{time} {text}"))).into_iter().collect()
    }
}

fn now() -> String {
    utc(SystemTime::now()).to_string()
}

fn text(event: &Event, time: &str, date: impl Fn(Moment) -> SystemTime) -> Option<Line> {
    let line = match event {
        Event::List(nodes) if nodes.is_empty() => return None,
        Event::List(nodes) => Line::Result(nodes.iter().map(|node| format!("{time} = {node}\n")).collect()),
        Event::Join(node) => Line::Result(format!("{time} + {node}\n")),
        Event::Leave(node) => Line::Result(format!("{time} - {node}\n")),
        Event::Skipped(entry) => Line::Remark(format!("{time} warning: skipped an entry: {entry}")),
        Event::Error(error) => Line::Remark(format!("{time} error: {error}; trying again")),
        Event::Stale { since } => {
            Line::Remark(format!("{time} stale since {}: the last list stands", utc(date(*since))))
        }
        Event::Recovered { nodes, outage: Outage { lasted, .. } } => {
            Line::Remark(format!("{time} recovered after {}: {} in the list", whole(*lasted), count(nodes)))
        }
    };
    Some(line)
}

fn whole(span_of_time: Duration) -> String {
    span(Duration::from_millis(u64::try_from(span_of_time.as_millis()).unwrap_or(u64::MAX)))
}

fn count(nodes: &[NodeAddress]) -> String {
    format!("{} node{}", nodes.len(), if nodes.len() == 1 { "" } else { "s" })
}

fn object(time: &str, mut fields: Value) -> Line {
    fields["time"] = json!(time);
    Line::Result(format!("{fields}\n"))
}

fn event_object(event: &Event, date: impl Fn(Moment) -> SystemTime) -> Value {
    match event {
        Event::List(nodes) => json!({ "event": "list", "nodes": nodes }),
        Event::Join(node) => json!({ "event": "join", "node": node }),
        Event::Leave(node) => json!({ "event": "leave", "node": node }),
        Event::Skipped(skipped) => json!({ "event": "skipped", "entry": skipped.entry, "reason": skipped.why }),
        Event::Error(error) => json!({ "event": "error", "error": error }),
        Event::Stale { since } => json!({ "event": "stale", "since": utc(date(*since)).to_string() }),
        Event::Recovered { nodes, outage } => json!({
            "event": "recovered",
            "nodes": nodes,
            "since": utc(date(outage.since)).to_string(),
            "seconds": outage.lasted.as_secs(),
        }),
    }
}

/// A file is written with each change: that alone is no news.
fn done_object(done: &Done) -> Option<Value> {
    let object = match done {
        Done::Written { recovered: false } => return None,
        Done::Written { recovered: true } => json!({ "event": "write", "error": null }),
        Done::NotWritten(error) => json!({ "event": "write", "error": error.to_string() }),
        Done::Ran(status) => {
            json!({ "event": "exec", "code": status.code(), "signal": signal(*status), "error": null })
        }
        Done::NotRun(error) => json!({ "event": "exec", "code": null, "signal": null, "error": error.to_string() }),
    };
    Some(object)
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), signal(status)) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("was ended by {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// By its name, if it has one.
fn signal(status: ExitStatus) -> Option<String> {
    let number = status.signal()?;
    Some(Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn voice(json: bool, quiet: bool) -> Voice {
        Voice { json, quiet }
    }

    fn date(moment: Moment) -> SystemTime {
        SystemTime::UNIX_EPOCH + moment.since_origin()
    }

    /// What is printed, behind the time; remarks begin with `!`.
    fn said(lines: Vec<Line>) -> Vec<String> {
        let behind_time = |text: &str| text[21..].trim_end().to_owned();
        let line = |line| match line {
            Line::Result(text) if text.starts_with('{') => {
                let mut object: Value = serde_json::from_str(&text).expect("an object");
                object.as_object_mut().and_then(|object| object.remove("time")).expect("a time");
                object.to_string()
            }
            Line::Result(text) => behind_time(&text),
            Line::Remark(text) => format!("!{}", behind_time(&text)),
        };
        lines.into_iter().map(line).collect()
    }

    #[test]
    fn an_outage_says_since_when_and_for_how_long() {
        let since = Moment::after_origin(Duration::from_secs(60));
        let outage = Outage { since, lasted: Duration::from_millis(182_345) };
        let nodes = vec!["a:1".parse().expect("a node")];
        let events = [Event::Error("x".into()), Event::Stale { since }, Event::Recovered { nodes, outage }];
        let texts = [
            "!error: x; trying again",
            "!stale since 1970-01-01T00:01:00Z: the last list stands",
            "!recovered after 3m 2s: 1 node in the list",
        ];
        assert_eq!(said(voice(false, false).events(&events, date)), texts);
        assert_eq!(said(voice(true, true).events(&events, date)), texts, "nothing else may be said");
        let objects = [
            r#"{"error":"x","event":"error"}"#,
            r#"{"event":"stale","since":"1970-01-01T00:01:00Z"}"#,
            r#"{"event":"recovered","nodes":["a:1"],"seconds":182,"since":"1970-01-01T00:01:00Z"}"#,
        ];
        assert_eq!(said(voice(true, false).events(&events, date)), objects);
    }

    #[test]
    fn quiet_is_about_nodes_alone() {
        let node: NodeAddress = "a:1".parse().expect("a node");
        let events = [Event::List(vec![]), Event::Join(node.clone()), Event::Leave(node)];
        assert_eq!(said(voice(false, false).events(&events, date)), ["+ a:1", "- a:1"]);
        assert_eq!(said(voice(false, true).events(&events, date)), [""; 0]);
        assert_eq!(said(voice(true, false).events(&events, date)).len(), 3);
    }

    #[test]
    fn a_run_that_fails_is_said() {
        let ran = |wait_status| Done::Ran(ExitStatus::from_raw(wait_status));
        let cases = [
            (ran(0), "", r#"{"code":0,"error":null,"event":"exec","signal":null}"#),
            (
                ran(3 << 8),
                "!warning: the command exited with 3",
                r#"{"code":3,"error":null,"event":"exec","signal":null}"#,
            ),
            (
                ran(9),
                "!warning: the command was ended by SIGKILL",
                r#"{"code":null,"error":null,"event":"exec","signal":"SIGKILL"}"#,
            ),
            (
                Done::NotRun(io::Error::other("no")),
                "!warning: the command can't be run: no",
                r#"{"code":null,"error":"no","event":"exec","signal":null}"#,
            ),
            (Done::Written { recovered: false }, "", ""),
        ];
        for (done, text, object) in cases {
            assert_eq!(said(voice(false, true).done(&done)).concat(), text);
            assert_eq!(said(voice(true, false).done(&done)).concat(), object);
        }
    }
}
