//! The whole way to a real TLS server, with certificates made for each test.

use crate::engine::{Door, TcpDoor};
use crate::model::{Answer, ClientFiles, NodeAddress, ReachFault, TlsFault, TlsFileProblem, TlsFiles, TlsNames};
use crate::tls::files::LIMIT;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::SupportedProtocolVersion;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;

const CA: &str = TlsNames::ENGINE.ca;
const CERTIFICATE: &str = TlsNames::ENGINE.certificate;
const KEY: &str = TlsNames::ENGINE.key;
const INFO: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"ID\":\"AB\"}";

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca(name: &str) -> Ca {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key in PEM.
struct Pair {
    certificate: String,
    key: String,
}

fn issue(ca: &Ca, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    Pair { certificate: params.signed_by(&key, ca).unwrap().pem(), key: key.serialize_pem() }
}

fn client_pair(ca: &Ca) -> Pair {
    issue(ca, &[], |params| params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth))
}

/// Checks client certificates as an engine with `--tlsverify` does, and remembers if it saw one.
#[derive(Debug)]
struct Doorman {
    inner: Arc<dyn ClientCertVerifier>,
    saw: AtomicBool,
}

impl ClientCertVerifier for Doorman {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.saw.store(true, Ordering::Relaxed);
        self.inner.verify_client_cert(own, others, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, own, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, own, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// An engine that listens with TLS, on 127.0.0.1.
struct Server {
    address: NodeAddress,
    doorman: Option<Arc<Doorman>>,
    /// What each handshake came to.
    handshakes: UnboundedReceiver<Result<(), String>>,
}

impl Server {
    async fn start(own: &Pair, clients: Option<&Ca>, version: &'static SupportedProtocolVersion) -> Self {
        Self::saying(INFO, own, clients, version).await
    }

    async fn saying(
        answer: &'static [u8],
        own: &Pair,
        clients: Option<&Ca>,
        version: &'static SupportedProtocolVersion,
    ) -> Self {
        let provider = Arc::new(ring::default_provider());
        let doorman = clients.map(|ca| {
            let mut roots = RootCertStore::empty();
            roots.add(ca.der().clone()).unwrap();
            let inner = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build().unwrap();
            Arc::new(Doorman { inner, saw: AtomicBool::new(false) })
        });
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let builder = match &doorman {
            Some(doorman) => builder.with_client_cert_verifier(doorman.clone()),
            None => builder.with_no_client_auth(),
        };
        let chain = vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()];
        let config =
            builder.with_single_cert(chain, PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = NodeAddress::new([127, 0, 0, 1].into(), listener.local_addr().unwrap().port());
        let (done, handshakes) = unbounded_channel();
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), answer, done));
        Self { address, doorman, handshakes }
    }

    fn saw_a_client_certificate(&self) -> bool {
        self.doorman.as_ref().is_some_and(|doorman| doorman.saw.load(Ordering::Relaxed))
    }
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    answer: &'static [u8],
    done: UnboundedSender<Result<(), String>>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let accepted = acceptor.accept(stream).await;
        let _ = done.send(accepted.as_ref().map(drop).map_err(ToString::to_string));
        if let Ok(mut stream) = accepted {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
        }
    }
}

/// A folder with the files of one host.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn client(&self, pair: &Pair) -> ClientFiles {
        ClientFiles { certificate: self.write("cert.pem", &pair.certificate), key: self.write("key.pem", &pair.key) }
    }

    fn files(&self, ca: &Ca, client: Option<&Pair>) -> TlsFiles {
        TlsFiles {
            ca: Some(self.write("ca.pem", &ca.pem())),
            client: client.map(|pair| self.client(pair)),
            names: TlsNames::ENGINE,
        }
    }
}

fn engine() -> Result<Answer, ReachFault> {
    Ok(Answer::Engine { id: "AB".into() })
}

async fn knock(files: TlsFiles, at: &NodeAddress) -> Result<Answer, ReachFault> {
    TcpDoor::new(Some(files)).knock(at).await
}

#[tokio::test]
async fn an_engine_is_asked_with_and_without_a_client_certificate() {
    let (servers, clients, folder) = (ca("servers"), ca("clients"), Folder::new());
    let own = issue(&servers, &["127.0.0.1"], |_| {});
    for version in [&TLS12, &TLS13] {
        let open = Server::start(&own, None, version).await;
        assert_eq!(knock(folder.files(&servers, None), &open.address).await, engine());
        let verifying = Server::start(&own, Some(&clients), version).await;
        let files = folder.files(&servers, Some(&client_pair(&clients)));
        assert_eq!(knock(files.clone(), &verifying.address).await, engine());
        assert!(verifying.saw_a_client_certificate());
        assert_eq!(knock(files, &open.address).await, engine(), "one that does not ask for it");
    }
}

