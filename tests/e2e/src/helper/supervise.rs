//! One machine: starts systemd-nspawn, starts it again after a reboot, and says what happens.

use std::fs::File;
use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use nix::unistd::setsid;
use serde::{Deserialize, Serialize};

use crate::store::{Leader, MachineDir, State};

/// With this status systemd-nspawn says that the machine wants to boot again.
const REBOOT: i32 = 133;
/// Sent to our own socket at the end of systemd-nspawn, so that it comes after everything the machine still had to say.
const EXITED: &str = "X_SWARM_E2E_EXITED=";

/// What a supervisor writes to its standard output, one JSON object a line.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// A boot begins; they are counted from 1.
    Boot(u32),
    /// PID 1 of the machine exists.
    Leader(Leader),
    /// PID 1 says that the boot is finished.
    Ready,
    /// systemd-nspawn ended; 128 and the number of the signal if one killed it.
    Exit(i32),
}

/// Runs until the machine is off.
pub fn supervise(machine: &Path) -> Result<()> {
    // The terminal's Ctrl-C is for the owner; the janitor sees the owner's end.
    setsid().context("failed to leave the session")?;
    let dir = MachineDir::at(machine)?;
    let lock = File::create(dir.supervisor_lock())?;
    if lock.try_lock().is_err() {
        bail!("machine {} is on already", dir.name());
    }
    let keepers = dir.cluster().cgroup()?.child("keepers");
    keepers.join()?;
    let address = SocketAddr::from_abstract_name(dir.notify_name())?;
    let socket = UnixDatagram::bind_addr(&address).context("failed to bind the notify socket")?;
    let boot = dir.state()?.boot;
    let mut supervisor = Supervisor { dir, socket, address, state: State { boot, ..State::default() } };
    while supervisor.one_boot()? == REBOOT {}
    Ok(())
}

struct Supervisor {
    dir: MachineDir,
    socket: UnixDatagram,
    address: SocketAddr,
    state: State,
}

impl Supervisor {
    /// From power-on to the end of systemd-nspawn; its exit code.
    fn one_boot(&mut self) -> Result<i32> {
        let boot = self.state.boot + 1;
        self.state = State { boot, ..State::default() };
        self.tell(Event::Boot(boot))?;
        let child = self.spawn()?;
        let address = self.address.clone();
        let waiter = thread::spawn(move || report_exit(child, &address));
        let code = self.listen()?;
        let _ = waiter.join();
        self.dir.cgroup()?.destroy()?;
        self.state = State { boot, exit: Some(code), ..State::default() };
        self.tell(Event::Exit(code))?;
        Ok(code)
    }

    fn spawn(&self) -> Result<Child> {
        let console = File::options().create(true).append(true).open(self.dir.console())?;
        // This very program, also after its file was replaced by a newer one.
        let mut command = Command::new("/proc/self/exe");
        command.arg("launch").arg(self.dir.path());
        command.stdin(Stdio::null()).stdout(console.try_clone()?).stderr(console);
        command.spawn().context("failed to start the launcher")
    }

    fn listen(&mut self) -> Result<i32> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let n = self.socket.recv(&mut buffer)?;
            for line in String::from_utf8_lossy(&buffer[..n]).lines() {
                if let Some(code) = line.strip_prefix(EXITED) {
                    return code.parse().context("failed to read our own message");
                }
                self.heard(line)?;
            }
        }
    }

    fn heard(&mut self, line: &str) -> Result<()> {
        if let Some(pid) = line.strip_prefix("X_NSPAWN_LEADER_PID=") {
            if let Some(leader) = pid.parse().ok().and_then(Leader::of) {
                self.state.leader = Some(leader);
                self.tell(Event::Leader(leader))?;
            }
        } else if line == "READY=1" && !self.state.ready {
            self.state.ready = true;
            self.tell(Event::Ready)?;
        }
        Ok(())
    }

    /// To the file for whoever comes later, then to the owner, who may be gone: a persistent machine goes on without.
    fn tell(&self, event: Event) -> Result<()> {
        self.dir.write_state(&self.state)?;
        let mut out = std::io::stdout();
        let _ = writeln!(out, "{}", serde_json::to_string(&event)?).and_then(|()| out.flush());
        Ok(())
    }
}

fn report_exit(mut child: Child, to: &SocketAddr) {
    let code = child.wait().map_or(255, exit_code);
    let message = format!("{EXITED}{code}");
    if let Err(e) = UnixDatagram::unbound().and_then(|s| s.send_to_addr(message.as_bytes(), to)) {
        eprintln!("failed to report the end of systemd-nspawn: {e}");
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}
