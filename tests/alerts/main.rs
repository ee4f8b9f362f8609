//! What a monitoring system gets from us, judged by Prometheus' own tool: the metrics, the alert rules with their tests,
//! and the dashboard. Rules and dashboard name only what the agent really exposes.

mod dashboard;
mod exposition;
mod promql;
mod promtool;
mod rules;

use std::path::{Path, PathBuf};

/// A file of the source tree.
fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(source(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
