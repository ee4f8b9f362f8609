//! `swarm-agent watch`: the real binary, against the real server, a file, and Prometheus.

#[path = "../common/mod.rs"]
mod common;
mod errands;
mod lines;
mod prometheus;
mod reads_only;
mod scene;
