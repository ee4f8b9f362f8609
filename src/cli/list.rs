//! `swarm-agent list`: the nodes of a cluster.

use super::discovery_args::DiscoveryArgs;
use super::exit::Failure;

/// Print the nodes of a cluster
#[derive(clap::Args)]
#[command(long_about = "Print the nodes of a cluster, one address a line.

    $ swarm-agent list http://disco.example:8970/v1/clusters/TOKEN
    10.0.0.5:2375
    10.0.0.6:2375
    $ swarm-agent list db[01:20].example:2375     # what a pattern stands for
    $ swarm-agent list file:///etc/nodes          # one address or pattern a line, # comments

Entries that are no node addresses are skipped, with a warning on stderr. The list is only read, never changed.")]
pub struct List {
    #[command(flatten)]
    cluster: DiscoveryArgs,
    /// Print a JSON array of strings
    #[arg(long)]
    json: bool,
}

impl List {
    pub fn run(self) -> Result<(), Failure> {
        let backend = self.cluster.open()?;
        let runtime = super::runtime()?;
        let listing = runtime.block_on(backend.list());
        // a file that hangs does not hold the end up
        runtime.shutdown_background();
        let listing = listing.map_err(Failure::discovery)?;
        for entry in &listing.unreadable {
            super::remark(&format!("warning: skipped an entry: {entry}"));
        }
        if self.json {
            return super::print(&format!("{}\n", serde_json::json!(listing.nodes)));
        }
        super::print(&listing.nodes.iter().map(|node| format!("{node}\n")).collect::<String>())
    }
}
