//! TLS on the way to the advertised address and to the discovery service: the files it takes, and what can be wrong
//! with them and with it.

use std::fmt;
use std::path::PathBuf;

/// A path that begins with this names a credential that systemd passes to the service. It is turned into the path of
/// a file where systemd says in which folder they are; elsewhere it stays as it is, and can't be read.
pub const CREDENTIAL: &str = "credential:";

/// What the other side's certificate is checked against, and what we show it if it asks who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The system's CAs without it.
    pub ca: Option<PathBuf>,
    pub client: Option<ClientFiles>,
    pub names: TlsNames,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// How people set the files, for what is said of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsNames {
    pub ca: &'static str,
    pub certificate: &'static str,
    pub key: &'static str,
    pub side: TlsSide,
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsSide {
    Engine,
    Discovery,
}

impl TlsNames {
    pub const ENGINE: Self =
        Self { ca: "engine.tls-ca", certificate: "engine.tls-cert", key: "engine.tls-key", side: TlsSide::Engine };
    pub const DISCOVERY: Self = Self {
        ca: "discovery.tls.ca",
        certificate: "discovery.tls.cert",
        key: "discovery.tls.key",
        side: TlsSide::Discovery,
    };
}

impl TlsFiles {
    /// Each file with the setting that names it.
    pub fn sources(&self) -> Vec<(&'static str, PathBuf)> {
        let ca = self.ca.iter().map(|path| (self.names.ca, path));
        let certificate = self.client.iter().map(|files| (self.names.certificate, &files.certificate));
        let key = self.client.iter().map(|files| (self.names.key, &files.key));
        ca.chain(certificate).chain(key).map(|(name, path)| (name, path.clone())).collect()
    }

    /// The system's CAs, and nothing to show.
    pub fn of_the_system(names: TlsNames) -> Self {
        Self { ca: None, client: None, names }
    }
}

/// A file of TLS, or with a secret, that is of no use. Nothing was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFileFault {
    /// The key of the configuration, or the flag, that names it.
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
    #[error(
        "is a credential of the service, and systemd gave none here (CREDENTIALS_DIRECTORY is not set); the unit needs \
         LoadCredential={0}:/PATH, and a person writes the file's path instead"
    )]
    NoCredentials(String),
    #[error("is empty")]
    Empty,
    #[error("holds more than one line, or what is no text; it takes the secret alone")]
    NotOneLine,
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

/// Why there is no answer over TLS. [`TlsFault::told`] says it.
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

impl TlsFault {
    /// In words for people who set the files by these names. Reads after "advertised address unreachable: " and "no TLS
    /// connection to …: ".
    pub fn told(&self, names: &TlsNames) -> String {
        let TlsNames { ca, certificate, key, side } = names;
        match self {
            Self::Expired(when) => {
                format!("its certificate expired at {when}; renew it (or is the clock of this host wrong?)")
            }
            Self::NotYetValid(when) => {
                format!("its certificate is not valid before {when}; is the clock of this host right?")
            }
            Self::UnknownIssuer(Some(path)) => format!("its certificate is from no CA in {} ({ca})", path.display()),
            Self::UnknownIssuer(None) => {
                format!("its certificate is from none of this system's CAs; set {ca} to its CA")
            }
            Self::WrongName { wanted, names } => format!(
                "its certificate is not valid for {wanted}, but for {}; give it one with {wanted} in subjectAltName, or \
                 {}",
                listed(names),
                side.other_name()
            ),
            Self::BadCertificate(why) => format!("its certificate is not accepted: {why}"),
            Self::WantsCertificate => {
                format!("{} wants a client certificate; set {certificate} and {key}", side.name())
            }
            Self::RefusesCertificate { certificate, said } => format!(
                "{} does not accept the client certificate {} ({said}); it must be from {}, for clients (clientAuth), \
                 and not expired",
                side.name(),
                certificate.display(),
                side.clients_ca()
            ),
            Self::Alert(alert) => format!("it refuses TLS with us ({alert})"),
            Self::NoTls if *side == TlsSide::Engine => {
                format!("it does not speak TLS; open the port with TLS, or take out {ca}, {certificate} and {key}")
            }
            Self::NoTls => "it does not speak TLS; open the port with TLS, or correct the URL".to_owned(),
            Self::Broken(why) => format!("TLS failed: {why}"),
            Self::NoRoots(why) => format!("this system has no CAs ({why}); set {ca} to the CA of {}", side.name()),
        }
    }
}

impl TlsSide {
    fn name(self) -> &'static str {
        match self {
            Self::Engine => "the engine",
            Self::Discovery => "the discovery service",
        }
    }

    fn other_name(self) -> &'static str {
        match self {
            Self::Engine => "set discovery.advertise to a name in it",
            Self::Discovery => "write a name in it into the URL",
        }
    }

    /// Which CA signs what it accepts.
    fn clients_ca(self) -> &'static str {
        match self {
            Self::Engine => "a CA in dockerd's --tlscacert",
            Self::Discovery => "a CA that it trusts for clients",
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
            let told = fault.told(&TlsNames::ENGINE);
            assert!(told.contains(said), "{told}");
        }
        for (fault, said) in [
            (TlsFault::UnknownIssuer(None), "set discovery.tls.ca to its CA"),
            (name(&["db1.example"]), "in subjectAltName, or write a name in it into the URL"),
            (TlsFault::WantsCertificate, "the discovery service wants a client certificate; set discovery.tls.cert"),
            (TlsFault::NoTls, "it does not speak TLS; open the port with TLS, or correct the URL"),
        ] {
            let told = fault.told(&TlsNames::DISCOVERY);
            assert!(told.contains(said), "{told}");
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
