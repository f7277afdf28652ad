//! What can go wrong with the room as a whole. What goes wrong with one probe is its sample.

use std::io;

use thiserror::Error;

#[derive(Debug, Error)]
pub enum Error {
    /// `EPERM` without CAP_NET_RAW (packet(7), raw(7)).
    #[error("cannot open the {socket} socket (probing takes root, or CAP_NET_RAW and CAP_NET_ADMIN)")]
    Open { socket: &'static str, source: io::Error },
    #[error("cannot set {option} on the {socket} socket")]
    Option { socket: &'static str, option: &'static str, source: io::Error },
    /// `EADDRINUSE`: somebody else listens there.
    #[error("cannot listen on UDP port {port}")]
    Listen { port: u16, source: io::Error },
    #[error("cannot make the bell that wakes the {thread}")]
    Bell { thread: &'static str, source: io::Error },
    #[error("cannot start the {thread}'s thread")]
    Thread { thread: &'static str, source: io::Error },
    #[error("the {thread}'s thread has ended")]
    Ended { thread: &'static str },
}
