//! The transport: one netlink socket, requests out, answers in, every wait with a deadline.
//!
//! The kernel does its work inside `send`, so a send lasts as long as that work; deadlines are on
//! the answers. Sequence numbers are never reused, so an answer that comes late fits no later request.

use std::io;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkMessage,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use super::answer::{Answer, answers, place, verdict};
use super::error::{Error, Refusal};

/// A request: the message, and in its header the flags beyond `NLM_F_REQUEST`.
pub(super) type Request = NetlinkMessage<RouteNetlinkMessage>;

/// The most steps in one send. As fast as any larger number, and the kernel's lock is held for
/// less than 0.3 s. A step is at most three messages of a few hundred bytes: far from the 200,000
/// bytes that a send can have, and from the 256 errors that fill a default receive buffer.
pub(super) const BATCH: usize = 64;

/// A dump is tried this often before its caller hears that it was interrupted.
const DUMP_TRIES: u32 = 10;

/// How long one answer to a read may take.
const READ: Duration = Duration::from_secs(5);

/// How long the answers to a batch of changes may take, once it is sent.
const CHANGE: Duration = Duration::from_secs(30);

/// Room for one datagram: the kernel fills at most 32 KiB of a dump into one
/// (`NLMSG_GOODSIZE` and `netlink_dump`, net/netlink/af_netlink.c).
pub(super) const DATAGRAM: usize = 64 * 1024;

/// Messages begin at multiples of so many bytes (`NLMSG_ALIGNTO`, linux/netlink.h).
pub(super) const NLMSG_ALIGN: usize = 4;

/// What was asked of the kernel so far, in messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// All objects of a sort.
    pub dumps: u64,
    /// One object, or those of one link.
    pub reads: u64,
    pub changes: u64,
}

/// A socket that only the kernel can send to; `receive_buffer` in bytes, beyond the system's limit
/// where CAP_NET_ADMIN allows.
pub(super) fn open(receive_buffer: usize) -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    if setsockopt(&socket, sockopt::RcvBufForce, &receive_buffer).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &receive_buffer)?;
    }
    Ok(socket)
}

/// A netlink socket of the network namespace that it was opened in.
pub(super) struct Transport {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
    pub requests: Requests,
}

