//! From merged values to settings: what is required, and what must fit together.

use super::credentials::{self, Credentials};
use super::error::{ConfigError, ConfigErrors};
use super::merged::{Merged, collect};
use super::origin::Origin;
use super::problem::{Placed, Problem};
use super::proxy;
use super::settings::{AgentSettings, DiscoverySettings, EngineSettings, ServerSettings, StatusSettings};
use super::sources::Sources;
use super::tokens;
use super::value::{FromValue, short};
use crate::model::permission::Rules;
use crate::model::{
    ClientFiles, Discovery, DiscoveryUrl, MayRestart, ServerFiles, SupervisionSettings, Timeouts, TlsFiles, TlsNames,
    WayOut,
};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Settings, and the values that they were made of.
#[derive(Debug, Clone)]
pub struct Loaded<S> {
    pub settings: S,
    pub merged: Merged,
}

/// Reads and checks what `swarm-agent run` needs, and reports everything that is wrong at once.
pub fn load_agent(sources: &Sources) -> Result<Loaded<AgentSettings>, ConfigErrors> {
    let (merged, settings) = inspect_agent(sources);
    settings.map(|settings| Loaded { settings, merged })
}

/// Reads and checks what `swarm-agent serve` needs, and reports everything that is wrong at once.
pub fn load_server(sources: &Sources) -> Result<Loaded<ServerSettings>, ConfigErrors> {
    let (merged, settings) = inspect_server(sources);
    settings.map(|settings| Loaded { settings, merged })
}

/// The same for those who want to see the values also if something is wrong.
pub fn inspect_agent(sources: &Sources) -> (Merged, Result<AgentSettings, ConfigErrors>) {
    inspect(sources, agent)
}

/// The same for those who want to see the values also if something is wrong.
pub fn inspect_server(sources: &Sources) -> (Merged, Result<ServerSettings, ConfigErrors>) {
    inspect(sources, server)
}

