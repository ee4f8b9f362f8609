//! Root file systems for machines: built once, kept in the cache, never changed afterwards.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::build::{Site, built, copy_and_run, run_logged, say};
use crate::doctor;
use crate::host::{Suite, default_suite};
use crate::store::{Store, lock_file, remove_if_there};

const PACKAGES: &[&str] = &[
    "systemd",
    "systemd-sysv",
    "dbus",
    "iproute2",
    "iputils-ping",
    "procps",
    "curl",
    "ca-certificates",
    "busybox-static",
    "iptables",
    "adduser",
];
/// Part of every key: raise it when the way of building changes.
const FORMAT: &str = "1";
/// Where [`Image::without_docker`] keeps the packages of Docker.
const DOCKER_DEBS: &str = "/var/cache/docker-debs";

/// A description of a root file system. Building happens in [`Image::ensure`].
#[derive(Debug, Clone)]
pub struct Image {
    suite: Suite,
    name: String,
    packages: Vec<String>,
    /// Commands run in it afterwards, one root file system per step.
    steps: Vec<Step>,
    docker: bool,
}

#[derive(Debug, Clone)]
struct Step {
    name: String,
    commands: Vec<String>,
}

impl Image {
    /// Debian with systemd and Docker, of the default suite.
    pub fn base() -> Result<Self> {
        Ok(Self::base_of(default_suite()?))
    }

    pub fn base_of(suite: Suite) -> Self {
        Self::new(suite, "base", true)
    }

    /// The same without Docker. Its packages are in /var/cache/docker-debs of the machine, for `dpkg -i` without network.
    pub fn without_docker() -> Result<Self> {
        Ok(Self::without_docker_of(default_suite()?))
    }

    pub fn without_docker_of(suite: Suite) -> Self {
        let fetch = format!(
            "apt-get update && apt-get install -y --no-install-recommends --download-only {} && mkdir -p {DOCKER_DEBS} && \
             cp /var/cache/apt/archives/*.deb {DOCKER_DEBS}/",
            suite.docker_packages().join(" ")
        );
        Self::new(suite, "nodocker", false).with("debs", [fetch])
    }

    fn new(suite: Suite, name: &str, docker: bool) -> Self {
        let mut packages = [PACKAGES, &[suite.polkit_package()]].concat();
        if docker {
            packages.extend(suite.docker_packages());
        }
        let packages = packages.into_iter().map(str::to_owned).collect();
        Self { suite, name: name.to_owned(), packages, steps: Vec::new(), docker }
    }

    /// The image with shell commands run in it as root, with network. Cached under the name and the commands.
    pub fn with<S: Into<String>>(mut self, name: &str, commands: impl IntoIterator<Item = S>) -> Self {
        self.steps.push(Step { name: name.to_owned(), commands: commands.into_iter().map(Into::into).collect() });
        self
    }

    /// The image with more packages of its suite.
    pub fn with_packages(self, name: &str, packages: &[&str]) -> Self {
        let install = format!("apt-get update && apt-get install -y --no-install-recommends {}", packages.join(" "));
        self.with(name, [install])
    }

    pub fn suite(&self) -> Suite {
        self.suite
    }

    pub fn has_docker(&self) -> bool {
        self.docker
    }

    /// Builds what is missing, which takes a minute or more the first time, and answers with the root file system.
    pub fn ensure(&self) -> Result<PathBuf> {
        let images = Store::open()?.images();
        let base = built(&images, &self.key(0), |site| self.bootstrap(site))?;
        (1..=self.steps.len()).try_fold(base, |below, n| {
            built(&images, &self.key(n), |site| {
                let step = &self.steps[n - 1];
                say(&format!("image {}: adding {}", self.key(n), step.name));
                copy_and_run(&below, site, &step.commands)
                    .with_context(|| format!("failed to build the image step {:?}", step.name))
            })
        })
    }

    /// Removes what [`Image::ensure`] built, so that it is built anew. Machines made of it must be gone.
    pub fn forget(&self) -> Result<()> {
        let images = Store::open()?.images();
        for n in 0..=self.steps.len() {
            let key = self.key(n);
            let _lock = lock_file(&images.join(format!("{key}.lock")))?;
            remove_if_there(fs::remove_dir_all(images.join(&key)))?;
        }
        Ok(())
    }

    /// Names the image after its first `steps` steps: for a person, and with everything that it depends on.
    fn key(&self, steps: usize) -> String {
        let mut inputs = vec![FORMAT, std::env::consts::ARCH, self.suite.name()];
        inputs.extend(self.packages.iter().map(String::as_str));
        let mut name = format!("{}-{}", self.suite, self.name);
        for step in &self.steps[..steps] {
            inputs.extend(step.commands.iter().map(String::as_str));
            name = format!("{name}-{}", step.name);
        }
        format!("{name}-{:016x}", fnv1a(&inputs.join("\0")))
    }

    fn bootstrap(&self, site: &Site) -> Result<()> {
        doctor::require(&doctor::build_problems())?;
        say(&format!("image {}: building with mmdebstrap, this takes 35 to 200 s", self.key(0)));
        let mut command = Command::new("mmdebstrap");
        command.args(["--variant=minbase", "--aptopt=Acquire::Check-Valid-Until \"false\""]);
        command.arg(format!("--include={}", self.packages.join(","))).arg(self.suite.name()).arg(&site.path);
        run_logged(command, site).context(
            "failed to build the image; is Debian's mirror within reach (behind a proxy, set http_proxy), and is \
             debian-archive-keyring new enough to know the suite?",
        )?;
        // Both came from the host.
        let etc = site.path.join("etc");
        remove_if_there(fs::remove_file(etc.join("hostname")))?;
        remove_if_there(fs::remove_file(etc.join("resolv.conf")))?;
        fs::write(etc.join("resolv.conf"), "# There is no DNS in the network of the machines.\n")?;
        Ok(())
    }
}

/// A hash that is the same in every release of Rust.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_follows_everything_the_image_is_made_of() {
        let base = Image::base_of(Suite::Bookworm);
        let (a, b) = (base.clone().with("x", ["true"]), base.clone().with("x", ["false"]));
        assert_ne!(a.key(1), b.key(1));
        assert_eq!(a.key(0), base.key(0));
        assert_ne!(base.key(0), Image::base_of(Suite::Trixie).key(0));
        assert!(a.key(1).starts_with("bookworm-base-x-"));
    }
}
