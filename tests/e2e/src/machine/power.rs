//! On and off, politely and not.

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{BOOT_TIMEOUT, DOCKER_TIMEOUT, Machine, POWEROFF_TIMEOUT};
use crate::process::host_tool;
use crate::report::tail;

/// What systemd as PID 1 takes as orders: SIGRTMIN+4 and SIGRTMIN+5, by the kernel's numbers.
const POWEROFF: &str = "-38";
const REBOOT: &str = "-39";

impl Machine {
    /// Switches it on, with the disk as it was left, and waits until it has booted (and Docker, where the image has it,
    /// is active, unless it is disabled or masked).
    pub fn start(&self) -> Result<()> {
        ensure!(!self.0.live.is_on(), "machine {} is on already", self.name());
        let before = self.boot_count();
        self.switch_on()?;
        self.wait_boot(before + 1)
    }

    /// Orders a clean shutdown and waits for its end.
    pub fn poweroff(&self) -> Result<()> {
        self.note("poweroff");
        self.order(POWEROFF)?;
        self.wait_off(POWEROFF_TIMEOUT)
    }

    /// Orders a clean reboot and waits until it is back as after [`Machine::start`].
    pub fn reboot(&self) -> Result<()> {
        self.note("reboot");
        let before = self.boot_count();
        self.order(REBOOT)?;
        let what = format!("machine {} to shut down for a reboot", self.name());
        self.0.live.wait(&what, POWEROFF_TIMEOUT, |now| Ok((!now.on || now.state.boot > before).then_some(())))?;
        self.wait_boot(before + 1)
    }

    /// Everything in it dies at once. What its processes had written stays on the disk: it is the machine's memory that
    /// is lost, not the host's.
    pub fn power_cut(&self) -> Result<()> {
        self.note("power cut");
        self.0.dir.cgroup()?.kill()?;
        self.wait_off(Duration::from_secs(30))
    }

    /// Waits for boot number `boot` (see [`Machine::boot_count`]), for instance after a reboot that a test ordered inside.
    pub fn wait_boot(&self, boot: u32) -> Result<()> {
        let what = format!("machine {} to finish boot {boot}", self.name());
        let booted = self.0.live.wait(&what, BOOT_TIMEOUT, |now| {
            ensure!(now.on, "machine {} went off with {:?} before boot {boot} was done", self.name(), now.state.exit);
            Ok((now.state.boot >= boot && now.state.ready).then_some(()))
        });
        booted.with_context(|| format!("failed to boot; the end of the console:\n{}", self.console_tail()))?;
        self.note(format!("boot {boot} done"));
        if self.0.wait_for_docker {
            // Unless a test has disabled or masked it.
            let docker = self.wait_unit("docker.service", DOCKER_TIMEOUT, |u| u.is_active() || !u.is_enabled())?;
            self.note(format!("docker {}", docker.active_state()));
        }
        Ok(())
    }

    /// Waits until it is off, for instance after a poweroff that a test ordered inside.
    pub fn wait_off(&self, timeout: Duration) -> Result<()> {
        let what = format!("machine {} to go off", self.name());
        self.0.live.wait(&what, timeout, |now| Ok((!now.on).then_some(())))?;
        self.note("off");
        Ok(())
    }

    pub(super) fn switch_on(&self) -> Result<()> {
        self.note("start");
        let log = File::options().create(true).append(true).open(self.0.dir.supervisor_log())?;
        let mut command = Command::new(&self.0.cluster.program);
        command.arg("supervise").arg(self.0.dir.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        self.0.live.starting();
        let mut child = command.spawn().context("failed to start the supervisor")?;
        let events = child.stdout.take().context("a piped output is there")?;
        let live = Arc::clone(&self.0.live);
        thread::spawn(move || {
            live.read(events);
            let _ = child.wait();
        });
        Ok(())
    }

    fn order(&self, signal: &str) -> Result<()> {
        // nix knows no real-time signals.
        host_tool("sh", &["-c", "kill \"$1\" \"$2\"", "sh", signal, &self.leader()?.to_string()]).map(drop)
    }

    /// The last lines of the console, and of the supervisor's complaints.
    pub(crate) fn console_tail(&self) -> String {
        let read = |path| {
            let mut text = Vec::new();
            let _ = File::open(path).and_then(|mut f| f.read_to_end(&mut text));
            String::from_utf8_lossy(&text).into_owned()
        };
        tail(&(read(self.0.dir.console()) + &read(self.0.dir.supervisor_log())), 30)
    }
}
