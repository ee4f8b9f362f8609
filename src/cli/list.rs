//! `swarm-agent list`: the nodes of a cluster.

use super::discovery_args::DiscoveryArgs;
use super::exit::Failure;
use super::list_format::FormatArgs;
use super::list_long;
use crate::discovery::Scope;

/// Print the nodes of a cluster
#[derive(clap::Args)]
#[command(long_about = "Print the nodes of a cluster, one address a line.

    $ swarm-agent list http://disco.example:8970/v1/clusters/TOKEN
    10.0.0.5:2375
    10.0.0.6:2375
    $ swarm-agent list db[01:20].example:2375     # what a pattern stands for
    $ swarm-agent list file:///etc/nodes          # one address or pattern a line, # comments
    $ swarm-agent list --all                      # drained nodes, too
    10.0.0.5:2375
    10.0.0.6:2375  drained: kernel update
    $ swarm-agent list --long                     # who they are, as their agents say
    ADDRESS        HOST  AGENT  SINCE                 ENGINE
    10.0.0.5:2375  db1   0.1.0  2026-11-26T08:00:00Z  ABCD:EFGH:…

A drained node is out of the cluster on purpose. `swarm-agent serve` and the agent's own server have room for drained \
nodes; where a discovery service has none, --all shows the others. With --json the array then has objects with \
address (a string), drained (a boolean) and reason (a string or null).

    $ swarm-agent list --format prometheus-file-sd --port 9100

--format prometheus-file-sd is what file_sd_configs of Prometheus reads. Each node is a target at --port, or at the \
engine's, where nothing speaks metrics; for relabelling it has the label __meta_swarm_agent_address, the node as it is \
registered, and a drained one __meta_swarm_agent_drained=true. `swarm-agent watch --write-file` keeps such a file.

Entries that are no node addresses are skipped, with a warning on stderr. The list is only read, never changed.")]
pub struct List {
    #[command(flatten)]
    cluster: DiscoveryArgs,
    /// Print drained nodes too, behind the others
    #[arg(long)]
    all: bool,
    /// Print who each node is, where the discovery service has room for that: host, agent's version, since when, engine's
    /// id; with --json, objects with address and record (an object or null)
    #[arg(long, conflicts_with_all = ["all", "format", "port"])]
    long: bool,
    /// Print a JSON array of strings; with --all, of objects: --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    format: FormatArgs,
}

impl List {
    pub fn run(self) -> Result<(), Failure> {
        let shape = self.format.shape(self.json)?;
        let backend = self.cluster.open()?;
        let runtime = super::runtime()?;
        let scope = match (self.all, self.long) {
            (true, _) => Scope::All,
            (_, true) => Scope::Records,
            _ => Scope::Active,
        };
        let listing = runtime.block_on(backend.list(scope));
        // a file that hangs does not hold the end up
        runtime.shutdown_background();
        let listing = listing.map_err(Failure::discovery)?;
        for entry in &listing.unreadable {
            super::remark(&format!("warning: skipped an entry: {entry}"));
        }
        super::print(&match (self.long, self.json) {
            (false, _) => shape.write(&listing, self.all),
            (true, false) => list_long::columns(&listing),
            (true, true) => list_long::objects(&listing),
        })
    }
}
