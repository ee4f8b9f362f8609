//! Keeps the agent's own discovery server going.

use super::TICK;
use super::beat::Beat;
use super::clock::Clock;
use crate::model::{Hosting, Limiter};
use crate::telemetry::{Event, emit};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Between two attempts to serve.
const RETRY: Duration = TICK;
/// That it does not work is said this often at most.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// A discovery server that can be served.
#[async_trait::async_trait]
pub trait Host: Send {
    /// Serves until `stop` is cancelled, or says why it can't go on. What it does goes to `hosting`.
    async fn serve(&mut self, hosting: &watch::Sender<Hosting>, stop: CancellationToken) -> Result<(), String>;
}

pub struct Embedded {
    pub host: Box<dyn Host>,
    pub hosting: watch::Sender<Hosting>,
    pub beat: Beat,
    pub clock: Clock,
}

impl Embedded {
    pub async fn run(mut self, stop: CancellationToken) {
        let mut warnings = Limiter::new(WARN_INTERVAL);
        let mut said = false;
        loop {
            let why = match self.serve(&stop, &mut said).await {
                Ok(()) => return,
                Err(why) => why,
            };
            if warnings.allow(self.clock.now()) {
                emit(&Event::HostingFailed { reason: &why });
                said = true;
            }
            self.hosting.send_replace(Hosting::Failed(why));
            // Cancel-safe: a sleep holds no state.
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(RETRY) => {}
            }
        }
    }

    /// One attempt, with a tick of the beat at every turn.
    async fn serve(&mut self, stop: &CancellationToken, said: &mut bool) -> Result<(), String> {
        self.beat.tick();
        let mut seen = self.hosting.subscribe();
        let mut serving = self.host.serve(&self.hosting, stop.clone());
        loop {
            // Cancel-safe: the server is kept over the turns; `changed` marks nothing seen until it returns.
            tokio::select! {
                outcome = &mut serving => return outcome,
                Ok(()) = seen.changed() => {
                    if *said && matches!(*seen.borrow_and_update(), Hosting::Serving { .. }) {
                        emit(&Event::HostingRecovered);
                        *said = false;
                    }
                }
                () = self.beat.rest() => {}
            }
            self.beat.tick();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::beat::Beats;
    use tokio::time::Instant;

    /// Fails twice, then serves until it is stopped.
    struct Shaky(u32);

    #[async_trait::async_trait]
    impl Host for Shaky {
        async fn serve(&mut self, hosting: &watch::Sender<Hosting>, stop: CancellationToken) -> Result<(), String> {
            self.0 += 1;
            if self.0 < 3 {
                return Err("address in use".to_owned());
            }
            hosting.send_replace(Hosting::Serving { address: ([127, 0, 0, 1], 8971).into(), clusters: 1, nodes: 0 });
            stop.cancelled().await;
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_fails_is_tried_again_and_one_that_serves_ticks() {
        let clock = Clock::of_loops();
        let beats = Beats::new(clock);
        let (hosting, mut seen) = watch::channel(Hosting::Starting);
        let embedded = Embedded { host: Box::new(Shaky(0)), hosting, beat: beats.add("embedded"), clock };
        let (start, stop) = (Instant::now(), CancellationToken::new());
        let task = tokio::spawn(embedded.run(stop.clone()));
        let failed = seen.wait_for(|hosting| matches!(hosting, Hosting::Failed(_))).await.map(|seen| seen.to_string());
        assert_eq!(failed.ok().as_deref(), Some("its own discovery server does not work: address in use"));
        let serving = seen.wait_for(|hosting| matches!(hosting, Hosting::Serving { .. })).await.map(|s| s.to_string());
        assert_eq!(serving.ok().as_deref(), Some("cluster of one, on this host only"));
        assert_eq!(start.elapsed(), 2 * RETRY);
        sleep(Duration::from_secs(600)).await;
        assert!(beats.stale(2 * TICK).is_empty());
        stop.cancel();
        task.await.expect("a task that ends by itself");
    }
}
