//! The harness itself: what the other tests take for granted.

use std::io::Read;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{env, fs, panic};

use e2e::cgroup::Cgroup;
use e2e::{Cluster, Direction, Image, Signal, TestResult, doctor, wait_for};

const SECOND: Duration = Duration::from_secs(1);
/// Set in the process that `Victim` starts: where it names its cluster.
const VICTIM: &str = "SWARM_E2E_VICTIM";

/// Namespaces, cgroups, processes, mounts and folders that bear the name of a cluster.
fn traces(id: &str) -> Vec<String> {
    let mut found = Vec::new();
    let netns = fs::read_dir("/run/netns").into_iter().flatten().flatten().map(|e| e.path());
    found.extend(netns.filter(|p| p.to_string_lossy().contains(id)).map(|p| p.display().to_string()));
    let cgroup = Cgroup::top().unwrap().child(id);
    found.extend(cgroup.path().exists().then(|| cgroup.path().display().to_string()));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    found.extend(mounts.lines().filter(|l| l.contains(id)).map(str::to_owned));
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let own = entry.file_name().to_string_lossy() == std::process::id().to_string();
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        found.extend(
            (!own && command.contains(id)).then(|| format!("process {}: {command}", entry.file_name().display())),
        );
    }
    let folder = e2e::store::Store::open().unwrap().cluster(id).path().to_owned();
    found.extend(folder.exists().then(|| folder.display().to_string()));
    found
}

fn pings(from: &e2e::Machine, to: Ipv4Addr) -> bool {
    from.run(["ping", "-q", "-c1", "-W1", &to.to_string()]).unwrap().success()
}

#[test]
fn three_machines_are_whole_and_reach_each_other_unless_cut_off() -> TestResult {
    let cluster = Cluster::new("three")?;
    let [a, b, c] = cluster.boot(["m1", "m2", "m3"])?;
    for m in [&a, &b, &c] {
        assert_eq!(m.ok(["systemctl", "is-active", "docker"])?.trim(), "active");
        assert_eq!(m.ok(["systemctl", "is-system-running"])?.trim(), "running");
        assert_eq!(m.ok(["stat", "-f", "-c", "%T", "/sys/fs/cgroup"])?.trim(), "cgroup2fs");
        assert!(m.ok(["cat", "/proc/1/cgroup"])?.lines().any(|l| l == "0::/init.scope"));
        assert_eq!(m.ok(["docker", "info", "--format", "{{.CgroupDriver}} {{.CgroupVersion}}"])?.trim(), "systemd 2");
        assert_eq!(m.ok(["hostname"])?.trim(), m.name());
    }
    assert_eq!((a.ip(), c.ip()), (Ipv4Addr::new(10, 99, 0, 1), Ipv4Addr::new(10, 99, 0, 3)));
    assert_ne!(a.read("/etc/machine-id")?, b.read("/etc/machine-id")?);
    assert!(pings(&a, b.ip()) && pings(&b, c.ip()) && pings(&c, cluster.host_ip()));

    cluster.cut(&b)?;
    assert!(!pings(&a, b.ip()) && pings(&a, c.ip()));
    cluster.heal(&b)?;
    assert!(pings(&a, b.ip()));

    b.cut_one_way(Direction::In)?;
    assert!(!pings(&a, b.ip()) && !pings(&b, a.ip()) && pings(&a, c.ip()));
    cluster.heal(&b)?;
    assert!(pings(&a, b.ip()));

    let id = cluster.id().to_owned();
    let mut late = cluster.command_in_net("true");
    assert!(late.status()?.success());
    drop(cluster);
    assert!(!late.stderr(Stdio::null()).status()?.success(), "no cluster would end it");
    assert_eq!(traces(&id), Vec::<String>::new());
    Ok(())
}

#[test]
fn disks_outlive_reboots_poweroffs_and_power_cuts() -> TestResult {
    let cluster = Cluster::new("power")?;
    let m = cluster.machine("m1").file_mode("/etc/swarm/a file", 0o600, "first\n").boot()?;
    assert_eq!(m.ok(["stat", "-c", "%a", "/etc/swarm/a file"])?.trim(), "600");
    assert_eq!(m.read("/etc/swarm/a file")?, "first\n");
    m.docker_import_busybox()?;
    let boot_id = || m.read("/proc/sys/kernel/random/boot_id");
    let first = boot_id()?;

    m.write("/var/run/through-a-link", "volatile")?;
    assert!(m.exists("/run/through-a-link")? && !Path::new("/run/through-a-link").exists());
    m.write("/srv/deep/er", "second")?;
    m.reboot()?;
    assert_ne!(boot_id()?, first);
    assert!(!m.exists("/run/through-a-link")?);
    assert_eq!(m.read("/srv/deep/er")?, "second");

    m.write("/srv/deep/er", "third")?;
    m.power_cut()?;
    assert!(m.leader().is_err());
    m.start()?;
    assert_eq!(m.read("/srv/deep/er")?, "third");
    assert!(m.ok(["docker", "images"])?.contains("busybox"));
    assert_eq!(m.boot_count(), 3);

    m.poweroff()?;
    m.start()?;
    m.remove("/srv/deep")?;
    assert!(!m.exists("/srv/deep/er")?);
    assert!(
        m.journal_query(&["--boot=-3", "--unit=docker"])?.len() > 1,
        "the journal of the first boot is still there"
    );
    Ok(())
}

