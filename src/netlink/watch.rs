//! The kernel's events, as they come.

use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{NLMSG_NOOP, NLMSG_OVERRUN};
use netlink_sys::Socket;
use nix::errno::Errno;
use nix::sys::socket::MsgFlags;

use super::answer::answers;
use super::error::Error;
use super::event;
use super::mirror::Mirror;
use super::socket::{self, DATAGRAM};

/// `RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR`, `RTNLGRP_IPV4_ROUTE`, `RTNLGRP_IPV4_RULE` (linux/rtnetlink.h).
const GROUPS: [u32; 4] = [1, 5, 7, 8];

/// Room for the events of a few thousand links made at once, in bytes.
const RECEIVE_BUFFER: usize = 8 << 20;

/// The most datagrams of one draining, several times what the buffer holds: a storm that never
/// ends keeps nobody from what else is to do.
const DATAGRAMS: usize = 100_000;

/// Hears of every change of links, IPv4 addresses, routes and rules in the network namespace that
/// it was opened in. What it is opened before cannot be missed: first this, then an observation.
pub struct Watch {
    socket: Socket,
    buffer: Vec<u8>,
}

/// What was there to hear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Also those that meant nothing to greyhound.
    pub events: usize,
    /// Some events were lost, or could not be read: the next reread looks at everything.
    pub lost: bool,
    /// The mirror's revision is another one.
    pub changed: bool,
}

impl Watch {
    /// Errors when the process may not have a netlink socket.
    pub fn open() -> Result<Self, Error> {
        Self::with_receive_buffer(RECEIVE_BUFFER)
    }

    /// `bytes`: the socket's receive buffer. A smaller one loses events sooner ([`Drained::lost`]).
    pub fn with_receive_buffer(bytes: usize) -> Result<Self, Error> {
        let open = || {
            let socket = socket::open(bytes)?;
            socket.set_non_blocking(true)?;
            GROUPS.iter().try_for_each(|group| socket.add_membership(*group))?;
            Ok(socket)
        };
        let socket = open().map_err(Error::Open)?;
        Ok(Self { socket, buffer: vec![0; DATAGRAM] })
    }

    /// Folds all events that are there into the mirror, and waits for none. After an application it
    /// leaves nothing of it unheard: the kernel sends the events of a change before it answers it.
    pub fn drain(&mut self, mirror: &mut Mirror) -> Result<Drained, Error> {
        let revision = mirror.revision();
        let mut drained = Drained::default();
        for _ in 0..DATAGRAMS {
            match self.receive()? {
                Heard::Nothing => break,
                Heard::Loss => drained.lost = true,
                Heard::Datagram(length) => self.fold(length, mirror, &mut drained),
            }
        }
        if drained.lost {
            mirror.doubt_everything();
        }
        drained.changed = mirror.revision() != revision;
        Ok(drained)
    }

    fn fold(&self, length: usize, mirror: &mut Mirror, drained: &mut Drained) {
        for event in answers("event", self.buffer.get(..length).unwrap_or_default()) {
            drained.events += 1;
            drained.lost |= match event {
                Ok(event) if event.kind == NLMSG_OVERRUN => true,
                Ok(event) if event.kind == NLMSG_NOOP => false,
                // After a loss everything is looked at anew.
                Ok(_) if drained.lost => false,
                Ok(event) => event::fold(mirror, &event).is_err(),
                Err(_) => true,
            };
        }
    }

    fn receive(&mut self) -> Result<Heard, Error> {
        loop {
            let received = self.socket.recv(&mut &mut self.buffer[..], MsgFlags::MSG_TRUNC.bits());
            let error = match received {
                Ok(length) if length > self.buffer.len() => return Ok(Heard::Loss),
                Ok(length) => return Ok(Heard::Datagram(length)),
                Err(error) => error,
            };
            match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EINTR) => {}
                Some(Errno::EAGAIN) => return Ok(Heard::Nothing),
                Some(Errno::ENOBUFS) => return Ok(Heard::Loss),
                _ => return Err(Error::Receive { request: "event", source: error }),
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What one look at the socket gave.
enum Heard {
    /// So many bytes.
    Datagram(usize),
    Loss,
    Nothing,
}
