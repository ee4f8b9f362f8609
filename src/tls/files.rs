//! Files with certificates, keys and secrets. All of it blocks.

use crate::model::{CREDENTIAL, ClientFiles, Secret, TlsFileFault, TlsFileProblem, TlsNames};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// A bundle of all CAs of the world is a quarter of it.
pub const LIMIT: u64 = 1 << 20;
/// The longest tokens, signed ones, have a few KiB, and no server takes a header of this length.
pub const SECRET_LIMIT: u64 = 16 << 10;

pub fn roots(path: &Path, names: &TlsNames) -> Result<RootCertStore, TlsFileFault> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(names.ca, path)? {
        let added = roots.add(certificate);
        added.map_err(|error| fault(names.ca, path, TlsFileProblem::BadCertificate(error.to_string())))?;
    }
    Ok(roots)
}

pub fn identity(
    files: &ClientFiles,
    names: &TlsNames,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsFileFault> {
    let chain = certificates(names.certificate, &files.certificate)?;
    let no_key = || fault(names.key, &files.key, TlsFileProblem::NoKey);
    let key = PrivateKeyDer::from_pem_slice(&bytes(names.key, &files.key, LIMIT)?).map_err(|_| no_key())?;
    let key = provider.key_provider.load_private_key(key).map_err(|_| no_key())?;
    let identity = CertifiedKey::new(chain, key);
    match identity.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(identity),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(fault(names.key, &files.key, TlsFileProblem::OtherKey(files.certificate.clone())))
        }
        Err(error) => {
            let problem = TlsFileProblem::BadCertificate(error.to_string());
            Err(fault(names.certificate, &files.certificate, problem))
        }
    }
}

/// A token or a password: the one line of a file.
pub fn secret(setting: &'static str, path: &Path) -> Result<Secret, TlsFileFault> {
    let bytes = bytes(setting, path, SECRET_LIMIT)?;
    let text = String::from_utf8(bytes).map_err(|_| fault(setting, path, TlsFileProblem::NotOneLine))?;
    // an editor ends a line, and so does echo
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Err(fault(setting, path, TlsFileProblem::Empty));
    }
    if text.contains(char::is_control) {
        return Err(fault(setting, path, TlsFileProblem::NotOneLine));
    }
    Ok(Secret::new(text.to_owned()))
}

/// At least one.
fn certificates(setting: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileFault> {
    let bytes = bytes(setting, path, LIMIT)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if found.is_empty() => Err(fault(setting, path, TlsFileProblem::NoCertificate)),
        Ok(found) => Ok(found),
        Err(error) => Err(fault(setting, path, TlsFileProblem::BadCertificate(error.to_string()))),
    }
}

fn bytes(setting: &'static str, path: &Path, limit: u64) -> Result<Vec<u8>, TlsFileFault> {
    if let Some(name) = path.to_str().and_then(|path| path.strip_prefix(CREDENTIAL)) {
        return Err(fault(setting, path, TlsFileProblem::NoCredentials(name.to_owned())));
    }
    let unreadable = |error: io::Error| {
        let problem = match error.kind() {
            ErrorKind::NotFound => TlsFileProblem::Missing,
            ErrorKind::PermissionDenied => TlsFileProblem::Denied,
            _ => TlsFileProblem::Unreadable(error.to_string()),
        };
        fault(setting, path, problem)
    };
    // before it is opened: a FIFO would block
    let found = fs::metadata(path).map_err(unreadable)?;
    if !found.is_file() {
        return Err(fault(setting, path, TlsFileProblem::NotAFile));
    }
    if found.len() > limit {
        return Err(fault(setting, path, TlsFileProblem::TooLarge(limit)));
    }
    fs::read(path).map_err(unreadable)
}

fn fault(setting: &'static str, path: &Path, problem: TlsFileProblem) -> TlsFileFault {
    TlsFileFault { setting, path: path.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TlsFileProblem::{Empty, Missing, NoCredentials, NotAFile, NotOneLine, TooLarge};

    #[test]
    fn a_secret_is_one_line_and_its_end_is_not_part_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let long = "x".repeat(SECRET_LIMIT as usize + 1);
        for (text, found) in [
            ("s3cret\n", Ok("s3cret")),
            ("s3cret\r\n", Ok("s3cret")),
            (" s3 cret ", Ok(" s3 cret ")),
            ("", Err(Empty)),
            ("\n", Err(Empty)),
            ("s3cret\nmore\n", Err(NotOneLine)),
            (long.as_str(), Err(TooLarge(SECRET_LIMIT))),
        ] {
            fs::write(&path, text).unwrap();
            let read = secret("discovery.auth.token-file", &path);
            assert_eq!(read.as_ref().map(Secret::expose).map_err(|fault| fault.problem.clone()), found, "{text:.9}");
            let Err(fault) = read else { continue };
            let said = fault.to_string();
            assert!(said.contains("token (discovery.auth.token-file)") && !said.contains("s3cret"), "{said}");
        }
        fs::write(&path, b"\xff\xfe").unwrap();
        assert_eq!(secret("x", &path).map_err(|fault| fault.problem), Err(NotOneLine));
        assert_eq!(secret("x", folder.path()).map_err(|fault| fault.problem), Err(NotAFile));
        assert_eq!(secret("x", &folder.path().join("none")).map_err(|fault| fault.problem), Err(Missing));
    }

    #[test]
    fn a_credential_that_systemd_did_not_give_is_explained() {
        let fault = secret("discovery.auth.token-file", Path::new("credential:token")).unwrap_err();
        assert_eq!(fault.problem, NoCredentials("token".into()));
        assert!(fault.to_string().contains("LoadCredential=token:/PATH"), "{fault}");
    }
}