fn inspect<S>(sources: &Sources, build: fn(&mut Builder<'_>) -> Option<S>) -> (Merged, Result<S, ConfigErrors>) {
    let (merged, errors) = collect(sources);
    let settings = Builder { merged: &merged, errors }.run(build);
    (merged, settings)
}

impl Merged {
    pub fn agent_settings(&self) -> Result<AgentSettings, ConfigErrors> {
        Builder { merged: self, errors: Vec::new() }.run(agent)
    }

    pub fn server_settings(&self) -> Result<ServerSettings, ConfigErrors> {
        Builder { merged: self, errors: Vec::new() }.run(server)
    }
}

fn agent(b: &mut Builder<'_>) -> Option<AgentSettings> {
    let (discovery, engine, supervision, status) = (discovery(b), engine(b), supervision(b), status(b));
    Some(AgentSettings {
        log_level: b.take("agent.log-level")?,
        state_directory: b.take("agent.state-directory")?,
        cpu_affinity: b.take("agent.cpu-affinity"),
        discovery: discovery?,
        engine: engine?,
        supervision: supervision?,
        containerd_unit: b.take("supervision.containerd-unit")?,
        status: status?,
    })
}

fn discovery(b: &mut Builder<'_>) -> Option<DiscoverySettings> {
    // before the first `?`, so that both are reported
    let url = b.take("discovery.url");
    b.check_greater("discovery.ttl", "discovery.heartbeat");
    b.check_writable("discovery.url");
    b.check_ttl("discovery.ttl", "discovery.url");
    b.check_port("discovery.embedded-listen");
    b.check_credentials("discovery.url", url.as_ref());
    let Credentials { tls, auth } = Credentials::of(b.merged);
    let timeouts = Timeouts { connect: b.take("discovery.connect-timeout")?, total: b.take("discovery.timeout")? };
    b.errors.extend(proxy::misfits(b.merged));
    Some(DiscoverySettings {
        url: url?,
        embedded_listen: b.take("discovery.embedded-listen")?,
        advertise: b.take("discovery.advertise")?,
        advertise_check: b.take("discovery.advertise-check")?,
        duplicates: b.take("discovery.duplicates")?,
        heartbeat: b.take("discovery.heartbeat")?,
        ttl: b.take("discovery.ttl")?,
        delay: b.take("discovery.delay")?,
        way: WayOut { tls, auth, proxy: proxy::settings(b.merged), ..WayOut::direct(timeouts) },
    })
}

fn supervision(b: &mut Builder<'_>) -> Option<SupervisionSettings> {
    b.check_greater("supervision.window", "supervision.cooldown");
    let may = |key| b.merged.get(key).map(|MayRestart(may)| may);
    Some(SupervisionSettings {
        mode: b.merged.get("supervision.mode")?,
        budget: usize::try_from(b.merged.get::<u32>("supervision.restarts")?).ok()?,
        window: b.merged.get("supervision.window")?,
        cooldown: b.merged.get("supervision.cooldown")?,
        despite_containers: may("supervision.when-containers-at-risk")?,
        runtime: may("supervision.containerd")?,
    })
}

fn engine(b: &mut Builder<'_>) -> Option<EngineSettings> {
    b.check_pair("engine.tls-cert", "engine.tls-key");
    Some(EngineSettings {
        socket: b.take("engine.socket")?,
        unit: b.take("engine.unit")?,
        grace: b.take("engine.grace")?,
        probe_interval: b.take("engine.probe-interval")?,
        probe_timeout: b.take("engine.probe-timeout")?,
        healthy_after: b.take("engine.healthy-after")?,
        unhealthy_after: b.take("engine.unhealthy-after")?,
        tls: engine_tls(b.merged),
    })
}

fn status(b: &mut Builder<'_>) -> Option<StatusSettings> {
    Some(StatusSettings { readers: b.take("status.readable-by")?, metrics_listen: b.take("status.metrics-listen")? })
}

fn engine_tls(merged: &Merged) -> Option<TlsFiles> {
    let (ca, pair) = (merged.file("engine.tls-ca"), merged.file("engine.tls-cert").zip(merged.file("engine.tls-key")));
    let client = pair.map(|(certificate, key)| ClientFiles { certificate, key });
    (ca.is_some() || client.is_some()).then_some(TlsFiles { ca, client, names: TlsNames::ENGINE })
}

fn server(b: &mut Builder<'_>) -> Option<ServerSettings> {
    b.check_pair("server.tls-cert", "server.tls-key");
    b.check_needs("server.tls-client-ca", "server.tls-cert");
    // before the first `?`, so that both are reported
    let rules = b.rules("server.tokens-file");
    Some(ServerSettings {
        log_level: b.take("agent.log-level")?,
        listen: b.take("server.listen")?,
        state_directory: b.take("server.state-directory")?,
        tls: server_tls(b.merged),
        rules,
    })
}

fn server_tls(merged: &Merged) -> Option<ServerFiles> {
    let (certificate, key) = merged.get("server.tls-cert").zip(merged.get("server.tls-key"))?;
    Some(ServerFiles { certificate, key, client_ca: merged.get("server.tls-client-ca") })
}

/// Takes values out and keeps the complaints.
struct Builder<'m> {
    merged: &'m Merged,
    errors: Vec<ConfigError>,
}

