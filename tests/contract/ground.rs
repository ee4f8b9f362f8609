//! Where a server runs: on this host's loopback, or in a network namespace of its own behind a link that can be cut.

use crate::common::Outcome;
use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::panic::resume_unwind;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Of the server, in a network that only the two namespaces of one test know.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);

/// Nothing here takes this long; it only keeps a broken test from hanging.
const DEADLINE: Duration = Duration::from_secs(30);

pub struct Ground {
    pub ip: IpAddr,
    /// Holds the server's namespace.
    holder: Option<Child>,
}

impl Ground {
    /// Loopback.
    pub fn near() -> Self {
        Self { ip: Ipv4Addr::LOCALHOST.into(), holder: None }
    }

    /// Two new namespaces with a link between them: this thread is in one from now on, and so are threads and processes
    /// that it starts; the server is in the other. Needs root.
    fn far() -> Result<Self, Box<dyn std::error::Error>> {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)
            .map_err(|error| format!("no network namespace can be made ({error}); this test needs root"))?;
        let holder = Command::new("unshare").args(["--net", "sleep", "infinity"]).spawn()?;
        let ground = Self { ip: SERVER.into(), holder: Some(holder) };
        ground.wait_until_it_is_there()?;
        let pid = ground.pid();
        ip(&["link", "set", "lo", "up"])?;
        ip(&["link", "add", "near", "type", "veth", "peer", "name", "far", "netns", &pid])?;
        ip(&["address", "add", "10.77.1.1/24", "dev", "near"])?;
        ip(&["link", "set", "near", "up"])?;
        ground.in_namespace(&["ip", "link", "set", "lo", "up"])?;
        ground.in_namespace(&["ip", "address", "add", "10.77.1.2/24", "dev", "far"])?;
        ground.heal()?;
        Ok(ground)
    }

    /// Starts programs where the server is to be.
    pub fn launcher(&self) -> Launcher {
        Launcher(self.holder.as_ref().map(|holder| holder.id().to_string()))
    }

    /// A port that nobody has. In a namespace of their own any will do.
    pub fn port(&self) -> std::io::Result<u16> {
        Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
    }

    /// From now on every packet is lost, without a word.
    pub fn cut(&self) -> Outcome {
        self.in_namespace(&["ip", "link", "set", "far", "down"])
    }

    pub fn heal(&self) -> Outcome {
        self.in_namespace(&["ip", "link", "set", "far", "up"])
    }

    fn pid(&self) -> String {
        self.holder.as_ref().map(|holder| holder.id().to_string()).unwrap_or_default()
    }

    /// `unshare` has made the namespace when the process is in another one than we are.
    fn wait_until_it_is_there(&self) -> Outcome {
        let own = std::fs::read_link("/proc/thread-self/ns/net")?;
        let start = Instant::now();
        while std::fs::read_link(format!("/proc/{}/ns/net", self.pid()))? == own {
            assert!(start.elapsed() < DEADLINE, "unshare made no namespace");
            std::thread::yield_now();
        }
        Ok(())
    }

    fn in_namespace(&self, command: &[&str]) -> Outcome {
        let mut whole = self.launcher().command(command[0]);
        whole.args(&command[1..]);
        run(&mut whole)
    }
}

/// Makes commands that run in the server's namespace.
#[derive(Clone)]
pub struct Launcher(Option<String>);

impl Launcher {
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let Some(pid) = &self.0 else { return Command::new(program) };
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", pid]).arg(program);
        command
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Some(holder) = &mut self.holder {
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}

/// Runs a case with the server behind a link that can be cut.
pub fn far<F: Future<Output = Outcome>>(case: impl FnOnce(Ground) -> F + Send) -> Outcome {
    // a thread of its own: the one of the test may run others after it
    let outcome = std::thread::scope(|scope| {
        scope
            .spawn(|| in_far(case).map_err(|error| error.to_string()))
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic))
    });
    outcome.map_err(Into::into)
}

fn in_far<F: Future<Output = Outcome>>(case: impl FnOnce(Ground) -> F) -> Outcome {
    let ground = Ground::far()?;
    // made after the namespace, so that what it starts is in there too
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(case(ground))
}

fn ip(arguments: &[&str]) -> Outcome {
    run(Command::new("ip").args(arguments))
}

fn run(command: &mut Command) -> Outcome {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}
