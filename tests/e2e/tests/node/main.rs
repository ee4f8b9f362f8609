//! The whole path in booted machines: a discovery server, a node with a real Docker Engine, and clients that watch.

mod advertise;
mod agent;
mod backends;
mod discovery;
mod drain;
mod embedded;
mod engine;
mod engine_cli;
mod engine_tls;
mod fleet;
mod guarded;
mod journal;
mod lister;
mod lossless;
mod package;
mod relay;
mod reload;
mod repair;
mod secured;
mod soak;
mod status;
mod trouble;
