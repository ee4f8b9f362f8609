//! What of a running server follows its configuration: read at the start, and anew at a reload. With errors nothing
//! changes. Connections stay, whatever happens.

use super::ServerError;
use super::access::Guard;
use super::tls::{Keyring, Usable};
use crate::config::settings::ServerSettings;
use crate::config::{ConfigError, ConfigErrors, Loaded, Merged, Sources, load_server};
use crate::model::{Complaint, TlsFileFault};
use crate::telemetry::{Event, Verbosity, emit};
use std::time::Duration;
use tokio::time::timeout;

/// For the files: a disk that hangs must not keep signals from being heard.
const READ_LIMIT: Duration = Duration::from_secs(5);

/// Who gets in, and how.
#[derive(Clone)]
pub struct Protection {
    pub guard: Guard,
    /// None: plain HTTP. Whether there is one never changes.
    pub keyring: Option<Keyring>,
}

impl Protection {
    /// For a server on a network that is trusted.
    pub fn none() -> Self {
        Self { guard: Guard::new(None), keyring: None }
    }

    /// Reads the TLS files, and blocks.
    pub fn read(settings: &ServerSettings) -> Result<Self, ServerError> {
        let usable = settings.tls.clone().map(Usable::read).transpose().map_err(ServerError::Tls)?;
        Ok(Self { guard: Guard::new(settings.rules.clone()), keyring: usable.map(Keyring::new) })
    }
}

/// Takes new configurations into a running server.
pub struct Reloader {
    /// Where the configuration is read from again.
    sources: Sources,
    /// What the process started with.
    first: Merged,
    loaded: Loaded<ServerSettings>,
    protection: Protection,
    verbosity: Verbosity,
}

/// What was read, and can be put in force.
struct Fresh {
    loaded: Loaded<ServerSettings>,
    usable: Option<Usable>,
}

impl Reloader {
    /// Says who gets in, if that may be more than somebody thought of.
    pub fn new(sources: Sources, loaded: Loaded<ServerSettings>, protection: Protection, verbosity: Verbosity) -> Self {
        say_exposure(&loaded.settings);
        Self { sources, first: loaded.merged.clone(), loaded, protection, verbosity }
    }

    /// Reads everything anew. What is wrong, in a line, or None if it is in force.
    pub async fn reload(&mut self) -> Option<String> {
        let (sources, speaks_tls) = (self.sources.clone(), self.protection.keyring.is_some());
        let reading = tokio::task::spawn_blocking(move || read(&sources, speaks_tls));
        let errors = match timeout(READ_LIMIT, reading).await {
            Ok(Ok(Ok(fresh))) => {
                self.take_over(fresh);
                return None;
            }
            Ok(Ok(Err(errors))) => errors,
            Ok(Err(panicked)) => vec![plainly(format!("reading the configuration failed: {panicked}"))],
            Err(_) => {
                let limit = READ_LIMIT.as_secs();
                vec![plainly(format!("reading the configuration took longer than {limit} s: is its disk all right?"))]
            }
        };
        for error in &errors {
            let (place, key) = (error.origin.as_deref(), error.key.as_deref());
            let (place, key) = (place.unwrap_or_default(), key.unwrap_or_default());
            emit(&Event::ConfigInvalid { place, key, message: &error.text });
        }
        emit(&Event::ReloadRejected { errors: errors.len() });
        errors.into_iter().next().map(|error| error.text)
    }

    fn take_over(&mut self, Fresh { mut loaded, usable }: Fresh) {
        let speaks_tls = self.protection.keyring.is_some();
        let waits = |key: &&str| waits_for_restart(key, loaded.settings.tls.is_some() != speaks_tls);
        let mut at_restart = loaded.merged.differences(&self.first);
        at_restart.retain(|key| concerns(key) && waits(key));
        let mut changed = loaded.merged.differences(&self.loaded.merged);
        changed.retain(|key| concerns(key) && !waits(key));
        if loaded.settings.rules != self.loaded.settings.rules && !changed.contains(&TOKENS_FILE) {
            changed.push(TOKENS_FILE);
        }
        // what needs a restart stays as it is until then
        let running = &self.loaded.settings;
        loaded.settings.listen = running.listen;
        loaded.settings.state_directory.clone_from(&running.state_directory);
        if loaded.settings.tls.is_some() != speaks_tls {
            loaded.settings.tls.clone_from(&running.tls);
        }
        if let (Some(keyring), Some(usable)) = (&self.protection.keyring, usable) {
            keyring.replace(usable);
        }
        self.protection.guard.replace(loaded.settings.rules.clone());
        self.verbosity.set(loaded.settings.log_level.into());
        emit(&Event::Reloaded { changed: &changed.join(", "), at_restart: &at_restart.join(", ") });
        if exposure(&loaded.settings) != exposure(running) {
            say_exposure(&loaded.settings);
        }
        self.loaded = loaded;
    }
}

