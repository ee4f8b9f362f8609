//! A Consul that is spoken to over TLS, and wants to see a certificate; and one that has had enough of us.

use super::server::Consul;
use crate::certs::{Folder, ca, client, server};
use crate::common::{Outcome, TTL, address, listed};
use crate::{Cluster, Ground, unless_skipped};
use std::error::Error;
use std::net::{SocketAddr, TcpStream};
use swarm_agent::discovery::{BackendError, Claim};
use swarm_agent::model::TlsFiles;

const NODE: &str = "10.0.0.1:2375";

async fn refusal(cluster: &Cluster) -> Result<BackendError, Box<dyn Error>> {
    let error = cluster.open().register(&Claim::new(&address(NODE), TTL)).await.err();
    error.ok_or_else(|| format!("a beat is accepted by {}", cluster.url).into())
}

#[tokio::test]
async fn both_sides_show_a_certificate_of_the_right_ca_or_nothing_goes() -> Outcome {
    let ground = Ground::near();
    let (ours, others, own) = (ca("ours"), ca("others"), Folder::new());
    let pair = server(&ours);
    let [cert, key] = [own.write("server.pem", &pair.certificate), own.write("server.key", &pair.key)];
    let trusted = own.write("clients.pem", &ours.pem());
    let https = SocketAddr::new(ground.ip, ground.port()?);
    let more = format!(
        "ports {{ https = {} }}\ncert_file = {cert:?}\nkey_file = {key:?}\nca_file = {trusted:?}\n\
         verify_incoming_https = true",
        https.port()
    );
    let Some(consul) = unless_skipped(Consul::start(&ground, &["-dev"], &more).await)? else { return Ok(()) };
    consul.until_it_leads().await;
    let over_tls = |files: TlsFiles| {
        let mut cluster = consul.cluster_at(&format!("consuls://{https}/secure"));
        cluster.way.tls = Some(files);
        cluster
    };

    let folder = Folder::new();
    let right = over_tls(folder.files(&ours, Some(&client(&ours))));
    let backend = right.open();
    let hold = backend.register(&Claim::new(&address(NODE), TTL)).await?;
    let claim = Claim { address: &address(NODE), ttl: TTL, hold: hold.as_ref(), record: None };
    assert_eq!(backend.register(&claim).await?, hold, "the same session goes on");
    assert_eq!(listed(&*backend).await, [NODE]);

    let (wrong, nobody, stranger) = (Folder::new(), Folder::new(), Folder::new());
    let told = refusal(&over_tls(wrong.files(&others, Some(&client(&ours))))).await?.to_string();
    let start = format!("no TLS connection to consuls://{https}/secure: its certificate is from no CA in");
    assert!(told.starts_with(&start), "{told}");
    let told = refusal(&over_tls(nobody.files(&ours, None))).await?.to_string();
    assert!(told.contains("discovery.tls.cert"), "{told}");
    let told = refusal(&over_tls(stranger.files(&ours, Some(&client(&others))))).await?.to_string();
    assert!(told.contains("does not accept the client certificate"), "{told}");
    let told = refusal(&consul.cluster_at(&format!("consul://{https}/secure"))).await?.to_string();
    assert!(told.ends_with("answered 400: it speaks TLS; begin the URL with consuls://"), "{told}");
    assert_eq!(listed(&*backend).await, [NODE]);
    Ok(())
}

/// To a host that holds too many connections Consul answers 429, or nothing (1.8): no statement about our entry, and no
/// reason to give up.
#[tokio::test]
async fn a_server_that_has_had_enough_says_so_and_is_asked_again() -> Outcome {
    let ground = Ground::near();
    let more = "limits { http_max_conns_per_client = 3 }";
    let Some(consul) = unless_skipped(Consul::start(&ground, &["-dev"], more).await)? else { return Ok(()) };
    consul.until_it_leads().await;
    let cluster = consul.cluster();
    let backend = cluster.open();
    let hold = backend.register(&Claim::new(&address(NODE), TTL)).await?;
    let held: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(consul.address)).collect::<Result<_, _>>()?;
    match refusal(&cluster).await? {
        BackendError::Broken { .. } => {}
        BackendError::Status { status, message, .. } => {
            assert!(status == 429 && message.contains("too many concurrent connections"), "{status}: {message}");
        }
        error => panic!("{error:?}"),
    }
    drop(held);
    let claim = Claim { address: &address(NODE), ttl: TTL, hold: hold.as_ref(), record: None };
    let again = async || cluster.open().register(&claim).await.is_ok_and(|again| again == hold);
    crate::cases::until(again, "the same session goes on").await;
    assert_eq!(listed(&*backend).await, [NODE]);
    Ok(())
}
