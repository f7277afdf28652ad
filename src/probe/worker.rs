//! A thread of this room, and the orders that it is given. Shell.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::error::Error;

/// The end that gives orders. The thread ends when this is dropped.
#[derive(Debug)]
pub(super) struct Worker<T> {
    name: &'static str,
    orders: Option<Sender<T>>,
    bell: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

/// The thread's end.
#[derive(Debug)]
pub(super) struct Orders<T> {
    heard: Receiver<T>,
    bell: Arc<EventFd>,
}

impl<T: Send + 'static> Worker<T> {
    /// Runs `work` on a thread of its own. `name` is for errors, `thread` is what the system shows.
    pub fn start(
        name: &'static str,
        thread: &str,
        work: impl FnOnce(Orders<T>) + Send + 'static,
    ) -> Result<Self, Error> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
        let bell = Arc::new(bell.map_err(|errno| Error::Bell { thread: name, source: errno.into() })?);
        let (orders, heard) = channel();
        let theirs = Orders { heard, bell: Arc::clone(&bell) };
        let builder = std::thread::Builder::new().name(thread.to_owned());
        let thread = builder.spawn(move || work(theirs));
        let thread = thread.map_err(|source| Error::Thread { thread: name, source })?;
        Ok(Self { name, orders: Some(orders), bell, thread: Some(thread) })
    }

    pub fn order(&self, order: T) -> Result<(), Error> {
        let sent = self.orders.as_ref().map(|orders| orders.send(order));
        sent.and_then(Result::ok).ok_or(Error::Ended { thread: self.name })?;
        self.ring();
        Ok(())
    }

    /// Gives an order that is answered by what it is given to tell, and waits for that.
    pub fn ask<A>(&self, order: impl FnOnce(Sender<A>) -> T) -> Result<A, Error> {
        let (tell, told) = channel();
        self.order(order(tell))?;
        told.recv().map_err(|_| Error::Ended { thread: self.name })
    }
}

impl<T> Worker<T> {
    fn ring(&self) {
        // The one error is a counter of 2^64: it rings already.
        let _ = self.bell.write(1);
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        self.orders = None;
        self.ring();
        if let Some(thread) = self.thread.take() {
            // What it panicked with, the panic hook has told.
            let _ = thread.join();
        }
    }
}

impl<T> Orders<T> {
    /// Until the bell rings again. Before the orders are looked at: what comes after rings.
    pub fn hush(&self) {
        let _ = self.bell.read();
    }

    /// Carries out all that have come. False: nobody can give any more.
    pub fn obey(&self, mut each: impl FnMut(T)) -> bool {
        loop {
            match self.heard.try_recv() {
                Ok(order) => each(order),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }
}

impl<T> AsFd for Orders<T> {
    /// Readable when the bell has rung.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
