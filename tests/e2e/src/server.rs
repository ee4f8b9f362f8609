//! The servers of the stores, real ones, in the network of a cluster.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::Cluster;

/// Ended when it is dropped, and its data with it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    command: Command,
    url: String,
    _data: TempDir,
}

impl Server {
    pub fn etcd(cluster: &Cluster) -> Result<Self> {
        let ip = cluster.host_ip();
        let client = format!("http://{ip}:2379");
        let (mut command, data) = (cluster.command_in_net(tool("ETCD", "etcd")?), tempfile::tempdir()?);
        command.arg("--data-dir").arg(data.path());
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        Self::start(command, format!("etcd://{ip}"), data)
    }

    /// One that keeps nothing. None if it was asked for to go without (`SWARM_SKIP_CONSUL=1`).
    pub fn consul(cluster: &Cluster) -> Result<Option<Self>> {
        if std::env::var("SWARM_SKIP_CONSUL").is_ok_and(|skip| skip == "1") {
            return Ok(None);
        }
        let ip = cluster.host_ip();
        let (mut command, data) = (cluster.command_in_net(tool("CONSUL", "consul")?), tempfile::tempdir()?);
        command.args(["agent", "-dev", "-bind", "127.0.0.1", "-client", &ip.to_string()]);
        command.current_dir(data.path());
        Self::start(command, format!("consul://{ip}"), data).map(Some)
    }

    pub fn zookeeper(cluster: &Cluster) -> Result<Self> {
        let (ip, data) = (cluster.host_ip(), tempfile::tempdir()?);
        let (folder, file) = (data.path().display(), data.path().join("zoo.cfg"));
        let text = format!(
            "tickTime=2000\ndataDir={folder}\nclientPort=2181\nclientPortAddress={ip}\nadmin.enableServer=false\n"
        );
        std::fs::write(&file, text)?;
        let mut command = cluster.command_in_net("java");
        command.args(["-Xmx96m", "-cp"]).arg(tool("ZOOKEEPER_JARS", "zookeeper")?.join("*"));
        command.arg(format!("-Dorg.slf4j.simpleLogger.logFile={folder}/log"));
        command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(file);
        Self::start(command, format!("zk://{ip}"), data)
    }

    /// Where it is, with a prefix for keys.
    pub fn url(&self, prefix: &str) -> String {
        format!("{}/{prefix}", self.url)
    }

    /// As after a crash: killed, and started with what it had on its disk.
    pub fn restart(&mut self) -> Result<()> {
        self.end();
        self.child = spawn(&mut self.command)?;
        Ok(())
    }

    fn start(mut command: Command, url: String, data: TempDir) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = spawn(&mut command)?;
        Ok(Self { child, command, url, _data: data })
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(command: &mut Command) -> Result<Child> {
    command.spawn().with_context(|| format!("{command:?}"))
}

/// What `make setup` has fetched, unless a variable names another one.
fn tool(variable: &str, name: &str) -> Result<PathBuf> {
    let here = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools").join(name);
    let path = std::env::var_os(variable).map_or_else(here, PathBuf::from);
    // relative to where make was called, and the server may run elsewhere
    let path = std::path::absolute(path)?;
    ensure!(path.exists(), "there is no {name} at {}: run `make setup`, or set {variable}", path.display());
    Ok(path)
}
