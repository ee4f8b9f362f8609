//! CLOCK_MONOTONIC: one clock for the host and everything in the machines.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_gettime};

pub fn now() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC).context("failed to read the clock")?.into())
}
