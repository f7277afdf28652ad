//! System calls that no crate wraps safely. The one file of the crate with `unsafe` in it.
#![allow(unsafe_code)]

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, BorrowedFd};

/// The supplementary groups that the other end of a unix socket had when it connected (socket(7)).
pub fn peer_groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    const SIZE: usize = size_of::<libc::gid_t>();
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut bytes = libc::socklen_t::try_from(groups.len() * SIZE).map_err(io::Error::other)?;
        // SAFETY: `groups` is valid for writes of `bytes` bytes, which the kernel does not exceed, and gid_t
        // has no invalid values; `bytes` outlives the call; the descriptor is open while it is borrowed.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        let count = usize::try_from(bytes).map_err(io::Error::other)? / SIZE;
        if result == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        // ERANGE: too small, and `bytes` says how much it takes (sk_getsockopt in net/core/sock.c).
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

/// The most datagrams in one call. More are no cheaper each.
pub const MOST: usize = 64;

/// Bytes of control messages beside one datagram: enough for three timespecs, packet info, a TTL, and an extended
/// error with an address.
const CONTROL: usize = 256;

/// One IPv4 datagram with its control messages, on its way in or out. Its buffer is used again and again.
#[derive(Clone, Debug)]
pub struct Datagram {
    peer: SocketAddrV4,
    bytes: Vec<u8>,
    length: usize,
    control: [u8; CONTROL],
    control_length: usize,
    truncated: bool,
}

impl Datagram {
    /// One with room for so many bytes.
    pub fn new(room: usize) -> Self {
        let peer = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        let (length, control_length) = (0, 0);
        Self { peer, bytes: vec![0; room], length, control: [0; CONTROL], control_length, truncated: false }
    }

    /// Whom it is for or from; on the error queue, whom the datagram was for that it is about.
    pub fn peer(&self) -> SocketAddrV4 {
        self.peer
    }

    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    pub fn control(&self) -> &[u8] {
        self.control.get(..self.control_length).unwrap_or_default()
    }

    /// Whether there was more than room for it.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// Makes it ready to be sent. What there is no room for is left out.
    pub fn fill(&mut self, peer: SocketAddrV4, bytes: &[u8], control: &[u8]) {
        self.peer = peer;
        self.length = bytes.len().min(self.bytes.len());
        self.bytes.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.control_length = control.len().min(CONTROL);
        self.control.iter_mut().zip(control).for_each(|(to, from)| *to = *from);
    }
}

/// sendmmsg(2), without waiting: how many of the first [`MOST`] were sent. An error is about the first.
pub fn send_many(socket: BorrowedFd<'_>, datagrams: &mut [Datagram]) -> io::Result<usize> {
    with_headers(
        datagrams,
        |datagram| (datagram.length, datagram.control_length),
        |headers, count| {
            // SAFETY: `headers` are `count` messages whose pointers `with_headers` made, all valid for reads of the
            // lengths beside them; the descriptor is open while it is borrowed.
            unsafe { libc::sendmmsg(socket.as_raw_fd(), headers, count, libc::MSG_DONTWAIT) }
        },
    )
}

/// recvmmsg(2), without waiting: how many of the first [`MOST`] were received. Of the error queue with `errors`.
pub fn receive_many(socket: BorrowedFd<'_>, datagrams: &mut [Datagram], errors: bool) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | if errors { libc::MSG_ERRQUEUE } else { 0 };
    with_headers(
        datagrams,
        |datagram| (datagram.bytes.len(), CONTROL),
        |headers, count| {
            // SAFETY: `headers` are `count` messages whose pointers `with_headers` made, all valid for writes of the
            // lengths beside them; the kernel writes no more, and bytes have no invalid values. There is no timeout.
            unsafe { libc::recvmmsg(socket.as_raw_fd(), headers, count, flags, std::ptr::null_mut()) }
        },
    )
}

