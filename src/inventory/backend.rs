//! What a store of rows can do, as little as etcd can: consistent reads, transactions that compare and then write, and
//! watches from a revision. Uniqueness is a row's existence.

use std::any::Any;
use std::time::Duration;

use super::error::Error;
use crate::registry::{Kind, Revision, RowName, Snapshot, Transaction};

/// A store of rows. All of it may be used by any number of processes at once.
pub trait Backend: Send {
    /// All rows of these kinds at one moment; rows of kinds that we do not know are passed over.
    fn read(&self, kinds: &[Kind]) -> Result<Snapshot, Error>;

    /// Does all of the writes if all of the conditions hold, else nothing. When it returns, it is on disk. An empty
    /// transaction is done by doing nothing.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond [`crate::registry::LARGEST`] conditions or writes. After any other error it is not
    /// known whether it was done: read again, and decide again.
    fn commit(&self, transaction: &Transaction) -> Result<Committed, Error>;

    /// Hears of every transaction after this revision, those that were already too.
    fn watch(&self, from: Revision) -> Result<Box<dyn Watch>, Error>;

    /// Waits for a place in a queue, where the processes that change the inventory have one, and keeps it until what
    /// is returned is dropped. Only so that they do not work in vain: what is right is decided by conditions.
    fn queue(&self) -> Result<Box<dyn Any>, Error> {
        Ok(Box::new(()))
    }
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It was done, as this revision.
    Done(Revision),
    /// Nothing was done: this row was not as a condition says.
    Conflict(RowName),
}

/// Hears what changes.
pub trait Watch: Send {
    /// The next changes, at once if there are some; [`Heard::Nothing`] after this long without any.
    fn next(&mut self, patience: Duration) -> Result<Heard, Error>;
}

/// What a watch has heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    Nothing,
    /// In the order of their revisions. A row that was written several times is there once, with the last one.
    Changed {
        revision: Revision,
        rows: Vec<Changed>,
    },
    /// What was changed since is not known any more: read everything again. The watch goes on from this revision.
    Compacted {
        revision: Revision,
    },
}

/// A row that was put or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub row: RowName,
    /// When it was.
    pub revision: Revision,
}
