//! Every metric with its name and help text, in one place. The README lists what is here.

use super::counts::{Counts, Histogram, Requests, Tally};
use super::sample::Sample;
use crate::model::{Condition, EngineHealth, Finding, Refusal};
use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};
use std::iter::once;

/// What the label of the advertised address says before anybody has asked, and where nobody asks.
const UNCHECKED: &str = "unchecked";

/// Those that have a value at the moment.
pub fn all(sample: &Sample, counts: &Counts) -> Vec<MetricFamily> {
    let mut families = agent(sample);
    families.extend(lease(sample));
    families.extend(requests(counts));
    families.extend(engine(sample));
    families.extend(repairs(sample, counts));
    families.extend(probes(counts));
    families.extend(configuration(sample, counts));
    families.extend(drain(sample));
    families.extend(log(sample));
    families.retain(|family| !family.get_metric().is_empty());
    families
}

fn agent(sample: &Sample) -> Vec<MetricFamily> {
    vec![
        gauges(
            "swarm_agent_build_info",
            "Always 1; the label is the agent's version.",
            once((vec![("version", sample.version)], 1.0)),
        ),
        gauge(
            "swarm_agent_start_timestamp_seconds",
            "Unix time at which the agent's process started; a restart changes it.",
            sample.started_at,
        ),
        gauge(
            "swarm_agent_watchdog_margin_seconds",
            "Seconds until the loop of the agent that turned longest ago counts as stuck. At 0 systemd is pinged no more.",
            sample.watchdog_margin.as_secs_f64(),
        ),
        gauge(
            "swarm_agent_watchdog_timeout_seconds",
            "Seconds without a ping after which systemd kills the agent (WatchdogSec=). Absent without a watchdog.",
            sample.watchdog_timeout.map(|timeout| timeout.as_secs_f64()),
        ),
    ]
}

fn lease(sample: &Sample) -> Vec<MetricFamily> {
    vec![
        gauge(
            "swarm_agent_registered",
            "1 while the agent's entry is in the discovery service as far as the agent knows, else 0.",
            f64::from(sample.registered),
        ),
        gauge(
            "swarm_agent_lease_left_seconds",
            "Seconds until the entry expires unless a heartbeat renews it. Absent while there is no entry.",
            sample.lease_left.map(|left| left.as_secs_f64()),
        ),
        gauge(
            "swarm_agent_lease_ttl_seconds",
            "Seconds that an entry lives without a heartbeat (discovery.ttl).",
            sample.ttl.as_secs_f64(),
        ),
        gauge(
            "swarm_agent_lease_at_risk",
            "1 while heartbeats fail and less than a third of the ttl is left, else 0.",
            f64::from(sample.lease_at_risk),
        ),
        gauge(
            "swarm_agent_heartbeat_interval_seconds",
            "Seconds between two heartbeats (discovery.heartbeat).",
            sample.heartbeat.as_secs_f64(),
        ),
        gauge(
            "swarm_agent_last_heartbeat_timestamp_seconds",
            "Unix time of the last heartbeat that the discovery service accepted. Absent before the first.",
            sample.last_renewal_at,
        ),
    ]
}

fn requests(counts: &Counts) -> Vec<MetricFamily> {
    let operations = [("register", &counts.register), ("deregister", &counts.deregister)];
    let attempts = operations.map(|(name, requests)| (vec![("operation", name)], requests.attempts as f64));
    let failures = |(name, requests): (&'static str, &Requests)| {
        let labelled = |(kind, count)| (vec![("operation", name), ("kind", kind)], count as f64);
        requests.failures.iter().map(labelled).collect::<Vec<_>>()
    };
    vec![
        counters(
            "swarm_agent_discovery_attempts_total",
            "Requests to the discovery service that came to an end. Each heartbeat is a register.",
            attempts,
        ),
        counters(
            "swarm_agent_discovery_failures_total",
            "Requests to the discovery service that failed, by what went wrong.",
            operations.into_iter().flat_map(failures),
        ),
        histogram(
            "swarm_agent_heartbeat_duration_seconds",
            "Seconds that each register request took, failed or not.",
            &counts.heartbeats,
        ),
    ]
}

fn repairs(sample: &Sample, counts: &Counts) -> Vec<MetricFamily> {
    let conditions = Condition::ALL.map(Condition::name);
    let labelled = |label: &'static str, tally: &Tally| {
        tally.iter().map(|(name, count)| (vec![(label, name)], count as f64)).collect::<Vec<_>>()
    };
    let refused = Refusal::NAMES.map(|name| (vec![("guard", name)], f64::from(sample.repair_refused == Some(name))));
    let (used, budget) = sample.repairs_in_window;
    vec![
        gauges(
            "swarm_agent_engine_condition",
            "1 for what the supervisor makes of the engine, 0 for every other condition.",
            states("condition", conditions, sample.engine_condition),
        ),
        counters(
            "swarm_agent_engine_restarts_total",
            "Restarts of the engine by the agent that came to an end, by how they came out.",
            labelled("outcome", &counts.repairs),
        ),
        counters(
            "swarm_agent_engine_restarts_refused_total",
            "How often a guard said no to a restart that the engine needed. Each refusal counts once.",
            labelled("guard", &counts.refusals),
        ),
        gauges(
            "swarm_agent_engine_restart_refused",
            "1 for the guard that keeps the agent from restarting an engine that needs it, else 0.",
            refused,
        ),
        counters(
            "swarm_agent_engine_restarts_dry_total",
            "Restarts that the agent would have made, had supervision.mode not been dry-run.",
            once((Vec::new(), counts.would_repair as f64)),
        ),
        gauge("swarm_agent_engine_restarts_in_window", "Restarts that supervision.window counts now.", used as f64),
        gauge(
            "swarm_agent_engine_restarts_budget",
            "How many restarts the agent may make in a supervision.window (supervision.restarts).",
            budget as f64,
        ),
    ]
}

