//! What the server takes from its clients at most.

use std::time::Duration;

/// Seconds, as `ttl` gives them.
pub const MIN_TTL: u64 = 1;
pub const MAX_TTL: u64 = 86_400;
/// For a client that gives none; also the agent's default.
pub const DEFAULT_TTL: u64 = 180;

/// Bytes of a request's body. The longest node address has 259.
pub const BODY: usize = 300;
pub const CLUSTERS: usize = 10_000;
/// In one cluster.
pub const ENTRIES: usize = 10_000;

pub const CONNECTIONS: usize = 4096;
/// Changes that wait to be stored.
pub const WAITING: usize = CONNECTIONS;
/// Changes that are stored in one transaction.
pub const BATCH: usize = 1024;

/// From a request's head to the answer's.
pub const REQUEST: Duration = Duration::from_secs(10);
/// Until the next request's head is in. It also ends kept connections that are idle, so it is longer than
/// the default heartbeat of 60 s.
pub const HEAD: Duration = Duration::from_secs(90);
/// For requests under way when the server stops.
pub const DRAIN: Duration = Duration::from_secs(2);
