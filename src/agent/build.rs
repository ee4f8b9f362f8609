//! From settings to tasks.

use super::board::Board;
use crate::config::settings::{AgentSettings, DiscoverySettings, EngineSettings, StatusSettings};
use crate::discovery::{self, BackendError};
use crate::engine::{DockerEngine, TcpDoor};
use crate::model::{AdvertiseCheck, AuthFiles, DiscoveryUrl, Duplicates, HeldEntry, TlsNames, UnitView, WayOut};
use crate::network::KernelNetwork;
use crate::policy::advertise::Locating;
use crate::policy::gate::GateSettings;
use crate::policy::registration::{Pace, Registration};
use crate::service::credentials::{CredentialWatch, Watched};
use crate::service::exposer::Exposer;
use crate::service::identity::Identity;
use crate::service::locator::Locator;
use crate::service::marker::Marker;
use crate::service::prober::Prober;
use crate::service::readings::Readings;
use crate::service::registrar::{Former, Inputs, Parts, Place, Registrar, Site};
use crate::service::reporter::Configured;
use crate::service::status::Status;
use crate::service::supervisor::Supervisor;
use crate::service::verifier::Verifier;
use crate::state::EntriesFile;
use crate::systemd::UnitSource;
use crate::systemd::bus::SystemdUnit;
use crate::systemd::notify::Notifier;
use crate::telemetry::{Event, Restraint, emit};
use crate::tls::Renewed;
use std::sync::Arc;
use std::time::Duration;

pub fn unit(settings: &EngineSettings) -> Arc<dyn UnitSource> {
    Arc::new(SystemdUnit::new(settings.unit.clone()))
}

pub fn supervisor(settings: &EngineSettings, units: &Arc<dyn UnitSource>, board: &Board) -> Supervisor {
    Supervisor {
        units: Arc::clone(units),
        unit: settings.unit.clone(),
        states: board.units.clone(),
        beat: board.beats.add("supervisor"),
        clock: board.clock,
    }
}

pub fn prober(settings: &EngineSettings, units: &Arc<dyn UnitSource>, board: &Board) -> Prober {
    let mut states = board.units.subscribe();
    if matches!(*states.borrow(), UnitView::Known(_)) {
        // known from before a reload: it will not be told again
        states.mark_changed();
    }
    Prober {
        units: Arc::clone(units),
        unit: settings.unit.clone(),
        engine: Box::new(DockerEngine::new(settings.socket.clone(), settings.probe_timeout)),
        settings: GateSettings {
            healthy_after: settings.healthy_after,
            unhealthy_after: settings.unhealthy_after,
            grace: settings.grace,
            probe_interval: settings.probe_interval,
        },
        states,
        outlook: board.outlook.clone(),
        metrics: Arc::clone(&board.metrics),
        beat: board.beats.add("prober"),
        clock: board.clock,
    }
}

pub fn locator(settings: &DiscoverySettings, board: &Board) -> Locator {
    Locator {
        network: Box::new(KernelNetwork::new()),
        wanted: Locating::new(settings.advertise.clone()),
        states: board.address.clone(),
        beat: board.beats.add("locator"),
        clock: board.clock,
    }
}

/// Nobody if nobody is to look.
pub fn verifier(settings: &AgentSettings, board: &Board) -> Option<Verifier> {
    (settings.discovery.advertise_check != AdvertiseCheck::Off).then(|| Verifier {
        door: Arc::new(TcpDoor::new(settings.engine.tls.clone())),
        outlook: board.outlook.subscribe(),
        address: board.address.subscribe(),
        reach: board.reach.clone(),
        beat: board.beats.add("verifier"),
        clock: board.clock,
    })
}

pub fn status(server: String, notifier: &Arc<dyn Notifier>, restraint: &Restraint, board: &Board) -> Status {
    Status {
        notifier: Arc::clone(notifier),
        server,
        outlook: board.outlook.subscribe(),
        supervised: board.supervised.subscribe(),
        standing: board.standing.subscribe(),
        reach: board.reach.subscribe(),
        hosting: board.hosting.subscribe(),
        reading: board.reading.subscribe(),
        restraint: restraint.clone(),
        beat: board.beats.add("status"),
    }
}

/// Nobody if there are no files.
pub fn credentials(settings: &DiscoverySettings, board: &Board) -> Option<CredentialWatch> {
    let WayOut { tls, auth, .. } = &settings.way;
    let names = tls.as_ref().map_or(TlsNames::DISCOVERY, |tls| tls.names);
    let secrets = [(auth.names.token, &auth.token), (auth.names.password, &auth.password)];
    let secrets = secrets.into_iter().filter_map(|(name, path)| Some(Renewed::usable_secret(name, path.clone()?)));
    let files: Vec<_> = tls.clone().map(Renewed::usable_tls).into_iter().chain(secrets).map(Watched::new).collect();
    let beat = || board.beats.add("credentials");
    (!files.is_empty()).then(|| CredentialWatch { files, names, beat: beat(), clock: board.clock })
}

/// A secret that leaves this host without TLS.
pub fn say_exposed(settings: &DiscoverySettings, url: &DiscoveryUrl) {
    if let Some(key) = settings.way.exposes(url) {
        emit(&Event::SecretExposed { key, server: &url.to_string() });
    }
}

