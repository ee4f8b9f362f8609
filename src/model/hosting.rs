//! The discovery server inside the agent.

use std::fmt;
use std::net::SocketAddr;

/// What it does; reads at the end of `STATUS=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosting {
    /// There is none: the cluster is elsewhere.
    Elsewhere,
    Starting,
    Serving {
        address: SocketAddr,
        clusters: usize,
        nodes: usize,
    },
    /// It is tried again.
    Failed(String),
}

impl fmt::Display for Hosting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elsewhere => Ok(()),
            Self::Starting => f.write_str("its own discovery server starts"),
            Self::Serving { address, .. } if address.ip().is_loopback() => {
                f.write_str("cluster of one, on this host only")
            }
            Self::Serving { address, clusters, nodes } => {
                let plural = |n: &usize| if *n == 1 { "" } else { "s" };
                write!(f, "serving {nodes} node{} in {clusters} cluster{}", plural(nodes), plural(clusters))?;
                write!(f, " on {address}")
            }
            Self::Failed(why) => write!(f, "its own discovery server does not work: {why}"),
        }
    }
}
