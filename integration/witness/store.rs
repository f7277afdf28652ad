//! The store's tables, as SQLite has them.

use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

/// Longer than any writer holds the file.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub struct Store {
    pub leases: Vec<Lease>,
    /// Tunnels that are claimed.
    pub claims: BTreeSet<String>,
    pub tuples: Vec<(String, Tuple)>,
    /// Tunnel, address and prefix length.
    pub addresses: Vec<(String, Ipv4Addr, u8)>,
    pub loopback: BTreeSet<Ipv4Addr>,
    /// The remote that was chosen for each tunnel that has been moved.
    pub choices: BTreeMap<String, Ipv4Addr>,
    pub events: Vec<Event>,
}

#[derive(Clone, Debug)]
pub struct Lease {
    pub first: Ipv4Addr,
    pub last: Ipv4Addr,
    pub purpose: String,
    pub holder: String,
    pub active: bool,
}

/// Local, remote and key; no key is not key 0.
pub type Tuple = (Ipv4Addr, Ipv4Addr, Option<u32>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub seq: u64,
    pub at_ms: u64,
    pub kind: String,
    pub tunnel: Option<String>,
    pub text: String,
}

impl Store {
    /// Of this state directory; an absent one is empty.
    pub fn read(directory: &Path) -> Result<Self> {
        let file = directory.join("state.db");
        if !file.try_exists()? {
            return Ok(Self::default());
        }
        let mut store = open(&file)?;
        store.busy_timeout(PATIENCE)?;
        // In one transaction, or a writer between two tables would look like a contradiction.
        let store = store.transaction()?;
        read(&store).with_context(|| format!("the store in {}", directory.display()))
    }

    pub fn active(&self) -> impl Iterator<Item = &Lease> {
        self.leases.iter().filter(|lease| lease.active)
    }

    /// The local address that each holder has leased.
    pub fn locals(&self) -> BTreeMap<String, Ipv4Addr> {
        let termination = self.active().filter(|lease| lease.purpose == "termination");
        termination.map(|lease| (lease.holder.clone(), lease.first)).collect()
    }
}

/// It leaves the files as they are, also those of a process that was killed: what a reader makes of them is not
/// cleared away by it. Without a log or journal nobody has the file open, and nothing but the file need be looked at.
fn open(file: &Path) -> rusqlite::Result<Connection> {
    let is_there = |suffix: &str| file.with_extension(format!("db{suffix}")).exists();
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let alone = if is_there("-wal") || is_there("-journal") { "" } else { "?immutable=1" };
    Connection::open_with_flags(format!("file:{}{alone}", file.display()), flags)
}

fn read(store: &Connection) -> Result<Store> {
    Ok(Store {
        leases: all(store, "SELECT first, last, purpose, holder, state FROM lease ORDER BY first", lease)?,
        claims: all(store, "SELECT tunnel FROM claim", |row| row.get(0))?.into_iter().collect(),
        tuples: all(store, "SELECT tunnel, local, remote, key FROM claim_tuple", |row| {
            Ok((row.get(0)?, (address(row, 1)?, address(row, 2)?, row.get(3)?)))
        })?,
        addresses: all(store, "SELECT tunnel, address, length FROM claim_address", |row| {
            Ok((row.get(0)?, address(row, 1)?, row.get(2)?))
        })?,
        loopback: all(store, "SELECT address FROM loopback", |row| address(row, 0))?.into_iter().collect(),
        choices: all(store, "SELECT tunnel, remote FROM choice WHERE remote IS NOT NULL", |row| {
            Ok((row.get(0)?, address(row, 1)?))
        })?
        .into_iter()
        .collect(),
        events: all(store, "SELECT seq, at_ms, kind, tunnel, text FROM event ORDER BY seq", event)?,
    })
}

fn all<T>(
    store: &Connection,
    query: &str,
    fold: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    store.prepare(query)?.query_map([], fold)?.collect()
}

fn address(row: &Row<'_>, column: usize) -> rusqlite::Result<Ipv4Addr> {
    row.get::<_, u32>(column).map(Ipv4Addr::from)
}

fn lease(row: &Row<'_>) -> rusqlite::Result<Lease> {
    let active = row.get::<_, String>(4)? == "active";
    let (first, last) = (address(row, 0)?, address(row, 1)?);
    Ok(Lease { first, last, purpose: row.get(2)?, holder: row.get(3)?, active })
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
    Ok(Event {
        seq: number(0)?,
        at_ms: number(1)?,
        kind: row.get(2)?,
        tunnel: row.get(3)?,
        text: row.get(4)?,
    })
}
