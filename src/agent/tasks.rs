//! Running tasks: each can be stopped alone, and one that ends by itself is noticed.

use super::AgentError;
use crate::telemetry::{Event, emit};
use std::future::Future;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// For one task to end once it is stopped: longer than the registrar's own limit for its leave.
const STOP_LIMIT: Duration = Duration::from_secs(4);

#[derive(Default)]
pub struct Tasks {
    set: JoinSet<End>,
}

struct End {
    name: &'static str,
    wanted: bool,
}

/// One of them, and what it gives at its end.
pub struct Task<T> {
    name: &'static str,
    stop: CancellationToken,
    result: oneshot::Receiver<T>,
    abort: AbortHandle,
}

impl Tasks {
    pub fn spawn<T, F>(&mut self, name: &'static str, run: impl FnOnce(CancellationToken) -> F) -> Task<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (stop, (send, result)) = (CancellationToken::new(), oneshot::channel());
        let (task, asked) = (run(stop.clone()), stop.clone());
        let abort = self.set.spawn(async move {
            // whoever stopped it may have given up waiting
            let _ = send.send(task.await);
            End { name, wanted: asked.is_cancelled() }
        });
        Task { name, stop, result, abort }
    }

    /// Waits for a task to end although nobody stopped it, and names it.
    pub async fn first_to_end(&mut self) -> AgentError {
        loop {
            match self.set.join_next().await {
                Some(Ok(End { wanted: true, .. })) => {}
                Some(Ok(End { name, .. })) => return AgentError::Ended(name),
                Some(Err(error)) if error.is_cancelled() => {}
                Some(Err(error)) => return AgentError::Panicked(error),
                None => return std::future::pending().await,
            }
        }
    }
}

impl<T> Task<T> {
    /// Nothing if it did not end in time and had to be cut off.
    pub async fn stop(self) -> Option<T> {
        self.stop.cancel();
        match timeout(STOP_LIMIT, self.result).await {
            Ok(result) => result.ok(),
            Err(_) => {
                emit(&Event::TaskCutOff { name: self.name });
                self.abort.abort();
                None
            }
        }
    }
}
