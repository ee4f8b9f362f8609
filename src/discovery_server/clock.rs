//! The clocks of this process: how long the server has run, and where in which boot it is.

use crate::model::Moment;
use crate::policy::lease::BootMark;
use std::time::Duration;
use tokio::time::Instant;

/// The server's running clock (see `policy::lease`): goes on where the last process left it.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    resumed: Moment,
    since: Instant,
}

impl Clock {
    pub fn resume(resumed: Moment) -> Self {
        Self { resumed, since: Instant::now() }
    }

    pub fn now(&self) -> Moment {
        self.resumed + self.since.elapsed()
    }
}

/// Where this boot is now. A host that doesn't tell its boot is charged as if it had rebooted.
pub fn boot_mark() -> BootMark {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let boot = u128::from_str_radix(&id.trim().replace('-', ""), 16).unwrap_or(0);
    match nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME) {
        Ok(time) => BootMark { boot, uptime: Duration::from(time) },
        Err(_) => BootMark { boot: 0, uptime: Duration::ZERO },
    }
}
