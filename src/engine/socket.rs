//! What can be told of the engine's socket without connecting to it, which could start the engine.

use crate::model::Access;
use nix::errno::Errno;
use nix::unistd::{AccessFlags, eaccess};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Whether this process may connect to the socket.
pub fn socket_access(path: &Path) -> Access {
    match fs::metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(found) => {
            let what = if found.is_dir() { "a directory" } else { "a file" };
            return Access::WrongKind(what.to_owned());
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Access::Missing,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Access::Denied,
        Err(error) => return Access::Failed(error.to_string()),
    }
    // connect(2) needs the permission to write
    match eaccess(path, AccessFlags::W_OK) {
        Ok(()) => Access::Usable,
        Err(Errno::EACCES) => Access::Denied,
        Err(errno) => Access::Failed(errno.desc().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_socket_is_looked_at_and_not_connected_to() -> std::io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("docker.sock");
        assert_eq!(socket_access(&path), Access::Missing);
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        assert_eq!(socket_access(&path), Access::Usable);
        assert_eq!(listener.accept().err().map(|error| error.kind()), Some(ErrorKind::WouldBlock));
        assert!(matches!(socket_access(directory.path()), Access::WrongKind(_)));
        Ok(())
    }
}