#[tokio::test]
async fn an_engine_that_does_not_let_us_in_is_understood() {
    let (servers, clients, folder) = (ca("servers"), ca("clients"), Folder::new());
    let own = issue(&servers, &["127.0.0.1"], |_| {});
    let past = |params: &mut CertificateParams| {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        params.not_after = rcgen::date_time_ymd(2001, 2, 3);
    };
    for version in [&TLS12, &TLS13] {
        let server = Server::start(&own, Some(&clients), version).await;
        let none = knock(folder.files(&servers, None), &server.address).await;
        assert_eq!(none, Err(ReachFault::Tls(TlsFault::WantsCertificate)), "{version:?}");
        for (pair, said) in [(client_pair(&servers), "unknown CA"), (issue(&clients, &[], past), "certificate expired")]
        {
            let refused = knock(folder.files(&servers, Some(&pair)), &server.address).await;
            let certificate = folder.path("cert.pem");
            let fault = TlsFault::RefusesCertificate { certificate, said: said.into() };
            assert_eq!(refused, Err(ReachFault::Tls(fault)), "{version:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_verified_gets_no_client_certificate() {
    let (servers, others, folder) = (ca("servers"), ca("others"), Folder::new());
    let year = |from: i32, to: i32| {
        move |params: &mut CertificateParams| {
            params.not_before = rcgen::date_time_ymd(from, 2, 3);
            params.not_after = rcgen::date_time_ymd(to, 2, 3);
        }
    };
    let names = ["db1.example", "10.9.9.9"];
    let wrong_name = TlsFault::WrongName { wanted: "127.0.0.1".into(), names: names.map(str::to_owned).into() };
    let not_a_server =
        |params: &mut CertificateParams| params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    let purpose =
        "certificate does not allow extended key usage for server authentication, allows client authentication";
    for (own, fault) in [
        (issue(&others, &["127.0.0.1"], |_| {}), TlsFault::UnknownIssuer(Some(folder.path("ca.pem")))),
        (issue(&servers, &names, |_| {}), wrong_name),
        (issue(&servers, &["127.0.0.1"], year(2000, 2001)), TlsFault::Expired("2001-02-03T00:00:00Z".into())),
        (issue(&servers, &["127.0.0.1"], year(4000, 4001)), TlsFault::NotYetValid("4000-02-03T00:00:00Z".into())),
        (issue(&servers, &["127.0.0.1"], not_a_server), TlsFault::BadCertificate(purpose.into())),
    ] {
        for version in [&TLS12, &TLS13] {
            let mut server = Server::start(&own, Some(&servers), version).await;
            let found = knock(folder.files(&servers, Some(&client_pair(&servers))), &server.address).await;
            assert_eq!(found, Err(ReachFault::Tls(fault.clone())), "{version:?}");
            assert!(server.handshakes.recv().await.is_some_and(|handshake| handshake.is_err()), "{version:?}");
            assert!(!server.saw_a_client_certificate(), "{version:?} {fault:?}");
        }
    }
}

#[tokio::test]
async fn without_a_ca_file_the_systems_cas_count() {
    let (servers, folder) = (ca("servers"), Folder::new());
    let server = Server::start(&issue(&servers, &["127.0.0.1"], |_| {}), Some(&servers), &TLS13).await;
    let files = TlsFiles { ca: None, client: Some(folder.client(&client_pair(&servers))), names: TlsNames::ENGINE };
    let found = knock(files, &server.address).await;
    assert!(
        matches!(found, Err(ReachFault::Tls(TlsFault::UnknownIssuer(None) | TlsFault::NoRoots(_)))),
        "no system knows a CA of a test: {found:?}"
    );
}

#[tokio::test]
async fn a_port_without_tls_gets_no_request() {
    let (servers, folder) = (ca("servers"), Folder::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = NodeAddress::new([127, 0, 0, 1].into(), listener.local_addr().unwrap().port());
    let plain = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        buffer[..count].to_vec()
    };
    let (heard, found) = tokio::join!(plain, knock(folder.files(&servers, None), &address));
    assert_eq!(found, Err(ReachFault::Tls(TlsFault::NoTls)));
    assert_eq!(heard.first(), Some(&0x16), "a ClientHello");
    assert!(tokio::time::timeout(Duration::from_millis(100), listener.accept()).await.is_err(), "no second try");
}

#[tokio::test]
async fn what_is_no_engine_behind_tls_is_told_apart() {
    let (servers, folder) = (ca("servers"), Folder::new());
    let own = issue(&servers, &["127.0.0.1"], |_| {});
    let closed = Err(ReachFault::Connect("the connection was closed without an answer".into()));
    for (answer, found) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], Ok(Answer::NoEngine)),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Ok(Answer::Status(400))),
        (b"", closed),
    ] {
        let server = Server::saying(answer, &own, None, &TLS13).await;
        assert_eq!(knock(folder.files(&servers, None), &server.address).await, found);
    }
}

