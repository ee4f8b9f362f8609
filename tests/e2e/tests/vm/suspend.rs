//! The host sleeps for a while: CLOCK_BOOTTIME goes on, CLOCK_MONOTONIC does not.

use std::thread::sleep;
use std::time::{Duration, Instant};

use e2e::{Result, TestResult};

use crate::fleet::{REGISTERED, SECOND};
use crate::scene::{ADDRESS, Scene, messages};

const HEARTBEAT: Duration = Duration::from_secs(30);
const TTL: Duration = Duration::from_secs(60);
const PACE: &str = "heartbeat = \"30s\"\nttl = \"60s\"\n";
/// From the moment of waking up, an emulated machine included. Without a look at CLOCK_BOOTTIME the next heartbeat
/// comes a whole one after the last, less what it took to fall asleep.
const AT_ONCE: Duration = Duration::from_secs(15);
const LEASE_EXPIRED: &str = "81cfa6cbca97447f86e38ab59a4099fe";

/// How far CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC in the machine: what it has slept since its boot.
fn slept(scene: &Scene) -> Result<f64> {
    let told =
        scene.vm.sh("cut -d' ' -f1 /proc/uptime; sed -n 's/^now at \\([0-9]*\\) nsecs$/\\1/p' /proc/timer_list")?;
    let mut lines = told.lines().map(str::parse::<f64>);
    match (lines.next(), lines.next()) {
        (Some(Ok(boottime)), Some(Ok(monotonic))) => Ok(boottime - monotonic / 1e9),
        _ => anyhow::bail!("the machine's clocks can't be read from {told:?}"),
    }
}

/// Suspends right after a heartbeat, wakes up when `until` comes back, and answers with the moment of that.
fn suspended(scene: &Scene, until: impl FnOnce() -> Result<()>) -> Result<Instant> {
    let before = slept(scene)?;
    scene.wait_beat(HEARTBEAT + 10 * SECOND)?;
    scene.vm.suspend()?;
    let begin = Instant::now();
    until()?;
    let span = begin.elapsed();
    let beats = scene.beats();
    let woken = scene.vm.wake()?;
    scene.wait_beat_after(beats, AT_ONCE)?;
    scene.cluster.note(format!("a heartbeat {:?} after waking up from {span:?}", woken.elapsed()));
    let leapt = slept(scene)? - before;
    assert!((leapt - span.as_secs_f64()).abs() < 5.0, "asleep for {span:?}; the clocks came apart by {leapt} s");
    Ok(woken)
}

// A machine each: the q35 that qemu 7.2 emulates comes back at once from its second suspend.

#[test]
fn after_a_suspend_shorter_than_the_ttl_it_beats_at_once_and_nobody_notices() -> TestResult {
    let scene = Scene::registered("suspend-short", PACE)?;
    let mark = scene.mark()?;
    let lister = scene.lister()?;
    let begin = lister.wait_present(ADDRESS, 10 * SECOND)?;
    suspended(&scene, || {
        sleep(HEARTBEAT + 5 * SECOND);
        Ok(())
    })?;
    crate::lister::assert_no_gap(&lister.finish_since(begin), ADDRESS, HEARTBEAT);
    assert_eq!(messages(&scene.said_since(&mark)?), Vec::<String>::new());
    Ok(())
}

#[test]
fn after_a_suspend_longer_than_the_ttl_the_entry_is_back_at_once() -> TestResult {
    let scene = Scene::registered("suspend-long", PACE)?;
    let mark = scene.mark()?;
    let lister = scene.lister()?;
    let woken = suspended(&scene, || lister.gone_since(Instant::now(), ADDRESS, TTL + 10 * SECOND).map(drop))?;
    let back = lister.present_since(woken, ADDRESS, AT_ONCE)?;
    scene.cluster.note(format!("back in the list {:?} after waking up", back - woken));
    let said = scene.said_since(&mark)?;
    let events: Vec<_> = said.iter().filter_map(e2e::JournalEntry::message_id).collect();
    assert_eq!(events, [LEASE_EXPIRED, REGISTERED], "{:?}", messages(&said));
    Ok(())
}
