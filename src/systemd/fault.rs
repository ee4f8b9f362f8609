//! Why systemd could not be asked, or did not do what it was asked.

use std::time::Duration;
use zbus::fdo;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManagerError {
    #[error("the system bus can't be reached: {0}")]
    Unreachable(String),
    #[error("no answer from systemd over the system bus within {}", humantime::format_duration(*.0))]
    NoAnswer(Duration),
    #[error("the connection to the system bus was lost: {0}")]
    Lost(String),
    /// The unit, or one that it needs: systemd's words say which.
    #[error("systemd can't restart {unit}: {message}")]
    Masked { unit: String, message: String },
    /// The same.
    #[error("systemd can't find {unit}: {message}")]
    NoSuchUnit { unit: String, message: String },
    #[error("polkit does not allow it without an administrator's consent")]
    NotAuthorized,
    #[error("systemd denies it{}", if *.polkit { "" } else { ", and polkit, which could allow it, does not run" })]
    Denied { polkit: bool },
    #[error("systemd answered: {0}")]
    Other(String),
}

impl ManagerError {
    /// Whether systemd could not be asked at all, which says nothing about the unit.
    pub fn is_plumbing(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::NoAnswer(_) | Self::Lost(_))
    }

    pub(super) fn of(error: zbus::Error, unit: &str) -> Self {
        match error {
            zbus::Error::InputOutput(cause) if cause.kind() == std::io::ErrorKind::TimedOut => {
                Self::NoAnswer(super::manager::TIMEOUT)
            }
            zbus::Error::InputOutput(cause) => Self::Lost(cause.to_string()),
            zbus::Error::MethodError(name, message, _) => {
                Self::named(name.as_str(), unit, message.unwrap_or_else(|| name.to_string()))
            }
            zbus::Error::FDO(error) => Self::of_bus(*error),
            other => Self::Other(other.to_string()),
        }
    }

    fn named(name: &str, unit: &str, message: String) -> Self {
        match name.strip_prefix("org.freedesktop.systemd1.") {
            Some("UnitMasked") => Self::Masked { unit: unit.to_owned(), message },
            Some("NoSuchUnit") => Self::NoSuchUnit { unit: unit.to_owned(), message },
            _ => Self::Other(message),
        }
    }

    fn of_bus(error: fdo::Error) -> Self {
        match error {
            // asking polkit again may change this; systemd has just asked it
            fdo::Error::AccessDenied(_) | fdo::Error::AuthFailed(_) => Self::Denied { polkit: true },
            fdo::Error::InteractiveAuthorizationRequired(_) => Self::NotAuthorized,
            fdo::Error::ServiceUnknown(why) | fdo::Error::NameHasNoOwner(why) => {
                Self::Unreachable(format!("systemd is not on it: {why}"))
            }
            fdo::Error::NoReply(why) | fdo::Error::Disconnected(why) => Self::Lost(why),
            fdo::Error::TimedOut(_) | fdo::Error::Timeout(_) => Self::NoAnswer(super::manager::TIMEOUT),
            other => Self::Other(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_systemd_and_of_the_bus_are_recognised() {
        let systemd = |name: &str| ManagerError::named(name, "docker.service", "text".into());
        let (unit, message) = ("docker.service".to_owned(), "text".to_owned());
        let masked = ManagerError::Masked { unit: unit.clone(), message: message.clone() };
        assert_eq!(systemd("org.freedesktop.systemd1.UnitMasked"), masked);
        assert_eq!(systemd("org.freedesktop.systemd1.NoSuchUnit"), ManagerError::NoSuchUnit { unit, message });
        assert_eq!(systemd("org.freedesktop.systemd1.New"), ManagerError::Other("text".into()));
        let bus = |error| ManagerError::of(zbus::Error::FDO(Box::new(error)), "docker.service");
        let interactive = fdo::Error::InteractiveAuthorizationRequired(String::new());
        assert_eq!(bus(interactive), ManagerError::NotAuthorized);
        assert_eq!(bus(fdo::Error::AccessDenied(String::new())), ManagerError::Denied { polkit: true });
        assert!(bus(fdo::Error::NoReply("gone".into())).is_plumbing());
        assert!(bus(fdo::Error::ServiceUnknown("gone".into())).is_plumbing());
        assert!(!bus(fdo::Error::Failed("no".into())).is_plumbing());
    }
}
