//! Interfaces by getifaddrs, which asks the kernel over netlink; changes by a netlink socket that is subscribed to
//! them and whose messages are only counted, not read: after any of them everything is looked at anew.

use super::{Network, NetworkError};
use crate::model::{Interface, InterfaceAddress, NetworkView};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::libc::{RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE, RTMGRP_LINK};
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, socket};
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

/// Bounds one look.
const TIMEOUT: Duration = Duration::from_secs(5);

const GROUPS: i32 = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;

/// Addresses for documentation, which no host has (RFC 5737, RFC 3849): what the default route leads to. Nothing is
/// sent there.
const ELSEWHERE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const ELSEWHERE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// Flags of IPv6 addresses in /proc/net/if_inet6 (linux/if_addr.h): temporary, duplicate, deprecated, tentative.
const PASSING: u8 = 0x01 | 0x08 | 0x20 | 0x40;
const IF_INET6: &str = "/proc/net/if_inet6";

#[derive(Default)]
pub struct KernelNetwork {
    /// A netlink socket. It is read like any socket for datagrams, and neither std nor tokio has a type of its own
    /// for it.
    changes: Option<UnixDatagram>,
}

impl KernelNetwork {
    /// Listens for changes from now on; what does not work is tried again when they are waited for.
    pub fn new() -> Self {
        Self { changes: listen().ok() }
    }
}

#[async_trait::async_trait]
impl Network for KernelNetwork {
    async fn look(&self) -> Result<NetworkView, NetworkError> {
        let looking = tokio::task::spawn_blocking(look);
        match timeout(TIMEOUT, looking).await {
            Ok(Ok(view)) => view.map_err(NetworkError::Interfaces),
            Ok(Err(panicked)) => Err(NetworkError::Interfaces(io::Error::other(panicked))),
            Err(_) => Err(NetworkError::Timeout(TIMEOUT)),
        }
    }

    async fn changed(&mut self) -> Result<(), NetworkError> {
        let socket = match &self.changes {
            Some(socket) => socket,
            None => self.changes.insert(listen().map_err(NetworkError::Listen)?),
        };
        let drained = drain(socket).await;
        if drained.is_err() {
            self.changes = None;
        }
        drained.map_err(NetworkError::Listen)
    }
}

fn listen() -> io::Result<UnixDatagram> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS.unsigned_abs()))?;
    UnixDatagram::from_std(socket.into())
}

/// Waits for a message, and takes all that have come. Cancel-safe: there is one wait, before any is taken.
async fn drain(socket: &UnixDatagram) -> io::Result<()> {
    // longer messages are cut off, unread
    let mut buffer = [0; 64];
    let mut taken = socket.recv(&mut buffer).await;
    loop {
        match taken {
            Ok(_) => {}
            // the kernel had more to say than the socket could hold: a change all the same
            Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        taken = socket.try_recv(&mut buffer);
    }
}

fn look() -> io::Result<NetworkView> {
    let passing = passing_v6();
    let mut interfaces: BTreeMap<String, Interface> = BTreeMap::new();
    for entry in getifaddrs()? {
        // glibc gives an address with a label under the label: `eth0:1`
        let name = entry.interface_name.split(':').next().unwrap_or_default();
        let interface = interfaces.entry(name.to_owned()).or_default();
        name.clone_into(&mut interface.name);
        interface.up = entry.flags.contains(InterfaceFlags::IFF_UP);
        interface.running = entry.flags.contains(InterfaceFlags::IFF_RUNNING);
        if let Some(ip) = entry.address.as_ref().and_then(ip) {
            interface.addresses.push(InterfaceAddress { ip, passing: passing.contains(&ip) });
        }
    }
    Ok(NetworkView {
        interfaces: interfaces.into_values().collect(),
        source_v4: source(Ipv4Addr::UNSPECIFIED.into(), ELSEWHERE_V4.into()).and_then(v4),
        source_v6: source(Ipv6Addr::UNSPECIFIED.into(), ELSEWHERE_V6.into()).and_then(v6),
    })
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::from(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::from(address.ip())))
}

/// The address that the kernel would send from: connecting a datagram socket looks the route up and sends nothing.
fn source(any: IpAddr, elsewhere: IpAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).ok()?;
    socket.connect(SocketAddr::new(elsewhere, 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

fn v4(ip: IpAddr) -> Option<Ipv4Addr> {
    match ip {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    }
}

fn v6(ip: IpAddr) -> Option<Ipv6Addr> {
    match ip {
        IpAddr::V6(ip) => Some(ip),
        IpAddr::V4(_) => None,
    }
}

/// The IPv6 addresses not to rely on; a host without IPv6 has no such file.
fn passing_v6() -> HashSet<IpAddr> {
    let text = std::fs::read_to_string(IF_INET6).unwrap_or_default();
    text.lines().filter_map(passing_line).collect()
}

/// `fd00…05 02 40 00 80     eth0`: address, index, prefix, scope, flags and name, in hex.
fn passing_line(line: &str) -> Option<IpAddr> {
    let mut fields = line.split_whitespace();
    let ip = Ipv6Addr::from_bits(u128::from_str_radix(fields.next()?, 16).ok()?);
    let flags = u8::from_str_radix(fields.nth(3)?, 16).ok()?;
    (flags & PASSING != 0).then_some(ip.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_which_addresses_pass() {
        let line = |flags: &str| format!("fd000000000000000000000000000005 02 40 00 {flags}     eth0");
        let ip: IpAddr = "fd00::5".parse().unwrap();
        for (flags, passing) in [("80", false), ("00", false), ("01", true), ("20", true), ("c0", true), ("a0", true)] {
            assert_eq!(passing_line(&line(flags)), passing.then_some(ip), "{flags}");
        }
        assert_eq!(passing_line("nonsense"), None);
    }

    #[tokio::test]
    async fn sees_this_hosts_loopback() {
        let view = KernelNetwork::new().look().await.unwrap();
        let lo = view.interfaces.iter().find(|interface| interface.name == "lo").unwrap();
        assert!(!lo.up || lo.addresses.iter().any(|address| address.ip == IpAddr::from([127, 0, 0, 1])));
    }

    #[tokio::test]
    async fn is_silent_while_nothing_changes() {
        let mut network = KernelNetwork::new();
        if let Ok(result) = timeout(Duration::from_millis(50), network.changed()).await {
            result.unwrap();
        }
    }
}