impl Transport {
    /// `receive_buffer` in bytes.
    pub fn open(receive_buffer: usize) -> Result<Self, Error> {
        let open = || {
            let socket = open(receive_buffer)?;
            socket.set_ext_ack(true)?;
            socket.set_cap_ack(true)?;
            socket.set_netlink_get_strict_chk(true)?;
            Ok(socket)
        };
        let socket = open().map_err(Error::Open)?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; DATAGRAM], requests: Requests::default() })
    }

    /// Reads all objects of a sort into a fresh `T`, message by message. A dump that changes
    /// interrupted is thrown away and tried again; it never comes back as a result.
    pub fn dump<T: Default>(
        &mut self,
        name: &'static str,
        request: &RouteNetlinkMessage,
        fold: impl FnMut(&mut T, &Answer) -> Result<(), Error>,
    ) -> Result<T, Error> {
        self.gather(name, request, |requests| requests.dumps += 1, fold)
    }

    /// The same for what the kernel narrows down to one link.
    pub fn select<T: Default>(
        &mut self,
        name: &'static str,
        request: &RouteNetlinkMessage,
        fold: impl FnMut(&mut T, &Answer) -> Result<(), Error>,
    ) -> Result<T, Error> {
        self.gather(name, request, |requests| requests.reads += 1, fold)
    }

    fn gather<T: Default>(
        &mut self,
        name: &'static str,
        request: &RouteNetlinkMessage,
        count: impl Fn(&mut Requests),
        mut fold: impl FnMut(&mut T, &Answer) -> Result<(), Error>,
    ) -> Result<T, Error> {
        for attempt in 0..DUMP_TRIES {
            let mut folded = T::default();
            count(&mut self.requests);
            if self.dump_once(name, request, |answer| fold(&mut folded, answer))? {
                return Ok(folded);
            }
            std::thread::sleep(Duration::from_millis(u64::from(attempt)));
        }
        Err(Error::Interrupted { request: name, tries: DUMP_TRIES })
    }

    /// Sends all at once, and gives the kernel's word on each. The caller keeps to [`BATCH`].
    /// An ACK is asked of the last only; errors come for each.
    pub fn change(
        &mut self,
        name: &'static str,
        requests: Vec<Request>,
    ) -> Result<Vec<Result<(), Refusal>>, Error> {
        let mut results = vec![Ok(()); requests.len()];
        let Some(last) = requests.len().checked_sub(1) else { return Ok(results) };
        self.requests.changes += requests.len() as u64;
        let first = self.send(name, requests, |place| if place == last { NLM_F_ACK } else { 0 })?;
        self.collect(name, CHANGE, |answer| {
            let place = place(answer, first);
            if let Some(result) = results.get_mut(place)
                && answer.kind == NLMSG_ERROR
            {
                *result = verdict(name, answer)?;
            }
            Ok(place == last)
        })?;
        Ok(results)
    }

    /// Sends all at once, each a read of one object; what `fold` makes of each answer, in order.
    pub fn read<T>(
        &mut self,
        name: &'static str,
        requests: Vec<Request>,
        mut fold: impl FnMut(Result<&Answer, Refusal>) -> Result<Option<T>, Error>,
    ) -> Result<Vec<Option<T>>, Error> {
        let mut results: Vec<Option<T>> = requests.iter().map(|_| None).collect();
        let mut missing = requests.len();
        if missing == 0 {
            return Ok(results);
        }
        self.requests.reads += requests.len() as u64;
        let first = self.send(name, requests, |_| 0)?;
        self.collect(name, READ, |answer| {
            let Some(result) = results.get_mut(place(answer, first)) else { return Ok(false) };
            *result = match answer.kind {
                NLMSG_ERROR => match verdict(name, answer)? {
                    Ok(()) => return Ok(false),
                    Err(refusal) => fold(Err(refusal))?,
                },
                _ => fold(Ok(answer))?,
            };
            missing = missing.saturating_sub(1);
            Ok(missing == 0)
        })?;
        Ok(results)
    }

    /// False: interrupted.
    fn dump_once(
        &mut self,
        name: &'static str,
        request: &RouteNetlinkMessage,
        mut fold: impl FnMut(&Answer) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let first = self.send(name, vec![request.clone().into()], |_| NLM_F_DUMP)?;
        let mut whole = true;
        let mut failure = None;
        let mut folded = Ok(());
        self.collect(name, READ, |answer| {
            if answer.sequence != first {
                return Ok(false);
            }
            whole &= answer.flags & NLM_F_DUMP_INTR == 0;
            match answer.kind {
                NLMSG_DONE | NLMSG_ERROR => {
                    failure = verdict(name, answer)?.err();
                    Ok(true)
                }
                _ => {
                    // Read to its end also when it cannot be folded: a socket has one dump at a time.
                    if folded.is_ok() {
                        folded = fold(answer);
                    }
                    Ok(false)
                }
            }
        })?;
        match failure {
            Some(refusal) => Err(Error::Refused { request: name, refusal }),
            None => folded.map(|()| whole),
        }
    }

    /// Numbers and sends the requests; gives the number of the first.
    fn send(
        &mut self,
        name: &'static str,
        requests: Vec<Request>,
        flags: impl Fn(usize) -> u16,
    ) -> Result<u32, Error> {
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        for (place, mut request) in requests.into_iter().enumerate() {
            self.sequence = self.sequence.wrapping_add(1);
            request.header.sequence_number = self.sequence;
            request.header.flags |= NLM_F_REQUEST | flags(place);
            request.finalize();
            let mut message = vec![0; request.buffer_len().next_multiple_of(NLMSG_ALIGN)];
            request.serialize(&mut message);
            bytes.append(&mut message);
        }
        self.socket.send(&bytes, 0).map_err(|source| Error::Send { request: name, source })?;
        Ok(first)
    }

    /// Hands over answers until `done` says so, or none has come for `patience`.
    fn collect(
        &mut self,
        name: &'static str,
        patience: Duration,
        mut done: impl FnMut(&Answer) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        loop {
            let length = self.receive(name, patience)?;
            let mut finished = false;
            for answer in answers(name, self.buffer.get(..length).unwrap_or_default()) {
                finished |= done(&answer?)?;
            }
            if finished {
                return Ok(());
            }
        }
    }

    fn receive(&mut self, name: &'static str, patience: Duration) -> Result<usize, Error> {
        let failed = |source| Error::Receive { request: name, source };
        let seconds = TimeVal::seconds(i64::try_from(patience.as_secs()).unwrap_or(i64::MAX));
        setsockopt(&self.socket, sockopt::ReceiveTimeout, &seconds).map_err(|errno| failed(errno.into()))?;
        loop {
            // With MSG_TRUNC the whole length comes back, also when the buffer was too small.
            match self.socket.recv(&mut &mut self.buffer[..], MsgFlags::MSG_TRUNC.bits()) {
                Ok(length) if length > self.buffer.len() => {
                    return Err(Error::Decode {
                        request: name,
                        reason: format!("{length} bytes in one datagram"),
                    });
                }
                Ok(length) => return Ok(length),
                Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                    Some(Errno::EINTR) => {}
                    Some(Errno::EAGAIN) => {
                        return Err(Error::Deadline { request: name, seconds: patience.as_secs() });
                    }
                    Some(Errno::ENOBUFS) => {
                        self.drain();
                        return Err(Error::Overrun { request: name });
                    }
                    _ => return Err(failed(error)),
                },
            }
        }
    }

    /// Empties the buffer after an overrun: while it is full the kernel answers nothing at all.
    fn drain(&mut self) {
        loop {
            let read = self.socket.recv(&mut &mut self.buffer[..], MsgFlags::MSG_DONTWAIT.bits());
            let overrun = |error: &io::Error| error.raw_os_error() == Some(Errno::ENOBUFS as i32);
            if read.as_ref().is_err_and(|error| !overrun(error)) {
                return;
            }
        }
    }
}
