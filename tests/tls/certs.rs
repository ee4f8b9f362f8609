//! Certificates made for one test, and the folder of one host with them.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use std::fs;
use std::path::PathBuf;
use swarm_agent::model::{ClientFiles, TlsFiles, TlsNames};

pub type Ca = CertifiedIssuer<'static, KeyPair>;

pub fn ca(name: &str) -> Ca {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key in PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

pub fn issue(ca: &Ca, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    Pair { certificate: params.signed_by(&key, ca).unwrap().pem(), key: key.serialize_pem() }
}

pub fn server(ca: &Ca) -> Pair {
    issue(ca, &["127.0.0.1"], |_| {})
}

pub fn client(ca: &Ca) -> Pair {
    issue(ca, &[], |params| params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth))
}

pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// As a careful person replaces a file: at once.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path("new"), text).unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
        self.path(name)
    }

    pub fn client(&self, pair: &Pair) -> ClientFiles {
        ClientFiles { certificate: self.write("cert.pem", &pair.certificate), key: self.write("key.pem", &pair.key) }
    }

    pub fn files(&self, ca: &Ca, client: Option<&Pair>) -> TlsFiles {
        let client = client.map(|pair| self.client(pair));
        TlsFiles { ca: Some(self.write("ca.pem", &ca.pem())), client, names: TlsNames::DISCOVERY }
    }
}
