//! The real server as a process, and the plainest HTTP client there is.
// not `expect`: the file that uses everything would fulfil none of it
#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use swarm_agent::discovery::{Backend, Scope, token};
use swarm_agent::model::{DiscoveryUrl, NodeAddress, ServerUrl, Timeouts, TokenUrl, WayOut};

pub type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Nothing here takes this long; it only keeps a broken test from hanging.
pub const DEADLINE: Duration = Duration::from_secs(60);
pub const TIMEOUTS: Timeouts = Timeouts { connect: Duration::from_secs(10), total: Duration::from_secs(20) };
pub const TTL: Duration = Duration::from_secs(180);

pub fn way() -> WayOut {
    WayOut::direct(TIMEOUTS)
}

pub fn agent() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swarm-agent"));
    clean(&mut command);
    command
}

/// Takes away what this host says about itself.
pub fn clean(command: &mut Command) {
    for name in ["STATE_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "SWARM_DISCOVERY"] {
        command.env_remove(name);
    }
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_ascii_uppercase());
    }
    // this host's own configuration is none of the tests' business
    command.env("SWARM_AGENT_CONFIG_ROOT", "/nonexistent");
}

pub fn serve(directory: &Path) -> Command {
    let mut command = agent();
    command.args(["serve", "--listen", "127.0.0.1:0", "--state-directory"]).arg(directory);
    command
}

pub fn address(text: &str) -> NodeAddress {
    text.parse().expect("a node address")
}

pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    pub fn start(directory: &Path) -> Self {
        Self::of(serve(directory))
    }

    /// Whatever serves, and says where.
    pub fn of(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary under test");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
        let said: Vec<String> = lines.by_ref().take_while_inclusive();
        let address =
            said.last().and_then(|line| line.split("listening on ").nth(1)).and_then(|a| a.trim().parse().ok());
        // the pipe must not fill up
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.unwrap_or_else(|| panic!("the server did not start: {said:#?}")) }
    }

    pub fn url(&self) -> ServerUrl {
        format!("http://{}", self.address).parse().expect("a server URL")
    }

    pub async fn cluster(&self) -> String {
        token::create(&self.url(), &way()).await.expect("a new cluster").as_str().to_owned()
    }

    pub fn backend(&self, token: &str) -> Box<dyn Backend> {
        backend(self.address, token)
    }

    pub fn kill(mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("a child to kill");
    }

    pub fn terminate(mut self) -> ExitStatus {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().expect("a pid"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("a child to stop");
        self.child.wait().expect("a child to wait for")
    }

    /// Status and body of one request on a connection of its own.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        ask_at(self.address, method, path, body)
    }
}

/// Status and body of one request to any server.
pub fn ask_at(server: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let length = body.len();
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    // a server that refuses early may close while the body is under way
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP answer: {answer:?}"));
    let chunked = head.to_ascii_lowercase().contains("\r\ntransfer-encoding: chunked");
    (head[9..12].parse().expect("a status"), if chunked { without_chunks(body) } else { body.to_owned() })
}

fn without_chunks(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("the length of a chunk");
        if length == 0 {
            break;
        }
        whole.push_str(&rest[..length]);
        body = rest[length..].trim_start_matches("\r\n");
    }
    whole
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn backend(server: SocketAddr, token: &str) -> Box<dyn Backend> {
    let url: DiscoveryUrl = format!("http://{server}/v1/clusters/{token}").parse().expect("a discovery URL");
    swarm_agent::discovery::open(&url, &way()).expect("a client")
}

/// A new cluster at a server of ours.
pub async fn cluster_at(server: SocketAddr) -> DiscoveryUrl {
    let url: ServerUrl = format!("http://{server}").parse().expect("a server URL");
    let token = token::create(&url, &way()).await.expect("a new cluster");
    DiscoveryUrl::Token(TokenUrl { server: url, token })
}

pub async fn listed(backend: &dyn Backend) -> Vec<String> {
    backend.list(Scope::Active).await.expect("a list").nodes.iter().map(ToString::to_string).collect()
}

/// The drained nodes in a list of all, as `list --all` prints them.
pub async fn drained(backend: &dyn Backend) -> Vec<String> {
    backend.list(Scope::All).await.expect("a list").drained.iter().map(ToString::to_string).collect()
}

/// Asks again until the list is as expected.
pub async fn wait_for_list(backend: &dyn Backend, expected: &[&str]) {
    let start = Instant::now();
    loop {
        let list = listed(backend).await;
        if list == expected {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "the list stays {list:?}, not {expected:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

trait UntilListening: Iterator<Item = String> + Sized {
    /// The lines up to the one that names the address.
    fn take_while_inclusive(self) -> Vec<String> {
        let mut said = Vec::new();
        for line in self {
            let done = line.contains("listening on ");
            said.push(line);
            if done {
                break;
            }
        }
        said
    }
}

impl<I: Iterator<Item = String>> UntilListening for I {}
