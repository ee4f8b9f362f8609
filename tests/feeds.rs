//! What the discovery server tells those who follow a list: by requests that wait, and by events.

mod common;

use common::{DEADLINE, Outcome, Server, TTL, address, listed};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};
use swarm_agent::discovery::{Backend, Claim, Position, Release, Scope, Seen};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

const NODE: &str = "10.0.0.1:2375";
const OTHER: &str = "10.0.0.2:2375";
/// Longer than any test runs: whoever is answered earlier has heard of something.
const LONG: &str = "wait=5m";

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    index: String,
    body: String,
}

impl Answer {
    fn list(&self) -> Vec<String> {
        assert_eq!(self.status, 200, "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no list: {self:?}"))
    }

    fn code(&self) -> String {
        let error: Value = serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON error: {self:?}"));
        error["code"].as_str().expect("a code").to_owned()
    }
}

/// A connection with one request on it, of which the head of the answer is read.
struct Reading {
    status: u16,
    headers: BTreeMap<String, String>,
    stream: BufReader<TcpStream>,
}

impl Reading {
    async fn start(server: SocketAddr, path: &str, headers: &str) -> std::io::Result<Self> {
        Self::from("127.0.0.1", server, path, headers).await
    }

    async fn from(client: &str, server: SocketAddr, path: &str, headers: &str) -> std::io::Result<Self> {
        Self::of(ask(client, server, path, headers).await?).await
    }

    async fn of(asked: TcpStream) -> std::io::Result<Self> {
        let mut stream = BufReader::new(asked);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let status = lines.remove(0)[9..12].parse().expect("a status");
        let header = |line: &String| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Self { status, headers: lines.iter().filter_map(header).collect(), stream })
    }

    /// The rest of an answer that ends with its connection.
    async fn answer(mut self) -> std::io::Result<Answer> {
        let mut body = String::new();
        self.stream.read_to_string(&mut body).await?;
        Ok(Answer { status: self.status, index: self.header("x-swarm-index").to_owned(), body })
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The next chunk of a body in chunks; None at its end.
    async fn chunk(&mut self) -> Option<String> {
        let mut size = String::new();
        timeout(DEADLINE, self.stream.read_line(&mut size)).await.expect("in time").expect("a chunk");
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or_else(|_| panic!("the stream broke: {size:?}"));
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).await.expect("a whole chunk");
        chunk.truncate(size);
        (size > 0).then(|| String::from_utf8(chunk).expect("text"))
    }

    /// Id and data of the next event.
    async fn event(&mut self) -> Option<(String, String)> {
        loop {
            let chunk = self.chunk().await?;
            let field = |name: &str| chunk.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if let Some(data) = field("data: ") {
                assert!(chunk.ends_with("\n\n"), "an event ends with an empty line: {chunk:?}");
                return Some((field("id: ").expect("an id"), data));
            }
        }
    }
}

const LAST: &str = "connection: close\r\n";

async fn ask(client: &str, server: SocketAddr, path: &str, headers: &str) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(client.parse().expect("an address"), 0))?;
    let mut stream = socket.connect(server).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n").as_bytes()).await?;
    Ok(stream)
}

async fn get(server: SocketAddr, path: &str) -> std::io::Result<Answer> {
    Reading::start(server, path, LAST).await?.answer().await
}

/// A server with a cluster.
struct Scene {
    server: Server,
    token: String,
    directory: tempfile::TempDir,
}

