//! Exit codes, after sysexits.h: 0 done, 64 usage, 69 a service is unavailable, 77 permission denied, 78
//! configuration, 1 the rest. What
//! `status` finds has two of its own: 2 degraded, 3 not registered.

use crate::discovery::BackendError;
use crate::model::ProxyFault;
use std::fmt::Display;
use std::process::ExitCode;

pub const FAILURE: u8 = 1;
/// Registered, and something is wrong.
pub const DEGRADED: u8 = 2;
/// As `systemctl status` says of a unit that does not run.
pub const NOT_REGISTERED: u8 = 3;
pub const USAGE: u8 = 64;
pub const UNAVAILABLE: u8 = 69;
/// The agent does not take this order from this user.
pub const DENIED: u8 = 77;
pub const CONFIG: u8 = 78;

/// Why a command failed: what a person reads, and what a script sees.
pub struct Failure {
    pub code: u8,
    /// None where it has been said already.
    pub text: Option<String>,
}

impl Failure {
    pub fn usage(text: String) -> Self {
        Self { code: USAGE, text: Some(text) }
    }

    pub fn other(error: impl Display) -> Self {
        Self { code: FAILURE, text: Some(error.to_string()) }
    }

    /// The reason is in the log, or was printed.
    pub fn said(code: u8) -> Self {
        Self { code, text: None }
    }

    /// A discovery service that could not be asked is unavailable; one that refused gave its reason.
    pub fn discovery(error: BackendError) -> Self {
        if let BackendError::Proxy { fault, .. } = &error {
            let remedy = fault.remedy().map(|remedy| format!("; {remedy}")).unwrap_or_default();
            let ours = matches!(fault, ProxyFault::CredentialsFile { .. } | ProxyFault::V6(_));
            return Self { code: if ours { FAILURE } else { UNAVAILABLE }, text: Some(format!("{error}{remedy}")) };
        }
        let (code, remedy) = code_and_remedy(&error);
        Self { code, text: Some(format!("{error}{remedy}")) }
    }
}

fn code_and_remedy(error: &BackendError) -> (u8, &'static str) {
    match error {
        BackendError::Connect { server, .. } if !server.starts_with("http") => (UNAVAILABLE, "; is it running there?"),
        BackendError::Connect { .. } => {
            (UNAVAILABLE, "; is the discovery server running there (systemctl status swarm-discovery)?")
        }
        BackendError::Timeout { .. } => (UNAVAILABLE, "; is it reachable from here? --timeout gives it longer"),
        BackendError::Tls { .. } => (UNAVAILABLE, ""),
        BackendError::Broken { .. } => (UNAVAILABLE, "; try again"),
        BackendError::Status { status: 500.., .. } => (UNAVAILABLE, ""),
        BackendError::Garbled { .. } => (FAILURE, "; is that the address of a discovery server?"),
        BackendError::Status { message, .. } if message.is_empty() => {
            (FAILURE, "; is that the address of a discovery server?")
        }
        BackendError::Everywhere { telling, .. } => code_and_remedy(telling),
        BackendError::Status { .. }
        | BackendError::Client(_)
        | BackendError::Credentials(_)
        | BackendError::Denied { .. }
        | BackendError::Refused { .. }
        | BackendError::ReadOnly { .. }
        | BackendError::File { .. }
        | BackendError::NoRoom { .. }
        | BackendError::Proxy { .. }
        | BackendError::Held { .. } => (FAILURE, ""),
    }
}

/// Prints clap's message; help and version are no errors.
pub fn usage(error: &clap::Error) -> ExitCode {
    // a closed stdout or stderr leaves nobody to tell
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}
