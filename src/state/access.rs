//! Whether a state directory could be written to, found out without writing.

use crate::model::Access;
use nix::errno::Errno;
use nix::unistd::{AccessFlags, eaccess};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

pub fn directory_access(path: &Path) -> Access {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Access::WrongKind("a file".to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => return Access::Missing,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Access::Denied,
        Err(error) => return Access::Failed(error.to_string()),
    }
    match eaccess(path, AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) => Access::Usable,
        Err(Errno::EACCES) => Access::Denied,
        // a read-only file system, most of all
        Err(errno) => Access::Failed(errno.desc().to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_looked_at_and_left_as_it_is() -> std::io::Result<()> {
        let directory = tempfile::tempdir()?;
        assert_eq!(directory_access(directory.path()), Access::Usable);
        assert_eq!(fs::read_dir(directory.path())?.count(), 0);
        assert_eq!(directory_access(&directory.path().join("none")), Access::Missing);
        fs::write(directory.path().join("file"), "")?;
        assert!(matches!(directory_access(&directory.path().join("file")), Access::WrongKind(_)));
        Ok(())
    }
}
