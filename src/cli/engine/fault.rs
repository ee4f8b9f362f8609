//! Why systemd could not be asked or refused, with what to do about it.

use crate::cli::exit::{self, Failure};
use crate::model::ProbeFault;
use crate::systemd::ManagerError;

pub fn of_manager(error: &ManagerError) -> Failure {
    let code = if error.is_plumbing() { exit::UNAVAILABLE } else { exit::FAILURE };
    Failure { code, text: Some(format!("{error}; {}", remedy(error))) }
}

pub fn remedy(error: &ManagerError) -> &'static str {
    match error {
        ManagerError::Unreachable(_) => {
            "does the bus run (systemctl status dbus.socket)? systemd and Docker carry on without it"
        }
        ManagerError::NoAnswer(_) => {
            "systemd or the bus may be overloaded; try again, or look at `systemctl status dbus`"
        }
        ManagerError::Lost(_) => "the bus was restarted or stopped meanwhile; try again",
        ManagerError::Masked { .. } => "unmask it first: systemctl unmask UNIT",
        ManagerError::NoSuchUnit { .. } => "is Docker installed? engine.unit, or --unit, may name another",
        ManagerError::NotAuthorized => {
            "run it as root (sudo), or let a polkit rule allow your user org.freedesktop.systemd1.manage-units for this unit"
        }
        ManagerError::Denied { polkit: true } => "run it as root (sudo); a polkit rule says no for your user",
        ManagerError::Denied { polkit: false } => "run it as root (sudo), or start polkit (systemctl status polkit)",
        ManagerError::Other(_) => "the journal may say more: journalctl -b _PID=1",
    }
}

/// A fault of a probe, as it concerns whoever runs the command rather than the agent.
pub fn of_probe(fault: &ProbeFault) -> String {
    match fault {
        ProbeFault::Permission { socket } => {
            format!("you may not open {socket}: run this as root, or as a member of the socket's group")
        }
        ProbeFault::PingTimeout(_) => format!("{fault}: it hangs, or the host is starved (cat /proc/pressure/*)"),
        ProbeFault::InfoTimeout(_) | ProbeFault::ContainerdGone => {
            format!("{fault}; look at `systemctl status containerd` before you restart the engine")
        }
        ProbeFault::Refused { .. } | ProbeFault::NoSocket { .. } => {
            format!("{fault}: look at `systemctl status docker.socket`")
        }
        other => other.to_string(),
    }
}
