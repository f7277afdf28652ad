//! The inventory in an SQLite file, shared by the daemons and users of one host.
//!
//! | file | what is in it |
//! |---|---|
//! | `place` | the directory and the file: who may use them, and where they may be |
//! | `rows` | reading and committing |
//! | `watch` | hearing of other processes' transactions, by inotify |
//! | `queue` | one after the other, where they can agree on it |

mod place;
mod queue;
mod rows;
mod watch;

use std::any::Any;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::backend::{Backend, Committed, Watch};
use super::error::Error;
use crate::registry::{Kind, Revision, Snapshot, Transaction};

/// The file, opened. Several threads have one each.
#[derive(Debug)]
pub struct Sqlite {
    conn: Connection,
    path: PathBuf,
    /// Of the file that was opened, on its file system.
    inode: Option<u64>,
}

impl Sqlite {
    /// Opens the file. What is not there is made, for root and the group greyhound; what is damaged, foreign, from a
    /// newer greyhound or on a network file system is refused.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let conn = place::open(path)?;
        Ok(Self { conn, path: path.to_owned(), inode: inode(path) })
    }
}

impl Sqlite {
    /// Opens it to read it, as it is: nothing is made, and nothing upgraded.
    pub fn open_as_it_is(path: &Path) -> Result<Self, Error> {
        let conn = place::open_as_it_is(path)?;
        Ok(Self { conn, path: path.to_owned(), inode: inode(path) })
    }

    /// As [`Self::open`], for who knows that it was there: one that is gone is not made anew.
    pub fn reopen(path: &Path) -> Result<Self, Error> {
        match path.try_exists() {
            Ok(false) => Err(Error::Gone { path: path.to_owned() }),
            Ok(true) | Err(_) => Self::open(path),
        }
    }

    /// Is its file still there, and no other in its place?
    pub fn is_there(&self) -> bool {
        self.inode.is_some() && inode(&self.path) == self.inode
    }
}

fn inode(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|found| found.ino())
}

impl Backend for Sqlite {
    fn read(&self, kinds: &[Kind]) -> Result<Snapshot, Error> {
        rows::read(&self.conn, &self.path, kinds)
    }

    fn commit(&self, transaction: &Transaction) -> Result<Committed, Error> {
        rows::commit(&self.conn, &self.path, transaction)
    }

    fn watch(&self, from: Revision) -> Result<Box<dyn Watch>, Error> {
        Ok(Box::new(watch::Ear::new(&self.path, from)?))
    }

    fn queue(&self) -> Result<Box<dyn Any>, Error> {
        Ok(Box::new(queue::wait(&self.path)?))
    }
}

#[cfg(test)]
mod tests;
