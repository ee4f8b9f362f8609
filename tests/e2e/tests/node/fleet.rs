//! What most tests start from: a discovery server on `server`, an agent on `node`, and a client that lists.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use e2e::{Cluster, Image, Machine, Result};

use crate::lister::Lister;

pub const SECOND: Duration = Duration::from_secs(1);
pub const SERVER_PORT: u16 = 8970;

pub const REGISTERED: &str = "85b5644e72d04c59bd3c5c9fb974a129";
pub const DEREGISTERED: &str = "8bfeaae4420446b1aea74afe5cd15536";
pub const DISCOVERY_FAILING: &str = "47e224d664d34669a3b3b9d060d3aa65";
pub const DISCOVERY_RECOVERED: &str = "9b04529235f34a61b294be51b003d4b1";
pub const ENGINE_NOT_WORKING: &str = "b1e1fe9d0a474db088fced3e0f5cb312";
pub const ADVERTISED_UNREACHABLE: &str = "d26e4f09155b45b6ac5f7a1ae56e6a9a";
pub const ADVERTISED_REACHABLE: &str = "e4cc01ff73a34959be8fb7c20e5c83f4";
pub const RELOADED: &str = "268611bd15654738a0a1b57e8d7a93ae";
pub const CONFIG_INVALID: &str = "19fe88b4af50459c9e94e3208a6d059c";

/// The package under test: what `make deb` built.
pub fn package() -> Result<PathBuf> {
    let path = std::env::var_os("SWARM_E2E_PACKAGE").map(PathBuf::from);
    match path.filter(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => {
            anyhow::bail!("SWARM_E2E_PACKAGE names no package: run `make test`, or set it to what `make deb` built")
        }
    }
}

/// Installs the package as an operator does.
pub fn install(machine: &Machine) -> Result<()> {
    machine.copy_in(package()?, "/root/swarm-agent.deb")?;
    machine.ok(["dpkg", "--install", "/root/swarm-agent.deb"]).map(drop)
}

/// Makes a machine the discovery server; the token of a new cluster there.
pub fn serve(server: &Machine) -> Result<String> {
    install(server)?;
    server
        .write("/etc/swarm-agent/config.d/10-test.toml", format!("[server]\nlisten = \"0.0.0.0:{SERVER_PORT}\"\n"))?;
    server.ok(["systemctl", "enable", "--now", "swarm-discovery"])?;
    Ok(server.ok(["swarm-agent", "create", &format!("http://127.0.0.1:{SERVER_PORT}")])?.trim().to_owned())
}

pub struct Fleet {
    // dropped last: it takes the machines with it
    pub server: Machine,
    pub node: Machine,
    pub token: String,
    pub cluster: Cluster,
}

impl Fleet {
    /// Both machines booted, the package installed, the server serving; the agent not yet configured.
    pub fn boot(name: &str) -> Result<Self> {
        Self::boot_on(name, Image::base()?)
    }

    fn boot_on(name: &str, image: Image) -> Result<Self> {
        let cluster = Cluster::new(name)?;
        let server = cluster.machine("server").dont_wait_for_docker();
        let [server, node] = cluster.boot_all([server, cluster.machine("node").image(image)])?;
        install(&node)?;
        let token = serve(&server)?;
        Ok(Self { server, node, token, cluster })
    }

    /// The whole path: booted, configured with these further lines, enabled, registered.
    pub fn registered(name: &str, more: &str) -> Result<Self> {
        Self::boot(name)?.register(more)
    }

    /// The same with another image on the node.
    pub fn registered_on(name: &str, image: Image) -> Result<Self> {
        Self::boot_on(name, image)?.register("")
    }

    fn register(self, more: &str) -> Result<Self> {
        self.configure(&self.server_url(), more)?;
        self.enable()?;
        self.lister()?.wait_present(&self.address(), 20 * SECOND)?;
        Ok(self)
    }

    /// The agent's configuration; `more` begins inside `[discovery]`.
    pub fn configure(&self, server: &str, more: &str) -> Result<()> {
        self.configure_as(server, &self.address(), more)
    }

    /// The same with another `discovery.advertise`.
    pub fn configure_as(&self, server: &str, advertise: &str, more: &str) -> Result<()> {
        let token = &self.token;
        self.node.write(
            "/etc/swarm-agent/config.d/10-test.toml",
            format!("[discovery]\nurl = \"{server}/v1/clusters/{token}\"\nadvertise = \"{advertise}\"\n{more}"),
        )
    }

    pub fn enable(&self) -> Result<()> {
        self.node.ok(["systemctl", "enable", "--now", "swarm-agent"]).map(drop)
    }

    pub fn server_url(&self) -> String {
        format!("http://{}:{SERVER_PORT}", self.server.ip())
    }

    pub fn server_address(&self) -> SocketAddr {
        (self.server.ip(), SERVER_PORT).into()
    }

    /// What the node advertises.
    pub fn address(&self) -> String {
        format!("{}:2375", self.node.ip())
    }

    /// A client that lists every 50 ms, from the cluster's own network.
    pub fn lister(&self) -> Result<Lister> {
        Lister::start(&self.cluster, self.server_address(), &self.token)
    }

    /// The agent's STATUS= line.
    pub fn status(&self) -> Result<String> {
        Ok(self.node.unit("swarm-agent.service")?.get("StatusText").to_owned())
    }

    /// Entries of the agent with this MESSAGE_ID, in this boot.
    pub fn events(&self, id: &str) -> Result<Vec<e2e::JournalEntry>> {
        let mut entries = self.node.journal("swarm-agent")?;
        entries.retain(|entry| entry.message_id().as_deref() == Some(id));
        Ok(entries)
    }
}

/// A machine on which Docker was never installed, but can be.
pub fn without_docker(cluster: &Cluster) -> Result<Machine> {
    cluster.machine("bare").image(Image::without_docker()?).boot()
}
