//! A STAMP Session-Reflector on a thread of its own, with a socket for the host and one for each VRF. Shell around
//! [`Reflect`].

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{SockType, SockaddrIn, bind};

use super::clock::Clock;
use super::control;
use super::error::Error;
use super::moment::Moment;
use super::reflect::{Asked, Leave, Reflect, Reflected, Settings, depart};
use super::socket::{inside, open, option};
use super::stamp;
use super::worker::{Orders, Worker};
use crate::sys::{self, Datagram};

const NAME: &str = "STAMP reflector";

/// Bytes of the longest request: one Ethernet jumbo frame. Longer ones are malformed.
const ROOM: usize = 9216;

/// A kernel's timestamp of an arrival that is further away from now than this is of a clock that was set.
const FRESH: Duration = Duration::from_secs(1);

/// How a reflector is.
#[derive(Clone, Debug)]
pub struct Options {
    /// UDP, from 1.
    pub port: u16,
    pub settings: Settings,
}

impl Default for Options {
    fn default() -> Self {
        Self { port: stamp::PORT, settings: Settings::default() }
    }
}

/// The thread that answers. It ends when this is dropped.
#[derive(Debug)]
pub struct Reflector {
    worker: Worker<Order>,
    port: u16,
    /// Where it listens beside the host itself.
    vrfs: BTreeSet<u32>,
    /// VRFs where it should listen and cannot.
    deaf: BTreeMap<u32, Error>,
}

#[derive(Debug)]
enum Order {
    /// And new sockets for VRFs.
    Set(Settings, Sockets),
    Count(Sender<Reflected>),
}

/// By the ifindex of the VRF that each listens in.
type Sockets = BTreeMap<Option<u32>, OwnedFd>;

impl Reflector {
    /// Opens the sockets in the network namespace of the calling thread, and answers.
    pub fn start(options: Options) -> Result<Self, Error> {
        let Options { port, settings } = options;
        let host = listen(port, None)?;
        let (mut sockets, deaf) = listen_in(port, settings.vrfs.iter().copied());
        let vrfs = sockets.keys().copied().flatten().collect();
        sockets.insert(None, host);
        let clock = Clock { begun: Instant::now() };
        let reflect = Reflect::new(port, settings);
        let work = move |orders| {
            let [incoming, outgoing] = [(); 2].map(|()| vec![Datagram::new(ROOM); sys::MOST]);
            Work { sockets, reflect, last: clock.moment(), clock, incoming, outgoing, orders }.run();
        };
        Ok(Self { worker: Worker::start(NAME, "reflector", work)?, port, vrfs, deaf })
    }

    /// Other settings from now on; sessions go on. In the network namespace of the calling thread, as the start was.
    /// Where it could not listen it is tried again.
    pub fn set(&mut self, settings: Settings) -> Result<(), Error> {
        self.vrfs.retain(|vrf| settings.vrfs.contains(vrf));
        let (sockets, deaf) = listen_in(self.port, settings.vrfs.difference(&self.vrfs).copied());
        self.vrfs.extend(sockets.keys().flatten());
        self.deaf = deaf;
        self.worker.order(Order::Set(settings, sockets))
    }

    /// VRFs, by ifindex, where it should listen and cannot; it does everywhere else.
    pub fn deaf(&self) -> &BTreeMap<u32, Error> {
        &self.deaf
    }

    /// What came of all requests so far.
    pub fn counts(&self) -> Result<Reflected, Error> {
        self.worker.ask(Order::Count)
    }
}

/// The sockets for these VRFs, and why some have none. What is bound to a VRF that is gone hears nothing, and goes with
/// the next settings.
fn listen_in(port: u16, vrfs: impl Iterator<Item = u32>) -> (Sockets, BTreeMap<u32, Error>) {
    let (mut sockets, mut deaf) = (Sockets::new(), BTreeMap::new());
    for vrf in vrfs {
        match listen(port, Some(vrf)) {
            Ok(socket) => drop(sockets.insert(Some(vrf), socket)),
            Err(error) => drop(deaf.insert(vrf, error)),
        }
    }
    (sockets, deaf)
}