impl Scene {
    async fn new() -> std::io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let server = Server::start(directory.path());
        Ok(Self { token: server.cluster().await, server, directory })
    }

    fn path(&self) -> String {
        format!("/v1/clusters/{}", self.token)
    }

    async fn get(&self, below: &str) -> Answer {
        get(self.server.address, &format!("{}{below}", self.path())).await.expect("an answer")
    }

    async fn index(&self) -> String {
        self.get("").await.index
    }

    async fn register(&self, node: &str, ttl: Duration) {
        let backend = self.server.backend(&self.token);
        backend.register(&Claim::new(&address(node), ttl)).await.expect("a registration");
    }

    async fn deregister(&self, node: &str) {
        self.server
            .backend(&self.token)
            .deregister(&Release::new(&address(node), None))
            .await
            .expect("a deregistration");
    }

    async fn mark(&self, node: &str, reason: &str) {
        let backend = self.server.backend(&self.token);
        backend.mark_drained(&address(node), Some(reason), TTL).await.expect("a mark");
    }

    /// Asks with an index, and comes back when the server has the question and lets it wait.
    async fn wait(&self, query: &str) -> JoinHandle<std::io::Result<Answer>> {
        let path = format!("{}?{query}", self.path());
        let asked = ask("127.0.0.1", self.server.address, &path, LAST).await.expect("a connection");
        until_taken(self.server.address, std::slice::from_ref(&asked)).await;
        tokio::spawn(async move { Reading::of(asked).await?.answer().await })
    }

    async fn events(&self, query: &str, headers: &str) -> Reading {
        let path = format!("{}/events{query}", self.path());
        let reading = Reading::start(self.server.address, &path, headers).await.expect("a connection");
        assert_eq!((reading.status, reading.header("content-type")), (200, "text/event-stream"));
        reading
    }

    /// The same directory and address under another process, after `kill -9`.
    async fn restart(self) -> Self {
        let Self { server, token, directory } = self;
        server.kill();
        Self { server: Server::start(directory.path()), token, directory }
    }
}

async fn ended(waiting: JoinHandle<std::io::Result<Answer>>) -> Answer {
    timeout(DEADLINE, waiting).await.expect("an answer in time").expect("no panic").expect("an answer")
}

