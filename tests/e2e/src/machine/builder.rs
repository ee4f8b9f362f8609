//! A machine before its first boot.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use super::{Inner, Live, Machine};
use crate::cluster::Shared;
use crate::image::Image;
use crate::store::{Disk, MachineDir, Spec};

/// What the machine will be; [`Builder::boot`] makes it so.
#[derive(Debug)]
#[must_use]
pub struct Builder {
    cluster: Arc<Shared>,
    name: String,
    index: Option<u8>,
    image: Option<Image>,
    wait_for_docker: bool,
    nspawn_args: Vec<String>,
    files: Vec<(PathBuf, Vec<u8>, u32)>,
}

impl Builder {
    pub(crate) fn new(cluster: Arc<Shared>, name: &str) -> Self {
        let name = name.to_owned();
        Self {
            cluster,
            name,
            index: None,
            image: None,
            wait_for_docker: true,
            nspawn_args: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Another image than [`Image::base`].
    pub fn image(mut self, image: Image) -> Self {
        self.image = Some(image);
        self
    }

    /// The last number of its address, instead of the next free one.
    pub fn index(mut self, index: u8) -> Self {
        self.index = Some(index);
        self
    }

    /// A boot is done when the machine says so, whatever Docker does.
    pub fn dont_wait_for_docker(mut self) -> Self {
        self.wait_for_docker = false;
        self
    }

    /// A file on its disk before the first boot (mode 644). The path must not lead through links.
    pub fn file(self, path: &str, contents: impl Into<Vec<u8>>) -> Self {
        self.file_mode(path, 0o644, contents)
    }

    pub fn file_mode(mut self, path: &str, mode: u32, contents: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.trim_start_matches('/').into(), contents.into(), mode));
        self
    }

    /// A host folder that the machine sees, read-only.
    pub fn bind_ro(mut self, from: impl AsRef<Path>, to: &str) -> Self {
        self.nspawn_args.push(format!("--bind-ro={}:{to}", from.as_ref().display()));
        self
    }

    /// More options for systemd-nspawn.
    pub fn nspawn_arg(mut self, arg: impl Into<String>) -> Self {
        self.nspawn_args.push(arg.into());
        self
    }

    /// Makes it and waits until it has booted and, where the image has it, Docker is active.
    pub fn boot(self) -> Result<Machine> {
        let machine = self.create()?;
        machine.start()?;
        Ok(machine)
    }

    /// Makes it and leaves it off.
    pub fn create(self) -> Result<Machine> {
        let image = self.image.map_or_else(Image::base, Ok)?;
        let lower = image.ensure()?;
        ensure!(is_host_name(&self.name), "{:?} can't be a machine's name: use a-z, 0-9 and -", self.name);
        let index = self.cluster.reserve(&self.name, self.index)?;
        let dir = self.cluster.dir.machine(&self.name);
        let spec = Spec { index, image: lower, docker: image.has_docker(), nspawn_args: self.nspawn_args };
        make_disk(&dir, &spec.image, &self.files)
            .with_context(|| format!("failed to make the disk of machine {}", self.name))?;
        dir.write_spec(&spec)?;
        let wait_for_docker = self.wait_for_docker && spec.docker;
        let live = Arc::new(Live::default());
        let machine = Machine(Arc::new(Inner { cluster: Arc::clone(&self.cluster), dir, spec, wait_for_docker, live }));
        self.cluster.add(&machine);
        Ok(machine)
    }
}

pub fn is_host_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=40).contains(&name.len()) && name.chars().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

fn make_disk(dir: &MachineDir, image: &Path, files: &[(PathBuf, Vec<u8>, u32)]) -> Result<()> {
    fs::create_dir_all(dir.path())?;
    let disk = dir.disk();
    for folder in [disk.upper(), disk.work(), disk.root(), disk.docker(), disk.containerd()] {
        fs::create_dir_all(folder)?;
    }
    fs::set_permissions(disk.upper(), Permissions::from_mode(0o755))?;
    // Docker's own mode for its folder.
    fs::set_permissions(disk.docker(), Permissions::from_mode(0o710))?;
    let name = dir.name();
    let id = fs::read_to_string("/proc/sys/kernel/random/uuid")?.replace('-', "");
    let hosts = format!("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {name}\n");
    put(&disk, image, "etc/hostname".as_ref(), format!("{name}\n").as_bytes(), 0o644)?;
    put(&disk, image, "etc/hosts".as_ref(), hosts.as_bytes(), 0o644)?;
    put(&disk, image, "etc/machine-id".as_ref(), id.as_bytes(), 0o444)?;
    // A journal on the disk, so that it tells of the boot before as well.
    make_folder(&disk.upper(), image, "var/log/journal".as_ref())?;
    files.iter().try_for_each(|(path, contents, mode)| put(&disk, image, path, contents, *mode))
}

fn put(disk: &Disk, image: &Path, path: &Path, contents: &[u8], mode: u32) -> Result<()> {
    if let Some(parent) = path.parent() {
        make_folder(&disk.upper(), image, parent)?;
    }
    let to = disk.upper().join(path);
    fs::write(&to, contents).with_context(|| format!("failed to write {}", to.display()))?;
    Ok(fs::set_permissions(&to, Permissions::from_mode(mode))?)
}

/// A folder on the overlay hides owner and mode of the image's, so it gets the same.
fn make_folder(upper: &Path, image: &Path, path: &Path) -> Result<()> {
    let mut above: Vec<&Path> = path.ancestors().filter(|p| !p.as_os_str().is_empty()).collect();
    while let Some(path) = above.pop() {
        let new = upper.join(path);
        if new.exists() {
            continue;
        }
        fs::create_dir(&new).with_context(|| format!("failed to create {}", new.display()))?;
        let (mode, owner, group) = match fs::symlink_metadata(image.join(path)) {
            Ok(there) => {
                ensure!(there.is_dir(), "{} is no folder in the image", path.display());
                (there.mode(), there.uid(), there.gid())
            }
            Err(_) => (0o755, 0, 0),
        };
        chown(&new, Some(owner), Some(group))?;
        fs::set_permissions(&new, Permissions::from_mode(mode))?;
    }
    Ok(())
}