impl Builder<'_> {
    fn run<S>(mut self, build: fn(&mut Self) -> Option<S>) -> Result<S, ConfigErrors> {
        match build(&mut self) {
            Some(settings) if self.errors.is_empty() => Ok(settings),
            _ => Err(ConfigErrors::new(self.errors)),
        }
    }

    /// None only if the value could not be read, which is complained of already.
    fn take<T: FromValue>(&mut self, key: &str) -> Option<T> {
        self.merged.get(key)
    }

    /// A list that can only be read takes no registration.
    fn check_writable(&mut self, key: &str) {
        let scheme = match self.merged.get(key) {
            Some(Discovery::At(url)) => url.read_only(),
            Some(Discovery::Embedded) | None => None,
        };
        if let Some(scheme) = scheme.filter(|_| !self.merged.doubtful(key)) {
            let (origin, key) = (self.merged.origin(key).cloned(), Some(key.to_owned()));
            self.errors.push(ConfigError { origin, key, problem: Problem::ReadOnlyList { scheme } });
        }
    }

    /// Not every store keeps an entry for any time.
    fn check_ttl(&mut self, key: &str, url: &str) {
        let kind = match self.merged.get(url) {
            Some(Discovery::At(DiscoveryUrl::Store(store))) => store.kind,
            _ => return,
        };
        let (range, ttl) = (kind.ttl_range(), self.merged.get::<Duration>(key));
        if self.merged.doubtful(url) || self.merged.doubtful(key) || ttl.is_none_or(|ttl| range.contains(&ttl)) {
            return;
        }
        if let Some(Placed { shown, origin, .. }) = self.merged.placed(key) {
            let (min, max) = (short(*range.start()), short(*range.end()));
            let problem = Problem::UnkeptTtl { store: kind, shown, min, max };
            self.errors.push(ConfigError { origin: Some(origin), key: Some(key.to_owned()), problem });
        }
    }

    /// Both or none.
    fn check_pair(&mut self, one: &'static str, other: &'static str) {
        self.errors.extend(credentials::unpaired(self.merged, one, other));
    }

    /// The first not without the second.
    fn check_needs(&mut self, one: &'static str, missing: &'static str) {
        let (Some(set), None) = (self.merged.placed(one), self.merged.placed(missing)) else { return };
        if !self.merged.doubtful(missing) && !self.merged.doubtful(set.path) {
            let (origin, key) = (Some(set.origin), Some(set.path.to_owned()));
            self.errors.push(ConfigError { origin, key, problem: Problem::Unpaired { set: set.path, missing } });
        }
    }

    /// What lets us in fits the service. For a list that can only be read that is not the mistake.
    fn check_credentials(&mut self, key: &str, url: Option<&Discovery>) {
        let url =
            url.filter(|url| !self.merged.doubtful(key) && !matches!(url, Discovery::At(url) if url.auth().is_none()));
        self.errors.extend(credentials::misfits(self.merged, url, self.merged.placed(key)));
    }

    /// The tokens in the file that the key names, whose errors are kept.
    fn rules(&mut self, key: &str) -> Option<Rules> {
        let read = tokens::read(&self.merged.get::<PathBuf>(key)?);
        read.map_err(|errors| self.errors.extend(errors)).ok()
    }

    /// Clients have to know the port before it is taken.
    fn check_port(&mut self, key: &str) {
        if self.merged.get::<SocketAddr>(key).is_some_and(|address| address.port() == 0) {
            let (origin, key) = (self.merged.origin(key).cloned(), Some(key.to_owned()));
            self.errors.push(ConfigError { origin, key, problem: Problem::AnyPort });
        }
    }

    fn check_greater(&mut self, greater: &str, smaller: &str) {
        let value = |key| self.merged.get::<Duration>(key).filter(|_| !self.merged.doubtful(key));
        if !matches!((value(greater), value(smaller)), (Some(g), Some(s)) if g <= s) {
            return;
        }
        if let (Some(greater), Some(smaller)) = (self.merged.placed(greater), self.merged.placed(smaller)) {
            // the place to mend is one that somebody wrote
            let at = if greater.origin == Origin::Default { &smaller } else { &greater };
            let (origin, key) = (Some(at.origin.clone()), Some(at.path.to_owned()));
            let problem = Problem::NotGreater { greater: Box::new(greater), smaller: Box::new(smaller) };
            self.errors.push(ConfigError { origin, key, problem });
        }
    }
}
