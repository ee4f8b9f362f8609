//! HTTP on sockets of ours: connections are bounded in number and in time, whoever they come from.

pub mod client;
pub mod local;
mod serve;

pub use serve::{Bounds, Opening, Socket, Wire, plain, serve};
