use super::*;
use proptest::prelude::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// `eth0`, `!eth0` (down), `?eth0` (no carrier); an address with `~` is a passing one.
fn interface(name: &str, addresses: &[&str]) -> Interface {
    let addresses = addresses
        .iter()
        .map(|text| InterfaceAddress { ip: ip(text.trim_end_matches('~')), passing: text.ends_with('~') })
        .collect();
    let (up, running) = (!name.starts_with('!'), !name.starts_with(['!', '?']));
    Interface { name: name.trim_start_matches(['!', '?']).to_owned(), up, running, addresses }
}

fn view(interfaces: &[(&str, &[&str])], sources: [&str; 2]) -> NetworkView {
    NetworkView {
        interfaces: interfaces.iter().map(|(name, addresses)| interface(name, addresses)).collect(),
        source_v4: sources[0].parse().ok(),
        source_v6: sources[1].parse().ok(),
    }
}

const NONE: [&str; 2] = ["", ""];

fn told(wanted: &str, view: &NetworkView) -> String {
    let wanted: Advertise = wanted.parse().unwrap();
    let state = resolve(&wanted, view, is_interface(&wanted, view));
    if state.resolved().is_some() { state.to_string() } else { format!("no: {state}") }
}

/// A Docker host with two cards.
fn docker_host() -> NetworkView {
    view(
        &[
            ("lo", &["127.0.0.1", "::1"]),
            ("eth0", &["10.0.0.5", "fd00::5", "fe80::1"]),
            ("eth1", &["10.1.0.5", "169.254.7.7"]),
            ("?docker0", &["172.17.0.1"]),
            ("br-0123456789ab", &["172.18.0.1"]),
            ("br-lan", &["192.168.1.5"]),
            ("veth12ab", &["fe80::2"]),
            ("cni0", &["10.88.0.1"]),
            ("virbr0", &["192.168.122.1"]),
            ("docker_gwbridge", &["172.19.0.1"]),
        ],
        ["10.0.0.5", "fd00::5"],
    )
}

#[test]
fn the_forms_on_a_docker_host() {
    let host = docker_host();
    for (wanted, said) in [
        ("auto:2375", "10.0.0.5:2375"),
        ("192.0.2.9:1", "192.0.2.9:1"),
        ("eth0:2375", "10.0.0.5:2375"),
        ("eth1:2375", "10.1.0.5:2375"),
        ("br-lan:2375", "192.168.1.5:2375"),
        ("DB1.example:2375", "db1.example:2375"),
        ("db1:2375", "db1:2375"),
        ("10.1.0.0/16:2375", "10.1.0.5:2375"),
        ("[fd00::/8]:2376", "[fd00::5]:2376"),
        ("10.88.0.0/16:1", "no: no interface has an address in 10.88.0.0/16 yet"),
        ("172.16.0.0/12:1", "no: no interface has an address in 172.16.0.0/12 yet"),
        ("127.0.0.0/8:1", "no: no interface has an address in 127.0.0.0/8 yet"),
        ("169.254.0.0/16:1", "no: no interface has an address in 169.254.0.0/16 yet"),
        ("[fe80::/10]:1", "no: no interface has an address in fe80::/10 yet"),
        ("10.0.0.0/8:1", "no: 2 addresses fit 10.0.0.0/8:1: 10.0.0.5 (eth0), 10.1.0.5 (eth1); advertise one of them"),
        (
            "0.0.0.0/0:1",
            "no: 3 addresses fit 0.0.0.0/0:1: 10.0.0.5 (eth0), 10.1.0.5 (eth1), 192.168.1.5 (br-lan); advertise one of them",
        ),
        ("docker0:1", "no: interface docker0 can't be reached from other hosts"),
        ("br-0123456789ab:1", "no: interface br-0123456789ab can't be reached from other hosts"),
        ("lo:1", "no: interface lo can't be reached from other hosts"),
        ("eth7:1", "no: interface eth7 does not exist yet"),
        ("enp3s0f1:1", "no: interface enp3s0f1 does not exist yet"),
        ("bond0.100:1", "no: interface bond0.100 does not exist yet"),
        ("eng.example:1", "eng.example:1"),
        ("eth0.example:1", "eth0.example:1"),
        ("wlan:1", "wlan:1"),
    ] {
        assert_eq!(told(wanted, &host), said, "{wanted}");
    }
}

