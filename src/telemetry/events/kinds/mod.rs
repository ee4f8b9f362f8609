//! Every kind of event: its name, its fixed MESSAGE_ID, its level, and what the journal's catalog says of it.

pub mod address;
pub mod discovery;
pub mod engine;
pub mod journal;
pub mod repair;
pub mod server;
pub mod service;
