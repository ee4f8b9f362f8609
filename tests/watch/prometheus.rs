//! A real Prometheus finds its targets in the file that a watch keeps. `make setup` brings it.

use crate::common::{DEADLINE, Outcome, Server, TTL, address, agent};
use crate::scene::{Watcher, run, until};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;
use swarm_agent::discovery::{Claim, Release};

struct Prometheus {
    child: Child,
    address: SocketAddr,
}

impl Prometheus {
    /// Its configuration and its data lie in the folder. The file is read again when the kernel tells of it: the default
    /// is every five minutes, and no test waits for that.
    fn start(folder: &Path, targets: &Path) -> io::Result<Self> {
        let program = std::env::var_os("PROMETHEUS")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/prometheus"), PathBuf::from);
        assert!(program.exists(), "there is no {}: run `make setup`, or set PROMETHEUS", program.display());
        let configuration = json!({
            "global": { "scrape_interval": "1s", "scrape_timeout": "1s" },
            "scrape_configs": [{
                "job_name": "nodes",
                "file_sd_configs": [{ "files": [targets] }],
                "relabel_configs": [{ "source_labels": ["__meta_swarm_agent_address"], "target_label": "node" }],
            }],
        });
        // YAML is more than JSON
        fs::write(folder.join("prometheus.yml"), configuration.to_string())?;
        // nothing tells the port that it would choose itself
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = File::create(folder.join("log"))?;
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", folder.join("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        command.arg(format!("--web.listen-address={address}")).stderr(log.try_clone()?).stdout(log);
        Ok(Self { child: command.spawn()?, address })
    }

    /// What it scrapes now; nothing while it starts.
    fn targets(&mut self) -> Vec<Value> {
        assert!(self.child.try_wait().expect("a child").is_none(), "prometheus ended");
        let answer = get(self.address, "/api/v1/targets?state=active").unwrap_or_default();
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        answer["data"]["activeTargets"].as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The body of an answer. HTTP/1.0: the connection ends with it.
fn get(server: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: x\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned()))
}

/// What would run beside each engine.
fn exporter() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let _ = client.set_read_timeout(Some(Duration::from_secs(1)));
            let _ = client.read(&mut [0; 4096]);
            let _ =
                client.write_all(b"HTTP/1.0 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\n\r\nnode_here 1\n");
        }
    });
    Ok(address)
}

#[tokio::test]
async fn prometheus_scrapes_who_is_in_the_cluster() -> Outcome {
    let directory = tempfile::tempdir()?;
    let server = Server::start(&directory.path().join("state"));
    let token = server.cluster().await;
    let backend = server.backend(&token);
    let url = format!("http://{}/v1/clusters/{token}", server.address);
    let exporter = exporter()?;
    let port = exporter.port().to_string();
    let file = directory.path().join("nodes.json");
    let path = file.to_str().ok_or("a path")?;
    let format = ["--format", "prometheus-file-sd", "--port", &port];
    let _watcher = Watcher::with(&[&["--json", "--write-file", path][..], &format, &[&url]].concat());
    let mut prometheus = Prometheus::start(directory.path(), &file)?;
    until("prometheus answers", || get(prometheus.address, "/-/ready").is_ok());
    assert!(prometheus.targets().is_empty());

    backend.register(&Claim::new(&address("127.0.0.1:2375"), TTL)).await?;
    let mut seen = Vec::new();
    until("the node is scraped", || {
        seen = prometheus.targets();
        seen.iter().any(|target| target["health"] == "up")
    });
    assert_eq!(seen.len(), 1, "{seen:?}");
    let expected = json!({ "instance": exporter.to_string(), "job": "nodes", "node": "127.0.0.1:2375" });
    assert_eq!(seen[0]["labels"], expected);
    let listed = run(agent().arg("list").args(format).arg(&url)).1;
    assert_eq!(listed, fs::read_to_string(&file)?, "list and watch write the same");

    backend.deregister(&Release::new(&address("127.0.0.1:2375"), None)).await?;
    until("the node is gone", || prometheus.targets().is_empty());
    Ok(())
}
