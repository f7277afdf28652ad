//! A STAMP Session-Reflector on a thread of its own. Shell around [`Reflect`].

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
use super::socket::{open, option};
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
pub struct Reflector(Worker<Order>);

#[derive(Debug)]
enum Order {
    Set(Settings),
    Count(Sender<Reflected>),
}

impl Reflector {
    /// Opens the socket in the network namespace of the calling thread, and answers.
    pub fn start(options: Options) -> Result<Self, Error> {
        let socket = listen(options.port)?;
        let clock = Clock { begun: Instant::now() };
        let reflect = Reflect::new(options.port, options.settings);
        let work = move |orders| {
            let [incoming, outgoing] = [(); 2].map(|()| vec![Datagram::new(ROOM); sys::MOST]);
            Work { socket, reflect, last: clock.moment(), clock, incoming, outgoing, orders }.run();
        };
        Worker::start(NAME, "reflector", work).map(Self)
    }

    /// Other settings from now on; sessions go on.
    pub fn set(&self, settings: Settings) -> Result<(), Error> {
        self.0.order(Order::Set(settings))
    }

    /// What came of all requests so far.
    pub fn counts(&self) -> Result<Reflected, Error> {
        self.0.ask(Order::Count)
    }
}

/// The socket: the kernel's timestamps, TTLs and destinations of what comes.
fn listen(port: u16) -> Result<OwnedFd, Error> {
    const STAMPS: u32 = libc::SOF_TIMESTAMPING_SOFTWARE | libc::SOF_TIMESTAMPING_RX_SOFTWARE;
    let socket = open(NAME, SockType::Datagram, None)?;
    option(&socket, NAME, "SO_TIMESTAMPING", (libc::SOL_SOCKET, libc::SO_TIMESTAMPING, STAMPS))?;
    option(&socket, NAME, "IP_PKTINFO", (libc::IPPROTO_IP, libc::IP_PKTINFO, 1))?;
    option(&socket, NAME, "IP_RECVTTL", (libc::IPPROTO_IP, libc::IP_RECVTTL, 1))?;
    let bound = bind(socket.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, port));
    bound.map_err(|errno| Error::Listen { port, source: errno.into() })?;
    Ok(socket)
}

/// What the thread has.
struct Work {
    socket: OwnedFd,
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
                if self.reflect_some() < sys::MOST {
                    self.sleep();
                    break;
                }
            }
        }
    }

    /// False: it is to end.
    fn obey(&mut self) -> bool {
        let Self { reflect, orders, .. } = self;
        orders.hush();
        orders.obey(|order| match order {
            Order::Set(settings) => reflect.set(settings),
            // Who does not wait for it any more needs no answer.
            Order::Count(tell) => drop(tell.send(reflect.counts())),
        })
    }

    /// How many requests came.
    fn reflect_some(&mut self) -> usize {
        // An error is of an earlier answer, or there is nothing.
        let count = sys::receive_many(self.socket.as_fd(), &mut self.incoming, false).unwrap_or(0);
        let now = self.clock.moment();
        // Of a clock that was set meanwhile, the kernel's stamps may be on the other side of it.
        let before = std::mem::replace(&mut self.last, now);
        let steady = now.steady_since(before);
        let (mut answers, mut reply) = (0, Vec::new());
        for datagram in self.incoming.iter().take(count) {
            let Some(asked) = asked(datagram, now.wall, steady) else { continue };
            let Ok(Leave { source, link }) = self.reflect.answer(now.up, &asked, &mut reply) else {
                continue;
            };
            if let Some(outgoing) = self.outgoing.get_mut(answers) {
                // By the clock that nobody sets.
                depart(&mut reply, now.wall + self.clock.up().saturating_sub(now.up));
                outgoing.fill(asked.from, &reply, &control::route(Some(source), link));
                answers += 1;
            }
        }
        self.send(answers);
        count
    }

    fn send(&mut self, answers: usize) {
        let mut at = 0;
        while let Some(rest) = self.outgoing.get_mut(at..answers).filter(|rest| !rest.is_empty()) {
            match sys::send_many(self.socket.as_fd(), rest) {
                Ok(sent) => at += sent,
                Err(_) => {
                    self.reflect.unsent();
                    at += 1;
                }
            }
        }
    }

    fn sleep(&self) {
        let mut awaited =
            [self.socket.as_fd(), self.orders.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        // Interrupted, or no memory: looked at again.
        let _ = poll(&mut awaited, PollTimeout::NONE);
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
