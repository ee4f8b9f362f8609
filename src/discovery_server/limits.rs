//! What the server takes from its clients at most.

use crate::http::Bounds;
use crate::model::drained::REASON_MAX;
use std::time::Duration;

/// Seconds, as `ttl` gives them.
pub const MIN_TTL: u64 = 1;
pub const MAX_TTL: u64 = 86_400;
/// For a client that gives none; also the agent's default.
pub const DEFAULT_TTL: u64 = 180;

/// Bytes of a request's body. The longest node address has 259.
pub const BODY: usize = 300;
/// The same where it is a reason: characters of four bytes, and some white space around them.
pub const REASON_BODY: usize = 4 * REASON_MAX + 100;
pub const CLUSTERS: usize = 10_000;
/// In one cluster, drained nodes included.
pub const ENTRIES: usize = 10_000;

const CONNECTIONS: usize = 4096;
/// Changes that wait to be stored.
pub const WAITING: usize = CONNECTIONS;
/// Changes that are stored in one transaction.
pub const BATCH: usize = 1024;

/// Of TLS, from the connection's first byte on.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// Requests that wait for changes, and readers of events. A quarter of the connections stays free for agents.
pub const WATCHERS: usize = CONNECTIONS - CONNECTIONS / 4;
/// Of them by one client, which may be a proxy for many.
pub const WATCHERS_EACH: usize = 1024;
/// How long a request waits for a change: shorter than the minute after which many a proxy gives up.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(55);
pub const MAX_WAIT: Duration = Duration::from_secs(300);
/// Between two signs of life to a reader of events.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// From a request's head to the answer's, unless it waits on purpose.
pub const REQUEST: Duration = Duration::from_secs(10);
/// Idle connections are kept for longer than the default heartbeat of 60 s.
pub const BOUNDS: Bounds = Bounds {
    connections: CONNECTIONS,
    each: CONNECTIONS,
    head: Duration::from_secs(90),
    drain: Duration::from_secs(2),
};
