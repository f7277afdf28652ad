//! One plain thread that asks all targets: a socket for ICMP and one for STAMP, another for each VRF, a bell, and the
//! [`Book`] that decides. Shell.
//!
//! It sleeps until something comes, something is due, or the bell rings. The kernel stamps what comes, so being a
//! little late costs no accuracy.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::os::fd::AsFd;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::book::{Ask, Book, Census, Outgoing, Report};
use super::budget::Budget;
use super::clock::Clock;
use super::cookie::Key;
use super::error::Error;
use super::icmp;
use super::line::Line;
use super::session::Question;
use super::socket::{Received, Socket};
use super::stamp::Request;
use super::worker::{Orders, Worker};
use crate::model::Target;

const NAME: &str = "probe engine";

/// Probes that may leave at once: so many milliseconds of the budget, and never less than one call of `sendmmsg`.
const BURST: (u32, u32) = (20, 64);

/// How an engine is.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The beginning of the times in samples.
    pub begun: Instant,
    /// The most probes a second, all targets and methods together; from 1.
    pub budget: u32,
}

impl Default for Options {
    /// From now on, up to 20,000 probes a second: 5 rounds of 4,000 targets, and about 20 Mbit/s.
    fn default() -> Self {
        Self { begun: Instant::now(), budget: 20_000 }
    }
}

/// The thread that asks. It ends when this is dropped.
#[derive(Debug)]
pub struct Engine(Worker<Order>);

#[derive(Debug)]
enum Order {
    Ask(BTreeMap<Target, Ask>),
    Count(Sender<Census>),
}

impl Engine {
    /// Opens the sockets in the network namespace of the calling thread, and begins with no targets. `report` is
    /// called on the engine's thread, which asks nobody until it returns.
    pub fn start(
        options: Options,
        mut report: impl FnMut(Vec<Report>) + Send + 'static,
    ) -> Result<Self, Error> {
        let burst = (options.budget / 1000).saturating_mul(BURST.0).max(BURST.1);
        let clock = Clock { begun: options.begun };
        let book = Book::new(Key::new(), Budget::new(options.budget, burst, Duration::ZERO), Duration::ZERO);
        let echoes = Line::new(Socket::icmp()?);
        let stamps = BTreeMap::from([(None, Line::new(Socket::stamp(None)?))]);
        let work = move |orders| Work { clock, book, echoes, stamps, orders }.run(&mut report);
        Worker::start(NAME, "probes", work).map(Self)
    }

    /// From now on these are asked, and no others. Who stays keeps what is under way.
    pub fn ask(&self, targets: BTreeMap<Target, Ask>) -> Result<(), Error> {
        self.0.order(Order::Ask(targets))
    }

    /// What was counted and not believed so far.
    pub fn census(&self) -> Result<Census, Error> {
        self.0.ask(Order::Count)
    }
}

/// What the thread has.
struct Work {
    clock: Clock,
    book: Book,
    echoes: Line,
    /// By the ifindex of the VRF that it is for.
    stamps: BTreeMap<Option<u32>, Line>,
    orders: Orders<Order>,
}

impl Work {
    /// Until nobody can give orders any more.
    fn run(&mut self, report: &mut impl FnMut(Vec<Report>)) {
        while self.obey() {
            // First, or an answer that waits here would be late.
            self.receive();
            self.book.turn(self.clock.up());
            self.send();
            self.receive();
            let reports = self.book.reports();
            if !reports.is_empty() {
                report(reports);
            }
            self.sleep();
        }
    }

    /// False: it is to end.
    fn obey(&mut self) -> bool {
        let Self { clock, book, stamps, orders, .. } = self;
        orders.obey(|order| match order {
            Order::Ask(targets) => {
                book.ask(clock.up(), &targets);
                // Nobody is asked in the others any more.
                let vrfs: BTreeSet<_> = targets.keys().map(|target| target.vrf).chain([None]).collect();
                stamps.retain(|vrf, _| vrfs.contains(vrf));
            }
            // Who does not wait for it any more needs no answer.
            Order::Count(tell) => drop(tell.send(book.census())),
        })
    }

