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
use crate::service::status::Status;
use crate::service::supervisor::Supervisor;
use crate::service::verifier::Verifier;
use crate::state::EntriesFile;
use crate::systemd::UnitSource;
use crate::systemd::bus::SystemdUnit;
use crate::systemd::notify::Notifier;
use crate::telemetry::{Event, emit};
use std::sync::Arc;
use tokio::sync::watch;

/// The tasks of the agent, wired and ready to run.
pub struct Crew {
    pub supervisor: Supervisor,
    pub prober: Prober,
    pub locator: Locator,
    /// None if nobody is to look.
    pub verifier: Option<Verifier>,
    pub registrar: Registrar,
    pub status: Status,
    /// What the registrar does with the entry at the end.
    pub farewell: watch::Sender<Farewell>,
}

pub fn crew(settings: &AgentSettings, notifier: &Arc<dyn Notifier>, beats: &mut Beats) -> Result<Crew, BackendError> {
    let clock = Clock::of_leases();
    let (outlook, outlook_seen) = watch::channel(Outlook::undecided());
    let (standing, standing_seen) = watch::channel(Standing::none());
    let (farewell, farewell_seen) = watch::channel(Farewell::Keep);
    let (supervisor, prober) = engine_watch(&settings.engine, outlook, beats, clock);
    let Whereabouts { locator, verifier, address, reach } = whereabouts(settings, &outlook_seen, beats, clock);
    let wiring =
        Wiring { outlook: outlook_seen.clone(), address, reach: reach.clone(), standing, farewell: farewell_seen };
    let registrar = registrar(settings, wiring, beats.add("registrar"), clock)?;
    let status = Status {
        notifier: Arc::clone(notifier),
        server: settings.discovery.url.to_string(),
        outlook: outlook_seen,
        standing: standing_seen,
        reach,
        beat: beats.add("status"),
    };
    Ok(Crew { supervisor, prober, locator, verifier, registrar, status, farewell })
}

/// The registrar's ends of the channels.
struct Wiring {
    outlook: watch::Receiver<Outlook>,
    address: watch::Receiver<AddressState>,
    reach: watch::Receiver<Option<Reach>>,
    standing: watch::Sender<Standing>,
    farewell: watch::Receiver<Farewell>,
}

/// What finds the address and proves it, and what they tell.
struct Whereabouts {
    locator: Locator,
    verifier: Option<Verifier>,
    address: watch::Receiver<AddressState>,
    reach: watch::Receiver<Option<Reach>>,
}

fn whereabouts(
    settings: &AgentSettings,
    outlook: &watch::Receiver<Outlook>,
    beats: &mut Beats,
    clock: Clock,
) -> Whereabouts {
    let (states, address) = watch::channel(AddressState::Unknown);
    let (found, reach) = watch::channel(None);
    let wanted = Locating::new(settings.discovery.advertise.clone());
    let locator =
        Locator { network: Box::new(KernelNetwork::new()), wanted, states, beat: beats.add("locator"), clock };
    let verifier = (settings.discovery.advertise_check != AdvertiseCheck::Off).then(|| Verifier {
        door: Arc::new(TcpDoor::new(settings.engine.tls.clone())),
        outlook: outlook.clone(),
        address: address.clone(),
        reach: found,
        beat: beats.add("verifier"),
        clock,
    });
    Whereabouts { locator, verifier, address, reach }
}

/// What watches the engine: its unit over the bus, and the engine itself.
fn engine_watch(
    settings: &EngineSettings,
    outlook: watch::Sender<Outlook>,
    beats: &mut Beats,
    clock: Clock,
) -> (Supervisor, Prober) {
    let units: Arc<dyn UnitSource> = Arc::new(SystemdUnit::new(settings.unit.clone()));
    let unit = settings.unit.clone();
    let (states, seen) = watch::channel(UnitView::Unknown("systemd was not asked yet".to_owned()));
    let supervisor =
        Supervisor { units: Arc::clone(&units), unit: unit.clone(), states, beat: beats.add("supervisor"), clock };
    let prober = Prober {
        units,
        unit,
        engine: Box::new(DockerEngine::new(settings.socket.clone(), settings.probe_timeout)),
        settings: GateSettings {
            healthy_after: settings.healthy_after,
            unhealthy_after: settings.unhealthy_after,
            grace: settings.grace,
            probe_interval: settings.probe_interval,
        },
        states: seen,
        outlook,
        beat: beats.add("prober"),
        clock,
    };
    (supervisor, prober)
}

/// The registrar, with what a former process left in the state directory.
fn registrar(settings: &AgentSettings, wiring: Wiring, beat: Beat, clock: Clock) -> Result<Registrar, BackendError> {
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
