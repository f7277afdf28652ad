//! What reaches the loop from outside: requests, reports and news through bounded queues, signals as flags, and a bell
//! for all.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::api::metrics::Stock;
use crate::api::{Failure, Request};
use crate::probe::Report;
use crate::reconcile::part::Kept;
use crate::registry::Registry;

/// Requests that wait at once; one more is told to come again.
const LENGTH: usize = 64;

/// Batches of reports that wait at once.
const REPORTS: usize = 1024;

/// News that wait at once; who has more waits.
const NEWS: usize = 16;

/// Word of the inventory.
#[derive(Debug)]
pub enum News {
    /// What of it concerns this host, as it is now.
    Seen { registry: Box<Registry>, kept: Box<Kept> },
    /// It cannot be read or watched, and why. It is tried again. `back`: it is there, at an earlier revision than before.
    Away { why: String, back: bool },
    /// Something was written into it.
    Done(String),
    /// Something that is owed cannot be written now, and why. It is tried again.
    Owed { what: String, why: String },
    /// A session was begun or ended for who asked.
    Asked(String),
    /// No session began that would have been bound to this address.
    Unbooked(Ipv4Addr),
    /// What is left of the inventory's pools.
    Stock(Vec<Stock>),
}

/// The loop's end.
#[derive(Debug)]
pub struct Inbox {
    requests: Receiver<Request>,
    reports: Receiver<Vec<Report>>,
    news: Receiver<(u64, News)>,
    bell: Arc<Bell>,
}

/// The other end; all copies lead to one loop.
#[derive(Clone, Debug)]
pub struct Outbox {
    requests: SyncSender<Request>,
    reports: SyncSender<Vec<Report>>,
    news: SyncSender<(u64, News)>,
    bell: Arc<Bell>,
}

#[derive(Debug)]
struct Bell {
    wake: EventFd,
    reload: AtomicBool,
    stop: AtomicBool,
    /// The main thread has said that it lives.
    beat: AtomicBool,
}

/// An inbox, and the way to it.
pub fn open() -> nix::Result<(Outbox, Inbox)> {
    let wake = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
    let bell = Arc::new(Bell {
        wake,
        reload: AtomicBool::new(false),
        stop: AtomicBool::new(false),
        beat: AtomicBool::new(false),
    });
    let (asked, requests) = sync_channel(LENGTH);
    let (measured, reports) = sync_channel(REPORTS);
    let (told, news) = sync_channel(NEWS);
    let outbox = Outbox { requests: asked, reports: measured, news: told, bell: Arc::clone(&bell) };
    Ok((outbox, Inbox { requests, reports, news, bell }))
}

impl Outbox {
    /// Waits for nothing: where there is no room, the request is answered with that.
    pub fn send(&self, request: Request) {
        let (request, sentence) = match self.requests.try_send(request) {
            Ok(()) => return self.bell.ring(),
            Err(TrySendError::Full(request)) => (request, "the daemon is busy: try again"),
            Err(TrySendError::Disconnected(request)) => (request, "the daemon is stopping"),
        };
        // Who does not wait any more need not hear it.
        let _ = request.reply.send(Err(Failure::Busy(sentence.to_owned())));
    }

    /// Probes came to their end. Waits for nothing: where there is no room, they come back.
    pub fn report(&self, reports: Vec<Report>) -> Result<(), Vec<Report>> {
        match self.reports.try_send(reports) {
            Ok(()) => {
                self.bell.ring();
                Ok(())
            }
            Err(TrySendError::Full(reports) | TrySendError::Disconnected(reports)) => Err(reports),
        }
    }

    /// Word of the inventory at this place. Waits while there is no room; where the loop has ended, nobody hears it.
    pub fn tell(&self, place: u64, news: News) {
        if self.news.send((place, news)).is_ok() {
            self.bell.ring();
        }
    }

    /// The declaration is to be read again.
    pub fn reload(&self) {
        self.bell.reload.store(true, Ordering::Release);
        self.bell.ring();
    }

    /// The main thread lives. The loop is not woken for that.
    pub fn beat(&self) {
        self.bell.beat.store(true, Ordering::Release);
    }

    /// The loop is to end.
    pub fn stop(&self) {
        self.bell.stop.store(true, Ordering::Release);
        self.bell.ring();
    }
}

impl Inbox {
    /// Readable when there is something to look at.
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.wake.as_fd()
    }

    /// The next request, of those that somebody still waits for.
    pub fn next(&self) -> Option<Request> {
        self.requests.try_iter().find(|request| !request.reply.is_closed())
    }

    /// Probes that came to their end since this was asked last.
    pub fn reports(&self) -> Vec<Report> {
        self.reports.try_iter().flatten().collect()
    }

    /// Word of the inventory at a place, in order.
    pub fn news(&self) -> Option<(u64, News)> {
        self.news.try_recv().ok()
    }

    /// Is the loop to end?
    pub fn stopping(&self) -> bool {
        self.bell.stop.load(Ordering::Acquire)
    }

    /// Is the declaration to be read again? Asking forgets it.
    pub fn reloading(&self) -> bool {
        self.bell.reload.swap(false, Ordering::AcqRel)
    }

    /// Has the main thread said that it lives? Asking forgets it.
    pub fn beating(&self) -> bool {
        self.bell.beat.swap(false, Ordering::AcqRel)
    }

    /// What waits is looked at again at once.
    pub fn again(&self) {
        self.bell.ring();
    }

    /// Until the bell is rung again. Before looking, or a ring is missed.
    pub fn hush(&self) {
        match self.bell.wake.read() {
            Ok(_) | Err(Errno::EAGAIN) => {}
            Err(errno) => tracing::warn!("the loop's bell cannot be read: {errno}"),
        }
    }
}

impl Bell {
    fn ring(&self) {
        // EAGAIN: it has been rung 2^64-2 times, and is heard.
        let _ = self.wake.write(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Command, Peer};
    use tokio::sync::oneshot;

    fn request() -> (Request, oneshot::Receiver<Result<crate::api::Answer, Failure>>) {
        let (reply, answer) = oneshot::channel();
        (
            Request { command: Command::Plan, by: Peer { uid: 0, pid: None, groups: Vec::new() }, reply },
            answer,
        )
    }

    #[test]
    fn requests_come_in_order_and_those_nobody_waits_for_are_left_out() {
        let (outbox, inbox) = open().unwrap();
        let (first, gone) = request();
        let (second, _waits) = request();
        drop(gone);
        outbox.send(first);
        outbox.send(second);
        assert!(inbox.next().is_some());
        assert!(inbox.next().is_none());
    }

    #[test]
    fn who_finds_no_room_is_told_so_at_once() {
        let (outbox, _inbox) = open().unwrap();
        let mut answers: Vec<_> = (0..=LENGTH)
            .map(|_| {
                let (request, answer) = request();
                outbox.send(request);
                answer
            })
            .collect();
        let refused = answers.pop().unwrap().blocking_recv().unwrap();
        assert_eq!(refused, Err(Failure::Busy("the daemon is busy: try again".to_owned())));
        assert!(answers[0].try_recv().is_err());
    }

    #[test]
    fn signals_are_never_lost_and_are_heard_once() {
        let (outbox, inbox) = open().unwrap();
        (0..3).for_each(|_| outbox.reload());
        assert!(inbox.reloading());
        assert!(!inbox.reloading());
        outbox.stop();
        assert!(inbox.stopping() && inbox.stopping());
        assert!(!inbox.beating());
        outbox.beat();
        assert!(inbox.beating() && !inbox.beating());
    }
}
