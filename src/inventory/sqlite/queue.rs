//! One after the other: a lock that dies with its process. A transaction that was decided while somebody else committed
//! is in vain, and many who try at once would mostly do that.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use super::place;
use crate::sqlite::{self, Error, open::beside};

/// Nobody needs longer than a moment. Who has the place and does not go on holds up no one for longer.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);

/// A place in the queue, or none after a long wait: then it goes on without.
pub(super) fn wait(path: &Path) -> Result<Option<File>, Error> {
    let path = beside(path, "-queue");
    let lock = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => place::shared(&path),
        opened => opened.map_err(sqlite::file(&path, "open")),
    }?;
    let began = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(Some(lock)),
            Err(TryLockError::WouldBlock) if began.elapsed() > PATIENCE => return Ok(None),
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            Err(TryLockError::Error(source)) => return Err(sqlite::file(&path, "lock")(source)),
        }
    }
}
