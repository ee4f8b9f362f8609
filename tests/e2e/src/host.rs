//! What the host is, and which Debian release its binaries run on.

use std::fmt;
use std::fs;
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context, Result, bail};

/// A Debian release that machines can be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    Bullseye,
    Bookworm,
    Trixie,
    Sid,
}

impl Suite {
    pub fn name(self) -> &'static str {
        match self {
            Self::Bullseye => "bullseye",
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
            Self::Sid => "sid",
        }
    }

    /// From trixie on the `docker` command is a package of its own.
    pub(crate) fn docker_packages(self) -> &'static [&'static str] {
        match self {
            Self::Bullseye | Self::Bookworm => &["docker.io"],
            Self::Trixie | Self::Sid => &["docker.io", "docker-cli"],
        }
    }

    pub(crate) fn polkit_package(self) -> &'static str {
        match self {
            Self::Bullseye => "policykit-1",
            Self::Bookworm | Self::Trixie | Self::Sid => "polkitd",
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Suite {
    type Err = anyhow::Error;

    fn from_str(s: &str) -> Result<Self> {
        [Self::Bullseye, Self::Bookworm, Self::Trixie, Self::Sid]
            .into_iter()
            .find(|suite| suite.name() == s)
            .with_context(|| format!("unknown suite {s:?}: choose bullseye, bookworm, trixie or sid"))
    }
}

/// `SWARM_E2E_SUITE`, else the oldest suite of bookworm, trixie and sid in which a binary built on this host runs.
pub fn default_suite() -> Result<Suite> {
    if let Ok(name) = std::env::var("SWARM_E2E_SUITE") {
        return name.parse().context("failed to read SWARM_E2E_SUITE");
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if let Some(suite) = same_debian(&release) {
        return Ok(suite);
    }
    let out = Command::new("getconf").arg("GNU_LIBC_VERSION").output().context("failed to run getconf")?;
    suite_for_glibc(&String::from_utf8_lossy(&out.stdout))
}

fn same_debian(os_release: &str) -> Option<Suite> {
    let value = |key: &str| {
        os_release.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('=')).map(|v| v.trim().trim_matches('"'))
    };
    if value("ID") != Some("debian") {
        return None;
    }
    value("VERSION_CODENAME")?.parse().ok().filter(|s| *s != Suite::Bullseye)
}

fn suite_for_glibc(getconf: &str) -> Result<Suite> {
    let mut numbers = getconf.trim().rsplit(' ').next().unwrap_or_default().split('.').map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(2)), Some(Ok(0..=36))) => Ok(Suite::Bookworm),
        (Some(Ok(2)), Some(Ok(37..=41))) => Ok(Suite::Trixie),
        (Some(Ok(_)), Some(Ok(_))) => Ok(Suite::Sid),
        _ => bail!("can't tell the host's glibc from {getconf:?}: set SWARM_E2E_SUITE to bookworm, trixie or sid"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suite_is_as_old_as_the_host_allows() {
        assert_eq!(suite_for_glibc("glibc 2.35\n").unwrap(), Suite::Bookworm);
        assert_eq!(suite_for_glibc("glibc 2.39\n").unwrap(), Suite::Trixie);
        assert_eq!(suite_for_glibc("glibc 2.42\n").unwrap(), Suite::Sid);
        assert!(suite_for_glibc("musl").is_err());
    }

    #[test]
    fn a_debian_host_gets_its_own_release() {
        assert_eq!(same_debian("ID=debian\nVERSION_CODENAME=trixie\n"), Some(Suite::Trixie));
        assert_eq!(same_debian("ID=debian\nVERSION_CODENAME=\"forky\"\n"), None);
        assert_eq!(same_debian("ID=ubuntu\nVERSION_CODENAME=jammy\n"), None);
    }
}