const TOKENS_FILE: &str = "server.tokens-file";

/// The keys that this server reads.
fn concerns(key: &str) -> bool {
    key.starts_with("server.") || key == "agent.log-level"
}

/// A server that begins or ceases to speak TLS has other clients.
fn waits_for_restart(key: &str, other_protocol: bool) -> bool {
    matches!(key, "server.listen" | "server.state-directory") || other_protocol && key.starts_with("server.tls-")
}

/// Blocks.
fn read(sources: &Sources, speaks_tls: bool) -> Result<Fresh, Vec<Complaint>> {
    let rejected = |errors: ConfigErrors| errors.iter().map(ConfigError::complaint).collect::<Vec<_>>();
    let loaded = load_server(sources).map_err(rejected)?;
    let files = loaded.settings.tls.clone().filter(|_| speaks_tls);
    let usable = files.map(Usable::read).transpose().map_err(|fault| vec![of_file(&fault)])?;
    Ok(Fresh { loaded, usable })
}

fn of_file(fault: &TlsFileFault) -> Complaint {
    let path = fault.path.display().to_string();
    let key = Some(fault.setting.to_owned());
    Complaint { file: Some(path.clone()), origin: Some(path), key, ..plainly(fault.to_string()) }
}

fn plainly(text: String) -> Complaint {
    Complaint { message: text.clone(), text, ..Complaint::default() }
}

fn say_exposure(settings: &ServerSettings) {
    if let Some(reason) = exposure(settings) {
        emit(&Event::ServerExposed { address: &settings.listen.to_string(), reason });
    }
}

/// What whoever is on the network can do, for a server that others reach.
fn exposure(settings: &ServerSettings) -> Option<&'static str> {
    if settings.listen.ip().is_loopback() {
        return None;
    }
    let asks = settings.rules.is_some() || settings.tls.as_ref().is_some_and(|files| files.client_ca.is_some());
    match (&settings.tls, asks) {
        (None, false) => Some(
            "it has neither TLS nor bearer tokens: whoever reaches it can make clusters, and who listens on the way \
             learns their tokens",
        ),
        (None, true) => Some("it has no TLS: who listens on the way learns the tokens of its clients"),
        (Some(_), false) => {
            Some("it wants neither bearer tokens nor client certificates: whoever reaches it can make clusters")
        }
        (Some(_), true) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::LogLevel;
    use crate::model::ServerFiles;
    use crate::model::permission::Rules;

    #[test]
    fn a_server_that_others_reach_says_what_is_missing() {
        let settings = |listen: &str, tls: Option<bool>, rules: bool| ServerSettings {
            log_level: LogLevel::Info,
            listen: listen.parse().expect("an address"),
            state_directory: "/s".into(),
            tls: tls.map(|asks| ServerFiles {
                certificate: "/c".into(),
                key: "/k".into(),
                client_ca: asks.then(|| "/ca".into()),
            }),
            rules: rules.then(Rules::default),
        };
        for (listen, tls, rules, says) in [
            ("127.0.0.1:1", None, false, None),
            ("[::1]:1", None, false, None),
            ("0.0.0.0:1", None, false, Some("neither TLS")),
            ("[::]:1", None, true, Some("no TLS")),
            ("10.0.0.1:1", Some(false), false, Some("nor client certificates")),
            ("10.0.0.1:1", Some(true), false, None),
            ("10.0.0.1:1", Some(false), true, None),
        ] {
            let found = exposure(&settings(listen, tls, rules));
            assert_eq!(found.is_some(), says.is_some(), "{listen} {tls:?} {rules}");
            assert!(found.unwrap_or_default().contains(says.unwrap_or_default()), "{found:?}");
        }
    }

    #[test]
    fn a_change_of_the_protocol_waits_for_a_restart_and_other_files_do_not() {
        assert!(waits_for_restart("server.listen", false));
        assert!(waits_for_restart("server.tls-cert", true));
        assert!(!waits_for_restart("server.tls-cert", false));
        assert!(!waits_for_restart("server.tokens-file", true));
        assert!(concerns("agent.log-level") && !concerns("agent.state-directory") && !concerns("discovery.url"));
    }
}
