//! Real machines for end-to-end tests: Debian under its own systemd, with its own Docker Engine, its own network
//! namespace and pure cgroup v2, in about a second each. No virtualisation is needed, but root is.
//!
//! ```no_run
//! use e2e::{Cluster, TestResult};
//!
//! #[test]
//! fn docker_comes_back_after_a_power_cut() -> TestResult {
//!     let cluster = Cluster::new("power-cut")?;
//!     let m1 = cluster.machine("m1").boot()?;
//!     m1.power_cut()?;
//!     m1.start()?;
//!     assert_eq!(m1.ok(["systemctl", "is-active", "docker"])?.trim(), "active");
//!     Ok(())
//! }
//! ```
//!
//! Who does what, and in which process:
//!
//! * the **owner** is the test process; it holds [`Cluster`] and [`Machine`];
//! * one **janitor** per cluster (`machines janitor`) waits for the end of a pipe that only the owner holds open, and
//!   then removes everything, so that a killed test leaves nothing behind;
//! * one **supervisor** per machine (`machines supervise`) starts systemd-nspawn, starts it again when the machine
//!   reboots, and passes on the exact moments of boot as events;
//! * a **launcher** (`machines launch`) builds the private mount namespace of a machine and becomes systemd-nspawn.
//!
//! A machine that is to have clocks, a suspend and a kernel of its own is a virtual one ([`Cluster::vm`]), which qemu
//! emulates: that works without KVM, and takes a minute to boot.
//!
//! Everything that a cluster starts lives below one cgroup of its own, which is also how it is killed: no process is
//! ever signalled by a remembered number that somebody else may have by now.

mod build;
pub mod cgroup;
mod cluster;
pub mod doctor;
mod exec;
pub mod helper;
mod host;
mod image;
mod journal;
mod machine;
mod net;
mod process;
mod report;
mod server;
mod spawned;
pub mod store;
mod timeline;
mod unit;
mod vm;
mod wait;

pub use cluster::Cluster;
pub use exec::{Output, copy_in, enter};
pub use host::{Suite, default_suite};
pub use image::Image;
pub use journal::{Cursor, Follower, JournalEntry};
pub use machine::{Builder, Direction, Machine};
pub use nix::sys::signal::Signal;
pub use server::Server;
pub use spawned::Spawned;
pub use unit::UnitProps;
pub use vm::{Vm, VmBuilder};
pub use wait::{Attempt, wait_for, wait_for_every};

pub use anyhow::{Error, Result};

/// What a test returns. `?` on any error becomes a panic at that very line, so that [`Cluster`] sees the failure and
/// prints what the machines were doing.
pub type TestResult = std::result::Result<(), Failure>;

/// Never constructed: turning an error into it panics. See [`TestResult`].
#[derive(Debug)]
pub enum Failure {}

impl<E: Into<Error>> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        panic!("{:#}", error.into())
    }
}
