//! Metrics for a Prometheus server that can't open the agent's unix socket: plain HTTP, and nothing but `/metrics`.

use super::beat::Beat;
use super::clock::Clock;
use super::readings::{Readings, metrics};
use crate::http::{self, Bounds};
use crate::model::Limiter;
use crate::telemetry::{Event, emit};
use axum::Router;
use axum::routing::get;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const BOUNDS: Bounds =
    Bounds { connections: 16, each: 8, head: Duration::from_secs(10), drain: Duration::from_secs(1) };
/// That the address can't be listened on is said this often at most.
const WARN_INTERVAL: Duration = Duration::from_secs(3600);

pub struct Exposer {
    pub listen: SocketAddr,
    pub readings: Readings,
    pub beat: Beat,
    pub clock: Clock,
}

impl Exposer {
    /// An address that is taken, or not there yet, is tried again.
    pub async fn run(self, stop: CancellationToken) {
        let mut warnings = Limiter::new(WARN_INTERVAL);
        loop {
            self.beat.tick();
            match TcpListener::bind(self.listen).await {
                Ok(listener) => return self.serve(listener, stop).await,
                Err(error) if warnings.allow(self.clock.now()) => {
                    emit(&Event::MetricsFailed { address: &self.listen.to_string(), error: &error.to_string() });
                }
                Err(error) => tracing::debug!(%error, "metrics can't be served yet"),
            }
            // Cancel-safe: a sleep holds no state.
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.beat.rest() => {}
            }
        }
    }

    async fn serve(&self, listener: TcpListener, stop: CancellationToken) {
        let router = || Router::new().route("/metrics", get(metrics)).with_state(self.readings.clone());
        let place = self.listen.to_string();
        let tell = |trouble| emit(&Event::of_socket(&place, &trouble));
        let mut serving = pin!(http::serve(listener, http::plain(router), BOUNDS, tell, stop));
        loop {
            // Cancel-safe: the server is pinned outside.
            tokio::select! {
                () = &mut serving => return,
                () = self.beat.rest() => self.beat.tick(),
            }
        }
    }
}
