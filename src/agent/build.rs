//! From settings to tasks.

use crate::config::settings::{AgentSettings, DiscoverySettings, EngineSettings};
use crate::discovery::{self, BackendError, Timeouts};
use crate::engine::DockerEngine;
use crate::model::{DiscoveryUrl, HeldEntry, Moment, NodeAddress, RegistrationStatus, UnitView};
use crate::policy::gate::GateSettings;
use crate::policy::registration::{Pace, Registration};
use crate::service::Outlook;
use crate::service::beat::Beat;
use crate::service::clock::Clock;
use crate::service::prober::Prober;
use crate::service::registrar::{Farewell, Former, Parts, Place, Registrar};
use crate::state::EntriesFile;
use crate::systemd::UnitSource;
use crate::telemetry::{Event, emit};
use std::sync::Arc;
use tokio::sync::watch;

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
    let (same, other): (Vec<_>, Vec<_>) = held.into_iter().partition(|entry| is_ours(entry, discovery));
    let now = clock.now();
    let delay = discovery.delay.mul_f64(rand::random_range(0.0..1.0));
    let pace = Pace::new(discovery.heartbeat, discovery.ttl, &discovery.advertise);
    Ok(Registrar::new(Parts {
        policy: Registration::new(pace, !same.is_empty(), now + delay),
        place,
        former: other.into_iter().filter_map(|entry| former(discovery, entry, now)).collect(),
        ttl: discovery.ttl,
        entries: Arc::new(entries),
        outlook: wiring.outlook,
        status: wiring.status,
        farewell: wiring.farewell,
        beat,
        clock,
    }))
}

/// The entry that we are about to keep. The server may be spelled in another way than last time (a name for
/// an address, say); to take such an entry out as a former one would take out our own.
fn is_ours(entry: &HeldEntry, discovery: &DiscoverySettings) -> bool {
    let same_cluster = match (entry.url.parse(), &discovery.url) {
        (Ok(DiscoveryUrl::Token(held)), DiscoveryUrl::Token(ours)) => held.token == ours.token,
        _ => false,
    };
    same_cluster && entry.address == discovery.advertise
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

/// An entry at a URL that this version can't read stays until its ttl ends; there is nothing else to do.
fn former(settings: &DiscoverySettings, entry: HeldEntry, now: Moment) -> Option<Former> {
    let url = match entry.url.parse() {
        Ok(url) => url,
        Err(error) => {
            tracing::warn!(%error, address = %entry.address, "an entry of a former version is left to its ttl");
            return None;
        }
    };
    let place = place(settings, &url, entry.address).ok()?;
    Some(Former { place, due: now, until: now + settings.ttl })
}
