//! The socket's file: made, replaced when nobody answers on it any more, removed when it is still ours.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::unistd::{Gid, chown};
use thiserror::Error;

use super::peer::{Access, Readers};

/// Why there is no socket to listen on.
#[derive(Debug, Error)]
pub enum BindError {
    #[error("another daemon answers on {path}", path = .0.display())]
    Live(PathBuf),
    #[error("{path} is in the way: it is not a socket", path = .0.display())]
    NotSocket(PathBuf),
    #[error("cannot {what} {path}", path = .path.display())]
    File { what: &'static str, path: PathBuf, source: io::Error },
}

/// Listened on as long as it lives; its file goes with it.
#[derive(Debug)]
pub struct Socket {
    pub(super) listener: UnixListener,
    pub(super) file: SocketFile,
}

/// Removed when dropped, unless somebody has put another one in its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Socket {
    /// Listens on `path`; makes its directory, and takes the place of a socket that nobody answers on.
    ///
    /// The mode lets in those who may read. It is set after the file is there, which opens nothing: what a
    /// connection may do is decided from who made it.
    pub fn bind(path: &Path, access: &Access) -> Result<Self, BindError> {
        make_directory(path)?;
        make_way(path)?;
        let step = |what| move |source| BindError::File { what, path: path.to_owned(), source };
        let listener = UnixListener::bind(path).map_err(step("listen on"))?;
        let file = SocketFile { path: path.to_owned(), identity: identity(path).map_err(step("read"))? };
        listener.set_nonblocking(true).map_err(step("listen on"))?;
        if let Some(group) = access.group {
            give(path, group).map_err(step("change the group of"))?;
        }
        let mode = match access.readers {
            Readers::Group => 0o660,
            // To connect is to write.
            Readers::All => 0o666,
        };
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(step("change the mode of"))?;
        Ok(Self { listener, file })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|there| there == self.identity) {
            // Left behind, it is a stale socket, which the next start replaces.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The mode is set whatever the umask: who may pass is for the socket to say.
fn make_directory(path: &Path) -> Result<(), BindError> {
    let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.exists())
    else {
        return Ok(());
    };
    let made = DirBuilder::new().recursive(true).create(directory);
    made.and_then(|()| fs::set_permissions(directory, Permissions::from_mode(0o755)))
        .map_err(|source| BindError::File { what: "make the directory", path: directory.to_owned(), source })
}

/// Removes a socket that nobody listens on.
fn make_way(path: &Path) -> Result<(), BindError> {
    let file = |what| move |source| BindError::File { what, path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(file("read")(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(BindError::NotSocket(path.to_owned())),
        Ok(_) => {}
    }
    match knock(path) {
        Err(Errno::ECONNREFUSED) => fs::remove_file(path).map_err(file("remove the stale socket")),
        Err(Errno::ENOENT) => Ok(()),
        // EAGAIN: somebody listens and has many callers (unix(7)).
        Ok(()) | Err(Errno::EAGAIN) => Err(BindError::Live(path.to_owned())),
        Err(errno) => Err(file("connect to")(errno.into())),
    }
}

/// Makes it the group's, where it is not: a sandbox may refuse the call even to who changes nothing.
fn give(path: &Path, group: u32) -> io::Result<()> {
    if fs::symlink_metadata(path)?.gid() == group {
        return Ok(());
    }
    Ok(chown(path, None, Some(Gid::from_raw(group)))?)
}

/// Connects without waiting.
fn knock(path: &Path) -> Result<(), Errno> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let caller = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(caller.as_raw_fd(), &UnixAddr::new(path)?)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSED: Access = Access { group: None, readers: Readers::Group };

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn the_directory_is_made_and_the_mode_is_for_those_who_may_read() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("run/greyhound/api.sock");
        let socket = Socket::bind(&path, &CLOSED).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o660, 0o755));
        drop(socket);
        assert!(!path.exists(), "a clean end leaves no file");
        let group = nix::unistd::getgid().as_raw();
        let _open = Socket::bind(&path, &Access { group: Some(group), readers: Readers::All }).unwrap();
        assert_eq!((mode(&path), fs::metadata(&path).unwrap().gid()), (0o666, group));
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("api.sock");
        // As SIGKILL leaves it: the file without its listener.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let first = Socket::bind(&path, &CLOSED).unwrap();
        let refused = Socket::bind(&path, &CLOSED).unwrap_err();
        assert_eq!(refused.to_string(), format!("another daemon answers on {}", path.display()));
        assert!(path.exists(), "the live one keeps its file");
        drop(first);
        Socket::bind(&path, &CLOSED).unwrap();
    }

    #[test]
    fn what_is_not_a_socket_stays() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("api.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Socket::bind(&path, &CLOSED), Err(BindError::NotSocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_file_that_took_our_place_stays() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("api.sock");
        let ours = Socket::bind(&path, &CLOSED).unwrap();
        fs::rename(&path, top.path().join("ours.sock")).unwrap();
        let _theirs = UnixListener::bind(&path).unwrap();
        drop(ours);
        assert!(path.exists());
    }

    #[test]
    fn a_path_that_cannot_be_says_why() {
        let error = Socket::bind(Path::new("/proc/none/api.sock"), &CLOSED).unwrap_err();
        assert_eq!(error.to_string(), "cannot make the directory /proc/none");
    }
}
