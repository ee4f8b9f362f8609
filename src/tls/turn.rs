//! Work that may block on a file system, one piece at a time: one that hangs shall not collect threads.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// The right to block a thread. Held until the work is done, also by work that nobody waits for any more.
#[derive(Clone, Default)]
pub struct Turn(Arc<Mutex<()>>);

impl Turn {
    /// Does it on a thread of its own when all before it is done. Both together take `limit` at most; the error says why
    /// it did not come to an end.
    pub async fn take<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let working = async {
            let turn = Arc::clone(&self.0).lock_owned().await;
            let working = spawn_blocking(move || {
                let _turn = turn;
                work()
            });
            working.await.map_err(|panicked| panicked.to_string())
        };
        let late = |_| Err(format!("no answer within {}", humantime::format_duration(limit)));
        timeout(limit, working).await.unwrap_or_else(late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn what_hangs_holds_up_those_behind_it_and_takes_no_second_thread() {
        let (turn, limit) = (Turn::default(), Duration::from_millis(50));
        let (release, hanging) = mpsc::channel::<()>();
        let late = Err("no answer within 50ms".to_owned());
        let first = turn.take(limit, move || hanging.recv().is_ok()).await;
        assert_eq!(first, late.clone().map(|()| true));
        let (ran, seen) = mpsc::channel();
        assert_eq!(turn.take(limit, move || ran.send(()).is_ok()).await, late.map(|()| true));
        assert!(seen.recv().is_err(), "it was not begun");
        drop(release);
        let patience = Duration::from_secs(60);
        assert_eq!(turn.take(patience, || 7).await, Ok(7));
        let panicked: Result<(), _> = turn.take(patience, || panic!("on purpose")).await;
        assert!(panicked.is_err());
        assert_eq!(turn.take(patience, || 8).await, Ok(8), "a panic is no end");
    }
}