/// Comes back when the server has read what was sent on these connections. Its one thread answers what it has read, or
/// lets it wait, before it reads what is sent later.
async fn until_taken(server: SocketAddr, asked: &[TcpStream]) {
    let clients: BTreeSet<u16> = asked.iter().map(|asked| asked.local_addr().expect("an address").port()).collect();
    let start = Instant::now();
    while taken(server.port(), &clients) < clients.len() {
        assert!(start.elapsed() < DEADLINE, "of {} requests some were not read", clients.len());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn taken(server: u16, clients: &BTreeSet<u16>) -> usize {
    let sockets = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's list of sockets");
    let port = |address: &str| u16::from_str_radix(address.split(':').nth(1)?, 16).ok();
    let of_client = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let nothing_unread = fields[4].ends_with(":00000000");
        nothing_unread && port(fields[1]) == Some(server) && port(fields[2]).is_some_and(|port| clients.contains(&port))
    };
    sockets.lines().skip(1).filter(of_client).count()
}

#[tokio::test]
async fn a_list_has_an_index_and_another_one_is_answered_at_once() -> Outcome {
    let scene = Scene::new().await?;
    let empty = scene.get("").await;
    assert_eq!((empty.status, empty.body.as_str()), (200, "[]"));
    assert!(!empty.index.is_empty());
    assert_eq!(scene.get("").await, empty, "it is the same as long as the list is");
    scene.register(NODE, TTL).await;
    let list = scene.get("").await;
    assert_ne!(list.index, empty.index);
    let all = scene.get("?all=1").await;
    assert_eq!(all.list(), [NODE]);
    for index in [empty.index.as_str(), all.index.as_str(), "", "0", "nonsense", "%00"] {
        assert_eq!(scene.get(&format!("?index={index}&{LONG}")).await, list, "{index:?}");
    }
    assert_eq!(scene.get(&format!("?index={}&{LONG}&all=1", list.index)).await, all, "it may lack a drained node");
    let other = scene.server.cluster().await;
    let other = get(scene.server.address, &format!("/v1/clusters/{other}?index={}&{LONG}", empty.index)).await?;
    assert_eq!(other.body, "[]");
    assert_ne!(other.index, empty.index, "another cluster's");
    Ok(())
}

#[tokio::test]
async fn a_wait_ends_by_itself_with_the_same_list() -> Outcome {
    let scene = Scene::new().await?;
    scene.register(NODE, TTL).await;
    let list = scene.get("").await;
    let start = Instant::now();
    assert_eq!(scene.get(&format!("?index={}&wait=800ms", list.index)).await, list);
    assert!(start.elapsed() >= Duration::from_millis(750), "answered after {:?}", start.elapsed());
    assert_eq!(scene.get(&format!("?index={}&wait=0s", list.index)).await, list);
    for wait in ["5", "", "x", "-1s"] {
        let answer = scene.get(&format!("?index={}&wait={wait}", list.index)).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_wait"), "{wait:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_another_client_changes_ends_the_wait() -> Outcome {
    let scene = Scene::new().await?;
    let waiting = scene.wait(&format!("index={}&{LONG}", scene.index().await)).await;
    scene.register(NODE, TTL).await;
    let came = ended(waiting).await;
    assert_eq!(came.list(), [NODE]);
    let waiting = scene.wait(&format!("index={}&{LONG}", came.index)).await;
    scene.deregister(NODE).await;
    let left = ended(waiting).await;
    assert_eq!(left.list(), [""; 0]);
    assert_ne!(left.index, came.index);
    Ok(())
}

#[tokio::test]
async fn the_end_of_an_entry_ends_the_wait() -> Outcome {
    let scene = Scene::new().await?;
    let ttl = Duration::from_secs(1);
    scene.register(OTHER, TTL).await;
    let start = Instant::now();
    scene.register(NODE, ttl).await;
    let mut answer = scene.get("").await;
    while answer.list() != [OTHER] {
        let waiting = scene.wait(&format!("index={}&{LONG}", answer.index)).await;
        answer = ended(waiting).await;
    }
    assert!(start.elapsed() >= ttl, "gone after {:?}", start.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_shorter_ttl_ends_the_wait_when_it_ends() -> Outcome {
    let scene = Scene::new().await?;
    scene.register(NODE, TTL).await;
    let waiting = scene.wait(&format!("index={}&{LONG}", scene.index().await)).await;
    scene.register(NODE, Duration::from_secs(1)).await;
    assert_eq!(ended(waiting).await.list(), [""; 0]);
    Ok(())
}

#[tokio::test]
async fn beats_and_marks_that_change_nothing_wake_nobody() -> Outcome {
    let scene = Scene::new().await?;
    scene.register(NODE, TTL).await;
    scene.mark(OTHER, "kernel").await;
    let index = scene.index().await;
    let (active, all) = (
        scene.wait(&format!("index={index}&{LONG}")).await,
        scene.wait(&format!("index={}&{LONG}&all=1", scene.get("?all=1").await.index)).await,
    );
    for _ in 0..20 {
        scene.register(NODE, TTL).await;
        scene.mark(OTHER, "kernel").await;
    }
    // another ttl is stored, but the list is the same
    scene.register(NODE, 2 * TTL).await;
    assert_eq!(scene.index().await, index);
    scene.register("10.0.0.3:2375", TTL).await;
    // had one of them been woken by a beat, its answer would be the list from before
    assert_eq!(ended(active).await.list(), [NODE, "10.0.0.3:2375"]);
    assert!(ended(all).await.body.contains("10.0.0.3:2375"));
    Ok(())
}

#[tokio::test]
async fn a_mark_is_news_for_those_who_asked_for_all_alone() -> Outcome {
    let scene = Scene::new().await?;
    scene.register(NODE, TTL).await;
    let active = scene.wait(&format!("index={}&{LONG}", scene.index().await)).await;
    let all = scene.wait(&format!("index={}&{LONG}&all=1", scene.get("?all=1").await.index)).await;
    scene.mark(OTHER, "kernel").await;
    let drained = format!(r#"{{"address":"{OTHER}","drained":true,"reason":"kernel"}}"#);
    assert_eq!(ended(all).await.body, format!(r#"["{NODE}",{drained}]"#));
    scene.deregister(NODE).await;
    assert_eq!(ended(active).await.list(), [""; 0], "of the mark it heard nothing");
    Ok(())
}

#[tokio::test]
async fn a_cluster_that_goes_is_said_to_be_gone() -> Outcome {
    let scene = Scene::new().await?;
    let waiting = scene.wait(&format!("index={}&{LONG}", scene.index().await)).await;
    let mut events = scene.events("", "").await;
    assert!(events.event().await.is_some());
    assert_eq!(scene.server.ask("DELETE", &scene.path(), "").0, 200);
    let answer = ended(waiting).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "unknown_cluster"));
    assert_eq!(events.event().await, None, "the stream ended");
    assert_eq!(scene.get("/events").await.code(), "unknown_cluster");
    assert_eq!(scene.get("/targets").await.code(), "unknown_cluster");
    Ok(())
}

#[tokio::test]
async fn who_waited_over_a_crash_sees_the_whole_state_when_it_is_back() -> Outcome {
    let scene = Scene::new().await?;
    scene.register(NODE, TTL).await;
    let index = scene.index().await;
    let waiting = scene.wait(&format!("index={index}&{LONG}")).await;
    let mut events = scene.events("", "").await;
    let (id, _) = events.event().await.ok_or("no event")?;
    assert_eq!(id, index);
    let scene = scene.restart().await;
    assert!(timeout(DEADLINE, waiting).await??.is_err(), "the connection broke");
    // as many changes as the earlier process had seen: what counts them is no index
    scene.register(OTHER, TTL).await;
    let back = timeout(DEADLINE, scene.get(&format!("?index={index}&{LONG}"))).await?;
    assert_eq!(back.list(), [NODE, OTHER]);
    let mut events = scene.events("", &format!("last-event-id: {id}\r\n")).await;
    assert_eq!(events.event().await, Some((back.index, format!("[\"{NODE}\",\"{OTHER}\"]"))));
    Ok(())
}

#[tokio::test]
async fn a_server_that_stops_answers_those_who_wait_with_what_there_is() -> Outcome {
    let scene = Scene::new().await?;
    scene.register(NODE, TTL).await;
    let list = scene.get("").await;
    let waiting = scene.wait(&format!("index={}&{LONG}", list.index)).await;
    let mut events = scene.events("", "").await;
    assert!(events.event().await.is_some());
    let Scene { server, directory: _directory, .. } = scene;
    let stopped = tokio::task::spawn_blocking(move || server.terminate());
    assert_eq!(ended(waiting).await, list);
    assert_eq!(events.event().await, None, "the stream has an end, it did not break");
    assert_eq!(stopped.await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn events_are_whole_lists_one_at_once_and_one_at_each_change() -> Outcome {
    let scene = Scene::new().await?;
    scene.register(NODE, TTL).await;
    let mut events = scene.events("", "").await;
    assert_eq!(events.header("cache-control"), "no-cache");
    assert!(
        events.chunk().await.is_some_and(|chunk| chunk.starts_with("retry: ")),
        "how long to stay away after an end"
    );
    let first = events.event().await.ok_or("no event")?;
    assert_eq!(first, (scene.index().await, format!("[\"{NODE}\"]")));
    for _ in 0..10 {
        scene.register(NODE, TTL).await;
        scene.mark("10.0.0.9:2375", "unseen").await;
    }
    scene.register(OTHER, TTL).await;
    assert_eq!(events.event().await, Some((scene.index().await, format!("[\"{NODE}\",\"{OTHER}\"]"))));
    scene.register("10.0.0.3:2375", Duration::from_secs(2)).await;
    assert!(events.event().await.is_some_and(|(_, list)| list.contains("10.0.0.3:2375")));
    assert_eq!(events.event().await.map(|(_, list)| list), Some(format!("[\"{NODE}\",\"{OTHER}\"]")), "it ended");
    let mut all = scene.events("?all=1", "").await;
    assert!(all.event().await.is_some_and(|(_, list)| list.contains(r#""reason":"unseen""#)));
    Ok(())
}

#[tokio::test]
async fn a_reader_that_comes_back_hears_what_it_missed_and_nothing_twice() -> Outcome {
    let scene = Scene::new().await?;
    scene.register(NODE, TTL).await;
    let (id, _) = scene.events("", "").await.event().await.ok_or("no event")?;
    let back = format!("last-event-id: {id}\r\n");
    let mut up_to_date = scene.events("", &back).await;
    assert!(up_to_date.chunk().await.is_some_and(|chunk| !chunk.contains("data:")));
    scene.register(OTHER, TTL).await;
    let both = format!("[\"{NODE}\",\"{OTHER}\"]");
    assert_eq!(up_to_date.event().await.map(|(_, list)| list), Some(both.clone()), "no event before this");
    assert_eq!(scene.events("", &back).await.event().await.map(|(_, list)| list), Some(both), "what it missed");
    let mut all = scene.events("?all=1", &format!("last-event-id: {}\r\n", scene.index().await)).await;
    assert!(all.event().await.is_some(), "the id is one of another list");
    Ok(())
}

#[tokio::test]
async fn a_thousand_watchers_hear_of_one_change() -> Outcome {
    more_files();
    let scene = Scene::new().await?;
    let (address, index) = (scene.server.address, scene.index().await);
    let mut asked = Vec::new();
    for _ in 0..1000 {
        asked.push(ask("127.0.0.1", address, &format!("{}?index={index}&{LONG}", scene.path()), LAST).await?);
    }
    until_taken(address, &asked).await;
    let reading = |asked| async { Reading::of(asked).await?.answer().await };
    let mut watchers: JoinSet<_> = asked.into_iter().map(reading).collect();
    scene.register(NODE, TTL).await;
    let mut answers = Vec::new();
    while let Some(answer) = timeout(DEADLINE, watchers.join_next()).await? {
        answers.push(answer??);
    }
    let expected = scene.get("").await;
    assert_eq!(expected.list(), [NODE]);
    assert_eq!(answers.iter().filter(|answer| **answer == expected).count(), 1000, "each once, with the new list");
    Ok(())
}

#[tokio::test]
async fn one_client_has_so_many_places_and_others_have_theirs() -> Outcome {
    const EACH: usize = 1024;
    more_files();
    let scene = Scene::new().await?;
    let mut readers = Vec::new();
    for _ in 0..EACH {
        readers.push(scene.events("", "").await);
    }
    let (server, path, index) = (scene.server.address, scene.path(), scene.index().await);
    let refused = Reading::start(server, &format!("{path}/events"), "").await?;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "10"));
    let waiting = scene.get(&format!("?index={index}&{LONG}")).await;
    assert_eq!((waiting.status, waiting.code().as_str()), (503, "too_many_watchers"));
    assert_eq!(scene.get("").await.status, 200, "a list that need not wait is not refused");
    assert_eq!(scene.get("?index=0").await.status, 200);
    scene.register(NODE, TTL).await;
    scene.deregister(NODE).await;

    let backend = scene.server.backend(&scene.token);
    let seen = Seen { position: Position(scene.index().await), patience: Duration::from_secs(200) };
    let sight = backend.watch(Scope::Active, Some(&seen)).await?;
    assert_eq!(sight.position, None, "our own client takes the list as it is, and comes back later");

    let other = Reading::from("127.0.0.2", server, &format!("{path}/events"), "").await?;
    assert_eq!(other.status, 200, "another client has places of its own");
    drop(readers.pop());
    let start = Instant::now();
    while Reading::start(server, &format!("{path}/events"), "").await?.status != 200 {
        assert!(start.elapsed() < DEADLINE, "the place of a reader that went away stays taken");
    }
    Ok(())
}

#[tokio::test]
async fn our_client_waits_at_our_server() -> Outcome {
    let scene = Scene::new().await?;
    let backend: std::sync::Arc<dyn Backend> = scene.server.backend(&scene.token).into();
    for scope in [Scope::Active, Scope::All] {
        scene.register(NODE, TTL).await;
        let first = backend.watch(scope, None).await?;
        let position = first.position.ok_or("a server of ours has positions")?;
        let short = Seen { position: position.clone(), patience: Duration::from_millis(200) };
        let same = backend.watch(scope, Some(&short)).await?;
        assert_eq!((same.position.as_ref(), &same.listing), (Some(&position), &first.listing), "nothing happened");
        // longer than the ordinary timeout of these tests
        let seen = Seen { position, patience: 5 * common::TIMEOUTS.total };
        let waiting = tokio::spawn({
            let backend = backend.clone();
            async move { backend.watch(scope, Some(&seen)).await }
        });
        scene.deregister(NODE).await;
        let sight = timeout(DEADLINE, waiting).await???;
        assert!(sight.listing.nodes.is_empty() && sight.position.is_some(), "{sight:?}");
    }
    assert!(listed(&*backend).await.is_empty());
    Ok(())
}

#[tokio::test]
async fn the_agents_own_server_does_the_same() -> Outcome {
    let directory = tempfile::tempdir()?;
    let mut agent = common::agent();
    // this host's agent, engine and systemd are left alone
    agent.env("RUNTIME_DIRECTORY", directory.path()).env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent");
    // it takes no port 0, since others have to know it
    let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    agent.args(["run", "--set", "engine.socket=unix:///nonexistent"]);
    agent.args(["--set", &format!("discovery.embedded-listen={free}"), "--set"]);
    agent.arg(format!("agent.state-directory={}", directory.path().display()));
    let server = Server::of(agent);
    let url = std::fs::read_to_string(directory.path().join("cluster.url"))?;
    let token = url.trim().rsplit('/').next().unwrap_or_default().to_owned();
    let scene = Scene { server, token, directory };
    let empty = scene.get("").await;
    let waiting = scene.wait(&format!("index={}&{LONG}", empty.index)).await;
    scene.register(NODE, TTL).await;
    let list = ended(waiting).await;
    assert_eq!(list.list(), [NODE]);
    let mut events = scene.events("", "").await;
    assert_eq!(events.event().await, Some((list.index.clone(), list.body.clone())));
    assert!(scene.get("/targets").await.body.contains(NODE));
    let waiting = scene.wait(&format!("index={}&{LONG}", list.index)).await;
    let Scene { server, directory: _directory, .. } = scene;
    let stopped = tokio::task::spawn_blocking(move || server.terminate());
    assert_eq!((ended(waiting).await, events.event().await), (list, None));
    assert_eq!(stopped.await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn paths_that_are_nearly_right_are_wrong() -> Outcome {
    let scene = Scene::new().await?;
    let cluster = scene.path();
    for (method, path, status, code) in [
        ("GET", format!("{cluster}/events/"), 404, "no_such_path"),
        ("GET", format!("{cluster}//events"), 404, "no_such_path"),
        ("GET", format!("{cluster}/events/events"), 404, "no_such_path"),
        ("GET", format!("{cluster}/%65vents"), 405, "no_such_method"),
        ("GET", format!("{cluster}/Targets"), 405, "no_such_method"),
        ("GET", format!("{cluster}/../{}/targets", scene.token), 404, "no_such_path"),
        ("GET", "/v1/clusters/events".into(), 404, "unknown_cluster"),
        ("GET", "/v1/clusters//events".into(), 400, "bad_token"),
        ("GET", "/v1/clusters/b%20d/events".into(), 400, "bad_token"),
        ("GET", "/v1/clusters/b%2Fd/targets".into(), 400, "bad_token"),
        ("GET", "/v1/clusters/%ff/targets".into(), 400, "bad_request"),
        ("GET", format!("{cluster}/targets?port=0"), 400, "bad_port"),
        ("GET", format!("{cluster}/targets?port=http"), 400, "bad_port"),
        ("POST", format!("{cluster}/events"), 405, "no_such_method"),
        ("PUT", format!("{cluster}/targets"), 405, "no_such_method"),
        ("DELETE", format!("{cluster}/events"), 405, "no_such_method"),
        ("PUT", format!("{cluster}/events/drained"), 400, "bad_address"),
    ] {
        let (got, body) = scene.server.ask(method, &path, "");
        let error: Value = serde_json::from_str(&body).map_err(|_| format!("{method} {path}: {got} {body}"))?;
        assert_eq!((got, error["code"].as_str()), (status, Some(code)), "{method} {path}: {body}");
    }
    assert_eq!(scene.get("").await.body, "[]", "none of it left a trace");
    Ok(())
}

/// A process may often have 1024 files only, and children inherit that.
fn more_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let enough = hard.min(8192).max(soft);
    setrlimit(Resource::RLIMIT_NOFILE, enough, hard).expect("more files");
    assert!(enough >= 4096, "these tests need 4096 files at once, and {enough} are allowed: ulimit -n");
}
