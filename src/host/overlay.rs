//! A folder whose files can be changed for a while without a trace: a layer in memory lies over it. What is written goes to
//! that layer, and is gone with it, also if the machine loses its power meanwhile.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How the layer is told from others in `/proc/self/mounts`.
const NAME: &str = "swarm-agent-lossless";

pub struct Overlay {
    folder: PathBuf,
}

impl Overlay {
    /// `scratch` lies in memory, and is ours alone. Only root may do this.
    pub fn over(folder: &Path, scratch: &Path) -> io::Result<Self> {
        let [upper, work] = ["upper", "work"].map(|name| scratch.join(name));
        for path in [&upper, &work] {
            match fs::remove_dir_all(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => fs::create_dir(path)?,
            }
        }
        // as the folder itself has them
        fs::set_permissions(&upper, fs::metadata(folder)?.permissions())?;
        let show = |path: &Path| path.display().to_string();
        let options = format!("lowerdir={},upperdir={},workdir={}", show(folder), show(&upper), show(&work));
        if options.matches([',', ':', '\\']).count() > 2 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path has a character that no layer can have"));
        }
        mount(Some(NAME), folder, Some("overlay"), MsFlags::empty(), Some(options.as_str()))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The folder is as it was.
    pub fn lift(self) -> io::Result<()> {
        lift(&self.folder)
    }
}

/// Lifts every layer that somebody who was cut off has left. Gives the folders.
pub fn lift_all() -> io::Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let folders = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        (fields.next() == Some(NAME)).then(|| fields.next().map(PathBuf::from)).flatten()
    });
    folders.map(|folder| lift(&folder).map(|()| folder)).collect()
}

/// Whoever has a file of it open keeps it until then.
fn lift(folder: &Path) -> io::Result<()> {
    Ok(umount2(folder, MntFlags::MNT_DETACH)?)
}