/// What a registrar takes over.
pub struct Legacy {
    /// Entries that a former process or registrar put in.
    pub held: Vec<HeldEntry>,
    /// Before the first registration.
    pub delay: Duration,
}

pub fn registrar(settings: &AgentSettings, site: Site, url: &DiscoveryUrl, legacy: Legacy, board: &Board) -> Registrar {
    let (discovery, now) = (&settings.discovery, board.clock.now());
    let places = legacy.held.into_iter().filter_map(|entry| place(discovery, (&site, url), entry));
    let (earlier, places): (Vec<_>, Vec<_>) = places.partition(|place| place.earlier_boot.is_some());
    let (mut resumed, others): (Vec<_>, Vec<_>) = places.into_iter().partition(|place| place.site.url == site.url);
    // the last one that was put in is the one that is most likely still right
    let place = resumed.pop();
    let former = resumed.into_iter().chain(others);
    let pace = Pace::new(discovery.heartbeat, discovery.ttl);
    let pace = place.as_ref().map_or(pace, |place| pace.of(&place.address));
    let check = discovery.advertise_check;
    Registrar::new(Parts {
        policy: Registration::new(pace, place.is_some(), now + legacy.delay),
        site,
        place,
        former: former.map(|place| Former { place, due: now, until: now + discovery.ttl }).collect(),
        earlier,
        node: board.host.as_ref().map(|host| host.node.clone()),
        ttl: discovery.ttl,
        entries: Arc::new(entries_file(settings, board)),
        inputs: Inputs {
            drain: board.drain.subscribe(),
            outlook: board.outlook.subscribe(),
            address: board.address.subscribe(),
            check,
            reach: (check != AdvertiseCheck::Off).then(|| board.reach.subscribe()),
            identified: board.host.is_some().then(|| board.identified.subscribe()),
        },
        standing: board.standing.clone(),
        tenure: board.tenure.clone(),
        metrics: Arc::clone(&board.metrics),
        farewell: board.farewell.subscribe(),
        beat: board.beats.add("registrar"),
        clock: board.clock,
    })
}

/// Nobody if this machine has no id.
pub fn identity(settings: &DiscoverySettings, site: Site, board: &Board) -> Option<Identity> {
    let host = board.host.clone()?;
    Some(Identity {
        site,
        host,
        looks: settings.duplicates == Duplicates::Refuse,
        heartbeat: settings.heartbeat,
        outlook: board.outlook.subscribe(),
        address: board.address.subscribe(),
        standing: board.standing.subscribe(),
        identified: board.identified.clone(),
        beat: board.beats.add("identity"),
        clock: board.clock,
    })
}

/// `server`: the discovery service, without its secrets.
pub fn configured(settings: &AgentSettings, server: String) -> Configured {
    let discovery = &settings.discovery;
    Configured {
        server,
        advertise: discovery.advertise.to_string(),
        heartbeat: discovery.heartbeat,
        ttl: discovery.ttl,
        unit: settings.engine.unit.clone(),
        readers: settings.status.readers,
    }
}

pub fn marker(settings: &DiscoverySettings, site: Site, board: &Board) -> Marker {
    Marker {
        site,
        heartbeat: settings.heartbeat,
        ttl: settings.ttl,
        drain: board.drain.subscribe(),
        standing: board.standing.subscribe(),
        address: board.address.subscribe(),
        beat: board.beats.add("marker"),
        clock: board.clock,
    }
}

/// Nobody if metrics are on the unix socket only.
pub fn exposer(settings: &StatusSettings, readings: Readings, board: &Board) -> Option<Exposer> {
    let listen = settings.metrics_listen?;
    Some(Exposer { listen, readings, beat: board.beats.add("exposer"), clock: board.clock })
}

pub fn site(way: &WayOut, url: &DiscoveryUrl) -> Result<Site, BackendError> {
    let backend = Arc::from(discovery::open(url, way)?);
    Ok(Site { backend, server: url.to_string(), url: url.to_secret_string() })
}

/// What is in a discovery service because of this machine.
pub fn entries_file(settings: &AgentSettings, board: &Board) -> EntriesFile {
    EntriesFile::new(&settings.state_directory, board.host.clone())
}

/// An entry at a URL that this version can't read stays until its ttl ends; there is nothing else to do.
fn place(settings: &DiscoverySettings, ours: (&Site, &DiscoveryUrl), entry: HeldEntry) -> Option<Place> {
    let HeldEntry { url, address, hold, earlier_boot } = entry;
    let url = match url.parse::<DiscoveryUrl>() {
        Ok(url) => url,
        Err(error) => {
            let reason = format!("this version can't read where it is: {error}");
            emit(&Event::EntryAbandoned { address: &address.to_string(), reason: &reason });
            return None;
        }
    };
    let site = if url.same_cluster(ours.1) {
        // also if the server is spelled in another way than last time
        ours.0.clone()
    } else {
        let mut way = settings.way.clone();
        if !url.same_server(ours.1) {
            // the secrets are for another one
            way.auth = AuthFiles::default();
        }
        site(&way, &url).ok()?
    };
    Some(Place { site, address, hold, earlier_boot })
}
