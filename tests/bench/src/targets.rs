//! What the figures should be.

use serde::Serialize;

/// MiB.
pub const RSS: f64 = 6.0;
pub const RSS_OVER_TLS: f64 = 7.0;
pub const RSS_RATIO: f64 = 1.5;
pub const CPU_RATIO: f64 = 2.0;
/// Milliseconds.
pub const START: f64 = 10.0;
/// Seconds of CPU for 100 beats.
pub const CPU_OF: [(&str, f64); 4] = [("etcd", 0.02), ("Consul", 0.04), ("ZooKeeper", 0.02), ("token over TLS", 0.05)];
/// MB.
pub const SIZE: f64 = 12.0;

#[derive(Debug, Serialize)]
pub struct Target {
    pub name: String,
    pub value: f64,
    pub limit: f64,
    pub unit: &'static str,
    pub met: bool,
}

impl Target {
    pub fn at_most(name: impl Into<String>, value: f64, limit: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, limit, unit, met: value <= limit }
    }
}
