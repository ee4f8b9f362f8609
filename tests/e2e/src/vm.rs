//! A virtual machine: what takes a kernel of its own, such as clocks that a test may set, and a real suspend.
//!
//! qemu emulates the processor, on every host alike: where there is KVM, it may be a broken one (some clouds' nested
//! virtualisation), and its guests have a clock that the host keeps. A boot takes a minute.
//!
//! The machine reaches the cluster's network as [`Cluster::host_ip`](crate::Cluster::host_ip), through qemu, and nothing
//! reaches it but what [`VmBuilder::publish`] says.

mod disk;
mod monitor;
mod shell;
mod wire;

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::cluster::Shared;
use crate::exec::Output;
use crate::journal::JournalEntry;
use crate::unit::UnitProps;
use crate::wait::wait_for_every;
use crate::{doctor, net, report};
use monitor::Monitor;
use shell::Shell;

pub const QEMU: &str = "qemu-system-x86_64";

/// On a host with other work to do: alone it takes a minute.
const BOOT_TIMEOUT: Duration = Duration::from_secs(400);
const COMMAND_TIMEOUT: Duration = Duration::from_secs(120);
const POWER_TIMEOUT: Duration = Duration::from_secs(60);

/// What the machine will be; [`VmBuilder::boot`] makes it so.
#[derive(Debug)]
#[must_use]
pub struct VmBuilder {
    cluster: Arc<Shared>,
    qemu: Command,
    network: String,
    disks: Vec<PathBuf>,
}

/// Gone when dropped, and with its cluster at the latest.
#[derive(Debug)]
pub struct Vm {
    cluster: Arc<Shared>,
    dir: PathBuf,
    qemu: Child,
    shell: Shell,
    monitor: Monitor,
}

impl VmBuilder {
    pub(crate) fn new(cluster: Arc<Shared>, qemu: Command) -> Self {
        Self { cluster, qemu, network: "user,id=net".to_owned(), disks: Vec::new() }
    }

    /// A host file that the machine sees as a disk: the first one is /dev/vdb.
    pub fn disk(mut self, file: &Path) -> Self {
        self.disks.push(file.to_owned());
        self
    }

    /// A port of the machine that is to be reached at the cluster's host address.
    pub fn publish(mut self, port: u16) -> Self {
        self.network += &format!(",hostfwd=tcp:{}:{port}-:{port}", net::BRIDGE_IP);
        self
    }

    /// Makes it, and waits until all of its units have started, Docker among them.
    pub fn boot(mut self) -> Result<Vm> {
        doctor::require(&doctor::vm_problems())?;
        let boot = disk::ensure()?;
        let dir = self.cluster.dir.path().join("vm");
        fs::create_dir(&dir).with_context(|| format!("failed to create {}", dir.display()))?;
        self.cluster.timeline.note("vm: power on");
        let qemu = self.power_on(&boot, &dir)?;
        let vm = match connect(&dir) {
            Ok((shell, monitor)) => Vm { cluster: self.cluster, dir, qemu, shell, monitor },
            // it goes with the cluster
            Err(error) => {
                let said = fs::read_to_string(dir.join("qemu.log")).unwrap_or_default();
                return Err(error.context(format!("qemu said: {}", said.trim())));
            }
        };
        vm.wait_booted().with_context(|| format!("its console ends:\n{}", vm.console_tail()))?;
        Ok(vm)
    }

    fn power_on(&mut self, boot: &disk::Boot, dir: &Path) -> Result<Child> {
        let qemu = &mut self.qemu;
        qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35", "-accel", "tcg"]);
        qemu.args(["-smp", "1", "-m", "1024", "-global", "ICH9-LPC.disable_s3=0"]);
        qemu.arg("-kernel").arg(&boot.kernel).arg("-initrd").arg(&boot.initrd);
        qemu.args(["-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off systemd.show_status=1"]);
        qemu.arg("-drive").arg(drive(&boot.disk, "snapshot=on"));
        for disk in &self.disks {
            qemu.arg("-drive").arg(drive(disk, "readonly=on"));
        }
        qemu.args(["-netdev", &self.network, "-device", "virtio-net-pci,netdev=net,romfile="]);
        qemu.arg("-serial").arg(at("file:", dir, "console", ""));
        qemu.arg("-chardev").arg(at("socket,id=shell,path=", dir, "shell", ",server=on,wait=off"));
        qemu.args(["-device", "virtio-serial-pci", "-device", "virtserialport,chardev=shell,name=shell"]);
        qemu.arg("-qmp").arg(at("unix:", dir, "monitor", ",server=on,wait=off"));
        let log = File::create(dir.join("qemu.log"))?;
        // what the machine writes to its disk; qemu unlinks it at once
        qemu.env("TMPDIR", dir).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        qemu.spawn().context("failed to start qemu")
    }
}

