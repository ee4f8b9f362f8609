//! A unix socket of ours, for clients on this host.

use super::Socket;
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// The user at the other end, as the kernel tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub uid: u32,
    pub gid: u32,
}

impl Peer {
    /// The user's name, as the user database has it. It may be a slow one: not for the runtime.
    pub fn name(&self) -> String {
        match User::from_uid(Uid::from_raw(self.uid)) {
            Ok(Some(user)) => user.name,
            _ => format!("uid {}", self.uid),
        }
    }

    /// Whether the user is a member of the group, as the user database has it. It may be a slow one: not for the runtime.
    pub fn is_member_of(&self, group: &str) -> bool {
        let Ok(Some(group)) = Group::from_name(group) else { return false };
        if Gid::from_raw(self.gid) == group.gid {
            return true;
        }
        let Ok(Some(user)) = User::from_uid(Uid::from_raw(self.uid)) else { return false };
        let Ok(name) = CString::new(user.name) else { return false };
        getgrouplist(&name, user.gid).is_ok_and(|groups| groups.contains(&group.gid))
    }
}

/// Removes its file when it is dropped.
pub struct LocalSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl LocalSocket {
    /// Listens there, for every user. A file that a former process left is replaced; one that answers is another agent's.
    pub fn bind(path: &Path) -> io::Result<Self> {
        remove_stale(path)?;
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        Ok(Self { listener, path: path.to_owned() })
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        // one that stays behind is replaced by the next process
        let _ = fs::remove_file(&self.path);
    }
}

impl Socket for LocalSocket {
    type Stream = UnixStream;
    type Peer = Peer;

    /// Root and our own user, who runs `ExecReload=`, are never kept out by others.
    fn client(peer: &Peer) -> Option<u32> {
        (peer.uid != 0 && peer.uid != nix::unistd::geteuid().as_raw()).then_some(peer.uid)
    }

    async fn accept(&self) -> io::Result<(UnixStream, Peer)> {
        let (stream, _) = self.listener.accept().await?;
        let credentials = stream.peer_cred()?;
        Ok((stream, Peer { uid: credentials.uid(), gid: credentials.gid() }))
    }
}

/// A listener's backlog answers at once, or refuses at once: this does not block.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => return Err(io::Error::other("there is a file that is no socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    match BlockingStream::connect(path) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another agent listens there")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_former_process_left_is_replaced_and_what_answers_is_not() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("agent.sock");
        drop(std::os::unix::net::UnixListener::bind(&path)?);
        assert!(path.exists(), "a killed process leaves its file");
        let socket = LocalSocket::bind(&path)?;
        assert_eq!(path.metadata()?.permissions().mode() & 0o777, 0o666);
        assert_eq!(LocalSocket::bind(&path).err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
        drop(socket);
        assert!(!path.exists());
        fs::write(&path, "precious")?;
        assert!(LocalSocket::bind(&path).is_err());
        assert_eq!(fs::read_to_string(&path)?, "precious");
        Ok(())
    }
}