#[test]
fn commands_units_and_journals() -> TestResult {
    let cluster = Cluster::new("units")?;
    let m = cluster.machine("m1").boot()?;
    let out = m.run(["sh", "-c", "echo out; echo err >&2; exit 9"])?;
    assert_eq!((out.status, out.stdout.as_str(), out.stderr.as_str()), (9, "out\n", "err\n"));
    let error = m.ok(["false"]).unwrap_err();
    assert!(format!("{error:#}").contains("m1") && format!("{error:#}").contains("`false` ended with 1"), "{error:#}");
    let slow = m.run_within(SECOND / 5, ["sleep", "77.7"]).unwrap_err();
    assert!(format!("{slow:#}").contains("sleep 77.7"), "{slow:#}");
    wait_for("the end of the slow command", SECOND * 5, || !m.run(["pgrep", "-f", "sleep 77[.]7"]).unwrap().success())?;

    let mut spawned = m.spawn(["sh", "-c", "echo one; exec sleep 88.8"])?;
    assert_eq!(spawned.lines()?.next().unwrap()?, "one");
    assert!(spawned.pid().is_some());
    drop(spawned);
    wait_for("the end of the dropped command", SECOND * 5, || {
        !m.run(["pgrep", "-f", "sleep 88[.]8"]).unwrap().success()
    })?;

    let before = m.cursor()?;
    m.systemd_run("talker", ["sh", "-c", "sleep 0.3; echo '<4>now'; exec sleep 1000"])?;
    let entry = m.wait_journal_since("talker", &before, SECOND * 10, |e| e.message() == "now")?;
    assert_eq!((entry.priority(), entry.unit().as_deref()), (Some(4), Some("talker.service")));
    assert!(entry.monotonic() > m.journal("docker")?[0].monotonic());
    assert!(m.journal_since("docker", &before)?.is_empty());
    assert_eq!(m.systemd_run_wait(&["User=nobody"], ["id", "-un"])?.ok()?.trim(), "nobody");

    let pid = m.main_pid("talker")?;
    assert!(fs::read_to_string(format!("/proc/{pid}/cgroup"))?.contains("talker.service"));
    m.signal("talker", Signal::SIGKILL)?;
    m.wait_unit("talker", SECOND * 5, |u| u.main_pid() == 0)?;
    assert!(m.signal("talker", Signal::SIGKILL).is_err());
    let late = m.wait_unit("docker", SECOND / 5, |u| u.sub_state() == "dancing").unwrap_err();
    assert!(format!("{late:#}").contains("SubState=running"), "{late:#}");
    Ok(())
}

#[test]
fn docker_runs_containers_without_a_registry() -> TestResult {
    let cluster = Cluster::new("docker")?;
    let m = cluster.machine("m1").boot()?;
    m.docker_import_busybox()?;
    assert_eq!(m.ok(["docker", "run", "--rm", "busybox", "echo", "hello"])?, "hello\n");
    m.docker_run_idle("idle", &["--publish=8080:80"])?;
    m.ok(["docker", "exec", "--detach", "idle", "sh", "-c", "echo web > /index.html; httpd -h /"])?;
    let page = wait_for("the page of the container", SECOND * 5, || {
        let mut curl = cluster.command_in_net("curl");
        let out = curl.args(["-sS", "--noproxy", "*", &format!("http://{}:8080/", m.ip())]).output().unwrap();
        if out.status.success() { Ok(out.stdout) } else { Err(String::from_utf8_lossy(&out.stderr).into_owned()) }
    })?;
    assert_eq!(page, b"web\n");
    let start = Instant::now();
    m.ok(["docker", "stop", "idle"])?;
    assert!(start.elapsed() < SECOND * 5, "the idle container takes {:?} to stop", start.elapsed());
    Ok(())
}

