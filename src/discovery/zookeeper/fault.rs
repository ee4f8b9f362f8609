//! From what a server or a connection says to what a person can do.

use super::connection::Broken;
use super::wire::code;
use crate::discovery::BackendError;
use crate::model::AuthNames;
use std::io::ErrorKind;

/// Why something was not done.
#[derive(Debug)]
pub enum Fault {
    /// The session has ended, and what it held is gone.
    Expired,
    Failed(BackendError),
}

impl From<BackendError> for Fault {
    fn from(error: BackendError) -> Self {
        Self::Failed(error)
    }
}

impl Fault {
    /// For those who know no session that could end.
    pub fn into_error(self, server: &str) -> BackendError {
        match self {
            Self::Expired => {
                BackendError::Broken { server: server.to_owned(), cause: "the session has ended".to_owned() }
            }
            Self::Failed(error) => error,
        }
    }
}

pub fn broken(server: &str, broken: &Broken) -> BackendError {
    let server = server.to_owned();
    match broken {
        Broken::Garbled(what) => BackendError::Garbled { server, what: (*what).to_owned() },
        Broken::Io(error) => BackendError::Broken {
            server,
            cause: match error.kind() {
                ErrorKind::UnexpectedEof => "it was closed".to_owned(),
                ErrorKind::TimedOut => "the server does not answer any more".to_owned(),
                _ => error.to_string(),
            },
        },
    }
}

/// Of a connection that broke before there was a session.
pub fn not_let_in(server: &str, trouble: &Broken) -> BackendError {
    match trouble {
        Broken::Io(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
            BackendError::Broken {
                server: server.to_owned(),
                cause:
                    "it was closed before there was a session; a server does so while it has no quorum, when it has \
                        too many connections (maxClientCnxns), or when it expects TLS (zks://)"
                        .to_owned(),
            }
        }
        other => broken(server, other),
    }
}

/// Who asked, for what is said of rights.
pub struct Asker<'a> {
    pub server: &'a str,
    pub user: Option<&'a str>,
    pub names: AuthNames,
}

impl Asker<'_> {
    /// What a code of failure means. `path` is what it was about.
    pub fn refused(&self, failure: i32, path: &str) -> Fault {
        let AuthNames { user: user_key, password, .. } = self.names;
        let reason = match failure {
            code::SESSION_EXPIRED => return Fault::Expired,
            code::SESSION_MOVED => {
                let cause = "the session is used over another connection".to_owned();
                return BackendError::Broken { server: self.server.to_owned(), cause }.into();
            }
            code::NO_AUTH => match self.user {
                Some(user) => {
                    format!("the ACL does not allow {path} to user {user} with the password in {password} (NoAuth)")
                }
                None => format!("the ACL does not allow {path} to everybody (NoAuth); set {user_key} and {password}"),
            },
            code::AUTH_FAILED => {
                format!("user and password are not accepted (AuthFailed); see {user_key} and {password}")
            }
            code::NEEDS_AUTH => {
                format!("it wants to know who we are, in a way that we don't have if {user_key} is set (SASL or TLS)")
            }
            code::NOT_EMPTY => format!("{path} is in the way: it is a folder with something in it"),
            code::QUOTA_EXCEEDED => format!("the quota of a folder above {path} is used up"),
            other => format!("{path} failed with code {other}"),
        };
        BackendError::Refused { server: self.server.to_owned(), reason }.into()
    }
}