#[tokio::test]
async fn files_that_are_replaced_count_at_the_next_question() {
    let (servers, clients, folder) = (ca("servers"), ca("clients"), Folder::new());
    let own = issue(&servers, &["127.0.0.1"], |_| {});
    let server = Server::start(&own, Some(&clients), &TLS13).await;
    let door = TcpDoor::new(Some(folder.files(&servers, Some(&client_pair(&servers)))));
    assert!(matches!(door.knock(&server.address).await, Err(ReachFault::Tls(TlsFault::RefusesCertificate { .. }))));
    folder.client(&client_pair(&clients));
    assert_eq!(door.knock(&server.address).await, engine());
    folder.write("ca.pem", &clients.pem());
    assert!(matches!(door.knock(&server.address).await, Err(ReachFault::Tls(TlsFault::UnknownIssuer(_)))));
}

#[tokio::test]
async fn a_file_that_is_of_no_use_is_named_and_nobody_is_asked() {
    use TlsFileProblem::{BadCertificate, Missing, NoCertificate, NoKey, NotAFile, OtherKey, TooLarge};
    let (servers, folder) = (ca("servers"), Folder::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = NodeAddress::new([127, 0, 0, 1].into(), listener.local_addr().unwrap().port());
    let good = client_pair(&servers);
    let other = client_pair(&servers).key;
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let empty = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    nix::unistd::mkfifo(&folder.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let is = |problem: TlsFileProblem| move |found: &TlsFileProblem| *found == problem;
    let large = "x".repeat(LIMIT as usize + 1);
    type Check = Box<dyn Fn(&TlsFileProblem) -> bool>;
    let cases: Vec<(&str, &str, &str, Check)> = vec![
        (CA, "none", "", Box::new(is(Missing))),
        (CA, "fifo", "", Box::new(is(NotAFile))),
        (CA, "ca.pem", "hello", Box::new(is(NoCertificate))),
        (CA, "ca.pem", &large, Box::new(is(TooLarge(LIMIT)))),
        (CA, "ca.pem", empty, Box::new(|found| matches!(found, BadCertificate(_)))),
        (CERTIFICATE, "cert.pem", &good.key, Box::new(is(NoCertificate))),
        (CERTIFICATE, "cert.pem", empty, Box::new(|found| matches!(found, BadCertificate(_)))),
        (KEY, "key.pem", encrypted, Box::new(is(NoKey))),
        (KEY, "key.pem", &good.certificate, Box::new(is(NoKey))),
        (KEY, "key.pem", &other, Box::new(is(OtherKey(folder.path("cert.pem"))))),
    ];
    for (setting, name, text, is) in cases {
        let mut files = folder.files(&servers, Some(&good));
        if text.is_empty() {
            files.ca = Some(folder.path(name));
        } else {
            folder.write(name, text);
        }
        let found = knock(files, &address).await;
        let Err(ReachFault::Files(fault)) = found else { panic!("{setting} {found:?}") };
        assert!(is(&fault.problem), "{fault:?}");
        assert_eq!((fault.setting, fault.path), (setting, folder.path(name)));
    }
    assert!(tokio::time::timeout(Duration::from_millis(100), listener.accept()).await.is_err());
}

#[test]
fn every_address_that_can_be_advertised_is_a_name_for_tls() {
    for address in ["10.0.0.5:2376", "[fd00::5]:2376", "db1.example:2376", "node_7:2376"] {
        let address: NodeAddress = address.parse().unwrap();
        assert!(ServerName::try_from(address.host()).is_ok(), "{address}");
    }
}
