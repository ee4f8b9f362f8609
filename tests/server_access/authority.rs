//! A CA of the test's own.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key in PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a CA"))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// For a server at 127.0.0.1.
    pub fn server(&self) -> Pair {
        self.issue(&["127.0.0.1"], ExtendedKeyUsagePurpose::ServerAuth)
    }

    pub fn client(&self) -> Pair {
        self.issue(&[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(&self, names: &[&str], usage: ExtendedKeyUsagePurpose) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.extended_key_usages.push(usage);
        let key = KeyPair::generate().expect("a key");
        Pair { certificate: params.signed_by(&key, &self.0).expect("a certificate").pem(), key: key.serialize_pem() }
    }
}
