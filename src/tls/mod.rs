//! From files to TLS and secrets: for the engine behind the advertised address and for the discovery service. It reads
//! files and makes configurations of rustls; who connects where, and when, is the adapters' business.

mod client;
mod fault;
pub mod files;
mod renewed;
mod turn;

pub use client::{TlsClient, Unready};
pub use renewed::Renewed;
pub use turn::Turn;
