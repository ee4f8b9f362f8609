//! From settings to tasks.

use crate::config::settings::{AgentSettings, DiscoverySettings, EngineSettings};
use crate::discovery::{self, BackendError, Timeouts};
use crate::engine::{DockerEngine, TcpDoor};
use crate::model::{AddressState, AdvertiseCheck, DiscoveryUrl, HeldEntry, Moment, Reach, Standing, UnitView};
use crate::network::KernelNetwork;
use crate::policy::advertise::Locating;
use crate::policy::gate::GateSettings;
use crate::policy::registration::{Pace, Registration};
use crate::service::Outlook;
use crate::service::beat::{Beat, Beats};
use crate::service::clock::Clock;
use crate::service::locator::Locator;
use crate::service::prober::Prober;
use crate::service::registrar::{Farewell, Former, Inputs, Parts, Place, Registrar, Site};
use crate::service::verifier::Verifier;
use crate::state::EntriesFile;
use crate::systemd::UnitSource;
use crate::telemetry::{Event, emit};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Bounds one question to the advertised address.
const ADVERTISED_TIMEOUT: Duration = Duration::from_secs(5);

/// The registrar's ends of the channels.
pub struct Wiring {
    pub outlook: watch::Receiver<Outlook>,
    pub address: watch::Receiver<AddressState>,
    pub reach: watch::Receiver<Option<Reach>>,
    pub standing: watch::Sender<Standing>,
    pub farewell: watch::Receiver<Farewell>,
}

/// What finds the address and proves it, and what they tell.
pub struct Whereabouts {
    pub locator: Locator,
    /// None if nobody is to look.
    pub verifier: Option<Verifier>,
    pub address: watch::Receiver<AddressState>,
    pub reach: watch::Receiver<Option<Reach>>,
}

pub fn whereabouts(
    settings: &DiscoverySettings,
    outlook: &watch::Receiver<Outlook>,
    beats: &mut Beats,
    clock: Clock,
) -> Whereabouts {
    let (states, address) = watch::channel(AddressState::Unknown);
    let (found, reach) = watch::channel(None);
    let wanted = Locating::new(settings.advertise.clone());
    let locator =
        Locator { network: Box::new(KernelNetwork::new()), wanted, states, beat: beats.add("locator"), clock };
    let verifier = (settings.advertise_check != AdvertiseCheck::Off).then(|| Verifier {
        door: Arc::new(TcpDoor { timeout: ADVERTISED_TIMEOUT }),
        outlook: outlook.clone(),
        address: address.clone(),
        reach: found,
        beat: beats.add("verifier"),
        clock,
    });
    Whereabouts { locator, verifier, address, reach }
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
    let site = site(discovery, &discovery.url)?;
    let now = clock.now();
    let (mut resumed, others): (Vec<_>, Vec<_>) = held.into_iter().partition(|entry| same_cluster(entry, discovery));
    // the last one that was put in is the one that is most likely still right
    let place = resumed.pop().map(|entry| Place { site: site.clone(), address: entry.address });
    let former = resumed.into_iter().chain(others).filter_map(|entry| former(discovery, entry, now));
    let delay = discovery.delay.mul_f64(rand::random_range(0.0..1.0));
    let pace = Pace::new(discovery.heartbeat, discovery.ttl);
    let pace = place.as_ref().map_or(pace, |place| pace.of(&place.address));
    Ok(Registrar::new(Parts {
        policy: Registration::new(pace, place.is_some(), now + delay),
        site,
        place,
        former: former.collect(),
        ttl: discovery.ttl,
        entries: Arc::new(entries),
        inputs: Inputs {
            outlook: wiring.outlook,
            address: wiring.address,
            check: discovery.advertise_check,
            reach: (discovery.advertise_check != AdvertiseCheck::Off).then_some(wiring.reach),
        },
        standing: wiring.standing,
        farewell: wiring.farewell,
        beat,
        clock,
    }))
}

/// An entry in the cluster that we are configured for. The server may be spelled in another way than last time
/// (a name for an address, say); to take such an entry out as one elsewhere would take out our own.
fn same_cluster(entry: &HeldEntry, discovery: &DiscoverySettings) -> bool {
    match (entry.url.parse(), &discovery.url) {
        (Ok(DiscoveryUrl::Token(held)), DiscoveryUrl::Token(ours)) => held.token == ours.token,
        _ => false,
    }
}

fn site(settings: &DiscoverySettings, url: &DiscoveryUrl) -> Result<Site, BackendError> {
    let timeouts = Timeouts { connect: settings.connect_timeout, total: settings.timeout };
    let backend = Arc::from(discovery::open(url, timeouts)?);
    Ok(Site { backend, server: url.to_string(), url: url.to_secret_string() })
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
    let place = Place { site: site(settings, &url).ok()?, address: entry.address };
    Some(Former { place, due: now, until: now + settings.ttl })
}