#[test]
fn an_interface_gives_its_only_address_of_the_better_family() {
    for (name, addresses, said) in [
        ("eth0", &["10.0.0.5", "fd00::5"][..], "10.0.0.5:1"),
        ("eth0", &["fd00::5", "fe80::1"], "[fd00::5]:1"),
        ("eth0", &["fd00::5", "fd00::6~"], "[fd00::5]:1"),
        ("eth0", &["169.254.1.1", "fd00::5"], "[fd00::5]:1"),
        ("eth0", &["10.0.0.5", "10.0.0.5"], "10.0.0.5:1"),
        ("?eth0", &["10.0.0.5"], "10.0.0.5:1"),
        ("eth0", &[], "no: interface eth0 has no address yet"),
        ("eth0", &["fe80::1", "fd00::6~"], "no: interface eth0 has no address yet"),
        ("?eth0", &[], "no: interface eth0 has no address yet (no carrier)"),
        ("!eth0", &["10.0.0.5"], "no: interface eth0 is down"),
        (
            "eth0",
            &["10.0.0.6", "10.0.0.5", "fd00::5"],
            "no: 2 addresses fit eth0:1: 10.0.0.5 (eth0), 10.0.0.6 (eth0); advertise one of them",
        ),
        (
            "eth0",
            &["fd00::5", "fd00::6"],
            "no: 2 addresses fit eth0:1: fd00::5 (eth0), fd00::6 (eth0); advertise one of them",
        ),
    ] {
        assert_eq!(told("eth0:1", &view(&[(name, addresses)], NONE)), said, "{addresses:?}");
    }
}

#[test]
fn auto_is_the_source_of_the_default_route() {
    let useless = |source| format!("no: the default route's source {source} is of no use to other hosts");
    for (interfaces, sources, said) in [
        (&[("eth0", &["10.0.0.5", "10.0.0.6"][..])][..], ["10.0.0.6", ""], "10.0.0.6:1".to_owned()),
        (&[("eth0", &["fd00::5"])], ["", "fd00::5"], "[fd00::5]:1".to_owned()),
        (&[("eth0", &["169.254.1.1", "fd00::5"])], ["169.254.1.1", "fd00::5"], "[fd00::5]:1".to_owned()),
        // privacy extensions: the source is temporary, the lasting one is advertised
        (&[("eth0", &["fd00::7~", "fd00::5"])], ["", "fd00::7"], "[fd00::5]:1".to_owned()),
        (&[("eth0", &["fd00::7~"])], ["", "fd00::7"], useless("fd00::7")),
        (
            &[("eth0", &["fd00::7~", "fd00::5", "fd00::6"])],
            ["", "fd00::7"],
            "no: 2 addresses fit auto:1: fd00::5 (eth0), fd00::6 (eth0); advertise one of them".to_owned(),
        ),
        (&[("docker0", &["172.17.0.1"])], ["172.17.0.1", ""], useless("172.17.0.1")),
        (&[("!eth0", &["10.0.0.5"])], ["10.0.0.5", ""], useless("10.0.0.5")),
        (&[("eth0", &["10.0.0.5"])], ["10.0.0.9", ""], useless("10.0.0.9")),
        (&[("eth0", &["10.0.0.5"])], NONE, "no: there is no default route yet to tell the address by".to_owned()),
    ] {
        assert_eq!(told("auto:1", &view(interfaces, sources)), said, "{interfaces:?} {sources:?}");
    }
}

fn at(milliseconds: u64) -> Moment {
    Moment::after_origin(Duration::from_millis(milliseconds))
}

