//! A client that asks the discovery server for the list every 50 ms and remembers every answer.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use e2e::{Cluster, Result};
use nix::sched::{CloneFlags, setns};

const INTERVAL: Duration = Duration::from_millis(50);

#[derive(Debug, Clone)]
pub struct Answer {
    pub at: Instant,
    /// The nodes, or why there was no list.
    pub nodes: Result<Vec<String>, String>,
}

#[derive(Default)]
struct Log {
    answers: Mutex<Vec<Answer>>,
    news: Condvar,
    stop: AtomicBool,
}

pub struct Lister {
    log: Arc<Log>,
    thread: Option<JoinHandle<()>>,
}

impl Lister {
    pub fn start(cluster: &Cluster, server: SocketAddr, token: &str) -> Result<Self> {
        Self::start_in(&cluster.netns(), server, token)
    }

    /// In a network namespace.
    pub fn start_in(netns: &Path, server: SocketAddr, token: &str) -> Result<Self> {
        let log = Arc::new(Log::default());
        let (shared, netns) = (Arc::clone(&log), File::open(netns)?);
        let path = format!("/v1/clusters/{token}");
        let thread = thread::spawn(move || {
            if let Err(error) = setns(netns, CloneFlags::CLONE_NEWNET) {
                shared.add(Err(format!("cannot enter the network namespace: {error}")));
                return;
            }
            list_for_ever(&shared, server, &path);
        });
        Ok(Self { log, thread: Some(thread) })
    }

    /// Waits for an answer that is given from now on and contains the node.
    pub fn wait_present(&self, node: &str, timeout: Duration) -> Result<Instant> {
        self.present_since(Instant::now(), node, timeout)
    }

    /// When the node was in the list for the first time since then.
    pub fn present_since(&self, since: Instant, node: &str, timeout: Duration) -> Result<Instant> {
        self.first(since, timeout, &format!("{node} in the list"), |nodes| nodes.iter().any(|n| n == node))
    }

    /// When the node was not in the list for the first time since then. An error is no list.
    pub fn gone_since(&self, since: Instant, node: &str, timeout: Duration) -> Result<Instant> {
        self.first(since, timeout, &format!("{node} gone from the list"), |nodes| nodes.iter().all(|n| n != node))
    }

    /// The time of the first such answer since then; waits for it until `timeout` after now.
    fn first(
        &self,
        since: Instant,
        timeout: Duration,
        what: &str,
        wanted: impl Fn(&[String]) -> bool,
    ) -> Result<Instant> {
        let begin = Instant::now();
        let mut answers = self.log.answers.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut fresh = answers.iter().filter(|answer| answer.at >= since);
            if let Some(answer) = fresh.find(|answer| answer.nodes.as_ref().is_ok_and(|nodes| wanted(nodes))) {
                return Ok(answer.at);
            }
            let Some(left) = timeout.checked_sub(begin.elapsed()) else {
                let last = answers.last().map(|answer| format!("{:?}", answer.nodes));
                anyhow::bail!("no {what} after {timeout:?}; last seen: {last:?}");
            };
            answers = self.log.news.wait_timeout(answers, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Stops, and gives everything that was seen since `since`.
    pub fn finish_since(mut self, since: Instant) -> Vec<Answer> {
        self.end();
        let answers = self.log.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.iter().filter(|answer| answer.at >= since).cloned().collect()
    }

    fn end(&mut self) {
        self.log.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the lister does not panic");
        }
    }
}

impl Drop for Lister {
    fn drop(&mut self) {
        self.end();
    }
}

impl Log {
    fn add(&self, nodes: Result<Vec<String>, String>) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push(Answer { at: Instant::now(), nodes });
        self.news.notify_all();
    }
}

fn list_for_ever(log: &Log, server: SocketAddr, path: &str) {
    let mut connection = None;
    while !log.stop.load(Ordering::Relaxed) {
        let begin = Instant::now();
        let kept = connection.is_some();
        let mut answer = list(&mut connection, server, path);
        if answer.is_err() && kept {
            // As HTTP clients do (RFC 9112, 9.5): a server may close a kept connection at any time.
            connection = None;
            answer = list(&mut connection, server, path);
        }
        if answer.is_err() {
            connection = None;
        }
        log.add(answer.map_err(|error| format!("{error:#}")));
        thread::sleep(INTERVAL.saturating_sub(begin.elapsed()));
    }
}

fn list(connection: &mut Option<BufReader<TcpStream>>, server: SocketAddr, path: &str) -> Result<Vec<String>> {
    let reader = match connection {
        Some(reader) => reader,
        None => {
            let stream = TcpStream::connect_timeout(&server, Duration::from_secs(2))?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            connection.insert(BufReader::new(stream))
        }
    };
    write!(reader.get_mut(), "GET {path} HTTP/1.1\r\nHost: {server}\r\n\r\n")?;
    let (mut status, mut length) = (String::new(), 0);
    reader.read_line(&mut status)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    match status.split(' ').nth(1) {
        Some("200") => Ok(serde_json::from_slice(&body)?),
        _ => anyhow::bail!("{} {}", status.trim_end(), String::from_utf8_lossy(&body)),
    }
}

/// Asserts that a client saw the node in every single answer, and that it did see answers.
pub fn assert_no_gap(answers: &[Answer], node: &str, at_least: Duration) {
    let span = match (answers.first(), answers.last()) {
        (Some(first), Some(last)) => last.at - first.at,
        _ => Duration::ZERO,
    };
    assert!(span >= at_least, "the client watched for {span:?} only");
    let mut last = None;
    for answer in answers {
        match &answer.nodes {
            Ok(nodes) => assert!(
                nodes.iter().any(|n| n == node),
                "a gap {:?} after the first answer: {nodes:?}",
                answer.at - answers[0].at
            ),
            Err(error) => panic!("the client got no list: {error}"),
        }
        if let Some(last) = last.replace(answer.at) {
            let pause = answer.at - last;
            assert!(pause < Duration::from_secs(2), "the client itself paused for {pause:?}");
        }
    }
}