fn engine(sample: &Sample) -> Vec<MetricFamily> {
    let findings = Finding::NAMES.into_iter().chain(once(UNCHECKED));
    vec![
        gauges(
            "swarm_agent_engine_state",
            "1 for the state that the Docker Engine is in, 0 for every other.",
            states("state", EngineHealth::NAMES, sample.engine_state),
        ),
        gauge(
            "swarm_agent_engine_containers_running",
            "Running containers, as the engine counts them. Absent while it does not answer.",
            sample.containers_running.map(f64::from),
        ),
        gauges(
            "swarm_agent_advertised_address",
            "1 for what was found when the advertised address was asked last, 0 for the rest. \
             unchecked: nobody has asked yet, or advertise-check is off.",
            states("finding", findings, sample.advertised.unwrap_or(UNCHECKED)),
        ),
        gauge(
            "swarm_agent_dbus_connected",
            "1 while systemd tells the state of the engine's unit over D-Bus, else 0.",
            f64::from(sample.dbus_connected),
        ),
        gauge(
            "swarm_agent_embedded_server_failed",
            "1 while the agent's own discovery server can't serve, else 0, also where there is none.",
            f64::from(sample.hosting_failed),
        ),
    ]
}

fn probes(counts: &Counts) -> Vec<MetricFamily> {
    vec![
        histogram(
            "swarm_agent_probe_duration_seconds",
            "Seconds that each probe of the engine took, failed or not.",
            &counts.probes,
        ),
        counters(
            "swarm_agent_probe_failures_total",
            "Probes of the engine that failed, by what went wrong.",
            counts.probe_failures.iter().map(|(kind, count)| (vec![("kind", kind)], count as f64)),
        ),
    ]
}

fn configuration(sample: &Sample, counts: &Counts) -> Vec<MetricFamily> {
    let outcomes = [("success", counts.reloaded), ("failure", counts.reload_rejected)];
    vec![
        gauge(
            "swarm_agent_config_last_reload_successful",
            "1 if the configuration was valid when it was read last, else 0: the settings from before are in force.",
            f64::from(sample.config_valid),
        ),
        gauge(
            "swarm_agent_config_last_reload_success_timestamp_seconds",
            "Unix time at which the settings in force were read.",
            sample.config_loaded_at,
        ),
        counters(
            "swarm_agent_reloads_total",
            "Reloads of the configuration, by what came of them.",
            outcomes.map(|(outcome, count)| (vec![("outcome", outcome)], count as f64)),
        ),
    ]
}

fn drain(sample: &Sample) -> Vec<MetricFamily> {
    vec![
        gauge(
            "swarm_agent_drained",
            "1 while an operator keeps this node's entry out (swarm-agent drain), else 0.",
            f64::from(sample.drained),
        ),
        gauge(
            "swarm_agent_drain_end_timestamp_seconds",
            "Unix time at which the drain is to end by itself. Absent without a drain that has an end.",
            sample.drain_ends_at,
        ),
    ]
}

fn log(sample: &Sample) -> Vec<MetricFamily> {
    vec![
        counters(
            "swarm_agent_log_entries_dropped_total",
            "Journal entries lost because journald was too slow.",
            once((Vec::new(), sample.log_dropped as f64)),
        ),
        counters(
            "swarm_agent_log_entries_held_total",
            "Journal entries held back because too many of their kind came.",
            once((Vec::new(), sample.log_held as f64)),
        ),
    ]
}

type Labels = Vec<(&'static str, &'static str)>;

/// One series for each state; exactly one of them is 1.
fn states(
    label: &'static str,
    all: impl IntoIterator<Item = &'static str>,
    now: &str,
) -> impl Iterator<Item = (Labels, f64)> {
    all.into_iter().map(move |state| (vec![(label, state)], f64::from(state == now)))
}

fn gauge(name: &str, help: &str, value: impl Into<Option<f64>>) -> MetricFamily {
    gauges(name, help, value.into().map(|value| (Vec::new(), value)))
}

fn gauges(name: &str, help: &str, series: impl IntoIterator<Item = (Labels, f64)>) -> MetricFamily {
    let metrics = series.into_iter().map(|(labels, value)| {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(value);
        let mut metric = labelled(labels);
        metric.set_gauge(gauge);
        metric
    });
    family(name, help, MetricType::GAUGE, metrics.collect())
}

fn counters(name: &str, help: &str, series: impl IntoIterator<Item = (Labels, f64)>) -> MetricFamily {
    let metrics = series.into_iter().map(|(labels, value)| {
        let mut counter = proto::Counter::default();
        counter.set_value(value);
        let mut metric = labelled(labels);
        metric.set_counter(counter);
        metric
    });
    family(name, help, MetricType::COUNTER, metrics.collect())
}

/// The encoder adds the bucket without a bound.
fn histogram(name: &str, help: &str, durations: &Histogram) -> MetricFamily {
    let buckets = durations.cumulative().map(|(bound, count)| {
        let mut bucket = proto::Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    });
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(durations.count);
    histogram.set_sample_sum(durations.sum);
    let mut metric = labelled(Vec::new());
    metric.set_histogram(histogram);
    family(name, help, MetricType::HISTOGRAM, vec![metric])
}

fn labelled(labels: Labels) -> Metric {
    let pairs = labels.into_iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    });
    let mut metric = Metric::default();
    metric.set_label(pairs.collect());
    metric
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}
