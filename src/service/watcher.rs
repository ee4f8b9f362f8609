//! Follows the list of a cluster by reading it again and again: whole states, so that no change is missed for good.

use crate::discovery::{Backend, Scope};
use crate::policy::watch::{Event, Input, Watch};
use tokio::time::{Instant, sleep_until};

pub struct Watcher {
    backend: Box<dyn Backend>,
    policy: Watch,
    due: Instant,
}

impl Watcher {
    pub fn new(backend: Box<dyn Backend>, policy: Watch) -> Self {
        Self { backend, policy, due: Instant::now() }
    }

    /// Waits until the list is due, reads it once, and returns what is new; often nothing.
    /// Cancel-safe: a reading that is dropped is made anew by the next call.
    pub async fn next(&mut self) -> Vec<Event> {
        sleep_until(self.due).await;
        let input = match self.backend.list(Scope::Active).await {
            Ok(listing) => Input::Listed(listing),
            Err(error) => Input::Failed { error: error.to_string(), retry_after: error.retry_after() },
        };
        let (policy, events) = self.policy.clone().step(input);
        self.policy = policy;
        self.due = Instant::now() + self.policy.pause(rand::random_range(0.0..1.0));
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::{BackendError, Claim, Listing, Seen, Sight};
    use crate::model::{Hold, NodeAddress};
    use std::sync::Mutex;
    use std::time::Duration;

    struct Script(Mutex<Vec<Result<Listing, BackendError>>>);

    #[async_trait::async_trait]
    impl Backend for Script {
        async fn register(&self, _: &Claim<'_>) -> Result<Option<Hold>, BackendError> {
            panic!("a watcher never writes")
        }
        async fn deregister(&self, _: &NodeAddress, _: Option<&Hold>) -> Result<(), BackendError> {
            panic!("a watcher never writes")
        }
        async fn watch(&self, scope: Scope, _: Option<&Seen>) -> Result<Sight, BackendError> {
            assert_eq!(scope, Scope::Active, "a drained node has left");
            self.0.lock().expect("no test panics with it").remove(0).map(Sight::still)
        }
        async fn mark_drained(&self, _: &NodeAddress, _: Option<&str>, _: Duration) -> Result<(), BackendError> {
            panic!("a watcher never writes")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn reads_at_once_then_at_its_pace() {
        let list = |entry: &str| Ok(Listing::of_addresses([entry.to_owned()]));
        let script = vec![list("a:1"), Err(BackendError::Client("x".into())), list("b:1")];
        let mut watcher = Watcher::new(Box::new(Script(Mutex::new(script))), Watch::new(Duration::from_secs(10)));
        let start = Instant::now();
        assert!(matches!(&watcher.next().await[..], [Event::List(_)]));
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(matches!(&watcher.next().await[..], [Event::Error(_)]));
        assert!((9..=11).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
        assert!(matches!(&watcher.next().await[..], [Event::Recovered(_), Event::Leave(_), Event::Join(_)]));
    }
}
