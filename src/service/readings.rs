//! What can be read of the agent over HTTP.

use super::reporter::Reporter;
use crate::model::report::Report;
use crate::model::{EngineHealth, Finding, Hosting, Moment, RegistrationStatus, UnitView};
use crate::telemetry::Restraint;
use crate::telemetry::metrics::{CONTENT_TYPE, Metrics, Sample};
use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

/// A report is sent at least this often to those who watch, unless they want it more often.
const AT_LEAST: Duration = Duration::from_secs(3600);

/// Cheap to clone: each request has one.
#[derive(Clone)]
pub struct Readings {
    pub reporter: Reporter,
    pub metrics: Arc<Metrics>,
    pub log: Restraint,
    /// Ends those who watch.
    pub stop: CancellationToken,
}

/// `?watch=N`: a report a line, at each change and every N seconds.
pub async fn status(State(readings): State<Readings>, RawQuery(query): RawQuery) -> Response {
    let watch = query.as_deref().and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("watch=")));
    match watch.map(str::parse::<u64>) {
        None => Json(readings.reporter.report()).into_response(),
        Some(Ok(seconds @ 1..)) => watching(readings, Duration::from_secs(seconds).min(AT_LEAST)),
        Some(_) => refuse(StatusCode::BAD_REQUEST, "bad_request", "watch is a number of seconds, at least 1"),
    }
}

fn watching(readings: Readings, patience: Duration) -> Response {
    let readers = readings.reporter.readers();
    let reports = stream::unfold((readings, true), move |(mut readings, first)| async move {
        let mut reporter = readings.reporter;
        // Cancel-safe: what was not told yet is told with the next report.
        tokio::select! {
            () = readings.stop.cancelled() => return None,
            () = reporter.changed(patience), if !first => {}
            () = std::future::ready(()), if first => reporter.mark_seen(),
        }
        // who may read is another question now: to be asked again
        if reporter.readers() != readers {
            return None;
        }
        let line = line(&reporter.report());
        readings.reporter = reporter;
        Some((line, (readings, false)))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(reports)).into_response()
}

fn line(report: &Report) -> Result<String, serde_json::Error> {
    serde_json::to_string(report).map(|line| line + "\n")
}

pub async fn metrics(State(readings): State<Readings>) -> Response {
    match readings.metrics.render(&readings.sample()) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// What systemd's watchdog is told: the agent itself works, whether or not the node is registered.
pub async fn health(State(readings): State<Readings>) -> Response {
    match readings.reporter.stuck()[..] {
        [] => "ok\n".into_response(),
        ref stuck => (StatusCode::SERVICE_UNAVAILABLE, format!("stuck: {}\n", stuck.join(", "))).into_response(),
    }
}

impl Readings {
    fn sample(&self) -> Sample {
        let reporter = &self.reporter;
        let (now, date) = (reporter.clock.now(), reporter.clock.date());
        let at = |moment: Moment| unix(date) - now.since(moment).as_secs_f64();
        let (standing, tenure, configured) =
            (reporter.standing.borrow(), reporter.tenure.borrow(), reporter.configured.borrow());
        let supervised = reporter.supervised.borrow();
        let (outlook, reading, drain) = (reporter.outlook.borrow(), reporter.reading.borrow(), reporter.drain.borrow());
        Sample {
            version: env!("CARGO_PKG_VERSION"),
            started_at: unix(reporter.started),
            registered: standing.status.registered(),
            lease_left: tenure.renewed.map(|renewed| (renewed + configured.ttl).since(now)),
            ttl: configured.ttl,
            heartbeat: configured.heartbeat,
            last_renewal_at: tenure.last_beat.map(at),
            lease_at_risk: matches!(standing.status, RegistrationStatus::Unconfirmed { at_risk: true, .. }),
            engine_state: outlook.health.name(),
            engine_condition: supervised.condition.name(),
            repair_refused: supervised.refused.as_ref().map(|(refusal, _)| refusal.name()),
            repairs_in_window: supervised.restarts,
            containers_running: match &outlook.health {
                EngineHealth::Healthy(info) => Some(info.containers_running),
                _ => None,
            },
            advertised: reporter.reach.borrow().as_ref().map(|reach| Finding::name(&reach.finding)),
            dbus_connected: matches!(*reporter.units.borrow(), UnitView::Known(_)),
            watchdog_margin: reporter.watchdog_margin(),
            watchdog_timeout: reporter.watchdog_timeout,
            config_valid: reading.errors.is_empty(),
            config_loaded_at: unix(reading.loaded),
            drained: drain.is_some(),
            drain_ends_at: drain.as_ref().and_then(|drain| drain.until).map(unix),
            hosting_failed: matches!(*reporter.hosting.borrow(), Hosting::Failed(_)),
            log_dropped: self.log.dropped(),
            log_held: self.log.held(),
        }
    }
}

/// An error as the local API has it.
pub fn refuse(status: StatusCode, code: &str, error: &str) -> Response {
    (status, Json(serde_json::json!({ "error": error, "code": code }))).into_response()
}

fn unix(date: SystemTime) -> f64 {
    date.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use crate::discovery::BackendError::{
        self, Broken, Client, Connect, Credentials, Denied, Everywhere, File, Garbled, Held, NoRoom, Proxy, ReadOnly,
        Refused, Status, Timeout, Tls,
    };
    use crate::model::{ProxyFault, Source, TlsFileFault, TlsFileProblem};
    use crate::telemetry::metrics::REQUEST_FAILURES;
    use std::time::Duration;

    #[test]
    fn every_kind_of_failure_is_counted_from_the_start() {
        let (server, text) = (|| "disco".to_owned(), String::new);
        let rule = || Source { key: "proxy.http", origin: text() };
        let next = |error: &BackendError| {
            Some(match error {
                Connect { .. } => Timeout { server: server(), timeout: Duration::ZERO },
                Timeout { .. } => Status { server: server(), status: 500, message: text(), retry_after: None },
                Status { .. } => Broken { server: server(), cause: text() },
                Broken { .. } => Garbled { server: server(), what: text() },
                Garbled { .. } => Client(text()),
                Client(_) => Tls { server: server(), cause: text() },
                Tls { .. } => {
                    Credentials(TlsFileFault { setting: "", path: "/".into(), problem: TlsFileProblem::Empty })
                }
                Credentials(_) => Denied { server: server(), status: 401, message: text(), remedy: text() },
                Denied { .. } => Refused { server: server(), reason: text() },
                Refused { .. } => ReadOnly { list: text() },
                ReadOnly { .. } => File { path: "/".into(), cause: text() },
                File { .. } => Proxy { proxy: server(), rule: rule(), fault: ProxyFault::Unreachable(text()) },
                Proxy { .. } => NoRoom { server: server() },
                NoRoom { .. } => Held { server: server(), entry: text(), holder: text() },
                Held { .. } => return None,
                // counted as what it tells
                Everywhere { .. } => unreachable!("no kind of its own"),
            })
        };
        let all = std::iter::successors(Some(Connect { server: server(), cause: text() }), next);
        assert_eq!(all.map(|error| error.kind()).collect::<Vec<_>>(), REQUEST_FAILURES);
    }
}