/// Lends the datagrams to a call that takes `struct mmsghdr`s, and takes over what it wrote. `lengths` gives the
/// bytes that are to be used of a datagram and of its control messages.
fn with_headers(
    datagrams: &mut [Datagram],
    lengths: impl Fn(&Datagram) -> (usize, usize),
    call: impl FnOnce(*mut libc::mmsghdr, libc::c_uint) -> libc::c_int,
) -> io::Result<usize> {
    // SAFETY: all three are plain C structures of integers and pointers, for which zero is a value.
    let (mut headers, mut names, mut vectors): (
        [libc::mmsghdr; MOST],
        [libc::sockaddr_in; MOST],
        [libc::iovec; MOST],
    ) = unsafe { std::mem::zeroed() };
    let each = datagrams.iter_mut().zip(&mut headers).zip(names.iter_mut().zip(&mut vectors));
    let mut count = 0;
    for ((datagram, header), (name, vector)) in each {
        let (length, control) = lengths(datagram);
        *name = sockaddr(datagram.peer);
        vector.iov_base = datagram.bytes.as_mut_ptr().cast();
        vector.iov_len = length.min(datagram.bytes.len());
        header.msg_hdr.msg_name = (&raw mut *name).cast();
        header.msg_hdr.msg_namelen = SOCKADDR;
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_control = datagram.control.as_mut_ptr().cast();
        header.msg_hdr.msg_controllen = control.min(CONTROL) as _;
        count += 1;
    }
    let done = call(headers.as_mut_ptr(), count);
    let done = usize::try_from(done).map_err(|_| io::Error::last_os_error())?;
    for ((datagram, header), name) in datagrams.iter_mut().zip(&headers).zip(&names).take(done) {
        datagram.peer = SocketAddrV4::new(
            Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr)),
            u16::from_be(name.sin_port),
        );
        datagram.length = header.msg_len as usize;
        #[allow(clippy::unnecessary_cast, reason = "not all C libraries have it as a size_t")]
        let control_length = header.msg_hdr.msg_controllen as usize;
        datagram.control_length = control_length;
        datagram.truncated = header.msg_hdr.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
    }
    Ok(done)
}

#[allow(clippy::cast_possible_truncation, reason = "16 bytes")]
const SOCKADDR: libc::socklen_t = size_of::<libc::sockaddr_in>() as libc::socklen_t;

#[allow(clippy::cast_possible_truncation, reason = "AF_INET is 2")]
fn sockaddr(peer: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: peer.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*peer.ip()).to_be() },
        sin_zero: [0; 8],
    }
}

/// setsockopt(2) of an option whose value is an int, or 32 bits.
pub fn set_option(socket: BorrowedFd<'_>, level: i32, name: i32, value: u32) -> io::Result<()> {
    #[allow(clippy::cast_possible_truncation, reason = "4 bytes")]
    const SIZE: libc::socklen_t = size_of::<u32>() as libc::socklen_t;
    // SAFETY: `value` is valid for reads of SIZE bytes, and outlives the call.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), SIZE) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What the kernel's clock is worth (adjtimex(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discipline {
    /// `STA_UNSYNC` is not set, and the call did not answer `TIME_ERROR`.
    pub synchronised: bool,
    /// The largest error that it may have, in microseconds.
    pub most_us: i64,
}

/// adjtimex(2), which sets nothing.
pub fn discipline() -> io::Result<Discipline> {
    // SAFETY: a plain C structure of integers, for which zero is a value; `modes` of zero only reads.
    let mut time: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `time` is valid for reads and writes, and outlives the call.
    let state = unsafe { libc::adjtimex(&raw mut time) };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    let synchronised = state != libc::TIME_ERROR && time.status & libc::STA_UNSYNC == 0;
    Ok(Discipline { synchronised, most_us: time.maxerror })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_other_end_has_the_groups_of_its_process() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut groups = peer_groups(ours.as_fd()).unwrap();
        let mut own: Vec<u32> =
            nix::unistd::getgroups().unwrap().into_iter().map(|gid| gid.as_raw()).collect();
        groups.sort_unstable();
        own.sort_unstable();
        assert_eq!(groups, own);
    }

    #[test]
    fn datagrams_go_and_come_with_their_control_messages() {
        let [from, to] = [(); 2].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        set_option(to.as_fd(), libc::IPPROTO_IP, libc::IP_RECVTTL, 1).unwrap();
        let std::net::SocketAddr::V4(peer) = to.local_addr().unwrap() else { panic!("IPv6") };
        let mut out: Vec<Datagram> = (0..100).map(|_| Datagram::new(16)).collect();
        out.iter_mut().zip(0..).for_each(|(datagram, n)| datagram.fill(peer, &[n; 4], &[]));
        assert_eq!(send_many(from.as_fd(), &mut out).unwrap(), MOST);
        let mut into = vec![Datagram::new(3); 80];
        assert_eq!(receive_many(to.as_fd(), &mut into, false).unwrap(), MOST);
        assert_eq!(into[5].bytes(), [5; 3]);
        assert!(into[5].truncated() && !into[5].control().is_empty());
        assert_eq!(into[5].peer().port(), from.local_addr().unwrap().port());
        let empty = receive_many(to.as_fd(), &mut into, false).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_clock_that_is_synchronised_says_how_well() {
        let Discipline { synchronised, most_us } = discipline().unwrap();
        // 16 s is where the kernel gives up (NTP_PHASE_LIMIT, kernel/time/ntp.c).
        assert!(most_us >= 0 && (!synchronised || most_us <= 16_000_000), "{synchronised} {most_us}");
    }

    #[test]
    fn what_is_no_unix_socket_has_none() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(peer_groups(file.as_fd()).is_err());
    }
}
