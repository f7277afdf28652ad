//! The largest packet that passes a path unfragmented, measured by echo requests; and who complains of GRE packets.
//! Shell: a raw socket each, which blocks no longer than its caller lets it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, SockProtocol, SockType, SockaddrIn, bind, recv, sendto};

use super::error::Error;
use super::icmp::{ECHO_REPLY, UNREACHABLE};
use super::sized::{Heard, MOST_SIZES, SMALL, between, read, request};
use super::socket::{ICMP_FILTER, SOL_RAW, WHOLE, open, option};

const NAME: &str = "ICMP";

/// After the first round, in which the whole size is tried, so many rounds find the largest of 1500 bytes.
const ROUNDS: u32 = 3;

/// Each size is sent so often: one may be lost.
const TIMES: u32 = 2;

/// The most packets for one path: the whole size and the smallest, then the rounds.
pub const MOST: u32 = TIMES * (2 + ROUNDS * MOST_SIZES);

/// Bytes: the longest IPv4 packet.
const LONGEST: usize = 65_535;

/// A path, and how large packets on it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub to: Ipv4Addr,
    /// An address of this host that they leave from.
    pub source: Ipv4Addr,
    /// Bytes, IPv4 header and all.
    pub wanted: u32,
}

/// What passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Largest {
    /// Bytes; `None`: not even the smallest was answered.
    pub passed: Option<u32>,
    /// Who said that a link carries no more, and how much it carries.
    pub told: Option<(Ipv4Addr, u32)>,
    /// The link that they leave by carries no more.
    pub own: bool,
}

/// Measures one path. `round`: how long answers are waited for, `ROUNDS` times and once more at most.
pub fn largest(way: &Way, round: Duration) -> Result<Largest, Error> {
    let socket = listening(&[ECHO_REPLY, UNREACHABLE])?;
    option(&socket, NAME, "IP_MTU_DISCOVER", (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, WHOLE))?;
    let bound = bind(socket.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(way.source, 0)));
    bound.map_err(|errno| Error::Open { socket: NAME, source: errno.into() })?;
    let ident = super::cookie::Key::new().random(0) as u16;
    let mut measuring = Measuring { way, socket, ident, sizes: Vec::new(), found: Largest::default() };
    let answered = measuring.round(&[SMALL, way.wanted], round);
    let (mut passed, mut not) = match answered.last() {
        None => return Ok(measuring.found),
        Some(size) if *size >= way.wanted => {
            return Ok(Largest { passed: Some(way.wanted), ..measuring.found });
        }
        Some(size) => (*size, way.wanted),
    };
    for _ in 0..ROUNDS {
        let sizes = between(passed, not, measuring.found.told.map(|(_, mtu)| mtu));
        if sizes.is_empty() {
            break;
        }
        let answered = measuring.round(&sizes, round);
        passed = answered.last().copied().unwrap_or(passed).max(passed);
        not = sizes.into_iter().find(|size| *size > passed).unwrap_or(not);
    }
    Ok(Largest { passed: Some(passed), ..measuring.found })
}

struct Measuring<'a> {
    way: &'a Way,
    socket: OwnedFd,
    ident: u16,
    /// By sequence number.
    sizes: Vec<u32>,
    found: Largest,
}

impl Measuring<'_> {
    /// Which of these sizes were answered.
    fn round(&mut self, sizes: &[u32], wait: Duration) -> BTreeSet<u32> {
        let mut missing: BTreeSet<u32> = sizes.iter().copied().filter(|size| self.send(*size)).collect();
        let mut answered = BTreeSet::new();
        let way = self.way;
        hear(&self.socket, wait, |heard| {
            match heard {
                Heard::Reply { from, ident, sequence } if from == way.to && ident == self.ident => {
                    let size = self.sizes.get(usize::from(sequence)).filter(|size| missing.remove(size));
                    answered.extend(size);
                }
                Heard::TooBig { from, to, ident, mtu } if to == way.to && ident == self.ident => {
                    self.found.told = Some((from, mtu));
                }
                _ => {}
            }
            missing.is_empty()
        });
        answered
    }

    /// False: this host's own link does not carry it.
    fn send(&mut self, size: u32) -> bool {
        let to = SockaddrIn::from(SocketAddrV4::new(self.way.to, 0));
        let Ok(sequence) = u16::try_from(self.sizes.len()) else { return false };
        self.sizes.push(size);
        let bytes = request(self.ident, sequence, size);
        for _ in 0..TIMES {
            let sent = sendto(self.socket.as_raw_fd(), &bytes, &to, MsgFlags::MSG_DONTWAIT);
            if sent == Err(Errno::EMSGSIZE) {
                self.found.own = true;
                return false;
            }
        }
        true
    }
}

/// Hears what is said of GRE packets while it is there.
#[derive(Debug)]
pub struct Ear(OwnedFd);

impl Ear {
    /// Opens it in the network namespace of the calling thread.
    pub fn open() -> Result<Self, Error> {
        listening(&[UNREACHABLE]).map(Self)
    }

    /// What was said so far: by the packets' outer addresses, ours first, in a phrase.
    pub fn heard(self) -> BTreeMap<(Ipv4Addr, Ipv4Addr), BTreeSet<String>> {
        let mut all: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        hear(&self.0, Duration::ZERO, |heard| {
            if let Heard::Gre { from, pair, cause } = heard {
                all.entry(pair).or_default().insert(cause.said_by(from));
            }
            false
        });
        all
    }
}

/// A raw socket that these types of ICMP messages come to.
fn listening(kinds: &[u8]) -> Result<OwnedFd, Error> {
    let socket = open(NAME, SockType::Raw, Some(SockProtocol::Icmp))?;
    let filter = kinds.iter().fold(u32::MAX, |filter, kind| filter & !(1 << kind));
    option(&socket, NAME, "ICMP_FILTER", (SOL_RAW, ICMP_FILTER, filter))?;
    Ok(socket)
}

/// Hands over what comes within this time, until it is enough.
fn hear(socket: &OwnedFd, wait: Duration, mut enough: impl FnMut(Heard) -> bool) {
    let end = Instant::now() + wait;
    let mut buffer = vec![0; LONGEST];
    loop {
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(length) => {
                if buffer.get(..length).and_then(read).is_some_and(&mut enough) {
                    return;
                }
            }
            // An error of the socket may be about an earlier datagram: it is told once.
            Err(Errno::EAGAIN) => {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return;
                }
                let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
                let _ = poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], timeout);
            }
            Err(_) if Instant::now() >= end => return,
            Err(_) => {}
        }
    }
}
