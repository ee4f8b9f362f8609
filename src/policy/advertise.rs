//! From `discovery.advertise` and the host's interfaces to the one address that is registered, or to why
//! there is none.
//!
//! IPv4 is preferred where either family would do (`auto`, an interface), so that a host with both registers
//! what every other host can reach. Nothing is guessed: where two addresses fit, there is none.

use crate::model::{AddressState, Advertise, Candidate, Interface, InterfaceAddress, Moment, NetworkView, NodeAddress};
use std::net::IpAddr;
use std::time::Duration;

/// An address that is gone, or no longer the only one, is believed to be so after this long: a renewed lease or
/// a restarted network service takes addresses away and puts them back.
const LINGER: Duration = Duration::from_secs(2);

/// What the last looks at the interfaces came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locating {
    wanted: Advertise,
    /// The name was an interface's once: without it, it is no host name.
    was_interface: bool,
    shown: AddressState,
    /// What the shown address gives way to, and when.
    doubt: Option<(Moment, AddressState)>,
}

impl Locating {
    pub fn new(wanted: Advertise) -> Self {
        let shown = match &wanted {
            Advertise::Exact(address) => AddressState::Resolved(address.clone()),
            _ => AddressState::Unknown,
        };
        Self { wanted, was_interface: false, shown, doubt: None }
    }

    /// The interfaces have no say.
    pub fn is_fixed(&self) -> bool {
        matches!(self.wanted, Advertise::Exact(_))
    }

    /// Takes in a look at the interfaces.
    pub fn seen(mut self, view: &NetworkView, now: Moment) -> Self {
        self.was_interface |= is_interface(&self.wanted, view);
        let fresh = resolve(&self.wanted, view, self.was_interface);
        if self.shown.resolved().is_none() || fresh.resolved().is_some() {
            (self.shown, self.doubt) = (fresh, None);
            return self;
        }
        let until = self.doubt.map_or(now + LINGER, |(until, _)| until);
        self.doubt = Some((until, fresh));
        self.passed(now)
    }

    /// The interfaces could not be read: what is known stays.
    pub fn unseen(mut self, why: &str) -> Self {
        if self.shown == AddressState::Unknown {
            self.shown = AddressState::Missing(format!("the network interfaces can't be read: {why}"));
        }
        self
    }

    /// Takes in that time has passed.
    pub fn passed(mut self, now: Moment) -> Self {
        match self.doubt {
            Some((until, fresh)) if until <= now => (self.shown, self.doubt) = (fresh, None),
            doubt => self.doubt = doubt,
        }
        self
    }

    pub fn state(&self) -> &AddressState {
        &self.shown
    }

    /// When `passed` changes something.
    pub fn due(&self) -> Option<Moment> {
        self.doubt.as_ref().map(|(until, _)| *until)
    }
}

fn is_interface(wanted: &Advertise, view: &NetworkView) -> bool {
    matches!(wanted, Advertise::Named { name, .. } if view.interfaces.iter().any(|i| i.name == *name))
}

/// The address that `wanted` comes to on a host that looks like this.
pub fn resolve(wanted: &Advertise, view: &NetworkView, was_interface: bool) -> AddressState {
    match wanted {
        Advertise::Exact(address) => AddressState::Resolved(address.clone()),
        Advertise::Auto { port } => auto(wanted, *port, view),
        Advertise::Network { network, port } => {
            let all = view.interfaces.iter().flat_map(candidates).filter(|c| network.contains(c.ip)).collect();
            one_of(all, wanted, *port)
                .unwrap_or_else(|| AddressState::Missing(format!("no interface has an address in {network} yet")))
        }
        Advertise::Named { name, port } => match view.interfaces.iter().find(|i| i.name == *name) {
            Some(interface) => of_interface(interface, wanted, *port),
            None if was_interface || looks_like_interface(name) => {
                AddressState::Missing(format!("interface {name} does not exist yet"))
            }
            None => match wanted.to_string().parse() {
                Ok(address) => AddressState::Resolved(address),
                Err(error) => AddressState::Missing(format!("{wanted} is not a node address: {error}")),
            },
        },
    }
}

