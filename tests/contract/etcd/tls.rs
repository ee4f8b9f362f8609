//! An etcd that is spoken to over TLS, and wants to see a certificate.

use super::server::Plan;
use super::{Ground, Outcome, cluster};
use crate::Cluster;
use crate::certs::{Folder, ca, client, server};
use crate::common::{DEADLINE, TTL, address, listed};
use std::error::Error;
use std::net::SocketAddr;
use swarm_agent::discovery::{Claim, Scope, Seen};
use swarm_agent::model::TlsFiles;

const NODE: &str = "10.0.0.1:2375";

fn over_tls(members: &[SocketAddr], files: TlsFiles) -> Cluster {
    let mut cluster = cluster(members, "secure");
    cluster.url = cluster.url.to_string().replace("etcd://", "etcds://").parse().expect("a discovery URL");
    cluster.way.tls = Some(files);
    cluster
}

async fn refusal(cluster: &Cluster) -> Result<String, Box<dyn Error>> {
    let error = cluster.open().register(&Claim::new(&address(NODE), TTL)).await.err();
    Ok(error.ok_or_else(|| format!("a beat is accepted by {}", cluster.url))?.to_string())
}

#[tokio::test]
async fn both_sides_show_a_certificate_of_the_right_ca_or_nothing_goes() -> Outcome {
    let (ground, directory) = (Ground::near(), tempfile::tempdir()?);
    let (ours, others, own) = (ca("ours"), ca("others"), Folder::new());
    let pair = server(&ours);
    let [cert, key] = [own.write("server.pem", &pair.certificate), own.write("server.key", &pair.key)];
    let trusted = own.write("clients.pem", &ours.pem());
    let flag = |name: &str, path: &std::path::Path| format!("--{name}={}", path.display());
    let flags = [
        flag("cert-file", &cert),
        flag("key-file", &key),
        flag("trusted-ca-file", &trusted),
        "--client-cert-auth".into(),
    ];
    let plan = Plan::alone(&ground, directory.path())?.with(&flags);
    let _service = plan.start(ground.launcher())?;
    let at = plan.client;

    let (folder, nowhere) = (Folder::new(), SocketAddr::new(ground.ip, ground.port()?));
    let right = over_tls(&[nowhere, at], folder.files(&ours, Some(&client(&ours))));
    let backend = right.open();
    crate::cases::until(async || backend.list(Scope::Active).await.is_ok(), "it answers").await;
    backend.register(&Claim::new(&address(NODE), TTL)).await?;
    let sight = backend.watch(Scope::Active, None).await?;
    let seen = Seen { position: sight.position.ok_or("no position")?, patience: DEADLINE };
    backend.register(&Claim::new(&address("10.0.0.2:2375"), TTL)).await?;
    assert_eq!(backend.watch(Scope::Active, Some(&seen)).await?.listing.nodes.len(), 2);

    let (wrong, nobody, stranger) = (Folder::new(), Folder::new(), Folder::new());
    let told = refusal(&over_tls(&[at], wrong.files(&others, Some(&client(&ours))))).await?;
    assert!(
        told.starts_with(&format!("no TLS connection to etcds://{at}: its certificate is from no CA in")),
        "{told}"
    );
    let told = refusal(&over_tls(&[at], nobody.files(&ours, None))).await?;
    assert!(told.contains("discovery.tls.cert"), "{told}");
    let told = refusal(&over_tls(&[at], stranger.files(&ours, Some(&client(&others))))).await?;
    assert!(told.contains("does not accept the client certificate"), "{told}");
    let told = refusal(&cluster(&[at], "secure")).await?;
    assert!(told.ends_with("(if it speaks TLS, the URL must begin with etcds://)"), "{told}");
    assert_eq!(listed(&*backend).await.len(), 2);
    Ok(())
}
