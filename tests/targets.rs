//! The list of a cluster as Prometheus reads it, by the real Prometheus.

mod common;

use common::{DEADLINE, Outcome, Server, TTL, address};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use swarm_agent::discovery::{Claim, Release};

/// `make setup` brings it.
struct Prometheus {
    child: Child,
    address: SocketAddr,
}

impl Prometheus {
    /// With one job, whose targets are asked of `url` each second.
    fn start(directory: &Path, url: &str) -> std::io::Result<Self> {
        let program = std::env::var_os("PROMETHEUS")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/prometheus"), PathBuf::from);
        assert!(program.exists(), "no Prometheus at {}: run `make setup`, or set PROMETHEUS", program.display());
        let config = directory.join("prometheus.yml");
        std::fs::write(
            &config,
            format!(
                "scrape_configs:\n  - job_name: swarm\n    scrape_interval: 1h\n    http_sd_configs:\n      - url: {url}\n        refresh_interval: 1s\n"
            ),
        )?;
        let mut child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stderr(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let ready = lines.by_ref().any(|line| {
            said.push(line);
            said.last().is_some_and(|line| line.contains("Server is ready"))
        });
        // the pipe must not fill up
        std::thread::spawn(move || lines.for_each(drop));
        let address = said.iter().filter(|line| line.contains("Listening on"));
        let address = address.filter_map(|line| line.rsplit_once("address=")?.1.trim_matches('"').parse().ok()).next();
        match address {
            Some(address) if ready => Ok(Self { child, address }),
            _ => {
                let _ = child.kill();
                panic!("Prometheus did not start: {said:#?}")
            }
        }
    }

    /// The addresses that it would scrape.
    fn targets(&self) -> BTreeSet<String> {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        // HTTP/1.0: an answer in one piece
        stream.write_all(b"GET /api/v1/targets?state=active HTTP/1.0\r\n\r\n").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let body = answer.split_once("\r\n\r\n").expect("an HTTP answer").1;
        let said: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {answer}"));
        let targets = said["data"]["activeTargets"].as_array().expect("targets").iter();
        targets.map(|target| target["discoveredLabels"]["__address__"].as_str().expect("an address").into()).collect()
    }

    async fn wait_for(&self, expected: &[&str]) {
        let expected: BTreeSet<String> = expected.iter().map(|target| (*target).to_owned()).collect();
        let start = Instant::now();
        loop {
            let targets = self.targets();
            if targets == expected {
                return;
            }
            assert!(start.elapsed() < DEADLINE, "Prometheus has {targets:?}, not {expected:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_real_prometheus_follows_the_cluster() -> Outcome {
    let (state, directory) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let server = Server::start(state.path());
    let token = server.cluster().await;
    let backend = server.backend(&token);
    for node in ["127.0.0.2:2375", "[::1]:2375"] {
        backend.register(&Claim::new(&address(node), TTL)).await?;
    }
    let url = format!("http://{}/v1/clusters/{token}/targets?port=9323", server.address);
    let prometheus = Prometheus::start(directory.path(), &url)?;
    prometheus.wait_for(&["127.0.0.2:9323", "[::1]:9323"]).await;
    backend.deregister(&Release::new(&address("127.0.0.2:2375"), None)).await?;
    prometheus.wait_for(&["[::1]:9323"]).await;
    backend.deregister(&Release::new(&address("[::1]:2375"), None)).await?;
    prometheus.wait_for(&[]).await;
    Ok(())
}

#[tokio::test]
async fn targets_are_one_group_in_the_form_of_http_sd() -> Outcome {
    let state = tempfile::tempdir()?;
    let server = Server::start(state.path());
    let cluster = format!("/v1/clusters/{}", server.cluster().await);
    let targets = |query: &str| -> Value {
        let (status, body) = server.ask("GET", &format!("{cluster}/targets{query}"), "");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    };
    assert_eq!(targets(""), json!([{ "targets": [], "labels": {} }]));
    for node in ["10.0.0.1:2375", "10.0.0.1:2376", "10.0.0.10:2375", "[fd00::1]:2375", "node.example:2375"] {
        assert_eq!(server.ask("POST", &cluster, node).0, 200);
    }
    assert_eq!(server.ask("PUT", &format!("{cluster}/10.0.0.3:2375/drained"), "").0, 200);
    let own = ["10.0.0.10:2375", "10.0.0.1:2375", "10.0.0.1:2376", "[fd00::1]:2375", "node.example:2375"];
    assert_eq!(targets("?all=1"), json!([{ "targets": own, "labels": {} }]), "a drained node is no target");
    let exporters = ["10.0.0.10:9323", "10.0.0.1:9323", "[fd00::1]:9323", "node.example:9323"];
    assert_eq!(targets("?port=9323"), json!([{ "targets": exporters, "labels": {} }]), "one of each host");
    Ok(())
}

#[tokio::test]
async fn targets_say_that_they_are_json() -> Outcome {
    let state = tempfile::tempdir()?;
    let server = Server::start(state.path());
    let mut stream = TcpStream::connect(server.address)?;
    let path = format!("/v1/clusters/{}/targets", server.cluster().await);
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert!(answer.to_lowercase().contains("\r\ncontent-type: application/json\r\n"), "{answer}");
    Ok(())
}
