//! A real Consul, and the plainest client there is for it.

use crate::cases::until;
use crate::common::{DEADLINE, Outcome, way};
use crate::{Cluster, Ground, Service, Skipped};
use std::error::Error;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use swarm_agent::discovery::Backend;

/// May do everything where access is controlled.
const MASTER: &str = "5eed5eed-0000-4000-8000-000000000001";
/// What the README says that an agent needs, for a cluster below `team/`.
const RULES: &str = r#"key_prefix "team/docker/swarm/" { policy = "write" } session_prefix "" { policy = "write" }"#;

/// A server that keeps everything on its disk, and is alone.
pub const LASTING: &[&str] = &["-server", "-bootstrap-expect", "1"];
/// It leads within two seconds.
pub const FAST: &str = "performance { raft_multiplier = 1 }";

pub struct Consul {
    pub address: SocketAddr,
    pub service: Service,
    directory: tempfile::TempDir,
    clusters: AtomicU32,
    /// Where access is controlled: the file with the agent's token.
    token: Option<PathBuf>,
}

/// What came back.
pub struct Reply {
    pub status: u16,
    pub index: u64,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

fn program() -> Result<PathBuf, Box<dyn Error>> {
    if std::env::var("SWARM_SKIP_CONSUL").is_ok_and(|value| value == "1") {
        return Err(Skipped("Consul, for SWARM_SKIP_CONSUL=1").into());
    }
    let fetched = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/consul");
    let path = std::env::var_os("CONSUL").map_or_else(fetched, PathBuf::from);
    if path.exists() {
        return Ok(path);
    }
    let path = path.display();
    Err(format!("there is no consul at {path}: run `make setup`, or set CONSUL, or skip with SWARM_SKIP_CONSUL=1")
        .into())
}

impl Consul {
    /// A server that keeps nothing, and lets everybody do everything.
    pub async fn open(ground: &Ground) -> Result<Self, Box<dyn Error>> {
        let consul = Self::start(ground, &["-dev"], "").await?;
        consul.until_it_leads().await;
        Ok(consul)
    }

    /// A server that lets nobody do anything, save for those with a token. The agent's may do what it needs.
    pub async fn guarded(ground: &Ground, more: &str) -> Result<Self, Box<dyn Error>> {
        let acl =
            format!("acl {{ enabled = true, default_policy = \"deny\", tokens {{ master = \"{MASTER}\" }} }}\n{more}");
        let mut consul = Self::start(ground, LASTING, &format!("{FAST}\n{acl}")).await?;
        consul.until_it_leads().await;
        let token = consul.token_for(RULES).await;
        consul.token = Some(consul.file("token", &token)?);
        Ok(consul)
    }

    /// Does not wait until it can serve anything.
    pub async fn start(ground: &Ground, arguments: &[&str], more: &str) -> Result<Self, Box<dyn Error>> {
        let (program, directory) = (program()?, tempfile::tempdir()?);
        let (ip, http, serf, server) = (ground.ip, ground.port()?, ground.port()?, ground.port()?);
        let config = format!(
            "ports {{ http = {http}, serf_lan = {serf}, server = {server}, serf_wan = -1, dns = -1, grpc = -1 }}"
        );
        let (launcher, bind) = (ground.launcher(), bind(ip));
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let more = more.to_owned();
        let data = directory.path().join("data");
        let command = move || {
            let mut command = launcher.command(&program);
            command.arg("agent").args(&arguments).args(&bind).args(["-hcl", &config, "-hcl", &more]);
            if !arguments.iter().any(|argument| argument == "-dev") {
                command.arg("-data-dir").arg(&data);
            }
            command
        };
        let (address, service) = (SocketAddr::new(ip, http), Service::start(command)?);
        let consul = Self { address, service, directory, clusters: AtomicU32::new(0), token: None };
        let answers = async || {
            assert!(
                consul.service.lives(),
                "consul ended at once: does it run on this machine, and like its configuration?"
            );
            TcpStream::connect(address).is_ok()
        };
        until(answers, "Consul answers").await;
        Ok(consul)
    }

    /// Also after a restart. A moment after it leads the server knows itself as a member, which sessions need.
    pub async fn until_it_leads(&self) {
        let well = async || {
            let reply = self.reply("GET", "/v1/health/state/passing", "");
            reply.is_ok_and(|reply| reply.status == 200 && reply.body.contains("serfHealth"))
        };
        until(well, "a server that leads and is well").await;
    }

    /// Makes a token with a policy of its own.
    pub async fn token_for(&self, rules: &str) -> String {
        let name = format!("p{}", self.clusters.fetch_add(1, Ordering::Relaxed));
        let policy = serde_json::json!({"Name": name, "Rules": rules}).to_string();
        // access control begins a moment after the leader
        until(async || self.ask("PUT", "/v1/acl/policy", &policy).status == 200, "a policy is made").await;
        let token = serde_json::json!({"Policies": [{"Name": name}]}).to_string();
        self.ask("PUT", "/v1/acl/token", &token).json()["SecretID"].as_str().expect("a token").to_owned()
    }

    pub fn file(&self, name: &str, text: &str) -> std::io::Result<PathBuf> {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    pub fn cluster(&self) -> Cluster {
        let number = self.clusters.fetch_add(1, Ordering::Relaxed);
        self.cluster_at(&format!("consul://{}/team/docker/swarm/{number}", self.address))
    }

    pub fn cluster_at(&self, url: &str) -> Cluster {
        let mut way = way();
        way.auth.token.clone_from(&self.token);
        Cluster { url: url.parse().expect("a discovery URL"), way }
    }

    /// Without a prefix, where a classic agent and ours meet.
    pub fn classic_cluster(&self) -> Cluster {
        self.cluster_at(&format!("consul://{}", self.address))
    }

    pub fn backend(&self) -> Box<dyn Backend> {
        self.classic_cluster().open()
    }

    /// One request of somebody who may do everything.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Reply {
        self.reply(method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn reply(&self, method: &str, path: &str, body: &str) -> std::io::Result<Reply> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let length = body.len();
        // of 1.0, so that no answer comes in chunks
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nx-consul-token: {MASTER}\r\ncontent-length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let index = head.lines().find_map(|line| line.strip_prefix("X-Consul-Index: "));
        let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_default();
        let index = index.and_then(|index| index.parse().ok()).unwrap_or_default();
        Ok(Reply { status, index, body: body.to_owned() })
    }

    /// The only key of that name, as Consul shows it; null if there is none.
    pub fn key(&self, key: &str) -> serde_json::Value {
        let reply = self.ask("GET", &format!("/v1/kv/{key}"), "");
        if reply.status == 404 { serde_json::Value::Null } else { reply.json()[0].clone() }
    }

    pub fn put(&self, path_and_query: &str, body: &str) -> bool {
        self.ask("PUT", &format!("/v1/kv/{path_and_query}"), body).json() == true
    }

    pub fn session(&self, id: &str) -> serde_json::Value {
        self.ask("GET", &format!("/v1/session/info/{id}"), "").json()[0].clone()
    }

    pub fn destroy(&self, session: &str) -> Outcome {
        let reply = self.ask("PUT", &format!("/v1/session/destroy/{session}"), "");
        if reply.status == 200 { Ok(()) } else { Err(reply.body.into()) }
    }
}

fn bind(ip: IpAddr) -> [String; 4] {
    ["-bind".to_owned(), ip.to_string(), "-client".to_owned(), ip.to_string()]
}
