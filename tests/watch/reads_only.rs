//! `list` and `watch` write nothing to the discovery service, where those of classic Swarm did.

use crate::common::{Outcome, Server, TTL, address, agent};
use crate::scene::{Watcher, run};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use swarm_agent::discovery::Claim;

/// Stands before a server, and remembers what clients sent to it.
struct Wire {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Wire {
    fn before(server: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, sent) = (listener.local_addr()?, Arc::<Mutex<Vec<u8>>>::default());
        let memory = Arc::clone(&sent);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(upstream) = TcpStream::connect(server) else { return };
                let (Ok(back), Ok(answer)) = (client.try_clone(), upstream.try_clone()) else { return };
                let memory = Arc::clone(&memory);
                thread::spawn(move || pass(client, upstream, Some(&memory)));
                thread::spawn(move || pass(answer, back, None));
            }
        });
        Ok(Self { address, sent })
    }

    /// The methods of all requests.
    fn methods(&self) -> Vec<String> {
        let sent = String::from_utf8_lossy(&self.sent.lock().expect("no thread panics with it")).into_owned();
        let requests = sent.lines().filter(|line| line.ends_with(" HTTP/1.1"));
        requests.map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, memory: Option<&Mutex<Vec<u8>>>) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if let Some(memory) = memory {
            memory.lock().expect("no thread panics with it").extend_from_slice(&buffer[..length]);
        }
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[tokio::test]
async fn list_and_watch_ask_with_get_alone() -> Outcome {
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path());
    let token = server.cluster().await;
    let backend = server.backend(&token);
    backend.register(&Claim::new(&address("10.0.0.1:2375"), TTL)).await?;
    backend.mark_drained(&address("10.0.0.3:2375"), None, TTL).await?;
    let wire = Wire::before(server.address)?;
    let url = format!("http://{}/v1/clusters/{token}", wire.address);
    assert_eq!(run(agent().args(["list", &url])).1, "10.0.0.1:2375\n");
    assert_eq!(run(agent().args(["list", "--all", &url])).1, "10.0.0.1:2375\n10.0.0.3:2375  drained\n");
    assert_eq!(wire.methods(), ["GET", "GET"]);
    let file = directory.path().join("list");
    let file = file.to_str().ok_or("a path")?;
    let watcher = Watcher::with(&["--json", "--write-file", file, &url, "--exec", "cat"]);
    assert_eq!(watcher.next_of("exec")["code"], 0);
    backend.register(&Claim::new(&address("10.0.0.2:2375"), TTL)).await?;
    assert_eq!(watcher.next_of("exec")["code"], 0);
    let methods = wire.methods();
    assert!(methods.len() >= 4 && methods.iter().all(|method| method == "GET"), "{methods:?}");
    // a cluster that is not there is not made by being asked for
    let unknown = format!("http://{}/v1/clusters/0123456789abcdef0123456789abcdef", wire.address);
    assert_ne!(run(agent().args(["list", &unknown])).0, Some(0));
    assert_ne!(run(agent().args(["list", &unknown])).0, Some(0));
    assert!(wire.methods().iter().all(|method| method == "GET"));
    Ok(())
}
