//! Real etcds, and what somebody else does in them.

use crate::common::{ask_at, way};
use crate::ground::{Ground, Launcher};
use crate::{Cluster, Outcome, Service};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use swarm_agent::discovery::Scope;

/// `make setup` brings it, without installing it.
fn program() -> PathBuf {
    let here = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/etcd");
    let path = std::env::var_os("ETCD").map_or_else(here, PathBuf::from);
    assert!(path.exists(), "there is no etcd at {}: run `make setup`, or set ETCD", path.display());
    path
}

/// One member of a cluster, which may be alone.
#[derive(Clone)]
pub struct Plan {
    pub client: SocketAddr,
    peer: u16,
    name: String,
    data: PathBuf,
    peers: String,
    extra: Vec<String>,
}

impl Plan {
    /// Plans for so many members of one cluster.
    pub fn cluster(ground: &Ground, folder: &Path, members: usize) -> std::io::Result<Vec<Self>> {
        let numbers = (0..members).map(|n| Ok((format!("m{n}"), ground.port()?, ground.port()?)));
        let numbers: Vec<_> = numbers.collect::<std::io::Result<_>>()?;
        let peers: Vec<_> = numbers.iter().map(|(name, peer, _)| format!("{name}=http://127.0.0.1:{peer}")).collect();
        let plan = |(name, peer, client): (String, u16, u16)| Self {
            client: SocketAddr::new(ground.ip, client),
            peer,
            data: folder.join(&name),
            name,
            peers: peers.join(","),
            extra: Vec::new(),
        };
        Ok(numbers.into_iter().map(plan).collect())
    }

    pub fn alone(ground: &Ground, folder: &Path) -> Result<Self, Box<dyn Error>> {
        Ok(Self::cluster(ground, folder, 1)?.remove(0))
    }

    pub fn with(self, extra: &[impl ToString]) -> Self {
        Self { extra: extra.iter().map(ToString::to_string).collect(), ..self }
    }

    pub fn start(&self, launcher: Launcher) -> std::io::Result<Service> {
        let (plan, program) = (self.clone(), program());
        Service::start(move || plan.command(launcher.command(&program)))
    }

    fn command(&self, mut command: Command) -> Command {
        let scheme = if self.extra.iter().any(|flag| flag.starts_with("--cert-file")) { "https" } else { "http" };
        let (client, peer) = (format!("{scheme}://{}", self.client), format!("http://127.0.0.1:{}", self.peer));
        command.args(["--name", &self.name, "--data-dir"]).arg(&self.data);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &self.peers]).args(&self.extra);
        command
    }
}

/// A cluster of its own at each of these members.
pub fn cluster(members: &[SocketAddr], prefix: &str) -> Cluster {
    let members: Vec<_> = members.iter().map(ToString::to_string).collect();
    let url = format!("etcd://{}/{prefix}", members.join(","));
    Cluster { url: url.parse().expect("a discovery URL"), way: way() }
}

/// A server that starts takes connections before it answers.
pub async fn until_it_answers(members: &[SocketAddr]) {
    for member in members {
        let backend = cluster(&[*member], "nobody").open();
        crate::cases::until(async || backend.list(Scope::Active).await.is_ok(), "etcd answers").await;
    }
}

/// Somebody else who asks an etcd.
pub struct Stranger(pub SocketAddr);

impl Stranger {
    pub fn ask(&self, path: &str, body: &Value) -> Result<Value, Box<dyn Error>> {
        let (status, answer) = ask_at(self.0, "POST", &format!("/v3/{path}"), &body.to_string());
        if status != 200 {
            return Err(format!("{path}: {status} {answer}").into());
        }
        Ok(serde_json::from_str(&answer)?)
    }

    /// All in one transaction, for good or under a lease.
    pub fn put(&self, entries: &[(String, String)], lease: Option<&str>) -> Outcome {
        let put = |(key, value): &(String, String)| json!({"requestPut": {"key": encode(key), "value": encode(value), "lease": lease.unwrap_or("0")}});
        // etcd takes no more than 128 at once
        for some in entries.chunks(100) {
            self.ask("kv/txn", &json!({"success": some.iter().map(put).collect::<Vec<_>>()}))?;
        }
        Ok(())
    }

    pub fn delete(&self, key: &str) -> Outcome {
        self.ask("kv/deleterange", &json!({"key": encode(key)})).map(drop)
    }

    pub fn lease(&self, ttl: u32) -> Result<String, Box<dyn Error>> {
        let granted = self.ask("lease/grant", &json!({"TTL": ttl.to_string()}))?;
        Ok(granted["ID"].as_str().ok_or("no lease")?.to_owned())
    }

    pub fn revoke(&self, lease: &str) -> Outcome {
        self.ask("lease/revoke", &json!({"ID": lease})).map(drop)
    }

    /// Throws away all history.
    pub fn compact(&self) -> Outcome {
        let now = self.ask("kv/range", &json!({"key": encode("x")}))?;
        self.ask("kv/compaction", &json!({"revision": now["header"]["revision"]})).map(drop)
    }

    pub fn leads(&self) -> Result<bool, Box<dyn Error>> {
        let status = self.ask("maintenance/status", &json!({}))?;
        Ok(status["leader"].is_string() && status["leader"] == status["header"]["member_id"])
    }

    /// How many leases there are.
    pub fn leases(&self) -> Result<usize, Box<dyn Error>> {
        let found = self.ask("lease/leases", &json!({}))?;
        Ok(found["leases"].as_array().map_or(0, Vec::len))
    }

    /// From now on there are a user `root` and one with a role for these keys. The password of both is `s3cret`.
    pub fn require_users(&self, user: &str, folder: &str) -> Outcome {
        let (first, behind) = (encode(&format!("{folder}/")), encode(&format!("{folder}0")));
        let permission = json!({"permType": "READWRITE", "key": first, "range_end": behind});
        for (path, body) in [
            ("auth/user/add", json!({"name": "root", "password": "s3cret"})),
            ("auth/user/grant", json!({"user": "root", "role": "root"})),
            ("auth/role/add", json!({"name": "swarm"})),
            ("auth/role/grant", json!({"name": "swarm", "perm": permission})),
            ("auth/user/add", json!({"name": user, "password": "s3cret"})),
            ("auth/user/grant", json!({"user": user, "role": "swarm"})),
            ("auth/enable", json!({})),
        ] {
            self.ask(path, &body)?;
        }
        Ok(())
    }
}

fn encode(text: &str) -> String {
    STANDARD.encode(text)
}