/// The socket: the kernel's timestamps, TTLs and destinations of what comes.
fn listen(port: u16, vrf: Option<u32>) -> Result<OwnedFd, Error> {
    const STAMPS: u32 = libc::SOF_TIMESTAMPING_SOFTWARE | libc::SOF_TIMESTAMPING_RX_SOFTWARE;
    let socket = open(NAME, SockType::Datagram, None)?;
    option(&socket, NAME, "SO_TIMESTAMPING", (libc::SOL_SOCKET, libc::SO_TIMESTAMPING, STAMPS))?;
    option(&socket, NAME, "IP_PKTINFO", (libc::IPPROTO_IP, libc::IP_PKTINFO, 1))?;
    option(&socket, NAME, "IP_RECVTTL", (libc::IPPROTO_IP, libc::IP_RECVTTL, 1))?;
    // The port is ours once for the host and once for each VRF.
    option(&socket, NAME, "SO_REUSEPORT", (libc::SOL_SOCKET, libc::SO_REUSEPORT, 1))?;
    vrf.map_or(Ok(()), |vrf| inside(&socket, NAME, vrf))?;
    let bound = bind(socket.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, port));
    bound.map_err(|errno| Error::Listen { port, source: errno.into() })?;
    Ok(socket)
}

/// What the thread has.
struct Work {
    sockets: Sockets,
    reflect: Reflect,
    clock: Clock,
    /// When it was looked last what has come.
    last: Moment,
    incoming: Vec<Datagram>,
    outgoing: Vec<Datagram>,
    orders: Orders<Order>,
}

impl Work {
    /// Until nobody can give orders any more.
    fn run(&mut self) {
        while self.obey() {
            // Bounded, so that a flood does not keep orders from being heard.
            for _ in 0..16 {
                if self.reflect_some() {
                    self.sleep();
                    break;
                }
            }
        }
    }

    /// False: it is to end.
    fn obey(&mut self) -> bool {
        let Self { reflect, orders, sockets, .. } = self;
        orders.hush();
        orders.obey(|order| match order {
            Order::Set(settings, new) => {
                sockets.extend(new);
                sockets.retain(|vrf, _| vrf.is_none_or(|vrf| settings.vrfs.contains(&vrf)));
                reflect.set(settings);
            }
            // Who does not wait for it any more needs no answer.
            Order::Count(tell) => drop(tell.send(reflect.counts())),
        })
    }

    /// Answers some of every socket. True: no more has come.
    fn reflect_some(&mut self) -> bool {
        let Self { sockets, reflect, clock, last, incoming, outgoing, .. } = self;
        let mut all = true;
        let before = *last;
        for socket in sockets.values() {
            // An error is of an earlier answer, or there is nothing.
            let count = sys::receive_many(socket.as_fd(), incoming, false).unwrap_or(0);
            all &= count < sys::MOST;
            let now = clock.moment();
            // Of a clock that was set since the last pass, the kernel's stamps may be on the other side of it.
            let steady = now.steady_since(before);
            *last = now;
            let (mut answers, mut reply) = (0, Vec::new());
            for datagram in incoming.iter().take(count) {
                let Some(asked) = asked(datagram, now.wall, steady) else { continue };
                let Ok(Leave { source, link }) = reflect.answer(now.up, &asked, &mut reply) else { continue };
                if let Some(outgoing) = outgoing.get_mut(answers) {
                    // By the clock that nobody sets.
                    depart(&mut reply, now.wall + clock.up().saturating_sub(now.up));
                    outgoing.fill(asked.from, &reply, &control::route(Some(source), link));
                    answers += 1;
                }
            }
            send(socket, outgoing.get_mut(..answers).unwrap_or_default(), reflect);
        }
        all
    }

    fn sleep(&self) {
        let fds = self.sockets.values().map(AsFd::as_fd).chain([self.orders.as_fd()]);
        let mut awaited: Vec<_> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        // Interrupted, or no memory: looked at again.
        let _ = poll(&mut awaited, PollTimeout::NONE);
    }
}

fn send(socket: &OwnedFd, answers: &mut [Datagram], reflect: &mut Reflect) {
    let mut at = 0;
    while let Some(rest) = answers.get_mut(at..).filter(|rest| !rest.is_empty()) {
        match sys::send_many(socket.as_fd(), rest) {
            Ok(sent) => at += sent,
            Err(_) => {
                reflect.unsent();
                at += 1;
            }
        }
    }
}

/// A datagram as a request. What is longer than any packet is nothing but malformed.
fn asked(datagram: &Datagram, now: Duration, steady: bool) -> Option<Asked<'_>> {
    let control = control::read(datagram.control());
    let arrival = control.arrival?;
    let fresh = |stamp: &Duration| steady && stamp.abs_diff(now) <= FRESH;
    let bytes = if datagram.truncated() { &[] } else { datagram.bytes() };
    Some(Asked {
        from: datagram.peer(),
        to: arrival.to,
        local: arrival.local,
        link: arrival.link,
        ttl: control.ttl.unwrap_or(0),
        came: control.stamp.filter(fresh).unwrap_or(now),
        bytes,
    })
}
