//! The way to a discovery server over TLS: the real server behind a TLS front, with certificates made for each test.

mod certs;
#[path = "../common/mod.rs"]
mod common;
mod front;
mod secrets;

use certs::{Folder, ca, client, issue, server};
use common::{Outcome, Server, TTL, address, listed, way};
use front::{Conduct, Front};
use rcgen::CertificateParams;
use std::net::SocketAddr;
use swarm_agent::discovery::{self, Backend, BackendError, Claim};
use swarm_agent::model::{DiscoveryUrl, TlsFiles, WayOut};

const NODE: &str = "10.0.0.1:2375";

/// One cluster, straight at its server and by way of a front.
struct Scene {
    _directory: tempfile::TempDir,
    server: Server,
    token: String,
}

impl Scene {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let server = Server::start(directory.path());
        let token = server.cluster().await;
        Self { _directory: directory, server, token }
    }

    fn forward(&self) -> Conduct {
        Conduct::Forward(self.server.address)
    }

    fn url(&self, scheme: &str, at: SocketAddr) -> String {
        format!("{scheme}://{at}/v1/clusters/{}", self.token)
    }

    fn backend(&self, at: SocketAddr, way: &WayOut) -> Box<dyn Backend> {
        let url: DiscoveryUrl = self.url("https", at).parse().expect("a discovery URL");
        discovery::open(&url, way).expect("a client")
    }

    async fn listed(&self) -> Vec<String> {
        listed(&*self.server.backend(&self.token)).await
    }
}

fn over(files: TlsFiles) -> WayOut {
    WayOut { tls: Some(files), ..way() }
}

/// Once more if a kept connection ended under way, as the agent does.
async fn register(backend: &dyn Backend) -> Result<(), BackendError> {
    let node = address(NODE);
    let claim = Claim::new(&node, TTL);
    match backend.register(&claim).await {
        Err(BackendError::Broken { .. }) => backend.register(&claim).await.map(drop),
        done => done.map(drop),
    }
}

