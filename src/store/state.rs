//! The state of this host: opened once, read, and changed in transactions.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

use super::error::{Error, failed};
use super::open::{self, Opened};
use super::{claims, leases};
use crate::alloc::Book;
use crate::model::{Claim, Lease, Owned, TunnelName};

/// What outlives a process. Several processes may have it open; each change is whole, or it is not.
#[derive(Debug)]
pub struct State {
    conn: Connection,
    path: PathBuf,
    notice: Option<String>,
}

/// A transaction that nobody else writes beside.
///
/// A refusal and a clash have written nothing, and the transaction can go on. After any other error nothing
/// more is done, and nothing is kept.
#[derive(Debug)]
pub struct Change<'a> {
    tx: Transaction<'a>,
    path: &'a Path,
    spoilt: bool,
    /// Read when first needed, and kept with the tables: they are locked for everybody else.
    pub(super) book: Option<Book>,
}

impl State {
    /// Opens the state in this directory. What is not there is made; what is damaged, foreign or from a newer
    /// greyhound is refused.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        open::open(dir).map(Self::from)
    }

    /// A copy of it in memory, empty if there is none. It can be changed like the original, to see what would
    /// come of it; the disk stays as it is.
    pub fn open_copy(dir: &Path) -> Result<Self, Error> {
        open::copy(dir).map(Self::from)
    }

    /// A note of this name, if there is one.
    pub fn note(&self, name: &str) -> Result<Option<String>, Error> {
        self.read("read a note", |conn| {
            let sql = "SELECT value FROM meta WHERE name = ?1";
            conn.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()
        })
    }

    /// What the operator should know of where the state lies.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// Does all of `f` in one transaction, with one sync to disk; an error of `f` undoes all of it.
    pub fn change<T, E: From<Error>>(
        &mut self,
        f: impl FnOnce(&mut Change<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let path = &self.path;
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate);
        let tx = tx.map_err(failed(path, "begin a change"))?;
        let mut change = Change { tx, path, spoilt: false, book: None };
        let value = f(&mut change)?;
        if change.spoilt {
            return Err(Error::Spoilt { path: path.clone() }.into());
        }
        change.tx.commit().map_err(failed(path, "commit a change"))?;
        Ok(value)
    }

    /// All leases, active and resting, by address.
    pub fn leases(&self) -> Result<Vec<Lease>, Error> {
        leases::read(&self.conn).map_err(failed(&self.path, "read the leases"))
    }

    /// Leases, and the addresses that claims say are in use: what `alloc::explain` stands on.
    pub fn book(&self) -> Result<Book, Error> {
        self.read("read the leases", leases::read_book)
    }

    /// The claims, by tunnel, declared or not.
    pub fn claims(&self) -> Result<BTreeMap<TunnelName, Claim>, Error> {
        self.read("read the claims", claims::read)
    }

    /// Addresses that we put, or are about to put, on the loopback link.
    pub fn loopback(&self) -> Result<BTreeSet<Ipv4Addr>, Error> {
        self.read("read the loopback addresses", claims::read_loopback)
    }

    /// Claims and loopback addresses of one moment.
    pub fn owned(&self) -> Result<Owned, Error> {
        self.read("read what is owned", |conn| {
            Ok(Owned { claims: claims::read(conn)?, loopback: claims::read_loopback(conn)? })
        })
    }

    /// Several queries that see one moment.
    pub(super) fn read<T>(
        &self,
        doing: &'static str,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let tx = self.conn.unchecked_transaction();
        tx.and_then(|tx| f(&tx)).map_err(failed(&self.path, doing))
    }
}

impl From<Opened> for State {
    fn from(opened: Opened) -> Self {
        let Opened { conn, path, notice } = opened;
        Self { conn, path, notice }
    }
}

impl Change<'_> {
    /// Keeps a note under this name, in the place of the last.
    pub fn note(&mut self, name: &str, value: &str) -> Result<(), Error> {
        self.run("keep a note", |conn| {
            let sql = "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
            conn.prepare_cached(sql)?.execute([name, value]).map(drop)
        })
    }

    /// After an error SQLite may have rolled back and left the transaction: nothing must follow it.
    pub(super) fn run<T>(
        &mut self,
        doing: &'static str,
        f: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        if self.spoilt {
            return Err(Error::Spoilt { path: self.path.to_owned() });
        }
        f(&self.tx).map_err(|source| {
            self.spoilt = true;
            failed(self.path, doing)(source)
        })
    }

    /// Reads the book if it has not been read yet.
    pub(super) fn load_book(&mut self) -> Result<(), Error> {
        if self.book.is_none() {
            self.book = Some(self.run("read the leases", leases::read_book)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
