//! The disk of a virtual machine: the machines' image with a kernel of the same suite, as one file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::build::{Site, built, run_logged, say};
use crate::image::Image;
use crate::store::Store;

const GUEST_FILES: &[(&str, &str, &str)] = &[
    ("/usr/local/sbin/vm-shell", "755", include_str!("guest/vm-shell")),
    ("/etc/systemd/system/vm-shell.service", "644", include_str!("guest/vm-shell.service")),
    ("/etc/systemd/network/10-eth0.network", "644", include_str!("guest/10-eth0.network")),
];
const PREPARE: &str = include_str!("guest/prepare");
/// Sparse; what a machine writes goes elsewhere.
const SIZE: &str = "3G";

/// What qemu boots.
pub struct Boot {
    pub kernel: PathBuf,
    pub initrd: PathBuf,
    /// Never written to.
    pub disk: PathBuf,
}

/// Builds what is missing, which takes a minute the first time.
pub fn ensure() -> Result<Boot> {
    let root = Image::base()?.with("vm", commands()).ensure()?;
    let name = root.file_name().and_then(|name| name.to_str()).context("an image has a name")?;
    let folder = built(&Store::open()?.images(), &format!("{name}-disk"), |site| make(&root, site))?;
    Ok(Boot { kernel: root.join("vmlinuz"), initrd: root.join("initrd.img"), disk: folder.join("disk.ext4") })
}

fn commands() -> Vec<String> {
    let files = GUEST_FILES.iter().map(|(path, mode, text)| {
        format!("mkdir -p \"$(dirname {path})\"\ncat > {path} <<'END-OF-FILE'\n{text}END-OF-FILE\nchmod {mode} {path}")
    });
    files.chain([PREPARE.to_owned()]).collect()
}

fn make(root: &Path, site: &Site) -> Result<()> {
    say(&format!("image {}: making a disk of it", root.display()));
    fs::create_dir(&site.path)?;
    let mut command = Command::new("mke2fs");
    // No journal: a machine that is cut off is thrown away.
    command.args(["-q", "-t", "ext4", "-O", "^has_journal", "-d"]);
    command.arg(root).arg(site.path.join("disk.ext4")).arg(SIZE);
    run_logged(command, site).context("failed to make the disk")
}
