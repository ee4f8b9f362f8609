//! TLS to the engine behind the advertised address.

use crate::model::{NodeAddress, ReachFault, TlsFault, TlsFiles};
use crate::tls::{TlsClient, Unready};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Reads what one question takes, and blocks: the files may be others at the next.
pub fn read(files: TlsFiles) -> Result<TlsClient, ReachFault> {
    TlsClient::read(files).map_err(|unready| match unready {
        Unready::File(fault) => ReachFault::Files(fault),
        Unready::Tls(fault) => ReachFault::Tls(fault),
    })
}

pub async fn handshake(
    client: &TlsClient,
    stream: TcpStream,
    address: &NodeAddress,
) -> Result<TlsStream<TcpStream>, ReachFault> {
    client.handshake(stream, &address.host()).await.map_err(ReachFault::Tls)
}

/// Why a request over an established connection had no answer: with TLS 1.3 an engine looks at our certificate
/// only then.
pub fn unanswered(client: &TlsClient, error: &hyper::Error) -> ReachFault {
    match client.fault(error) {
        Some(fault) => ReachFault::Tls(fault),
        // its alert can get lost when it resets the connection
        None if client.asked_in_vain() => ReachFault::Tls(TlsFault::WantsCertificate),
        None => ReachFault::Connect("the connection was closed without an answer".to_owned()),
    }
}

#[cfg(test)]
mod tests;
