//! The part of `check-config --connect` that looks at the world: read-only, and careful not to start the engine.

use super::discovery_args::embedded;
use super::exit::Failure;
use crate::config::settings::{AgentSettings, ServerSettings};
use crate::discovery::{self, Scope};
use crate::discovery_server::Usable;
use crate::engine::{DockerEngine, Door, Engine, TcpDoor, socket_access};
use crate::model::{AddressState, AdvertiseCheck, Discovery, DiscoveryUrl, Reach, ServerFiles, WayOut};
use crate::network::{KernelNetwork, Network};
use crate::policy::advertise::Locating;
use crate::policy::checkup::{self, Finding};
use crate::policy::proof::judge;
use crate::service::clock::Clock;
use crate::state::directory_access;
use crate::systemd::UnitSource;
use crate::systemd::bus::SystemdUnit;
use nix::unistd::{User, geteuid};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

/// What `swarm-agent run` would find.
pub async fn agent(settings: &AgentSettings) -> Vec<Finding> {
    let user = user();
    let engine = &settings.engine;
    let mut findings = discovery(settings).await;
    let view = SystemdUnit::new(engine.unit.clone()).look().await;
    findings.extend(checkup::unit(&engine.unit, &view));
    findings.push(checkup::socket(&engine.socket, &socket_access(&engine.socket), &user));
    let answer = if checkup::may_ask(&view) {
        Some(DockerEngine::new(engine.socket.clone(), engine.probe_timeout).probe(true).await)
    } else {
        None
    };
    findings.push(checkup::engine(answer.as_ref()));
    // only an engine that answers here can be told from another one there
    if let Some(Ok(own)) = &answer {
        findings.extend(advertised(settings, &own.id).await);
    }
    let directory = &settings.state_directory;
    findings.push(checkup::state_directory(directory, &directory_access(directory), &user));
    findings
}

/// What `swarm-agent serve` would find.
pub fn server(settings: &ServerSettings) -> Vec<Finding> {
    let directory = &settings.state_directory;
    let state = checkup::state_directory(directory, &directory_access(directory), &user());
    std::iter::once(listen(settings.listen)).chain(settings.tls.clone().map(tls_files)).chain([state]).collect()
}

/// What is wrong, and what to do about it where that is known.
fn tls_files(files: ServerFiles) -> Finding {
    const SUBJECT: &str = "TLS files";
    let certificate = files.certificate.display().to_string();
    match Usable::read(files) {
        Ok(_) => Finding::ok(SUBJECT, format!("{certificate} and its key can be used")),
        Err(fault) => Finding::fail(SUBJECT, fault.to_string(), "mend the file; a server that runs keeps the old ones"),
    }
}

/// The address as the agent would find it, asked as the agent would ask it. None if it would not ask.
async fn advertised(settings: &AgentSettings, own: &str) -> Option<Finding> {
    let check = settings.discovery.advertise_check;
    if check == AdvertiseCheck::Off {
        return None;
    }
    let mut wanted = Locating::new(settings.discovery.advertise.clone());
    if !wanted.is_fixed() {
        wanted = match KernelNetwork::new().look().await {
            Ok(view) => wanted.seen(&view, Clock::of_loops().now()),
            Err(error) => wanted.unseen(&error.to_string()),
        };
    }
    let AddressState::Resolved(address) = wanted.state() else { return Some(checkup::no_address(wanted.state())) };
    let finding = judge(TcpDoor::new(settings.engine.tls.clone()).knock(address).await, own);
    Some(checkup::advertised(&Reach { address: address.clone(), finding }, check))
}

const DISCOVERY: &str = "discovery";

async fn discovery(settings: &AgentSettings) -> Vec<Finding> {
    match &settings.discovery.url {
        Discovery::At(url) => discovery_at(&settings.discovery.way, url).await,
        Discovery::Embedded => match embedded(&settings.state_directory) {
            Ok(url) => discovery_at(&settings.discovery.way.without_proxy(), &url).await,
            Err(failure) => vec![fail(&failure.text.unwrap_or_default())],
        },
    }
}

/// What is wrong, and what to do about it behind the first semicolon.
fn fail(text: &str) -> Finding {
    let (says, remedy) = text.split_once("; ").unwrap_or((text, "see the server's log"));
    Finding::fail(DISCOVERY, says, remedy)
}

async fn discovery_at(way: &WayOut, url: &DiscoveryUrl) -> Vec<Finding> {
    let listing = match discovery::open(url, way) {
        Ok(backend) => backend.list(Scope::Active).await,
        Err(error) => Err(error),
    };
    match listing {
        Ok(listing) => {
            let plural = if listing.nodes.len() == 1 { "" } else { "s" };
            let says = format!("{url} knows the cluster: {} node{plural}", listing.nodes.len());
            let skipped = listing.unreadable.iter().map(|entry| {
                Finding::warn(DISCOVERY, format!("an entry is skipped: {entry}"), "whoever put it there should mend it")
            });
            std::iter::once(Finding::ok(DISCOVERY, says)).chain(skipped).collect()
        }
        Err(error) => {
            vec![fail(&Failure::discovery(error).text.unwrap_or_default())]
        }
    }
}

/// Listens for a moment, and accepts nothing.
fn listen(address: SocketAddr) -> Finding {
    const SUBJECT: &str = "listen";
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok(SUBJECT, format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Finding::warn(
            SUBJECT,
            format!("something listens on {address} already"),
            format!(
                "as it should if that is swarm-discovery.service; else see: ss -tlnp 'sport = :{}'",
                address.port()
            ),
        ),
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Finding::fail(
            SUBJECT,
            format!("no interface has the address {}", address.ip()),
            "set server.listen to an address of this host: ip address",
        ),
        Err(error) => Finding::fail(SUBJECT, format!("{address}: {error}"), "choose another server.listen"),
    }
}

/// Who we are, for messages about permissions.
fn user() -> String {
    let id = geteuid();
    match User::from_uid(id) {
        Ok(Some(user)) => format!("user {}", user.name),
        _ => format!("user {id}"),
    }
}

/// What a check as root can't tell.
pub fn remark(service_user: &str) -> Option<String> {
    geteuid().is_root().then(|| {
        format!(
            "checked as root, who may do more than the service; to check as the service does, run it with: \
             sudo -u {service_user}"
        )
    })
}
