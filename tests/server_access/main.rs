//! Who gets into the discovery server: TLS, client certificates, bearer tokens, and what a reload changes. The real
//! server as a process, with certificates made for each test.

#[path = "../common/mod.rs"]
mod common;

mod authority;
mod client;
mod process;
mod reload;
mod tls;
mod tokens;