fn auto(wanted: &Advertise, port: u16, view: &NetworkView) -> AddressState {
    let sources = [view.source_v4.map(IpAddr::from), view.source_v6.map(IpAddr::from)];
    if sources == [None, None] {
        return AddressState::Missing("there is no default route yet to tell the address by".to_owned());
    }
    for source in sources.into_iter().flatten() {
        if let Some(interface) = view.interfaces.iter().find(|i| i.addresses.iter().any(|a| a.ip == source)) {
            let fit = candidates(interface);
            if fit.iter().any(|candidate| candidate.ip == source) {
                return AddressState::Resolved(NodeAddress::new(source, port));
            }
            // the kernel prefers a temporary address; its interface may have a lasting one
            let lasting = fit.into_iter().filter(|c| c.ip.is_ipv6() && source.is_ipv6()).collect();
            if let Some(state) = one_of(lasting, wanted, port) {
                return state;
            }
        }
    }
    let [v4, v6] = sources.map(|source| source.map(|ip| ip.to_string()));
    let said: Vec<String> = [v4, v6].into_iter().flatten().collect();
    AddressState::Missing(format!("the default route's source {} is of no use to other hosts", said.join(", ")))
}

fn of_interface(interface: &Interface, wanted: &Advertise, port: u16) -> AddressState {
    let name = &interface.name;
    if is_internal(name) {
        return AddressState::Missing(format!("interface {name} can't be reached from other hosts"));
    }
    if !interface.up {
        return AddressState::Missing(format!("interface {name} is down"));
    }
    let (v4, v6): (Vec<_>, Vec<_>) = candidates(interface).into_iter().partition(|c| c.ip.is_ipv4());
    let state = one_of(v4, wanted, port).or_else(|| one_of(v6, wanted, port));
    state.unwrap_or_else(|| {
        let carrier = if interface.running { "" } else { " (no carrier)" };
        AddressState::Missing(format!("interface {name} has no address yet{carrier}"))
    })
}

/// None if nothing fits.
fn one_of(mut candidates: Vec<Candidate>, wanted: &Advertise, port: u16) -> Option<AddressState> {
    candidates.sort();
    candidates.dedup_by(|a, b| a.ip == b.ip);
    match candidates.as_slice() {
        [] => None,
        [one] => Some(AddressState::Resolved(NodeAddress::new(one.ip, port))),
        _ => Some(AddressState::Ambiguous { wanted: wanted.to_string(), candidates }),
    }
}

/// The addresses of an interface that may be advertised.
fn candidates(interface: &Interface) -> Vec<Candidate> {
    if !interface.up || is_internal(&interface.name) {
        return Vec::new();
    }
    let fit = interface.addresses.iter().filter(|address| qualifies(address));
    fit.map(|address| Candidate { ip: address.ip, interface: interface.name.clone() }).collect()
}

fn qualifies(address: &InterfaceAddress) -> bool {
    let ip = address.ip;
    let local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.to_ipv4_mapped().is_some(),
    };
    !(address.passing || local || ip.is_unspecified() || ip.is_loopback() || ip.is_multicast())
}

/// The loopback, and interfaces that Docker and its like make: by their names, for a host's own card can be of the
/// same kind (in a container it is a veth).
fn is_internal(name: &str) -> bool {
    let docker_bridge = |id: &str| id.len() == 12 && id.bytes().all(|b| b.is_ascii_hexdigit());
    matches!(name, "lo" | "docker0" | "docker_gwbridge")
        || ["veth", "cni", "virbr"].iter().any(|prefix| name.starts_with(prefix))
        || name.strip_prefix("br-").is_some_and(docker_bridge)
}

/// Whether a name that is no interface at the moment will be one rather than a host: `eth7`, `enp3s0`, `bond0.100`.
fn looks_like_interface(name: &str) -> bool {
    let parent = name.split('.').next().unwrap_or(name);
    let numbered = |prefix: &str| {
        let number = parent.strip_prefix(prefix).unwrap_or_default();
        !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
    };
    let rest = name[parent.len()..].trim_start_matches('.');
    let known = ["eth", "wlan", "wwan", "ib", "bond", "team", "vlan", "wg", "tun", "tap", "br"];
    let vlan = rest.bytes().all(|b| b.is_ascii_digit());
    vlan && name.len() <= 15 && (known.into_iter().any(numbered) || predictable(parent))
}

/// systemd's predictable names: `eno1`, `ens3`, `enp3s0f1`, `enx0123456789ab`, `wlp2s0`.
fn predictable(name: &str) -> bool {
    let rest = ["en", "wl", "ww", "ib"].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or_default();
    let mut letters = rest.chars();
    let place = matches!(letters.next(), Some('o' | 's' | 'p' | 'P' | 'x'));
    place && letters.next().is_some_and(|c| c.is_ascii_hexdigit()) && rest.bytes().any(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests;
