//! Who waits for changes, and how many that may be. One client must not keep the others out, and all of them together
//! leave connections for the agents that register.

use super::limits;
use super::refusal::Refusal;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Clone, Default)]
pub struct Places(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    all: usize,
    clients: BTreeMap<IpAddr, usize>,
}

/// Room for one request that waits, given back when it is dropped.
pub struct Place {
    places: Places,
    client: IpAddr,
}

impl Places {
    pub fn take(&self, peer: SocketAddr) -> Result<Place, Refusal> {
        let client = client(peer.ip());
        self.with(|taken| {
            let own = taken.clients.get(&client).copied().unwrap_or_default();
            if taken.all >= limits::WATCHERS || own >= limits::WATCHERS_EACH {
                return Err(Refusal::TooManyWatchers);
            }
            taken.all += 1;
            taken.clients.insert(client, own + 1);
            Ok(())
        })?;
        Ok(Place { places: self.clone(), client })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Taken) -> T) -> T {
        // counting does not panic
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.with(|taken| {
            taken.all -= 1;
            if let Some(own) = taken.clients.get_mut(&self.client) {
                *own -= 1;
                if *own == 0 {
                    taken.clients.remove(&self.client);
                }
            }
        });
    }
}

/// A host has a whole /64 of IPv6.
fn client(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_client_has_its_share_and_gets_back_what_it_gave_up() {
        let places = Places::default();
        let taken: Vec<Place> = (0..limits::WATCHERS_EACH)
            .map(|n| places.take(peer(&format!("[fd00::{n:x}]:1"))).expect("a place"))
            .collect();
        assert!(matches!(places.take(peer("[fd00::abcd]:9")), Err(Refusal::TooManyWatchers)), "of the same host");
        assert!(places.take(peer("[fd00:0:0:1::1]:9")).is_ok(), "of another one");
        drop(taken);
        assert!(places.take(peer("[fd00::abcd]:9")).is_ok());
        assert_eq!(places.with(|taken| (taken.all, taken.clients.len())), (0, 0), "who has left is forgotten");
    }

    #[test]
    fn all_clients_together_leave_connections_for_others() {
        let places = Places::default();
        let taken: Vec<Place> =
            (0..).map_while(|n: u16| places.take(peer(&format!("10.0.{}.{}:1", n >> 8, n & 255))).ok()).collect();
        assert_eq!(taken.len(), limits::WATCHERS);
        assert!(taken.len() < limits::BOUNDS.connections);
    }

    #[test]
    fn an_address_of_ipv4_is_the_same_on_a_socket_of_ipv6() {
        assert_eq!(client(peer("[::ffff:10.0.0.1]:1").ip()), peer("10.0.0.1:1").ip());
    }
}
