//! One of the engine's sockets with the probes that leave by it. Shell.

use std::io;

use super::book::{Book, Outgoing};
use super::clock::Clock;
use super::icmp::{self, Echo};
use super::moment::Moment;
use super::session::Question;
use super::socket::{Received, Socket, unsendable};
use crate::sys;

/// A socket, and the probes that are about to leave by it.
pub(super) struct Line {
    pub socket: Socket,
    probes: Vec<Outgoing>,
    /// Whether there may be something to receive.
    pub ready: bool,
    /// Departures that the kernel has not told of yet.
    untold: usize,
}

impl Line {
    pub fn new(socket: Socket) -> Self {
        Self { socket, probes: Vec::new(), ready: false, untold: 0 }
    }

    pub fn push(&mut self, ident: u16, probe: Outgoing) {
        let Outgoing { number, question, to, source, link, vrf: _ } = &probe;
        match question {
            Question::Echo { sequence, cookie } => {
                let echo = Echo { ident, session: *number, sequence: *sequence, cookie: *cookie };
                self.socket.push(*to, *source, *link, &icmp::request(&echo));
            }
            Question::Stamp(request) => self.socket.push(*to, *source, *link, &request.encode()),
        }
        self.probes.push(probe);
    }

    pub fn flush(&mut self, book: &mut Book) {
        let Self { socket, probes, ready, untold } = self;
        if probes.is_empty() {
            return;
        }
        *untold += probes.len();
        socket.flush(|place, error: io::Error| {
            *untold = untold.saturating_sub(1);
            if let Some(Outgoing { number, question, source, link, .. }) = probes.get(place) {
                match error.raw_os_error() {
                    Some(libc::EAGAIN | libc::ENOBUFS) => book.unsent(*number, question.sequence()),
                    _ => book.refused(*number, question.sequence(), unsendable(&error, *source, *link)),
                }
            }
        });
        probes.clear();
        // Departures are told at once, and near targets have answered already.
        *ready = true;
    }

    pub fn receive(
        &mut self,
        clock: &Clock,
        book: &mut Book,
        mut error: impl FnMut(&mut Book, &Received<'_>) -> bool,
        mut reply: impl FnMut(&mut Book, Moment, &Received<'_>),
    ) {
        while std::mem::take(&mut self.ready) {
            let count = self.socket.receive();
            let now = clock.moment();
            // Behind the replies, so that of every reply the departure is known.
            let mut told = 0;
            if count == 0 || self.untold > 0 {
                self.socket.errors(|one| told += usize::from(error(book, &one)));
            }
            self.untold = self.untold.saturating_sub(told);
            self.socket.received(count).for_each(|one| reply(book, now, &one));
            self.ready = count == sys::MOST;
        }
    }
}
