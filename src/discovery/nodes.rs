//! A list of nodes that stands in the URL itself. Read-only.

use super::{Backend, BackendError, Claim, Position, Release, Scope, Seen, Sight};
use crate::model::{Hold, NodeAddress, NodesUrl};
use std::time::Duration;
use tokio::time::sleep;

pub struct NodesBackend {
    url: NodesUrl,
}

impl NodesBackend {
    pub fn new(url: NodesUrl) -> Self {
        Self { url }
    }

    fn read_only(&self) -> BackendError {
        BackendError::ReadOnly { list: format!("nodes://{}", self.url.text) }
    }
}

#[async_trait::async_trait]
impl Backend for NodesBackend {
    async fn register(&self, _: &Claim<'_>) -> Result<Option<Hold>, BackendError> {
        Err(self.read_only())
    }

    async fn deregister(&self, _: &Release<'_>) -> Result<(), BackendError> {
        Err(self.read_only())
    }

    /// It never changes: a watch waits out its patience.
    async fn watch(&self, _: Scope, seen: Option<&Seen>) -> Result<Sight, BackendError> {
        if let Some(seen) = seen {
            sleep(seen.patience).await;
        }
        Ok(Sight { listing: self.url.listing.clone(), position: Some(Position(String::new())) })
    }

    async fn mark_drained(&self, _: &NodeAddress, _: Option<&str>, _: Duration) -> Result<(), BackendError> {
        Err(self.read_only())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DiscoveryUrl;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_watch_waits_out_its_patience() -> Result<(), Box<dyn std::error::Error>> {
        let DiscoveryUrl::Nodes(url) = "nodes://a:1,b[1:2]:1".parse()? else { panic!("a list of nodes") };
        let backend = NodesBackend::new(url);
        let start = Instant::now();
        let sight = backend.watch(Scope::Active, None).await?;
        assert_eq!((sight.listing.nodes.len(), start.elapsed()), (3, Duration::ZERO));
        let position = sight.position.clone().ok_or("it can be waited for")?;
        let seen = Seen { position, patience: Duration::from_secs(55) };
        assert_eq!(backend.watch(Scope::Active, Some(&seen)).await?, sight);
        assert_eq!(start.elapsed(), seen.patience);
        Ok(())
    }
}
