//! The sockets that probes leave by: many datagrams a call, each with its own source and link, and the kernel's
//! timestamps of both directions. Shell.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::SockaddrIn;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, bind, setsockopt, socket, sockopt};

use super::control::{self, Control};
use super::error::Error;
use super::icmp;
use crate::model::marks;
use crate::sys::{self, Datagram};

/// Bytes of a packet that are kept: on the error queue a whole probe behind Ethernet, IPv4, GRE, IPv4 and UDP
/// headers, about 160.
const ROOM: usize = 256;

/// Bytes of receive buffer: the replies and the departures of 2,000 probes, which wait there while this thread has
/// no processor; a small packet takes about 1 KiB of it (`SKB_TRUESIZE`, linux/skbuff.h).
const RECEIVE_BUFFER: usize = 4 << 20;

/// Bytes of send buffer: 1,000 probes in the queues of links.
const SEND_BUFFER: usize = 1 << 20;

/// `SOL_RAW` and `ICMP_FILTER` (linux/icmp.h): a bit for each type that is not passed on.
pub(super) const SOL_RAW: i32 = 255;
pub(super) const ICMP_FILTER: i32 = 1;

/// Do not fragment, whatever is known of the path's MTU (ip(7)).
pub(super) const WHOLE: u32 = libc::IP_PMTUDISC_PROBE.cast_unsigned();

/// Software timestamps of both directions; those of departures come with the packet, so that it says itself which
/// it is (Documentation/networking/timestamping.rst).
const BOTH: u32 =
    libc::SOF_TIMESTAMPING_SOFTWARE | libc::SOF_TIMESTAMPING_RX_SOFTWARE | libc::SOF_TIMESTAMPING_TX_SOFTWARE;

/// An error of the socket may be about an earlier datagram (ip(7), IP_RECVERR): so often is it asked again.
const TRIES: u32 = 3;

/// A socket for probes, and its buffers.
pub(super) struct Socket {
    socket: OwnedFd,
    outgoing: Vec<Datagram>,
    waiting: usize,
    incoming: Vec<Datagram>,
    errors: Vec<Datagram>,
}

/// A datagram that came, or one that left or was complained about.
pub(super) struct Received<'a> {
    pub peer: SocketAddrV4,
    pub bytes: &'a [u8],
    pub control: Control,
}

impl Socket {
    /// The raw socket for ICMP.
    pub fn icmp() -> Result<Self, Error> {
        const NAME: &str = "ICMP";
        let socket = open(NAME, SockType::Raw, Some(SockProtocol::Icmp))?;
        let wanted = [icmp::ECHO_REPLY, icmp::UNREACHABLE, icmp::TIME_EXCEEDED];
        let filter = wanted.iter().fold(u32::MAX, |filter, kind| filter & !(1 << kind));
        option(&socket, NAME, "ICMP_FILTER", (SOL_RAW, ICMP_FILTER, filter))?;
        ask(&socket, NAME)?;
        Ok(Self::of(socket))
    }

    /// The UDP socket for STAMP, on a port that the kernel picks at random. `vrf`: the ifindex of the VRF that it is
    /// for; elsewhere nothing comes out of a VRF to a UDP socket (`udp_l3mdev_accept`, ip-sysctl).
    pub fn stamp(vrf: Option<u32>) -> Result<Self, Error> {
        const NAME: &str = "STAMP";
        let socket = open(NAME, SockType::Datagram, None)?;
        vrf.map_or(Ok(()), |vrf| inside(&socket, NAME, vrf))?;
        option(&socket, NAME, "IP_RECVERR", (libc::IPPROTO_IP, libc::IP_RECVERR, 1))?;
        ask(&socket, NAME)?;
        let any = SockaddrIn::new(0, 0, 0, 0, 0);
        let bound = bind(socket.as_raw_fd(), &any);
        bound.map_err(|errno| Error::Open { socket: NAME, source: errno.into() })?;
        Ok(Self::of(socket))
    }

    fn of(socket: OwnedFd) -> Self {
        let buffers = || vec![Datagram::new(ROOM); sys::MOST];
        Self { socket, outgoing: buffers(), waiting: 0, incoming: buffers(), errors: buffers() }
    }

    pub fn is_full(&self) -> bool {
        self.waiting == self.outgoing.len()
    }

    /// Puts a datagram beside those to be sent. When full it is left out.
    pub fn push(&mut self, to: SocketAddrV4, source: Option<Ipv4Addr>, link: Option<u32>, bytes: &[u8]) {
        if let Some(datagram) = self.outgoing.get_mut(self.waiting) {
            // What the routes say anyway costs a look-up more to say.
            let route = (source.is_some() || link.is_some()).then(|| control::route(source, link));
            datagram.fill(to, bytes, route.as_ref().map_or(&[], |route| &route[..]));
            self.waiting += 1;
        }
    }

    /// Sends all that were pushed. `failed` hears of each that could not be sent, by its place among them.
    pub fn flush(&mut self, mut failed: impl FnMut(usize, io::Error)) {
        let (mut at, mut tries) = (0, 0);
        while let Some(rest) = self.outgoing.get_mut(at..self.waiting).filter(|rest| !rest.is_empty()) {
            match sys::send_many(self.socket.as_fd(), rest) {
                Ok(sent) => (at, tries) = (at + sent, 0),
                Err(_) if tries + 1 < TRIES => tries += 1,
                Err(error) => {
                    failed(at, error);
                    (at, tries) = (at + 1, 0);
                }
            }
        }
        self.waiting = 0;
    }

