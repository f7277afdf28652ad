//! Hearing of other processes' transactions: the kernel says that the log was written to, and the table of changes
//! says which rows.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use rusqlite::Connection;

use super::super::backend::{Heard, Watch};
use super::super::error::Error;
use super::{place, rows};
use crate::registry::Revision;

/// The log is written to before the transaction is to be seen: after a wakening it looks again, at first after this
/// long, then after twice as long each time ...
const SOON: Duration = Duration::from_millis(10);
/// ... and then this often, in case that a wakening was lost. Each time one number is read.
const ANYWAY: Duration = Duration::from_secs(10);

/// One who listens.
pub(super) struct Ear {
    conn: Connection,
    path: PathBuf,
    inotify: Inotify,
    from: Revision,
    pause: Duration,
}

impl Ear {
    pub(super) fn new(path: &Path, from: Revision) -> Result<Self, Error> {
        let trouble = |source| Error::Watch { path: path.to_owned(), source };
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).map_err(trouble)?;
        // The log comes and goes with those who have the file open, so it is the directory that is watched.
        let events = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        let directory = path.parent().unwrap_or(Path::new("/"));
        inotify.add_watch(directory, events).map_err(trouble)?;
        Ok(Self { conn: place::open(path)?, path: path.to_owned(), inotify, from, pause: SOON })
    }

    /// Waits for anything that may be a change, and takes all that has been said.
    fn wait(&mut self, patience: Duration) -> Result<(), Error> {
        let path = self.path.clone();
        let trouble = |source| Error::Watch { path, source };
        let ready = &mut [PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
        let pause = patience.min(self.pause);
        self.pause = (self.pause * 2).min(ANYWAY);
        let patience = PollTimeout::try_from(pause).unwrap_or(PollTimeout::MAX);
        match poll(ready, patience) {
            Ok(0) | Err(nix::Error::EINTR) => return Ok(()),
            Ok(_) => self.pause = SOON,
            Err(source) => return Err(trouble(source)),
        }
        match self.inotify.read_events() {
            Ok(_) | Err(nix::Error::EAGAIN | nix::Error::EINTR) => Ok(()),
            Err(source) => Err(trouble(source)),
        }
    }
}

impl Watch for Ear {
    fn next(&mut self, patience: Duration) -> Result<Heard, Error> {
        let began = Instant::now();
        loop {
            match rows::since(&self.conn, &self.path, self.from)? {
                Heard::Nothing => {}
                Heard::Changed { revision, rows } => {
                    self.from = revision;
                    return Ok(Heard::Changed { revision, rows });
                }
                Heard::Compacted { revision } => {
                    self.from = revision;
                    return Ok(Heard::Compacted { revision });
                }
            }
            let left = patience.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Ok(Heard::Nothing);
            }
            self.wait(left.max(Duration::from_millis(1)))?;
        }
    }
}
