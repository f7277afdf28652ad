//! When a verb that goes on for ever is to end: Ctrl-C, SIGTERM, or nobody reads what it prints.

use std::os::fd::AsFd;
use std::sync::mpsc::SyncSender;

use anyhow::Context as _;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Tells `word`, once. Called before other threads are made: they leave these signals alone from then on.
pub fn tell<T: Send + 'static>(word: T, to: SyncSender<T>) -> anyhow::Result<()> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    signals.thread_block().context("cannot wait for signals")?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC).context("cannot wait for signals")?;
    std::thread::spawn(move || {
        wait(&signals);
        // Who does not listen any more is at its end already.
        let _ = to.send(word);
    });
    Ok(())
}

/// For the output nothing is asked: that its reader has gone is told all the same (poll(2), POLLERR and POLLHUP).
fn wait(signals: &SignalFd) {
    let output = std::io::stdout();
    let mut awaited =
        [PollFd::new(signals.as_fd(), PollFlags::POLLIN), PollFd::new(output.as_fd(), PollFlags::empty())];
    while poll(&mut awaited, PollTimeout::NONE) == Err(Errno::EINTR) {}
}