    /// Receives up to [`sys::MOST`] datagrams: how many.
    pub fn receive(&mut self) -> usize {
        take(&self.socket, &mut self.incoming, false)
    }

    /// Those of the last [`Self::receive`].
    pub fn received(&self, count: usize) -> impl Iterator<Item = Received<'_>> {
        self.incoming.iter().take(count).map(received)
    }

    /// Hands over everything of the error queue: departures, and complaints of others.
    pub fn errors(&mut self, mut each: impl FnMut(Received<'_>)) {
        loop {
            let count = take(&self.socket, &mut self.errors, true);
            self.errors
                .iter()
                .take(count)
                .filter(|datagram| !datagram.truncated())
                .map(received)
                .for_each(&mut each);
            if count < self.errors.len() {
                return;
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn received(datagram: &Datagram) -> Received<'_> {
    let control = control::read(datagram.control());
    Received { peer: datagram.peer(), bytes: datagram.bytes(), control }
}

/// Nothing is received when there is nothing, nor when all that is left of a socket are its errors.
fn take(socket: &OwnedFd, into: &mut [Datagram], errors: bool) -> usize {
    for _ in 0..TRIES {
        match sys::receive_many(socket.as_fd(), into, errors) {
            Ok(count) => return count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return 0,
            // Of an earlier datagram: told once, and then it is gone.
            Err(_) => {}
        }
    }
    0
}

/// What a socket has that asks.
fn ask(socket: &OwnedFd, name: &'static str) -> Result<(), Error> {
    option(socket, name, "SO_TIMESTAMPING", (libc::SOL_SOCKET, libc::SO_TIMESTAMPING, BOTH))?;
    // No probe is long enough to be cut, and one that must not be cut needs no identification of its own (RFC 6864),
    // for which the kernel looks into a large table.
    option(socket, name, "IP_MTU_DISCOVER", (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, WHOLE))
}

/// What any socket of this room has.
pub(super) fn open(
    name: &'static str,
    kind: SockType,
    protocol: Option<SockProtocol>,
) -> Result<OwnedFd, Error> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let opened = socket(AddressFamily::Inet, kind, flags, protocol);
    let socket = opened.map_err(|errno| Error::Open { socket: name, source: errno.into() })?;
    option(&socket, name, "SO_MARK", (libc::SOL_SOCKET, libc::SO_MARK, marks::FWMARK))?;
    // Beyond the system's limit where CAP_NET_ADMIN allows; the most that is allowed elsewhere.
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        let set = setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER);
        set.map_err(|errno| Error::Option { socket: name, option: "SO_RCVBUF", source: errno.into() })?;
    }
    let set = setsockopt(&socket, sockopt::SndBuf, &SEND_BUFFER);
    set.map_err(|errno| Error::Option { socket: name, option: "SO_SNDBUF", source: errno.into() })?;
    Ok(socket)
}

/// Binds a socket to a VRF, by its ifindex.
pub(super) fn inside(socket: &OwnedFd, name: &'static str, vrf: u32) -> Result<(), Error> {
    option(socket, name, "SO_BINDTOIFINDEX", (libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, vrf))
}

/// Sets an option: its level, number and value.
pub(super) fn option(
    socket: &OwnedFd,
    name: &'static str,
    option: &'static str,
    (level, number, value): (i32, i32, u32),
) -> Result<(), Error> {
    let set = sys::set_option(socket.as_fd(), level, number, value);
    set.map_err(|source| Error::Option { socket: name, option, source })
}

/// Why a probe could not be sent, for who knows the host and not its kernel.
pub(super) fn unsendable(error: &io::Error, source: Option<Ipv4Addr>, link: Option<u32>) -> String {
    let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
    match (errno, source) {
        // The kernel answers alike when no route leads there and when no interface has the source
        // (`ip_route_output_key_hash_rcu`, net/ipv4/route.c).
        (Errno::ENETUNREACH | Errno::EINVAL, Some(source)) => {
            format!("this host: no route from {source}, or no such source")
        }
        (Errno::ENETUNREACH, None) => "this host: no route".to_owned(),
        (Errno::ENODEV | Errno::ENXIO, _) if link.is_some() => {
            "this host: the tunnel's link is gone".to_owned()
        }
        (Errno::EPERM, _) => "this host: a firewall rule forbids it".to_owned(),
        (Errno::EAGAIN | Errno::ENOBUFS, _) => "this host: the queue of the link is full".to_owned(),
        _ => format!("this host: {}", errno.desc().to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_sent_says_why() {
        let why = |errno: Errno, source, link| unsendable(&io::Error::from(errno), source, link);
        let source = Some(Ipv4Addr::new(198, 51, 100, 8));
        assert_eq!(why(Errno::ENETUNREACH, None, None), "this host: no route");
        assert_eq!(
            why(Errno::ENETUNREACH, source, None),
            "this host: no route from 198.51.100.8, or no such source"
        );
        assert_eq!(why(Errno::EHOSTUNREACH, None, None), "this host: no route to host");
        assert_eq!(why(Errno::ENODEV, source, Some(7)), "this host: the tunnel's link is gone");
        assert_eq!(why(Errno::EPERM, None, None), "this host: a firewall rule forbids it");
    }
}
