//! Our own server.

use crate::common::{clean, cluster_at, way};
use crate::{Cluster, Deed, Ground, Outcome, Service, Subject, Traits, contract};
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;
use swarm_agent::discovery::{Claim, Release};
use tokio::net::TcpStream;

contract!(start);

struct TokenServer {
    address: SocketAddr,
    service: Service,
    _directory: tempfile::TempDir,
}

async fn start(ground: &Ground) -> Result<TokenServer, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let address = SocketAddr::new(ground.ip, ground.port()?);
    let (launcher, state) = (ground.launcher(), directory.path().to_owned());
    let command = move || {
        let mut command = launcher.command(env!("CARGO_BIN_EXE_swarm-agent"));
        clean(&mut command);
        command.args(["serve", "--listen", &address.to_string(), "--state-directory"]).arg(&state);
        command
    };
    let server = TokenServer { address, service: Service::start(command)?, _directory: directory };
    crate::cases::until(async || TcpStream::connect(address).await.is_ok(), "the server answers").await;
    Ok(server)
}

#[async_trait::async_trait]
impl Subject for TokenServer {
    async fn new_cluster(&self) -> Cluster {
        Cluster { url: cluster_at(self.address).await, way: way() }
    }

    async fn stranger(&self, cluster: &Cluster, deed: Deed<'_>) -> Outcome {
        match deed {
            Deed::Delete(address) => cluster.open().deregister(&Release::new(&address.parse()?, None)).await?,
            Deed::Garbage => unreachable!("it takes in none"),
            Deed::Fill(addresses) => {
                let backend = cluster.open();
                for address in addresses {
                    backend.register(&Claim::new(&address.parse()?, Duration::from_secs(600))).await?;
                }
            }
        }
        Ok(())
    }

    fn service(&self) -> &Service {
        &self.service
    }

    fn traits(&self) -> Traits {
        Traits {
            shortest_ttl: Duration::from_secs(1),
            lateness: Duration::from_secs(1),
            has_room: true,
            takes_garbage: false,
            tells_of_changes: true,
            wrong_ways: Vec::new(),
        }
    }
}
