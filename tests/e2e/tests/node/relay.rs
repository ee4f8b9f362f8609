//! A relay between agent and server: it records what the agent sends, byte by byte, and can answer for the server
//! as no real one can be made to.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use e2e::{Cluster, Result};
use nix::sched::{CloneFlags, setns};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Answers every request with 500 itself.
    Answer500,
    /// Passes each request on after a while.
    Slow(Duration),
    /// Closes the connection at each request, without an answer.
    Reset,
}

#[derive(Clone)]
struct Shared {
    mode: Arc<Mutex<Mode>>,
    /// What came from the agent, by connection.
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// Lives until the test ends; its threads are blocked in reads by then and go with the process.
pub struct Relay {
    shared: Shared,
    address: SocketAddr,
}

impl Relay {
    pub fn start(cluster: &Cluster, server: SocketAddr) -> Result<Self> {
        let shared = Shared { mode: Arc::new(Mutex::new(Mode::Pass)), seen: Arc::default() };
        let (netns, inside) = (File::open(cluster.netns())?, shared.clone());
        let own = (cluster.host_ip(), 0);
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let listener = setns(netns, CloneFlags::CLONE_NEWNET).map_err(Into::into).and_then(|()| bind(own));
            match listener.and_then(|listener| Ok((listener.local_addr()?, listener))) {
                Ok((address, listener)) => {
                    let _ = tell.send(Ok(address));
                    serve(&listener, server, &inside);
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        });
        Ok(Self { shared, address: told.recv()?? })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn set(&self, mode: Mode) {
        *lock(&self.shared.mode) = mode;
    }

    /// What the agent sent so far, one text per connection.
    pub fn seen(&self) -> Vec<String> {
        lock(&self.shared.seen).iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }
}

fn bind(own: (Ipv4Addr, u16)) -> std::io::Result<TcpListener> {
    TcpListener::bind(own)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(listener: &TcpListener, server: SocketAddr, shared: &Shared) {
    for client in listener.incoming().flatten() {
        let index = {
            let mut seen = lock(&shared.seen);
            seen.push(Vec::new());
            seen.len() - 1
        };
        // threads made here are in the cluster's network namespace, as this one is
        let shared = shared.clone();
        thread::spawn(move || relay(client, server, &shared, index));
    }
}

fn relay(mut client: TcpStream, server: SocketAddr, shared: &Shared, index: usize) -> Option<()> {
    let mut upstream = TcpStream::connect(server).ok()?;
    let (mut back, mut answers) = (client.try_clone().ok()?, upstream.try_clone().ok()?);
    thread::spawn(move || {
        // either side may close at any time
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let mut buffer = [0; 16 << 10];
    loop {
        let count = client.read(&mut buffer).ok().filter(|count| *count > 0);
        let Some(count) = count else {
            let _ = upstream.shutdown(Shutdown::Both);
            return None;
        };
        lock(&shared.seen)[index].extend_from_slice(&buffer[..count]);
        let mode = *lock(&shared.mode);
        match mode {
            Mode::Pass => upstream.write_all(&buffer[..count]).ok()?,
            Mode::Slow(pause) => {
                thread::sleep(pause);
                upstream.write_all(&buffer[..count]).ok()?;
            }
            Mode::Answer500 => {
                client.write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n").ok()?;
            }
            Mode::Reset => {
                let _ = upstream.shutdown(Shutdown::Both);
                let _ = client.shutdown(Shutdown::Both);
                return None;
            }
        }
    }
}