#[test]
fn a_panic_cleans_up() {
    let mut id = String::new();
    let failed = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let cluster = Cluster::new("panic").unwrap();
        id = cluster.id().to_owned();
        let _m = cluster.machine("m1").boot().unwrap();
        assert!(!traces(&id).is_empty());
        cluster.note("about to fail on purpose: the report below belongs to a test that passes");
        panic!("on purpose");
    }));
    assert!(failed.is_err());
    assert_eq!(traces(&id), Vec::<String>::new());
}

/// A process that owns a cluster with a machine.
struct Victim {
    process: Child,
    cluster: String,
}

impl Victim {
    fn new() -> e2e::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Relaxed);
        let report = env::temp_dir().join(format!("swarm-e2e-victim-{}-{count}", std::process::id()));
        let process = Command::new(env::current_exe()?)
            .args(["victim", "--exact", "--ignored", "--nocapture"])
            .env(VICTIM, &report)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let mut victim = Self { process, cluster: String::new() };
        victim.cluster = wait_for("the victim's machine", SECOND * 120, || {
            assert!(victim.process.try_wait().unwrap().is_none(), "the victim ended by itself");
            fs::read_to_string(&report).ok()?.strip_suffix('\n').map(str::to_owned)
        })?;
        fs::remove_file(&report)?;
        assert!(traces(&victim.cluster).len() > 5);
        Ok(victim)
    }

    fn kill(&mut self) -> e2e::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

#[test]
fn a_killed_owner_leaves_nothing() -> TestResult {
    let mut victim = Victim::new()?;
    victim.kill()?;
    wait_for("the janitor's work", SECOND * 20, || match traces(&victim.cluster) {
        left if left.is_empty() => Ok(()),
        left => Err(left.join("\n")),
    })?;
    Ok(())
}

#[test]
fn what_a_killed_janitor_left_is_removed_by_the_next_run() -> TestResult {
    let mut victim = Victim::new()?;
    let processes = traces(&victim.cluster);
    let mut processes = processes.iter().filter_map(|t| t.strip_prefix("process ")?.split_once(": "));
    let janitor: i32 = processes.find(|(_, command)| command.contains(" janitor ")).unwrap().0.parse()?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(janitor), Signal::SIGKILL)?;
    // While the owner lives the cluster is not abandoned.
    drop(Cluster::new("other-run")?);
    assert!(traces(&victim.cluster).len() > 5);
    victim.kill()?;
    drop(Cluster::new("next-run")?);
    assert_eq!(traces(&victim.cluster), Vec::<String>::new());
    Ok(())
}

/// The other kind of host: systemd as PID 1, no cgroup hierarchy but v2, a root file system on an overlay. It is one of our
/// machines, and these very tests run in it.
#[test]
fn the_harness_works_on_a_host_with_systemd() -> TestResult {
    let cluster = Cluster::new("systemd-host")?;
    let image = Image::base()?.ensure()?;
    let host = cluster
        .machine("host")
        .image(Image::base()?.with_packages("host", doctor::HOST_PACKAGES))
        .bind_ro(&image, &image.to_string_lossy())
        .boot()?;
    host.copy_in(env!("CARGO_BIN_EXE_machines"), "/opt/machines")?;
    host.copy_in(env::current_exe()?, "/opt/harness")?;
    host.ok(["/opt/machines", "doctor"])?;
    // A service, so that its end would take along whatever stays in its cgroup.
    host.systemd_run_wait(&[], ["/opt/machines", "up", "stays"])?.ok()?;
    let tests = ["disks_outlive", "a_killed_owner", "what_a_killed_janitor"];
    let environment = ["Environment=SWARM_E2E_MACHINES=/opt/machines"];
    host.systemd_run_wait(&environment, ["/opt/harness"].iter().chain(&tests))?.ok()?;
    assert_eq!(host.ok(["/opt/machines", "exec", "stays", "systemctl", "is-active", "docker"])?, "active\n");
    assert_eq!(host.ok(["systemctl", "is-system-running"])?, "running\n");
    host.ok(["/opt/machines", "rm", "--all"])?;
    assert_eq!(host.ok(["find", "/run/netns", "-type", "f"])?, "");
    Ok(())
}

/// The process that the tests above kill; nothing when run by a person.
#[test]
#[ignore = "only for other tests, which start it in a process of its own"]
fn victim() -> TestResult {
    let Some(report_to) = env::var_os(VICTIM) else { return Ok(()) };
    let cluster = Cluster::new("victim")?;
    let m = cluster.machine("m1").boot()?;
    // Host programs in the network must go too.
    let _tool = cluster.command_in_net("sleep").arg("1000").spawn()?;
    let _inside = m.spawn(["sleep", "1000"])?;
    fs::write(report_to, format!("{}\n", cluster.id()))?;
    // Until it is killed, or the test that should do so is gone.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