    fn send(&mut self) {
        // One reading for a batch: it is earlier than any departure, which is all that is asked of it.
        let mut now = self.clock.moment();
        while let Some(probe) = self.book.question(now) {
            let Self { book, echoes, stamps, .. } = self;
            let Some(line) = line(echoes, stamps, book, &probe) else { continue };
            line.push(book.ident(), probe);
            if line.socket.is_full() {
                line.flush(&mut self.book);
                // Near answers are there already, and whose they are is still at hand.
                self.receive();
                now = self.clock.moment();
            }
        }
        self.echoes.flush(&mut self.book);
        self.stamps.values_mut().for_each(|line| line.flush(&mut self.book));
    }

    fn receive(&mut self) {
        let Self { clock, book, echoes, stamps, .. } = self;
        echoes.receive(clock, book, departed_echo, |book, now, reply| {
            if let Some(heard) = icmp::parse(reply.bytes) {
                book.heard(now, &heard, reply.control.stamp);
            }
        });
        for line in stamps.values_mut() {
            line.receive(clock, book, departed_stamp, |book, now, reply| {
                book.received(now, reply.peer, reply.bytes, reply.control.stamp);
            });
        }
    }

    fn sleep(&mut self) {
        let wait = match self.book.next() {
            // Up to a whole millisecond, so that it is due indeed.
            Some(next) => {
                let wait = next.saturating_sub(self.clock.up()) + Duration::from_micros(999);
                PollTimeout::try_from(wait.as_millis()).unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        };
        let lines = std::iter::once(&self.echoes).chain(self.stamps.values());
        let fds = lines.map(|line| line.socket.as_fd()).chain([self.orders.as_fd()]);
        let mut awaited: Vec<_> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let slept = poll(&mut awaited, wait);
        // Errors are always told (poll(2)).
        let heard: Vec<bool> = awaited.iter().map(|one| one.any().unwrap_or(true)).collect();
        let lines = std::iter::once(&mut self.echoes).chain(self.stamps.values_mut());
        lines.zip(&heard).for_each(|(line, heard)| line.ready = *heard);
        if heard.last() == Some(&true) {
            self.orders.hush();
        }
        if !matches!(slept, Ok(_) | Err(Errno::EINTR)) {
            // No memory: the kernel may find some while nobody asks.
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// By which socket a probe leaves. That of a VRF is opened when it is needed; when it cannot be, the probe is refused.
fn line<'a>(
    echoes: &'a mut Line,
    stamps: &'a mut BTreeMap<Option<u32>, Line>,
    book: &mut Book,
    probe: &Outgoing,
) -> Option<&'a mut Line> {
    if matches!(probe.question, Question::Echo { .. }) {
        return Some(echoes);
    }
    match stamps.entry(probe.vrf) {
        Entry::Occupied(line) => Some(line.into_mut()),
        Entry::Vacant(place) => match Socket::stamp(probe.vrf) {
            Ok(socket) => Some(place.insert(Line::new(socket))),
            Err(error) => {
                let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
                let why = format!("this host: no socket in the VRF of the tunnel: {}", why.to_lowercase());
                book.refused(probe.number, probe.question.sequence(), why);
                None
            }
        },
    }
}

/// True: it was a departure.
fn departed_echo(book: &mut Book, error: &Received<'_>) -> bool {
    let departure = error.control.stamp.zip(icmp::sent(error.bytes));
    if let Some((at, echo)) = &departure {
        book.echo_left(echo, *at);
    }
    departure.is_some()
}

/// The same; or somebody complains.
fn departed_stamp(book: &mut Book, error: &Received<'_>) -> bool {
    if let Some(complaint) = error.control.complaint {
        book.undelivered(*error.peer.ip(), error.bytes, complaint.cause, complaint.who);
        return false;
    }
    let departure = error.control.stamp.zip(Request::sent(error.bytes));
    if let Some((at, (to, request))) = &departure {
        book.stamp_left(*to, request, *at);
    }
    departure.is_some()
}
