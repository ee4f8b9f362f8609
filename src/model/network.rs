//! What the host's network looks like, as far as it matters for the address to advertise.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkView {
    pub interfaces: Vec<Interface>,
    /// From which address the host sends to the rest of the world; none without a default route.
    pub source_v4: Option<Ipv4Addr>,
    pub source_v6: Option<Ipv6Addr>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Interface {
    pub name: String,
    /// Administratively up.
    pub up: bool,
    /// Up, and with a carrier.
    pub running: bool,
    pub addresses: Vec<InterfaceAddress>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceAddress {
    pub ip: IpAddr,
    /// Not one to rely on: an IPv6 address that is temporary (privacy extensions), deprecated or not yet
    /// known to be unique.
    pub passing: bool,
}
