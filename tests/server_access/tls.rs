//! TLS and client certificates.

use super::authority::{Authority, Pair};
use super::client::{self, Connection};
use super::common::{DEADLINE, Outcome, agent};
use super::process::{ANYWHERE, Folder, Process};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fs;
use std::io;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const NODE: &str = "10.0.0.1:2375";

async fn healthy(connection: &mut Connection) -> io::Result<u16> {
    connection.ask("GET", "/healthz", "").await.map(|answer| answer.status)
}

/// The certificate that a new connection is shown.
async fn shown(server: &Process, ca: &Authority) -> io::Result<CertificateDer<'static>> {
    let mut connection = client::tls(server.address, ca, None).await?;
    assert_eq!(healthy(&mut connection).await?, 200);
    Ok(connection.certificate.expect("TLS"))
}

fn certificate(folder: &Folder) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(folder.path("cert.pem")).expect("a certificate")
}

#[tokio::test]
async fn it_serves_whoever_knows_its_ca() -> Outcome {
    let (folder, ca) = (Folder::new(), Authority::new("own"));
    folder.configure_tls(&ca, "");
    let server = folder.start();
    let mut connection = client::tls(server.address, &ca, None).await?;
    let token = connection.ask("POST", "/v1/clusters", "").await?.body;
    let cluster = format!("/v1/clusters/{token}");
    assert_eq!(connection.ask("POST", &cluster, NODE).await?.status, 200);
    assert_eq!(connection.ask("GET", &cluster, "").await?.body, format!(r#"["{NODE}"]"#));

    let refused = client::tls(server.address, &Authority::new("other"), None).await.err().expect("a stranger");
    assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");
    assert_eq!(shown(&server, &ca).await?, certificate(&folder));
    Ok(())
}

#[tokio::test]
async fn plain_http_gets_no_service() -> Outcome {
    let (folder, ca) = (Folder::new(), Authority::new("own"));
    folder.configure_tls(&ca, "");
    let server = folder.start();
    let mut connection = client::tls(server.address, &ca, None).await?;
    let cluster = format!("/v1/clusters/{}", connection.ask("POST", "/v1/clusters", "").await?.body);
    for (method, path, body) in
        [("GET", "/healthz", ""), ("POST", "/v1/clusters", ""), ("POST", &cluster, NODE), ("GET", &cluster, "")]
    {
        let answer = client::plain(server.address).await?.ask(method, path, body).await?;
        assert_eq!((answer.status, answer.code().as_str()), (400, "https_only"), "{method} {path}");
        assert!(answer.head.contains("connection: close") && answer.body.contains("https://"), "{answer:?}");
    }
    assert_eq!(connection.ask("GET", &cluster, "").await?.body, "[]", "nothing was done");
    Ok(())
}

#[tokio::test]
async fn with_a_client_ca_a_client_needs_a_certificate_of_it() -> Outcome {
    let (folder, ca, clients) = (Folder::new(), Authority::new("own"), Authority::new("clients"));
    folder.write("clients.pem", &clients.pem());
    folder.configure_tls(&ca, &format!("tls-client-ca = {}", folder.quoted("clients.pem")));
    let server = folder.start();
    // with TLS 1.3 a client hears of it when it first reads
    let asked = async |pair: Option<Pair>| healthy(&mut client::tls(server.address, &ca, pair.as_ref()).await?).await;
    assert!(asked(None).await.is_err(), "without one");
    assert!(asked(Some(Authority::new("clients").client())).await.is_err(), "one of another CA of that name");
    assert!(asked(Some(clients.server())).await.is_err(), "one that is not for clients");
    assert_eq!(asked(Some(clients.client())).await?, 200);

    let more = Authority::new("more");
    folder.write("clients.pem", &format!("{}{}", clients.pem(), more.pem()));
    assert_eq!(asked(Some(more.client())).await?, 200, "another CA is taken up like another certificate");
    assert_eq!(asked(Some(clients.client())).await?, 200);
    Ok(())
}

#[tokio::test]
async fn new_files_are_in_use_at_once_and_open_connections_stay() -> Outcome {
    let (folder, ca, later) = (Folder::new(), Authority::new("own"), Authority::new("later"));
    folder.configure_tls(&ca, "");
    let mut server = folder.start();
    let mut kept = client::tls(server.address, &ca, None).await?;
    assert_eq!(healthy(&mut kept).await?, 200);
    let before = certificate(&folder);

    // renamed into place
    folder.put_pair(&later.server());
    assert_eq!(shown(&server, &later).await?, certificate(&folder));
    assert!(shown(&server, &ca).await.is_err(), "the old one is shown to nobody");
    // written over
    let pair = ca.server();
    fs::write(folder.path("key.pem"), &pair.key)?;
    fs::write(folder.path("cert.pem"), &pair.certificate)?;
    assert_eq!(shown(&server, &ca).await?, certificate(&folder));
    assert_ne!(certificate(&folder), before);

    assert_eq!(healthy(&mut kept).await?, 200, "the first connection is still there");
    server.wait_for_log("the TLS files are in use as they are now");
    Ok(())
}

#[tokio::test]
async fn files_of_no_use_change_nothing_and_are_told_once() -> Outcome {
    let (folder, ca) = (Folder::new(), Authority::new("own"));
    folder.configure_tls(&ca, "");
    let mut server = folder.start();
    let before = certificate(&folder);
    let told = |log: &str| log.matches("the TLS files from before stay in use").count();
    for (n, (name, text, says)) in [
        ("cert.pem", "no certificate".to_owned(), "cert.pem (server.tls-cert) holds no certificate in PEM"),
        ("cert.pem", ca.server().certificate, "key.pem (server.tls-key) is not the key of"),
        ("key.pem", "no key".to_owned(), "key.pem (server.tls-key) holds no key that can be used"),
    ]
    .into_iter()
    .enumerate()
    {
        for _ in 0..3 {
            // each time another file, of no more use
            folder.write(name, &text);
            assert_eq!(shown(&server, &ca).await?, before, "{says}");
        }
        assert_eq!(told(&server.wait_for_log(says)), n + 1, "{}", server.log());
    }
    fs::remove_file(folder.path("key.pem"))?;
    assert_eq!(shown(&server, &ca).await?, before);
    server.wait_for_log("key.pem (server.tls-key) does not exist");
    let heard = server.wait_for_notice("does not exist");
    assert!(heard.last().is_some_and(|last| last.contains("STATUS=serving")), "{heard:?}");

    folder.put_pair(&ca.server());
    assert_eq!(shown(&server, &ca).await?, certificate(&folder), "mended");
    assert_ne!(certificate(&folder), before);
    server.wait_for_log("the TLS files are in use as they are now");
    let heard = server.wait_for_notice("STATUS=");
    assert!(heard.last().is_some_and(|last| !last.contains("TLS files")), "{heard:?}");
    Ok(())
}

#[tokio::test]
async fn a_client_that_stalls_in_the_handshake_holds_nobody_up_and_not_for_ever() -> Outcome {
    let (folder, ca) = (Folder::new(), Authority::new("own"));
    folder.configure_tls(&ca, "");
    let server = folder.start();
    let begun = Instant::now();
    let mut stalled = Vec::new();
    for n in 0..200 {
        let mut stream = TcpStream::connect(server.address).await?;
        if n % 2 == 0 {
            // the beginning of a record that never comes
            stream.write_all(&[0x16, 3, 1, 2, 0, 1]).await?;
        }
        stalled.push(stream);
    }
    let mut connection = client::tls(server.address, &ca, None).await?;
    assert_eq!(healthy(&mut connection).await?, 200);
    for mut stream in stalled {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "it was not closed");
    }
    let lasted = begun.elapsed();
    assert!(lasted >= Duration::from_secs(9), "a slow client has its time: {lasted:?}");
    assert_eq!(healthy(&mut connection).await?, 200, "a connection that is open is not bounded by it");
    Ok(())
}

#[test]
fn it_does_not_start_without_what_tls_takes() -> Outcome {
    let (folder, ca) = (Folder::new(), Authority::new("own"));
    let said = || {
        let output = folder.command().args(ANYWHERE).output().expect("the binary under test");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    folder.configure_tls(&ca, "");
    folder.write("key.pem", &ca.server().key);
    let (code, log) = said();
    assert!(code == Some(1) && log.contains("key.pem (server.tls-key) is not the key of"), "{code:?} {log}");
    folder.configure(&format!("tls-key = {}", folder.quoted("key.pem")));
    let (code, log) = said();
    assert!(code == Some(78) && log.contains("config.toml:2:11: server.tls-key: is of no use"), "{code:?} {log}");
    assert!(!log.contains("listening"), "{log}");
    Ok(())
}

#[test]
fn check_config_tries_the_files() -> Outcome {
    let (folder, ca) = (Folder::new(), Authority::new("own"));
    fs::create_dir(folder.path("state"))?;
    let check = |args: &[&str]| {
        let mut command = agent();
        command.env("SWARM_AGENT_CONFIG_ROOT", folder.path("")).args(["check-config", "--for", "server"]);
        let output = command.args(ANYWHERE).args(args).output().expect("the binary under test");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), said)
    };
    folder.configure_tls(&ca, "");
    let (code, said) = check(&["--connect"]);
    assert!(code == Some(0) && said.contains("ok    TLS files") && said.contains("can be used"), "{said}");
    assert_eq!(check(&["--connect", "--quiet"]), (Some(0), String::new()));
    folder.write("cert.pem", "");
    let (code, said) = check(&["--connect"]);
    assert!(code == Some(69) && said.contains("cert.pem (server.tls-cert) holds no certificate"), "{said}");
    assert_eq!(check(&["--connect", "--quiet"]), (Some(69), String::new()));
    assert_eq!(check(&["--quiet"]), (Some(0), String::new()), "nothing but the configuration");
    folder.configure("tokens-file = \"/nonexistent/tokens.toml\"");
    let (code, said) = check(&[]);
    assert!(code == Some(78) && said.contains("/nonexistent/tokens.toml: can't be read"), "{said}");
    assert_eq!(check(&["--quiet"]), (Some(78), String::new()));
    Ok(())
}
