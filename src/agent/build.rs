//! From settings to tasks.

use crate::config::settings::{AgentSettings, DiscoverySettings, EngineSettings};
use crate::discovery::{self, BackendError, Timeouts};
use crate::engine::DockerEngine;
use crate::model::{Backoff, DiscoveryUrl, HeldEntry, Moment, NodeAddress, RegistrationStatus, UnitView};
use crate::policy::gate::GateSettings;
use crate::policy::registration::{Pace, Registration};
use crate::service::Outlook;
use crate::service::beat::Beat;
use crate::service::clock::Clock;
use crate::service::prober::Prober;
use crate::service::registrar::{Farewell, Place, Registrar};
use crate::state::EntriesFile;
use crate::systemd::UnitSource;
use crate::telemetry::{Event, emit};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The longest that attempts at a discovery service are apart while they fail.
const BACKOFF_CAP: Duration = Duration::from_secs(30);
const BACKOFF_BASE: Duration = Duration::from_secs(1);

/// The registrar's ends of the channels.
pub struct Wiring {
    pub outlook: watch::Receiver<Outlook>,
    pub status: watch::Sender<RegistrationStatus>,
    pub farewell: watch::Receiver<Farewell>,
}

pub fn prober(
    settings: &EngineSettings,
    units: Arc<dyn UnitSource>,
    states: watch::Receiver<UnitView>,
    outlook: watch::Sender<Outlook>,
    (beat, clock): (Beat, Clock),
) -> Prober {
    Prober {
        units,
        unit: settings.unit.clone(),
        engine: Box::new(DockerEngine::new(settings.socket.clone(), settings.probe_timeout)),
        settings: GateSettings {
            healthy_after: settings.healthy_after,
            unhealthy_after: settings.unhealthy_after,
            grace: settings.grace,
            probe_interval: settings.probe_interval,
        },
        states,
        outlook,
        beat,
        clock,
    }
}

/// The registrar, with what a former process left in the state directory.
pub fn registrar(
    settings: &AgentSettings,
    wiring: Wiring,
    beat: Beat,
    clock: Clock,
) -> Result<Registrar, BackendError> {
    let discovery = &settings.discovery;
    let entries = EntriesFile::new(&settings.state_directory);
    let (held, trouble) = entries.load();
    if let Some(error) = trouble {
        emit(&Event::StateTrouble { path: &error.path.display().to_string(), error: &error.cause.to_string() });
    }
    let place = place(discovery, &discovery.url, discovery.advertise.clone())?;
    let (resumed, former): (Vec<_>, Vec<_>) = held.into_iter().partition(|entry| *entry == held_at(&place));
    Ok(Registrar {
        policy: Registration::new(pace(discovery), !resumed.is_empty(), first_beat(discovery, clock)),
        place,
        former: former.into_iter().filter_map(|entry| former_place(discovery, entry)).collect(),
        ttl: discovery.ttl,
        entries: Arc::new(entries),
        outlook: wiring.outlook,
        status: wiring.status,
        farewell: wiring.farewell,
        beat,
        clock,
        recorded: None,
        in_doubt: false,
    })
}

fn place(settings: &DiscoverySettings, url: &DiscoveryUrl, address: NodeAddress) -> Result<Place, BackendError> {
    let timeouts = Timeouts { connect: settings.connect_timeout, total: settings.timeout };
    Ok(Place {
        backend: Arc::from(discovery::open(url, timeouts)?),
        address,
        server: url.to_string(),
        url: url.to_secret_string(),
    })
}

fn held_at(place: &Place) -> HeldEntry {
    HeldEntry { url: place.url.clone(), address: place.address.clone() }
}

/// An entry at a URL that this version can't read stays until its ttl ends; there is nothing else to do.
fn former_place(settings: &DiscoverySettings, entry: HeldEntry) -> Option<Place> {
    let url = entry.url.parse().ok()?;
    place(settings, &url, entry.address).ok()
}

fn pace(settings: &DiscoverySettings) -> Pace {
    let cap = BACKOFF_CAP.min(settings.heartbeat);
    Pace {
        heartbeat: settings.heartbeat,
        ttl: settings.ttl,
        phase: phase(&settings.advertise),
        backoff: Backoff { base: BACKOFF_BASE.min(cap), cap },
    }
}

/// From the address, which tells nodes apart even where a clone has the machine id of its origin.
fn phase(address: &NodeAddress) -> f64 {
    let mut hasher = DefaultHasher::new();
    address.hash(&mut hasher);
    // the upper bits, as many as a float holds exactly
    (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
}

fn first_beat(settings: &DiscoverySettings, clock: Clock) -> Moment {
    clock.now() + settings.delay.mul_f64(rand::random_range(0.0..1.0))
}
