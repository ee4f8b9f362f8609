//! The log of the commands that run as services.

use super::exit::{self, Failure};
use crate::config::settings::LogLevel;
use crate::config::{ConfigError, ConfigErrors};
use crate::model::Complaint;
use crate::systemd::notify::{Message, Notifier, SdNotify};
use crate::telemetry::{self, Event, Telemetry, emit};

/// Must live as long as the command: what is queued is written when it is dropped.
pub fn init(level: LogLevel) -> Result<Telemetry, Failure> {
    telemetry::init(level.into(), std::env::var("JOURNAL_STREAM").ok().as_deref()).map_err(Failure::other)
}

/// One entry for each error, and the first for `systemctl status`.
pub fn invalid_configuration(errors: &ConfigErrors) -> Failure {
    let _telemetry = match init(LogLevel::Info) {
        Ok(telemetry) => telemetry,
        Err(failure) => return failure,
    };
    for error in errors.iter() {
        let place = error.origin.as_ref().map(ToString::to_string).unwrap_or_default();
        emit(&Event::ConfigInvalid {
            place: &place,
            key: error.key().unwrap_or_default(),
            message: &error.to_string(),
        });
    }
    let first = errors.iter().next().map(ConfigError::to_string).unwrap_or_default();
    SdNotify.notify(&[Message::Status(format!("configuration: {first}"))]);
    Failure::said(exit::CONFIG)
}

/// The same for what is valid, and of no use on this machine.
pub fn unusable(complaint: &Complaint) -> Failure {
    let (place, key) = (complaint.origin.as_deref(), complaint.key.as_deref());
    let (place, key) = (place.unwrap_or_default(), key.unwrap_or_default());
    emit(&Event::ConfigInvalid { place, key, message: &complaint.text });
    SdNotify.notify(&[Message::Status(format!("configuration: {}", complaint.text))]);
    Failure::said(exit::CONFIG)
}

/// The last entry of a service that could not go on.
pub fn failed(error: &dyn std::error::Error) -> Failure {
    emit(&Event::Failed { error: &error.to_string() });
    Failure::said(exit::FAILURE)
}
