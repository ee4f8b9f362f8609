//! From errors of rustls to what to do.

use super::TlsClient;
use crate::model::TlsFault;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, InvalidMessage};
use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::{Duration, SystemTime};

/// What rustls said, wherever it is in the chain.
pub fn rustls_cause<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        // the source of an io::Error is its content's source, and not its content
        let inner = cause.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
        next = inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| cause.source());
    }
    None
}

/// What is behind an error of rustls.
pub fn of(error: &rustls::Error, client: &TlsClient) -> TlsFault {
    match error {
        rustls::Error::InvalidCertificate(error) => bad_certificate(error, client),
        rustls::Error::AlertReceived(said) => alert(*said, client),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => TlsFault::NoTls,
        error => TlsFault::Broken(error.to_string()),
    }
}

/// Of a handshake that broke without a word of TLS.
pub fn handshake(error: &io::Error) -> TlsFault {
    TlsFault::Broken(match error.kind() {
        ErrorKind::UnexpectedEof => "the connection was closed during the handshake".to_owned(),
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => error.to_string(),
    })
}

fn alert(alert: AlertDescription, client: &TlsClient) -> TlsFault {
    let said = words(alert);
    match &client.files().client {
        None if client.asked() => TlsFault::WantsCertificate,
        Some(files) if client.asked() => TlsFault::RefusesCertificate { certificate: files.certificate.clone(), said },
        _ => TlsFault::Alert(said),
    }
}

fn bad_certificate(error: &CertificateError, client: &TlsClient) -> TlsFault {
    match error {
        CertificateError::ExpiredContext { not_after, .. } => TlsFault::Expired(date(*not_after)),
        CertificateError::NotValidYetContext { not_before, .. } => TlsFault::NotYetValid(date(*not_before)),
        CertificateError::UnknownIssuer => TlsFault::UnknownIssuer(client.files().ca.clone()),
        CertificateError::NotValidForNameContext { expected, presented } => TlsFault::WrongName {
            wanted: expected.to_str().into_owned(),
            names: presented.iter().map(|name| bare(name)).collect(),
        },
        other => TlsFault::BadCertificate(other.to_string()),
    }
}

/// The alerts that concern certificates as people know them.
fn words(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::BadCertificate => "bad certificate",
        AlertDescription::CertificateExpired => "certificate expired",
        AlertDescription::CertificateRevoked => "certificate revoked",
        AlertDescription::CertificateRequired => "certificate required",
        AlertDescription::CertificateUnknown => "certificate unknown",
        AlertDescription::UnsupportedCertificate => "unsupported certificate",
        AlertDescription::UnknownCA => "unknown CA",
        AlertDescription::AccessDenied => "access denied",
        AlertDescription::HandshakeFailure => "handshake failure",
        AlertDescription::ProtocolVersion => "no common version of TLS",
        AlertDescription::UnrecognisedName => "unrecognised name",
        AlertDescription::InternalError => "internal error",
        other => return format!("alert {}", u8::from(other)),
    }
    .to_owned()
}

fn date(time: UnixTime) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    // years of five digits it can't write
    let time = time.filter(|time| *time < SystemTime::UNIX_EPOCH + Duration::from_secs(250_000_000_000));
    time.map_or_else(|| "the end of time".to_owned(), |time| humantime::format_rfc3339_seconds(time).to_string())
}

/// `DnsName("db1")` → `db1`. What is no name for an engine stays as it is.
fn bare(name: &str) -> String {
    let inner = |kind: &str| name.strip_prefix(kind)?.strip_prefix('(')?.strip_suffix(')');
    let inner = inner("DnsName").or_else(|| inner("IpAddress")).unwrap_or(name);
    inner.trim_matches('"').escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_dates_are_for_people() {
        for (name, shown) in [
            ("DnsName(\"db1.example\")", "db1.example"),
            ("IpAddress(10.9.9.9)", "10.9.9.9"),
            ("DnsName(\"a\nb\")", "a\\nb"),
            ("DirectoryName", "DirectoryName"),
        ] {
            assert_eq!(bare(name), shown);
        }
        let at = |seconds| date(UnixTime::since_unix_epoch(Duration::from_secs(seconds)));
        assert_eq!((at(0).as_str(), at(u64::MAX).as_str()), ("1970-01-01T00:00:00Z", "the end of time"));
    }
}
