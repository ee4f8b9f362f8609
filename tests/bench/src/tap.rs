//! Relays that stand between the agent and what it talks to, and note when something passes.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::Cluster;

use crate::{clock, ground};

const BUFFER: usize = 16 << 10;

/// In front of the discovery server: counts beats, and notes when the first bytes of each connection come.
pub struct ServerTap {
    address: SocketAddr,
    beats: Arc<AtomicU64>,
    /// The first bytes of each connection.
    first: mpsc::Receiver<Duration>,
}

impl ServerTap {
    /// Its threads are blocked in reads at the end, and go with the process.
    pub fn start(cluster: &Cluster, server: SocketAddr) -> Result<Self> {
        let own = (cluster.host_ip(), 0);
        let (beats, (tell, first)) = (Arc::new(AtomicU64::new(0)), mpsc::channel());
        let count = Arc::clone(&beats);
        // threads that are made in there are in the cluster's network, too
        let address = ground::in_net(cluster, move || {
            let listener = TcpListener::bind(own).context("failed to listen for the agent")?;
            let address = listener.local_addr()?;
            thread::spawn(move || {
                for client in listener.incoming().flatten() {
                    let (tell, count) = (tell.clone(), Arc::clone(&count));
                    thread::spawn(move || relay_beats(client, server, &tell, &count));
                }
            });
            Ok(address)
        })?;
        Ok(Self { address, beats, first })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The beats so far.
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// When the first bytes of the next connection came; what came before this call is forgotten by [`Self::forget`].
    pub fn first(&self, timeout: Duration) -> Result<Duration> {
        self.first.recv_timeout(timeout).context("no request came")
    }

    pub fn forget(&self) {
        self.first.try_iter().for_each(drop);
    }
}

fn relay_beats(
    mut client: TcpStream,
    server: SocketAddr,
    first: &mpsc::Sender<Duration>,
    beats: &AtomicU64,
) -> Option<()> {
    let mut buffer = vec![0; BUFFER];
    // before anything else: this is the moment to note
    let mut count = client.read(&mut buffer).ok()?;
    first.send(clock::now().ok()?).ok()?;
    let mut upstream = TcpStream::connect(server).ok()?;
    let (mut back, mut answers) = (client.try_clone().ok()?, upstream.try_clone().ok()?);
    thread::spawn(move || {
        // either side may close at any time
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    while count > 0 {
        let posts = buffer[..count].windows(6).filter(|window| window == b"POST /").count();
        beats.fetch_add(posts as u64, Ordering::Relaxed);
        upstream.write_all(&buffer[..count]).ok()?;
        count = client.read(&mut buffer).ok()?;
    }
    upstream.shutdown(Shutdown::Both).ok()
}

/// One question to the engine.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    pub asked: Duration,
    /// The last byte of the answer.
    pub answered: Duration,
}

/// In front of the engine's socket: notes how long each answer takes.
pub struct EngineTap {
    questions: Arc<Mutex<Vec<Question>>>,
}

impl EngineTap {
    /// Listens on `own` and relays to `engine`.
    pub fn start(own: &Path, engine: PathBuf) -> Result<Self> {
        let questions = Arc::<Mutex<Vec<Question>>>::default();
        if own.exists() {
            fs::remove_file(own)?;
        }
        let listener = UnixListener::bind(own).with_context(|| format!("failed to listen on {}", own.display()))?;
        let log = Arc::clone(&questions);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (log, engine) = (Arc::clone(&log), engine.clone());
                thread::spawn(move || relay_questions(client, &engine, &log));
            }
        });
        Ok(Self { questions })
    }

    pub fn forget(&self) {
        lock(&self.questions).clear();
    }

    /// What was asked and answered before then.
    pub fn until(&self, moment: Duration) -> Vec<Question> {
        lock(&self.questions).iter().filter(|question| question.answered <= moment).copied().collect()
    }
}

fn relay_questions(mut client: UnixStream, engine: &Path, log: &Arc<Mutex<Vec<Question>>>) -> Option<()> {
    let mut upstream = UnixStream::connect(engine).ok()?;
    let (mut back, mut answers, answered) = (client.try_clone().ok()?, upstream.try_clone().ok()?, Arc::clone(log));
    thread::spawn(move || {
        let mut buffer = vec![0; BUFFER];
        while let Some(count) = answers.read(&mut buffer).ok().filter(|count| *count > 0) {
            if let (Some(last), Ok(now)) = (lock(&answered).last_mut(), clock::now()) {
                last.answered = now;
            }
            back.write_all(&buffer[..count]).ok()?;
        }
        back.shutdown(Shutdown::Both).ok()
    });
    let mut buffer = vec![0; BUFFER];
    while let Some(count) = client.read(&mut buffer).ok().filter(|count| *count > 0) {
        let asked = clock::now().ok()?;
        lock(log).push(Question { asked, answered: Duration::MAX });
        upstream.write_all(&buffer[..count]).ok()?;
    }
    upstream.shutdown(Shutdown::Both).ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
