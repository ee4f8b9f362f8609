//! Which tasks a changed key concerns.

use std::collections::BTreeSet;

/// What can be started and stopped alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The log's level.
    Log,
    /// The CPUs of our threads.
    Affinity,
    Embedded,
    Supervisor,
    Prober,
    /// What the repairer works with; the repairer itself goes on.
    Repair,
    Locator,
    Verifier,
    /// Looks whether the node is the only one of its kind.
    Identity,
    Registrar,
    /// Looks after files with certificates and secrets.
    Credentials,
    /// Shows others that the node is drained.
    Marker,
    Status,
    /// Metrics over TCP.
    Exposer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Parts(&'static [Part]),
    /// Nothing that runs can take it in.
    AtRestart,
    /// Not the agent's.
    None,
}

/// A key that is not listed would need a restart, and `every_key_has_its_effect` fails.
pub fn effect(key: &str) -> Effect {
    use Part::{
        Affinity, Credentials, Embedded, Exposer, Identity, Locator, Log, Marker, Prober, Registrar, Repair, Status,
        Supervisor, Verifier,
    };
    Effect::Parts(match key {
        "agent.log-level" => &[Log],
        "agent.cpu-affinity" => &[Affinity],
        "discovery.url" => &[Embedded, Identity, Registrar, Credentials, Marker, Status],
        "discovery.embedded-listen" => &[Embedded, Identity, Registrar, Marker, Status],
        "discovery.advertise" => &[Locator],
        "discovery.advertise-check" => &[Verifier, Registrar],
        "discovery.heartbeat" | "discovery.connect-timeout" | "discovery.timeout" => &[Identity, Registrar, Marker],
        "discovery.ttl" => &[Registrar, Marker],
        "discovery.duplicates" => &[Identity, Registrar],
        "discovery.tls.ca"
        | "discovery.tls.cert"
        | "discovery.tls.key"
        | "discovery.auth.token-file"
        | "discovery.auth.user"
        | "discovery.auth.password-file" => &[Identity, Registrar, Credentials, Marker],
        "proxy.http" | "proxy.https" | "proxy.no-proxy" | "proxy.credentials-file" => &[Identity, Registrar, Marker],
        // it was for the first registration of this process
        "discovery.delay" => &[],
        "engine.unit" => &[Supervisor, Prober, Repair],
        "engine.socket" => &[Prober, Repair],
        "supervision.mode"
        | "supervision.restarts"
        | "supervision.window"
        | "supervision.cooldown"
        | "supervision.when-containers-at-risk"
        | "supervision.containerd"
        | "supervision.containerd-unit" => &[Repair],
        "engine.grace" | "engine.probe-interval" | "engine.probe-timeout" => &[Prober],
        "engine.tls-ca" | "engine.tls-cert" | "engine.tls-key" => &[Verifier],
        "engine.healthy-after" | "engine.unhealthy-after" => &[Prober],
        "status.metrics-listen" => &[Exposer],
        // looked at with each request
        "status.readable-by" => &[],
        "server.listen"
        | "server.state-directory"
        | "server.tls-cert"
        | "server.tls-key"
        | "server.tls-client-ca"
        | "server.tokens-file" => return Effect::None,
        _ => return Effect::AtRestart,
    })
}

/// All that these changes concern.
pub fn parts<'k>(changed: impl IntoIterator<Item = &'k str>) -> BTreeSet<Part> {
    changed
        .into_iter()
        .flat_map(|key| match effect(key) {
            Effect::Parts(parts) => parts,
            Effect::AtRestart | Effect::None => &[],
        })
        .copied()
        .collect()
}

/// For a start: a reload from nothing.
pub fn everything() -> BTreeSet<Part> {
    use Part::{Affinity, Credentials, Embedded, Exposer, Identity, Locator, Log};
    use Part::{Marker, Prober, Registrar, Repair, Status, Supervisor, Verifier};
    [
        Log,
        Affinity,
        Embedded,
        Supervisor,
        Prober,
        Repair,
        Locator,
        Verifier,
        Identity,
        Registrar,
        Credentials,
        Marker,
        Status,
        Exposer,
    ]
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::KEYS;

    #[test]
    fn every_key_has_its_effect() {
        let at_restart: Vec<_> =
            KEYS.iter().map(|key| key.path).filter(|key| effect(key) == Effect::AtRestart).collect();
        assert_eq!(at_restart, ["agent.state-directory"]);
    }

    #[test]
    fn the_keys_together_concern_everything() {
        assert_eq!(parts(KEYS.iter().map(|key| key.path)), everything());
    }
}
