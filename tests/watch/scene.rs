//! A running `watch`, and what it says.

use crate::common::{DEADLINE, agent};
use nix::sys::signal::{Signal, kill};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

pub struct Watcher {
    child: Child,
    pub lines: Receiver<String>,
    /// Its stderr, on ours too.
    pub said: Receiver<String>,
}

impl Watcher {
    /// With `--json`.
    pub fn start(url: &str) -> Self {
        Self::with(&["--json", url])
    }

    pub fn with<A: AsRef<OsStr>>(args: &[A]) -> Self {
        let interval: &[&str] =
            if args.iter().any(|arg| arg.as_ref() == "--interval") { &[] } else { &["--interval", "100ms"] };
        let mut command = agent();
        // in front: what stands behind --exec belongs to the command
        command.args(["watch", "--timeout", "5s"]).args(interval).args(args);
        Self::of(command)
    }

    pub fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary under test");
        let lines = received(child.stdout.take().expect("it is piped"), false);
        let said = received(child.stderr.take().expect("it is piped"), true);
        Self { child, lines, said }
    }

    /// The next event, without its time.
    pub fn next(&self) -> Value {
        let line = self.lines.recv_timeout(DEADLINE).expect("an event");
        let mut event: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line:?}"));
        assert!(event["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
        event.as_object_mut().expect("an object").remove("time");
        event
    }

    /// The first event of this kind that is still to come.
    pub fn next_of(&self, kind: &str) -> Value {
        loop {
            let event = self.next();
            if event["event"] == kind {
                return event;
            }
        }
    }

    /// The next line, without its time, which takes 20 characters.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(DEADLINE).expect("a line")[20..].to_owned()
    }

    /// Waits until stderr has said this.
    pub fn says(&self, word: &str) -> String {
        loop {
            let line = self.said.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("{word:?} was not said"));
            if line.contains(word) {
                return line;
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(nix::unistd::Pid::from_raw(self.child.id().try_into().expect("a pid")), signal).expect("a child");
    }

    pub fn end(mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.ended()
    }

    pub fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child to wait for") {
                return status;
            }
            assert!(start.elapsed() < DEADLINE, "it does not end");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn received(stream: impl Read + Send + 'static, aloud: bool) -> Receiver<String> {
    let (send, lines) = channel();
    thread::spawn(move || {
        BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|line| {
            if aloud {
                eprintln!("{line}");
            }
            send.send(line)
        })
    });
    lines
}

/// The server again, where it was before.
pub struct Again(Child);

impl Again {
    pub fn start(directory: &Path, address: SocketAddr) -> Self {
        let mut command = agent();
        command.args(["serve", "--listen", &address.to_string(), "--state-directory"]).arg(directory);
        Self(command.stderr(Stdio::null()).spawn().expect("the binary under test"))
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Replaces a file as an editor does.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(new, path)
}

/// Asks again until it is so.
pub fn until(what: &str, mut there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !there() {
        assert!(start.elapsed() < DEADLINE, "it never came about: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// What the file says once it says something that fits.
pub fn text_of(path: &Path, fits: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    until(&format!("{} as it is to be, not {text:?}", path.display()), || {
        text = fs::read_to_string(path).unwrap_or_default();
        fits(&text)
    });
    text
}

pub fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().expect("the binary under test");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}
