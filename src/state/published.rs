//! A file for other programs.

use super::StateError;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// Everybody may read a new one.
const MODE: u32 = 0o644;

/// Makes the file say `text`, and tells whether it said something else before; if not, it is left alone. Who reads it
/// finds the old text or the new one, also after a power cut. Mode and owner are kept, and a link stays one.
pub fn publish(path: &Path, text: &str) -> Result<bool, StateError> {
    renew(path, text).map_err(|cause| StateError::new(path, cause))
}

fn renew(path: &Path, text: &str) -> io::Result<bool> {
    let before = look(path)?;
    if before.as_ref().is_some_and(|file| file.len() == text.len() as u64) && fs::read(path)? == text.as_bytes() {
        return Ok(false);
    }
    let target = if before.is_some() { fs::canonicalize(path)? } else { std::path::absolute(path)? };
    let (Some(folder), Some(name)) = (target.parent(), target.file_name()) else {
        return Err(io::Error::other("it is not the name of a file"));
    };
    let fresh = beside(folder, name);
    let renewed = write(&fresh, text, before.as_ref()).and_then(|()| fs::rename(&fresh, &target));
    if renewed.is_err() {
        // what failed is what is told
        let _ = fs::remove_file(&fresh);
    }
    renewed?;
    File::open(folder)?.sync_all()?;
    Ok(true)
}

/// None: there is no such file yet.
fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::metadata(path) {
        Ok(file) if file.is_file() => Ok(Some(file)),
        Ok(_) => Err(io::Error::other("it is not a regular file")),
        Err(error) if error.kind() == ErrorKind::NotFound => match fs::symlink_metadata(path) {
            Ok(_) => Err(io::Error::other("it is a link to nothing")),
            Err(_) => Ok(None),
        },
        Err(error) => Err(error),
    }
}

/// No pattern such as `*.json` takes it for the file itself.
fn beside(folder: &Path, name: &OsStr) -> PathBuf {
    let mut fresh = OsStr::new(".").to_owned();
    fresh.push(name);
    fresh.push(format!(".{}.new", std::process::id()));
    folder.join(fresh)
}

fn write(fresh: &Path, text: &str, before: Option<&Metadata>) -> io::Result<()> {
    // never through a link that somebody put there
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(fresh)?;
    file.write_all(text.as_bytes())?;
    if let Some(before) = before {
        // only root may give files away, and who can't is the owner of the new one
        let _ = fchown(&file, Some(before.uid()), Some(before.gid()));
    }
    file.set_permissions(Permissions::from_mode(before.map_or(MODE, |before| before.mode() & 0o777)))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_only_by_something_else() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("nodes");
        assert!(publish(&path, "a\n")?);
        assert_eq!(fs::metadata(&path)?.mode() & 0o777, 0o644);
        fs::set_permissions(&path, Permissions::from_mode(0o640))?;
        let (before, reader) = (fs::metadata(&path)?, File::open(&path)?);
        assert!(!publish(&path, "a\n")?);
        assert_eq!(fs::metadata(&path)?.ino(), before.ino(), "it was left alone");
        assert!(publish(&path, "b\n")?);
        assert_eq!(io::read_to_string(reader)?, "a\n", "who has it open has the old one");
        let after = fs::metadata(&path)?;
        assert!(after.mode() & 0o777 == 0o640 && after.uid() == before.uid());
        assert_eq!(fs::read_to_string(&path)?, "b\n");
        assert_eq!(names(folder.path()), ["nodes"]);
        Ok(())
    }

    #[test]
    fn a_link_stays_and_what_is_no_file_is_refused() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::create_dir(&real)?;
        fs::write(real.join("nodes"), "a\n")?;
        symlink("real/nodes", &link)?;
        assert!(publish(&link, "b\n")?);
        assert_eq!(fs::read_to_string(real.join("nodes"))?, "b\n");
        assert!(link.is_symlink() && names(folder.path()) == ["link", "real"]);
        symlink("nowhere", folder.path().join("dangling"))?;
        let missing = folder.path().join("missing/nodes");
        for path in [&real, Path::new("/dev/null"), &folder.path().join("dangling"), &missing] {
            let error = publish(path, "b\n").expect_err("no file");
            assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
        }
        Ok(())
    }
}
