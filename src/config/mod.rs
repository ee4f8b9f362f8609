//! Configuration: files → fragments → merged values with their origin → validated settings.
//!
//! ```text
//! Sources ─ files ─ document ─┐
//!    ├───── environment ──────┼▶ Fragment … ─ merged ─▶ Merged ─ validate ─▶ AgentSettings, ServerSettings
//!    └───── flags ────────────┘
//! ```
//! `schema` is the one table of keys that all of them follow; the server's tokens (`tokens`) are a file of their own. Only `files` does I/O, and blocks: on
//! the runtime, read anew in `spawn_blocking`.

mod credentials;
mod document;
mod environment;
mod error;
mod files;
mod fragment;
mod merged;
mod origin;
mod problem;
mod proxy;
pub mod schema;
pub mod settings;
mod sources;
mod suggest;
#[cfg(test)]
mod tests;
pub mod tokens;
mod validate;
mod value;

pub use credentials::{Cluster, Credentials, FLAGS as CREDENTIAL_FLAGS, named_cluster, read_cluster};
pub use error::{ConfigError, ConfigErrors};
pub use merged::{Merged, load, read_key};
pub use origin::{Origin, Position};
pub use problem::Problem;
pub use proxy::read_proxy;
pub use sources::{Flag, Sources};
pub use validate::{Loaded, inspect_agent, inspect_server, load_agent, load_server};
pub use value::FromValue;
