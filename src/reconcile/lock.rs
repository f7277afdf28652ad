//! One writer per network namespace: an abstract unix socket is the lock, and dies with its process.

use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, UnixCredentials, connect, getsockopt, socket, sockopt,
};

use super::Error;

/// Abstract names are apart in each network namespace (net/unix/af_unix.c), and leave no file behind.
const NAME: &[u8] = b"greyhound/writer";

/// Held as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _listener: UnixListener,
}

impl Lock {
    /// Errors when another greyhound is changing this network namespace, or the daemon runs in it.
    pub fn take() -> Result<Self, Error> {
        let address = SocketAddr::from_abstract_name(NAME).map_err(Error::Lock)?;
        match UnixListener::bind_addr(&address) {
            Ok(listener) => Ok(Self { _listener: listener }),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                Err(Error::Locked { holder: holder() })
            }
            Err(error) => Err(Error::Lock(error)),
        }
    }
}

/// Who listens, as the kernel says: anybody may take an abstract name, and root must be able to tell.
fn holder() -> String {
    match credentials() {
        Ok(who) => format!("pid {}, uid {}", who.pid(), who.uid()),
        Err(Errno::ECONNREFUSED) => "it has just ended".to_owned(),
        Err(errno) => format!("it cannot be asked who it is: {errno}"),
    }
}

/// Does not wait: nobody accepts, and its queue may be full.
fn credentials() -> Result<UnixCredentials, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let there = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(there.as_raw_fd(), &UnixAddr::new_abstract(NAME)?)?;
    getsockopt(&there, sockopt::PeerCredentials)
}
