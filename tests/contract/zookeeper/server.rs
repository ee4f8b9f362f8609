//! Real ZooKeepers.

use crate::common::way;
use crate::ground::{Ground, Launcher};
use crate::{Cluster, Service};
use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use swarm_agent::discovery::Scope;

/// `make setup` brings them, without installing a server.
fn jars() -> PathBuf {
    let here = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/zookeeper");
    let path = std::env::var_os("ZOOKEEPER_JARS").map_or_else(here, PathBuf::from);
    assert!(path.is_dir(), "there is no ZooKeeper at {}: run `make setup`, or set ZOOKEEPER_JARS", path.display());
    path
}

/// One server, with what is special about it.
pub struct Plan {
    pub address: SocketAddr,
    pub data: PathBuf,
    lines: Vec<String>,
}

impl Plan {
    /// Sessions of 1 s to a minute are granted.
    pub fn new(ground: &Ground, folder: &Path) -> std::io::Result<Self> {
        let address = SocketAddr::new(ground.ip, ground.port()?);
        let plan = Self { address, data: folder.to_owned(), lines: Vec::new() };
        Ok(plan.with(&["tickTime=500", "maxSessionTimeout=60000", "admin.enableServer=false"]).with(&[
            &format!("clientPortAddress={}", address.ip()),
            &format!("clientPort={}", address.port()),
            &format!("dataDir={}", folder.display()),
            "4lw.commands.whitelist=cons,srvr",
            "maxClientCnxns=0",
        ]))
    }

    /// A later line counts.
    pub fn with(mut self, lines: &[&str]) -> Self {
        for line in lines {
            let key = line.split_once('=').map_or(*line, |(key, _)| key);
            self.lines.retain(|other| !other.starts_with(&format!("{key}=")));
            self.lines.push((*line).to_owned());
        }
        self
    }

    /// Members of one cluster, which reach each other over loopback.
    pub fn ensemble(ground: &Ground, folder: &Path, members: usize) -> Result<Vec<Self>, Box<dyn Error>> {
        let mut lines = vec!["initLimit=20".to_owned(), "syncLimit=10".to_owned()];
        for number in 1..=members {
            lines.push(format!("server.{number}=127.0.0.1:{}:{}", ground.port()?, ground.port()?));
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let mut plans = Vec::new();
        for number in 1..=members {
            let data = folder.join(number.to_string());
            std::fs::create_dir(&data)?;
            std::fs::write(data.join("myid"), number.to_string())?;
            plans.push(Self::new(ground, &data)?.with(&lines));
        }
        Ok(plans)
    }

    pub fn start(&self, launcher: Launcher) -> std::io::Result<Service> {
        let file = self.data.join("zoo.cfg");
        std::fs::write(&file, self.lines.join("\n"))?;
        let log = self.data.join("log");
        Service::start(move || {
            let mut command: Command = launcher.command("java");
            // it starts sooner so, and nothing here has to survive a power cut
            command.args(["-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dzookeeper.forceSync=no"]);
            command.arg(format!("-Dorg.slf4j.simpleLogger.logFile={}", log.display()));
            command.arg("-cp").arg(jars().join("*"));
            command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(&file);
            command
        })
    }
}

pub fn cluster(servers: &[SocketAddr], prefix: &str) -> Cluster {
    let servers: Vec<_> = servers.iter().map(ToString::to_string).collect();
    let url = format!("zk://{}/{prefix}", servers.join(","));
    Cluster { url: url.parse().expect("a discovery URL"), way: way() }
}

/// A server that starts takes connections before it answers.
pub async fn until_it_answers(server: SocketAddr) {
    let backend = cluster(&[server], "nobody").open();
    crate::cases::until(async || backend.list(Scope::Active).await.is_ok(), "ZooKeeper answers").await;
}

/// Whether this is the server that has the session.
pub fn serves(server: SocketAddr, session: &str) -> bool {
    let ask = || -> std::io::Result<String> {
        let (mut stream, mut said) = (TcpStream::connect(server)?, String::new());
        stream.write_all(b"cons")?;
        stream.read_to_string(&mut said)?;
        Ok(said)
    };
    ask().is_ok_and(|said| said.contains(&format!("sid=0x{}", session.trim_start_matches('0'))))
}