impl Vm {
    /// Runs a script with `bash -e` to its end.
    pub fn run(&self, script: &str) -> Result<Output> {
        let output = self.shell.run(script, COMMAND_TIMEOUT);
        let how = output.as_ref().map_or_else(|_| "no end".to_owned(), |o| o.status.to_string());
        self.note(&format!("{script} -> {how}"));
        output
    }

    /// Standard output of a script that must succeed.
    pub fn sh(&self, script: &str) -> Result<String> {
        self.run(script)?.ok()
    }

    /// Writes a text file.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        ensure!(!text.contains("END-OF-FILE"), "the text holds its own end");
        self.sh(&format!("mkdir -p \"$(dirname '{path}')\"\ncat > '{path}' <<'END-OF-FILE'\n{text}\nEND-OF-FILE"))
            .map(drop)
    }

    /// All properties of a unit, now.
    pub fn unit(&self, unit: &str) -> Result<UnitProps> {
        // Not through `run`: looks that are repeated would fill the timeline.
        let output = self.shell.run(&format!("systemctl show -- '{unit}'"), COMMAND_TIMEOUT)?;
        Ok(UnitProps::parse(&output.ok()?))
    }

    /// Looks until `wanted` is content with the unit.
    pub fn wait_unit(&self, unit: &str, timeout: Duration, wanted: impl Fn(&UnitProps) -> bool) -> Result<UnitProps> {
        let what = format!("the wanted state of {unit} in the virtual machine");
        wait_for_every(Duration::from_millis(200), &what, timeout, || match self.unit(unit) {
            Ok(props) if wanted(&props) => Ok(props),
            Ok(props) => Err(props.to_string()),
            Err(e) => Err(format!("{e:#}")),
        })
    }

    /// What a unit wrote since this boot, in the order of writing.
    pub fn journal(&self, unit: &str) -> Result<Vec<JournalEntry>> {
        let script = format!("journalctl --quiet --no-pager --output=json --all --boot _SYSTEMD_UNIT='{unit}'");
        JournalEntry::parse_all(&self.shell.run(&script, COMMAND_TIMEOUT)?.ok()?)
    }

    /// Suspends to memory, as an operator does, and comes back when the machine sleeps.
    pub fn suspend(&self) -> Result<()> {
        self.sh("systemctl suspend")?;
        self.monitor.wait_event("SUSPEND", POWER_TIMEOUT)?;
        self.note("asleep");
        Ok(())
    }

    /// Wakes it up, as its power button does. The answer is when that was.
    pub fn wake(&self) -> Result<Instant> {
        let woken = Instant::now();
        self.monitor.execute("system_wakeup")?;
        self.monitor.wait_event("WAKEUP", POWER_TIMEOUT)?;
        self.note("awake");
        Ok(woken)
    }

    fn note(&self, text: &str) {
        self.cluster.timeline.note(format!("vm: {text}"));
    }

    fn wait_booted(&self) -> Result<()> {
        self.shell.wait_ready(BOOT_TIMEOUT)?;
        let state = self.shell.run("systemctl is-system-running --wait", BOOT_TIMEOUT)?;
        if state.stdout.trim() != "running" {
            bail!("the machine is {}: {}", state.stdout.trim(), self.sh("systemctl --failed --no-legend")?);
        }
        self.sh("systemctl is-active docker.service").context("Docker did not start")?;
        self.note("booted");
        Ok(())
    }

    fn console_tail(&self) -> String {
        let text = fs::read(self.dir.join("console")).unwrap_or_default();
        report::tail(&String::from_utf8_lossy(&text), 30)
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let journal = |args: &str| {
                let output = self.shell.run(&format!("journalctl --no-pager -o short-precise {args}"), POWER_TIMEOUT);
                output.map_or_else(|e| format!("failed to read the journal: {e:#}\n"), |o| o.stdout)
            };
            report::print_vm(self.cluster.dir.id(), &self.console_tail(), journal);
        }
        // it is our child until we wait for it, so its number is nobody else's
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

fn connect(dir: &Path) -> Result<(Shell, Monitor)> {
    let patience = Duration::from_secs(20);
    let every = Duration::from_millis(20);
    let monitor = wait_for_every(every, "qemu's monitor", patience, || Monitor::connect(&dir.join("monitor")))?;
    Ok((Shell::connect(&dir.join("shell"))?, monitor))
}

fn drive(file: &Path, mode: &str) -> OsString {
    // a comma in a value is written twice
    let file = file.to_string_lossy().replace(',', ",,");
    format!("file={file},format=raw,if=virtio,{mode}").into()
}

fn at(before: &str, dir: &Path, name: &str, after: &str) -> OsString {
    format!("{before}{}{after}", dir.join(name).display()).into()
}
