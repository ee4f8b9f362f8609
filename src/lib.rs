//! swarm-agent: keeps the local Docker Engine's address registered in a discovery service while
//! the engine works. The folders are layers; `tests/layers.rs` holds them to their order.

pub mod agent;
pub mod cli;
pub mod config;
pub mod discovery;
pub mod discovery_server;
pub mod engine;
pub mod http;
pub mod model;
pub mod network;
pub mod policy;
pub mod service;
pub mod state;
pub mod systemd;
pub mod telemetry;
pub mod tls;
