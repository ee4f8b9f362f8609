//! TLS on the way to the advertised address: the files it takes, and what can be wrong with them and with it.

use std::fmt;
use std::path::PathBuf;

/// What the engine's certificate is checked against, and what we show an engine that asks who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// `engine.tls-ca`; the system's CAs without it.
    pub ca: Option<PathBuf>,
    pub client: Option<ClientFiles>,
}

/// `engine.tls-cert` and `engine.tls-key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A file that is of no use. Nothing was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFileFault {
    /// The key of the configuration that names it.
    pub setting: &'static str,
    pub path: PathBuf,
    pub problem: TlsFileProblem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsFileProblem {
    #[error(
        "may not be read; give it to group swarm-agent (chgrp swarm-agent, chmod 640), and its folder too; \
         what is below /home and /root the service can't see"
    )]
    Denied,
    #[error("does not exist")]
    Missing,
    #[error("is not a file")]
    NotAFile,
    #[error("is larger than {0} bytes; that can't be it")]
    TooLarge(u64),
    #[error("can't be read: {0}")]
    Unreadable(String),
    #[error("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    #[error("holds a certificate that can't be used: {0}")]
    BadCertificate(String),
    #[error("holds no key that can be used; it takes one in PEM (-----BEGIN PRIVATE KEY-----) without a passphrase")]
    NoKey,
    #[error("is not the key of {}", .0.display())]
    OtherKey(PathBuf),
}

impl fmt::Display for TlsFileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) {}", self.path.display(), self.setting, self.problem)
    }
}

/// Why there is no answer over TLS. Reads after "advertised address unreachable: ".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsFault {
    /// When its certificate has expired.
    Expired(String),
    /// From when on it is valid.
    NotYetValid(String),
    /// The CA file, or none for the system's.
    UnknownIssuer(Option<PathBuf>),
    WrongName {
        wanted: String,
        names: Vec<String>,
    },
    BadCertificate(String),
    /// It asks for a certificate of ours, and we have none.
    WantsCertificate,
    /// It was shown ours, and said this.
    RefusesCertificate {
        certificate: PathBuf,
        said: String,
    },
    Alert(String),
    /// What answers does not speak TLS.
    NoTls,
    Broken(String),
    /// Why there are no system's CAs.
    NoRoots(String),
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired(when) => {
                write!(f, "its certificate expired at {when}; renew it (or is the clock of this host wrong?)")
            }
            Self::NotYetValid(when) => {
                write!(f, "its certificate is not valid before {when}; is the clock of this host right?")
            }
            Self::UnknownIssuer(Some(ca)) => {
                write!(f, "its certificate is from no CA in {} (engine.tls-ca)", ca.display())
            }
            Self::UnknownIssuer(None) => {
                f.write_str("its certificate is from none of this system's CAs; set engine.tls-ca to its CA")
            }
            Self::WrongName { wanted, names } => {
                write!(f, "its certificate is not valid for {wanted}, but for {}; ", listed(names))?;
                write!(f, "give it one with {wanted} in subjectAltName, or set discovery.advertise to a name in it")
            }
            Self::BadCertificate(why) => write!(f, "its certificate is not accepted: {why}"),
            Self::WantsCertificate => {
                f.write_str("the engine wants a client certificate; set engine.tls-cert and engine.tls-key")
            }
            Self::RefusesCertificate { certificate, said } => write!(
                f,
                "the engine does not accept the client certificate {} ({said}); it must be from a CA in dockerd's \
                 --tlscacert, for clients (clientAuth), and not expired",
                certificate.display()
            ),
            Self::Alert(alert) => write!(f, "it refuses TLS with us ({alert})"),
            Self::NoTls => f.write_str(
                "it does not speak TLS; open the port with TLS, or take out engine.tls-ca, engine.tls-cert and \
                 engine.tls-key",
            ),
            Self::Broken(why) => write!(f, "TLS failed: {why}"),
            Self::NoRoots(why) => write!(f, "this system has no CAs ({why}); set engine.tls-ca to the engine's CA"),
        }
    }
}

/// A certificate may have a hundred names, and a status line has no room for them.
const NAMES_SHOWN: usize = 4;

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "no name (its subjectAltName is empty)".to_owned(),
        count if count > NAMES_SHOWN => format!("{shown} and {} more", count - NAMES_SHOWN),
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_what_is_wrong_and_what_to_do() {
        let name = |names: &[&str]| TlsFault::WrongName {
            wanted: "10.0.0.5".into(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        for (fault, said) in [
            (TlsFault::UnknownIssuer(Some("/a/ca.pem".into())), "is from no CA in /a/ca.pem (engine.tls-ca)"),
            (TlsFault::UnknownIssuer(None), "set engine.tls-ca to its CA"),
            (name(&["db1.example"]), "is not valid for 10.0.0.5, but for db1.example; give it one with 10.0.0.5 in"),
            (name(&[]), "but for no name (its subjectAltName is empty);"),
            (name(&["a", "b", "c", "d", "e", "f"]), "but for a, b, c, d and 2 more;"),
            (TlsFault::WantsCertificate, "wants a client certificate; set engine.tls-cert and engine.tls-key"),
            (TlsFault::NoTls, "it does not speak TLS; open the port with TLS, or take out engine.tls-ca"),
        ] {
            assert!(fault.to_string().contains(said), "{fault}");
        }
    }

    #[test]
    fn a_file_is_named_with_its_setting() {
        let fault = |problem| TlsFileFault { setting: "engine.tls-key", path: "/a/key.pem".into(), problem };
        for (problem, said) in [
            (TlsFileProblem::Missing, "/a/key.pem (engine.tls-key) does not exist"),
            (
                TlsFileProblem::OtherKey("/a/cert.pem".into()),
                "/a/key.pem (engine.tls-key) is not the key of /a/cert.pem",
            ),
        ] {
            assert_eq!(fault(problem).to_string(), said);
        }
        assert!(fault(TlsFileProblem::Denied).to_string().contains("chgrp swarm-agent, chmod 640"));
    }
}