async fn refused(backend: &dyn Backend) -> String {
    match register(backend).await {
        Err(error @ (BackendError::Tls { .. } | BackendError::Credentials(_))) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_is_trusted_by_the_ca_that_is_set_and_no_other() -> Outcome {
    let (scene, ours, others, folder) = (Scene::new().await, ca("ours"), ca("others"), Folder::new());
    let front = Front::start(&server(&ours), None, scene.forward());
    let at = front.address;
    let told = refused(&*scene.backend(at, &over(folder.files(&others, None)))).await;
    let path = folder.path("ca.pem");
    assert_eq!(
        told,
        format!(
            "no TLS connection to https://{at}: its certificate is from no CA in {} (discovery.tls.ca)",
            path.display()
        )
    );
    let told = refused(&*scene.backend(at, &way())).await;
    assert!(told.contains("set discovery.tls.ca to"), "no system knows a CA of a test: {told}");
    assert_eq!(front.heard(), "", "nothing was said to a server that is not trusted");
    assert_eq!(scene.listed().await, Vec::<String>::new());

    let files = folder.files(&ours, None);
    register(&*scene.backend(at, &over(files.clone()))).await?;
    assert_eq!(scene.listed().await, [NODE]);
    assert!(front.heard().starts_with("POST /v1/clusters/"));

    let past = |params: &mut CertificateParams| params.not_after = rcgen::date_time_ymd(2001, 2, 3);
    for (own, said) in [
        (issue(&ours, &["disco.example"], |_| {}), "not valid for 127.0.0.1, but for disco.example; give it one with"),
        (issue(&ours, &["127.0.0.1"], past), "expired at 2001-02-03T00:00:00Z; renew it"),
    ] {
        front.become_another(&own, None);
        let told = refused(&*scene.backend(at, &over(files.clone()))).await;
        assert!(told.contains(said), "{told}");
    }
    Ok(())
}

#[tokio::test]
async fn tls_and_plain_http_are_told_apart_and_neither_becomes_the_other() -> Outcome {
    let (scene, ours, folder) = (Scene::new().await, ca("ours"), Folder::new());
    let front = Front::start(&server(&ours), None, scene.forward());
    let told = refused(&*scene.backend(scene.server.address, &over(folder.files(&ours, None)))).await;
    assert!(told.contains("it does not speak TLS"), "{told}");
    let url: DiscoveryUrl = scene.url("http", front.address).parse()?;
    let told = register(&*discovery::open(&url, &way())?).await.map_err(|error| error.to_string());
    assert!(told.as_ref().is_err_and(|told| told.contains("if it speaks TLS, the URL must say so")), "{told:?}");

    let elsewhere = format!("location: {}\r\n", scene.url("http", scene.server.address));
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        front.behave(Conduct::say(status, &elsewhere, ""));
        let answer = register(&*scene.backend(front.address, &over(folder.files(&ours, None)))).await;
        let code: u16 = status[..3].parse()?;
        assert!(matches!(answer, Err(BackendError::Status { status, .. }) if status == code), "{answer:?}");
    }
    assert_eq!(scene.listed().await, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_server_that_asks_who_we_are_is_shown_the_certificate() -> Outcome {
    let (scene, servers, clients, folder) = (Scene::new().await, ca("servers"), ca("clients"), Folder::new());
    let front = Front::start(&server(&servers), Some(&clients), scene.forward());
    let told = refused(&*scene.backend(front.address, &over(folder.files(&servers, None)))).await;
    let wants = "the discovery service wants a client certificate; set discovery.tls.cert and discovery.tls.key";
    assert!(told.ends_with(wants), "{told}");
    let wrong = folder.files(&servers, Some(&client(&servers)));
    let told = refused(&*scene.backend(front.address, &over(wrong))).await;
    assert!(told.contains("does not accept the client certificate"), "{told}");
    assert!(told.contains(&*folder.path("cert.pem").to_string_lossy()), "{told}");
    assert_eq!(scene.listed().await, Vec::<String>::new());
    register(&*scene.backend(front.address, &over(folder.files(&servers, Some(&client(&clients)))))).await?;
    assert_eq!(scene.listed().await, [NODE]);
    Ok(())
}

#[tokio::test]
async fn new_files_count_without_a_restart_and_broken_ones_do_not() -> Outcome {
    let (scene, first, second, folder) = (Scene::new().await, ca("first"), ca("second"), Folder::new());
    let front = Front::start(&server(&first), Some(&first), scene.forward());
    let backend = scene.backend(front.address, &over(folder.files(&first, Some(&client(&first)))));
    register(&*backend).await?;

    // the server's certificate is from another CA, and then ours is there too
    front.become_another(&server(&second), Some(&first));
    assert!(refused(&*backend).await.contains("is from no CA in"));
    folder.write("ca.pem", &second.pem());
    register(&*backend).await?;

    // it takes clients of another CA, and then we are one
    front.become_another(&server(&second), Some(&second));
    assert!(refused(&*backend).await.contains("does not accept the client certificate"));
    let renewed = client(&second);
    folder.write("cert.pem", &renewed.certificate);
    let told = refused(&*backend).await;
    assert!(told.contains("does not accept the client certificate"), "its key is not there yet: {told}");
    folder.write("key.pem", &renewed.key);
    register(&*backend).await?;

    // what is of no use changes nothing, also for new connections
    for name in ["ca.pem", "cert.pem", "key.pem"] {
        let good = std::fs::read_to_string(folder.path(name))?;
        folder.write(name, "");
        front.become_another(&server(&second), Some(&second));
        register(&*backend).await?;
        folder.write(name, &good);
    }
    // from the start there is nothing else
    folder.write("ca.pem", "hello");
    let told = refused(&*scene.backend(front.address, &over(folder.files(&first, None)))).await;
    assert!(told.contains("is from no CA in"), "{told}");
    let files = TlsFiles { ca: Some(folder.path("none.pem")), ..folder.files(&first, None) };
    let told = refused(&*scene.backend(front.address, &over(files))).await;
    assert_eq!(told, format!("{} (discovery.tls.ca) does not exist", folder.path("none.pem").display()));
    Ok(())
}
