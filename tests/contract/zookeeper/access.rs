//! A ZooKeeper that wants to know who asks.

use super::raw::{NO_AUTH, Raw};
use super::server::{Plan, until_it_answers};
use super::{NODE, nodes, start};
use crate::certs::{self, Folder};
use crate::common::{DEADLINE, Outcome, TTL, address, listed, way};
use crate::{Cluster, Ground};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use swarm_agent::discovery::{Claim, Release};
use swarm_agent::model::TlsFiles;

fn as_user(mut cluster: Cluster, user: &str, password: &Path) -> Cluster {
    cluster.way.auth.user = Some(user.to_owned());
    cluster.way.auth.password = Some(password.to_owned());
    cluster
}

#[tokio::test]
async fn what_a_user_registers_nobody_else_may_change_and_everybody_may_read() -> Outcome {
    let (server, folder) = (start(&Ground::near()).await?, Folder::new());
    let password = folder.write("password", "s3cret\n");
    let cluster = as_user(server.classic_cluster(), "agent", &password);
    let (backend, path) = (cluster.open(), format!("{}/{NODE}", nodes(&cluster)));
    let hold = backend.register(&Claim::new(&address(NODE), TTL)).await?;
    let anybody = server.classic_cluster().open();
    assert_eq!(listed(&*anybody).await, [NODE]);
    let mut stranger = server.raw()?;
    assert_eq!(stranger.get(&path)?.ok_or("no node")?.data, NODE.as_bytes(), "as a classic manager reads");
    assert_eq!(stranger.try_delete(&path)?, NO_AUTH);
    let error = anybody.register(&Claim::new(&address("10.0.0.2:2375"), TTL)).await.err().ok_or("a beat")?;
    let said = error.to_string();
    assert!(said.contains("to everybody (NoAuth); set discovery.auth.user and discovery.auth.password-file"), "{said}");
    assert!(said.contains(&server.address.to_string()), "{said}");
    backend.deregister(&Release::new(&address(NODE), hold.as_ref())).await?;
    assert!(listed(&*anybody).await.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_is_explained_and_a_renewed_one_is_taken() -> Outcome {
    let (server, folder) = (start(&Ground::near()).await?, Folder::new());
    let mut owner = server.raw()?;
    owner.log_in("agent:s3cret")?;
    owner.folder("/docker/swarm/nodes")?;
    owner.protect("/docker/swarm/nodes")?;
    let password = folder.write("password", "wr0ng");
    let backend = as_user(server.classic_cluster(), "agent", &password).open();
    let error = backend.register(&Claim::new(&address(NODE), TTL)).await.err().ok_or("a beat")?;
    let said = error.to_string();
    assert!(said.contains("to user agent with the password in discovery.auth.password-file (NoAuth)"), "{said}");
    assert!(!said.contains("wr0ng"), "{said}");
    folder.write("password", "s3cret");
    backend.register(&Claim::new(&address(NODE), TTL)).await?;
    assert_eq!(listed(&*backend).await, [NODE]);
    let missing = as_user(server.classic_cluster(), "agent", &folder.path("nowhere")).open();
    let error = missing.register(&Claim::new(&address(NODE), TTL)).await.err().ok_or("a beat")?;
    assert!(error.to_string().ends_with("(discovery.auth.password-file) does not exist"), "{error}");
    Ok(())
}

/// Its own CA, and a certificate for us; the plain port stays closed.
#[tokio::test]
async fn over_tls_both_sides_show_who_they_are() -> Outcome {
    let (ground, directory, folder) = (Ground::near(), tempfile::tempdir()?, Folder::new());
    let (ca, other) = (certs::ca("ours"), certs::ca("another"));
    let pair = certs::server(&ca);
    let keys = folder.write("server.pem", &(pair.key + &pair.certificate));
    let trusted = folder.write("trusted.pem", &ca.pem());
    let port = ground.port()?;
    let plan = Plan::new(&ground, directory.path())?.with(&[
        &format!("secureClientPort={port}"),
        "secureClientPortAddress=127.0.0.1",
        "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
        &format!("ssl.keyStore.location={}", keys.display()),
        &format!("ssl.trustStore.location={}", trusted.display()),
        "ssl.keyStore.type=PEM",
        "ssl.trustStore.type=PEM",
        "ssl.hostnameVerification=false",
    ]);
    let _service = plan.start(ground.launcher())?;
    until_it_answers(plan.address).await;
    let at = |port: u16, tls: Option<TlsFiles>| {
        let mut cluster = Cluster { url: format!("zks://127.0.0.1:{port}").parse().expect("a URL"), way: way() };
        cluster.way.tls = tls;
        cluster
    };
    let client = certs::client(&ca);
    let backend = at(port, Some(folder.files(&ca, Some(&client)))).open();
    let hold = backend.register(&Claim::new(&address(NODE), TTL)).await?;
    assert_eq!(listed(&*backend).await, [NODE]);
    assert!(Raw::open(plan.address)?.get(&format!("/docker/swarm/nodes/{NODE}"))?.is_some());
    backend.deregister(&Release::new(&address(NODE), hold.as_ref())).await?;
    let (elsewhere, unknown) = (Folder::new(), Folder::new());
    let plain = Cluster { url: format!("zk://127.0.0.1:{port}").parse()?, way: way() };
    for (cluster, says) in [
        (at(port, Some(elsewhere.files(&other, None))), "its certificate is from no CA in"),
        (at(port, Some(unknown.files(&ca, None))), "the discovery service wants a client certificate"),
        (plain, "when it expects TLS (zks://)"),
    ] {
        let error = cluster.open().register(&Claim::new(&address(NODE), TTL)).await.err().ok_or("a beat")?;
        assert!(error.to_string().contains(says), "{}: {error}", cluster.url);
    }
    Ok(())
}

/// What answers there is something else.
#[tokio::test]
async fn another_protocol_is_not_taken_for_an_answer() -> Outcome {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address: SocketAddr = listener.local_addr()?;
    let web = std::thread::spawn(move || -> std::io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")?;
        std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
    });
    let backend = super::cluster(&[address], "").open();
    let error = backend.list(swarm_agent::discovery::Scope::Active).await.err().ok_or("a list")?;
    assert!(error.to_string().contains("it is no answer of a ZooKeeper server"), "{error}");
    drop(backend);
    web.join().map_err(|_| "the web server")?.map_err(Into::into)
}
