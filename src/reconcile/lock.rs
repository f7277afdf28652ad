//! One writer per network namespace: an abstract unix socket is the lock, and dies with its process.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use nix::sys::socket::{getsockopt, sockopt};

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
                Err(Error::Locked { holder: holder(&address) })
            }
            Err(error) => Err(Error::Lock(error)),
        }
    }
}

/// Who listens, as the kernel says: anybody may take an abstract name, and root must be able to tell.
fn holder(address: &SocketAddr) -> String {
    let credentials = UnixStream::connect_addr(address)
        .ok()
        .and_then(|there| getsockopt(&there, sockopt::PeerCredentials).ok());
    credentials
        .map_or_else(|| "it has just ended".to_owned(), |who| format!("pid {}, uid {}", who.pid(), who.uid()))
}
