//! The token protocol over HTTP.

use super::{Backend, BackendError, Listing, Timeouts};
use crate::model::{NodeAddress, TokenUrl};
use std::time::Duration;

pub struct TokenBackend {
    url: TokenUrl,
}

impl TokenBackend {
    pub fn new(url: TokenUrl, _timeouts: Timeouts) -> Result<Self, BackendError> {
        Ok(Self { url })
    }
}

#[async_trait::async_trait]
impl Backend for TokenBackend {
    async fn register(&self, _address: &NodeAddress, _ttl: Duration) -> Result<(), BackendError> {
        Err(BackendError::Client(self.url.server.to_string()))
    }
    async fn deregister(&self, _address: &NodeAddress) -> Result<(), BackendError> {
        Err(BackendError::Client(self.url.server.to_string()))
    }
    async fn list(&self) -> Result<Listing, BackendError> {
        Err(BackendError::Client(self.url.server.to_string()))
    }
}
