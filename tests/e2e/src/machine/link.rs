//! Its connection to the others. See also [`Cluster::cut`](crate::Cluster::cut).

use std::fs::{self, File};

use anyhow::Result;

use super::Machine;
use crate::net;
use crate::store::remove_if_there;

/// As the machine sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    In,
    Out,
}

impl Direction {
    fn chain(self) -> &'static str {
        match self {
            Self::In => "INPUT",
            Self::Out => "OUTPUT",
        }
    }
}

impl Machine {
    /// Pulls its cable. It stays pulled over a reboot.
    pub fn cut(&self) -> Result<()> {
        self.note("cut off");
        File::create(self.0.dir.unplugged_mark())?;
        net::set_connected(self.0.dir.cluster().id(), self.0.spec.index, false)
    }

    /// Puts the cable back and lifts one-way cuts.
    pub fn heal(&self) -> Result<()> {
        self.note("healed");
        remove_if_there(fs::remove_file(self.0.dir.unplugged_mark()))?;
        net::set_connected(self.0.dir.cluster().id(), self.0.spec.index, true)?;
        for direction in [Direction::In, Direction::Out] {
            // Until the rule is gone; there may be none.
            while self.filter("-D", direction)? {}
        }
        Ok(())
    }

    /// Drops all its packets in one direction. Lasts until [`Machine::heal`] or its next boot.
    pub fn cut_one_way(&self, direction: Direction) -> Result<()> {
        self.note(format!("cut off one way: {direction:?}"));
        anyhow::ensure!(self.filter("-I", direction)?, "iptables refused the rule on machine {}", self.name());
        Ok(())
    }

    fn filter(&self, action: &str, direction: Direction) -> Result<bool> {
        let interface = if direction == Direction::In { "-i" } else { "-o" };
        let rule = ["iptables", "-w", action, direction.chain(), interface, "eth0", "-j", "DROP"];
        Ok(self.run(rule)?.success())
    }
}
