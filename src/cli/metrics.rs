//! `swarm-agent metrics`: the running agent's metrics.

use super::exit::Failure;
use super::local::LocalArgs;
use hyper::Method;

/// Print the running agent's metrics in Prometheus's text format
#[derive(clap::Args)]
#[command(long_about = "Print the running agent's metrics in Prometheus's text format.

For a Prometheus server that reaches this host, status.metrics-listen is simpler. This is for a look by hand, and for \
node_exporter's textfile collector:

    swarm-agent metrics > /var/lib/prometheus/node-exporter/swarm-agent.prom.$$ &&
        mv /var/lib/prometheus/node-exporter/swarm-agent.prom.$$ /var/lib/prometheus/node-exporter/swarm-agent.prom

Exit status: 0 they were printed, 69 no agent runs.")]
pub struct Metrics {
    #[command(flatten)]
    agent: LocalArgs,
}

impl Metrics {
    pub fn run(self) -> Result<(), Failure> {
        let answer = super::runtime()?.block_on(self.agent.ask(Method::GET, "/metrics", String::new()))?;
        super::print(&String::from_utf8_lossy(&answer.body))
    }
}
