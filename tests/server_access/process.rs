//! The server as systemd runs it: a configuration file, a log, and a notify socket.

use super::authority::{Authority, Pair};
use super::common::{DEADLINE, agent};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const ANYWHERE: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// Its folder: configuration, TLS files, tokens, store.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        fs::create_dir_all(folder.path("etc/swarm-agent")).expect("a folder");
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// As `path`, for a configuration file.
    pub fn quoted(&self, name: &str) -> String {
        format!("{:?}", self.path(name))
    }

    /// Renamed into place, as those do it who renew certificates.
    pub fn write(&self, name: &str, text: &str) {
        let (new, path) = (self.path("new"), self.path(name));
        fs::write(&new, text).and_then(|()| fs::rename(new, path)).expect("a file");
    }

    pub fn configure(&self, lines: &str) {
        let state = self.quoted("state");
        self.write("etc/swarm-agent/config.toml", &format!("[server]\n{lines}\nstate-directory = {state}\n"));
    }

    pub fn put_pair(&self, pair: &Pair) {
        self.write("cert.pem", &pair.certificate);
        self.write("key.pem", &pair.key);
    }

    /// A configuration with TLS.
    pub fn configure_tls(&self, ca: &Authority, more: &str) {
        self.put_pair(&ca.server());
        let (certificate, key) = (self.quoted("cert.pem"), self.quoted("key.pem"));
        self.configure(&format!("tls-cert = {certificate}\ntls-key = {key}\n{more}"));
    }

    /// Makes a bearer token, adds it to the file, and gives it back.
    pub fn token(&self, args: &[&str]) -> String {
        let output = agent().args(["token", "new", "--file"]).arg(self.path("tokens.toml")).args(args).output();
        let output = output.expect("the binary under test");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    pub fn command(&self) -> Command {
        let mut command = agent();
        command.arg("serve");
        command.env("SWARM_AGENT_CONFIG_ROOT", self.0.path());
        command
    }

    pub fn start(&self) -> Process {
        self.start_with(&ANYWHERE)
    }

    pub fn start_with(&self, flags: &[&str]) -> Process {
        let mut command = self.command();
        command.args(flags);
        Process::start(command, &self.path("notify"))
    }
}

pub struct Process {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<String>>,
    notify: UnixDatagram,
}

impl Process {
    fn start(mut command: Command, notify: &Path) -> Self {
        // a folder may have had a server before
        let _ = fs::remove_file(notify);
        let socket = UnixDatagram::bind(notify).expect("a notify socket");
        let command = command.env("NOTIFY_SOCKET", notify).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary under test");
        let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
        let log = Arc::new(Mutex::new(String::new()));
        let kept = log.clone();
        // ends with the process
        std::thread::spawn(move || lines.for_each(|line| *kept.lock().unwrap() += &format!("{line}\n")));
        let mut process = Self { child, address: ([127, 0, 0, 1], 0).into(), log, notify: socket };
        let said = process.wait_for_log("listening on ");
        let address = said.split("listening on ").nth(1).and_then(|rest| rest.lines().next());
        process.address = address.and_then(|address| address.trim().parse().ok()).expect("an address");
        process.wait_for_notice("READY=1");
        process
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The log as soon as it has this text.
    pub fn wait_for_log(&mut self, text: &str) -> String {
        let start = Instant::now();
        loop {
            let log = self.log();
            if log.contains(text) {
                return log;
            }
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none() && start.elapsed() < DEADLINE, "{text:?} is not in the log ({ended:?}):\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Every message to systemd up to one that has this text.
    pub fn wait_for_notice(&self, text: &str) -> Vec<String> {
        let mut heard = Vec::new();
        self.notify.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        loop {
            let mut buffer = [0; 4096];
            let length = self.notify.recv(&mut buffer).unwrap_or_else(|error| panic!("{error}: {heard:#?}"));
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let found = message.contains(text);
            heard.push(message);
            if found {
                return heard;
            }
        }
    }

    /// Reads its configuration anew; returns what systemd heard, from RELOADING to READY.
    pub fn reload(&self) -> Vec<String> {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().expect("a pid"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).expect("a child");
        let begun = self.wait_for_notice("RELOADING=1");
        let last = begun.last().expect("one");
        assert!(last.contains("MONOTONIC_USEC="), "{last}");
        self.wait_for_notice("READY=1")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