#[test]
fn a_lost_address_is_missed_after_a_while_and_a_new_one_is_taken_at_once() {
    let (old, new) = (view(&[("eth0", &["10.0.0.5"])], NONE), view(&[("eth0", &["10.0.0.6"])], NONE));
    let (none, both) = (view(&[("eth0", &[])], NONE), view(&[("eth0", &["10.0.0.5", "10.0.0.6"])], NONE));
    let start = Locating::new("eth0:1".parse().unwrap());
    assert_eq!(start.state(), &AddressState::Unknown);
    let missing = start.clone().seen(&none, at(0));
    assert_eq!(missing.state().to_string(), "interface eth0 has no address yet");
    let held = missing.seen(&old, at(10));
    assert_eq!(held.clone().seen(&new, at(20)).state().to_string(), "10.0.0.6:1");

    let doubted = held.clone().seen(&none, at(1000)).seen(&both, at(2500));
    assert_eq!((doubted.state().to_string(), doubted.due()), ("10.0.0.5:1".into(), Some(at(3000))));
    assert_eq!(doubted.clone().seen(&old, at(2900)).due(), None, "a flap");
    assert!(matches!(doubted.passed(at(3000)).state(), AddressState::Ambiguous { .. }));
}

#[test]
fn a_name_that_was_an_interface_never_becomes_a_host() {
    let wanted = || Locating::new("lan0:1".parse().unwrap());
    let (there, gone) = (view(&[("lan0", &["10.0.0.5"])], NONE), view(&[], NONE));
    assert_eq!(wanted().seen(&gone, at(0)).state().to_string(), "lan0:1");
    let lost = wanted().seen(&there, at(0)).seen(&gone, at(1)).passed(at(9000));
    assert_eq!(lost.state().to_string(), "interface lan0 does not exist yet");
}

#[test]
fn interfaces_that_cannot_be_read_change_nothing_but_the_first_word() {
    let start = Locating::new("eth0:1".parse().unwrap());
    let told = start.clone().unseen("no memory");
    assert_eq!(told.state().to_string(), "the network interfaces can't be read: no memory");
    let known = start.seen(&view(&[("eth0", &["10.0.0.5"])], NONE), at(0));
    assert_eq!(known.clone().unseen("no memory"), known);
}

fn any_ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
        prop::sample::select(
            ["10.0.0.5", "10.0.0.6", "169.254.1.1", "127.0.0.1", "0.0.0.0", "224.0.0.1", "fe80::1", "::1", "fd00::5"]
                .map(ip)
                .to_vec()
        ),
    ]
}

fn any_interface() -> impl Strategy<Value = Interface> {
    let names = ["lo", "eth0", "eth1", "docker0", "veth1", "br-0123456789ab", "cni0", "virbr0", "lan0"];
    let address = (any_ip(), any::<bool>()).prop_map(|(ip, passing)| InterfaceAddress { ip, passing });
    (prop::sample::select(names.to_vec()), any::<bool>(), prop::collection::vec(address, 0..4))
        .prop_map(|(name, up, addresses)| Interface { name: name.to_owned(), up, running: up, addresses })
}

proptest! {
    #[test]
    fn nothing_that_is_excluded_is_ever_picked(
        interfaces in prop::collection::vec(any_interface(), 0..6),
        wanted in prop::sample::select(vec!["auto:1", "eth0:1", "docker0:1", "lo:1", "veth1:1", "0.0.0.0/0:1", "[::/0]:1", "10.0.0.0/8:1"]),
        sources in (any_ip(), any_ip()),
    ) {
        let source_v4 = match sources.0 { IpAddr::V4(ip) => Some(ip), IpAddr::V6(_) => None };
        let source_v6 = match sources.1 { IpAddr::V6(ip) => Some(ip), IpAddr::V4(_) => None };
        let view = NetworkView { interfaces, source_v4, source_v6 };
        let state = resolve(&wanted.parse().unwrap(), &view, true);
        let picked: Vec<IpAddr> = match &state {
            AddressState::Resolved(address) => address.ip().into_iter().collect(),
            AddressState::Ambiguous { candidates, .. } => candidates.iter().map(|c| c.ip).collect(),
            _ => Vec::new(),
        };
        for ip in picked {
            let good = view.interfaces.iter().any(|i| {
                i.up && ["eth0", "eth1", "lan0"].contains(&i.name.as_str())
                    && i.addresses.iter().any(|a| a.ip == ip && !a.passing)
            });
            prop_assert!(good, "{ip} of {view:?}");
            let local = match ip {
                IpAddr::V4(ip) => ip.octets()[..2] == [169, 254],
                IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
            };
            prop_assert!(!local && !ip.is_loopback() && !ip.is_multicast() && !ip.is_unspecified(), "{ip}");
        }
    }
}
