//! Leases of a transaction: take, give back.

use ipnetwork::Ipv4Network;
use rusqlite::{Connection, Row, params};

use super::{Change, Error, claims};
use crate::alloc::{Ask, Book, Choice, Foreign, Taken, Why, choose};
use crate::model::{HolderName, Lease, LeaseState, Pool, PoolName, Purpose, Timestamp};
use crate::sqlite::invalid;

/// What there is to lease from, and what is not to be had of it.
#[derive(Clone, Copy, Debug)]
pub struct Supply<'a> {
    /// In the order in which they are drawn from.
    pub pools: &'a [Pool],
    pub foreign: &'a Foreign,
    /// Seconds that a prefix given back is kept from everybody but its last holder.
    pub rest: u64,
    /// What a lease that is taken or given back is dated with.
    pub now: Timestamp,
}

impl Change<'_> {
    /// Gives the holder what it asks for, all or nothing, by `alloc`'s rule; by address.
    ///
    /// Asked again it gives the same. The holder then has exactly this of the purpose: what it had besides
    /// is given back. It stays out of others' reach as long as a claim of the holder's tunnel names it.
    pub fn lease(&mut self, supply: &Supply<'_>, ask: &Ask) -> Result<Vec<Lease>, Error> {
        self.load_book()?;
        let book = self.book.get_or_insert_default();
        let taken = Taken { book, foreign: supply.foreign, rest: supply.rest };
        let refused = |source| Error::Refused { holder: ask.holder.clone(), source };
        let choices = choose(supply.pools, taken, ask, supply.now).map_err(refused)?;
        let had = book.of(&ask.holder);
        let had = had.filter(|lease| lease.state == LeaseState::Active && lease.purpose == ask.purpose);
        let chosen = |lease: &&Lease| choices.iter().any(|choice| choice.prefix == lease.prefix);
        let (kept, left): (Vec<Lease>, Vec<Lease>) = had.cloned().partition(|lease| chosen(&lease));
        for lease in left {
            self.rest(lease, supply.now)?;
        }
        let mut leases = Vec::with_capacity(choices.len());
        for choice in choices {
            let lease = match kept.iter().find(|lease| lease.prefix == choice.prefix) {
                Some(lease) => self.keep(lease.clone(), choice.pool)?,
                None => self.take(ask, choice, supply.now)?,
            };
            leases.push(lease);
        }
        leases.sort();
        Ok(leases)
    }

    /// The holder gives back all that it has; what that was.
    pub fn release(&mut self, holder: &HolderName, now: Timestamp) -> Result<Vec<Lease>, Error> {
        self.held(holder)?.into_iter().map(|lease| self.rest(lease, now)).collect()
    }

    /// The active leases of a holder, by address.
    pub fn held(&mut self, holder: &HolderName) -> Result<Vec<Lease>, Error> {
        self.load_book()?;
        let held = self.book.get_or_insert_default().of(holder);
        Ok(held.filter(|lease| lease.state == LeaseState::Active).cloned().collect())
    }

    /// All leases, active and resting, by address.
    pub fn leases(&mut self) -> Result<Vec<Lease>, Error> {
        self.run("read the leases", read)
    }

    fn keep(&mut self, mut lease: Lease, pool: PoolName) -> Result<Lease, Error> {
        if lease.pool != pool {
            let (first, name) = (first(&lease), pool.as_str());
            self.run("move a lease to another pool", |conn| {
                conn.execute("UPDATE lease SET pool = ?2 WHERE first = ?1", params![first, name])
            })?;
            lease.pool = pool;
            self.enter(&lease);
        }
        Ok(lease)
    }

    fn take(&mut self, ask: &Ask, choice: Choice, now: Timestamp) -> Result<Lease, Error> {
        let Choice { prefix, pool, why } = choice;
        debug_assert!(why != Why::Kept, "{prefix} is not held");
        let (holder, purpose) = (ask.holder.clone(), ask.purpose);
        let lease = Lease { prefix, pool, purpose, holder, state: LeaseState::Active, since: now };
        let book = self.book.get_or_insert_default();
        let rested: Vec<Lease> = book.overlapping(prefix).cloned().collect();
        rested.iter().for_each(|lease| drop(book.remove(lease.prefix)));
        self.run("take a lease", |conn| {
            let mut delete =
                conn.prepare_cached("DELETE FROM lease WHERE first = ?1 AND state = 'resting'")?;
            rested.iter().try_for_each(|lease| delete.execute([first(lease)]).map(drop))?;
            insert(conn, &lease)
        })?;
        self.enter(&lease);
        Ok(lease)
    }

    fn rest(&mut self, lease: Lease, now: Timestamp) -> Result<Lease, Error> {
        let lease = Lease { state: LeaseState::Resting, since: now, ..lease };
        self.run("give a lease back", |conn| {
            let sql = "UPDATE lease SET state = 'resting', nth = NULL, since = ?2 WHERE first = ?1";
            conn.prepare_cached(sql)?.execute([first(&lease), now.cast_signed()])
        })?;
        self.enter(&lease);
        Ok(lease)
    }

    fn enter(&mut self, lease: &Lease) {
        self.book.get_or_insert_default().insert(lease.clone());
    }
}

pub(super) fn read(conn: &Connection) -> rusqlite::Result<Vec<Lease>> {
    let sql = "SELECT first, length, pool, purpose, holder, state, since FROM lease ORDER BY first";
    conn.prepare_cached(sql)?.query_map([], lease)?.collect()
}

/// A tunnel that claims an address as its local one may be in the kernel with it, leased or not.
pub(super) fn read_book(conn: &Connection) -> rusqlite::Result<Book> {
    let mut book = Book::new(read(conn)?);
    for (tunnel, claim) in claims::read(conn)? {
        claim.tuples.iter().for_each(|tuple| book.set_in_use(tuple.local, tunnel.holder()));
    }
    Ok(book)
}

fn insert(conn: &Connection, lease: &Lease) -> rusqlite::Result<()> {
    let Lease { prefix, pool, purpose, holder, state: _, since } = lease;
    let (purpose, holder) = (purpose.to_string(), holder.as_str());
    let mut taken = conn.prepare_cached(
        "SELECT nth FROM lease WHERE holder = ?1 AND purpose = ?2 AND nth IS NOT NULL ORDER BY nth",
    )?;
    let taken = taken.query_map([holder, &purpose], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    let nth = (0i64..)
        .zip(&taken)
        .find(|(n, taken)| n != *taken)
        .map_or(taken.len().cast_signed() as i64, |(n, _)| n);
    let sql = "INSERT INTO lease (first, last, length, pool, purpose, holder, state, since, nth)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'active', ?7, ?8)";
    conn.prepare_cached(sql)?.execute(params![
        first(lease),
        i64::from(u32::from(prefix.broadcast())),
        prefix.prefix(),
        pool.as_str(),
        purpose,
        holder,
        since.cast_signed(),
        nth
    ])?;
    Ok(())
}

fn first(lease: &Lease) -> i64 {
    u32::from(lease.prefix.network()).into()
}

fn lease(row: &Row<'_>) -> rusqlite::Result<Lease> {
    let text = |column| row.get::<_, String>(column);
    let purpose = text(3)?;
    let purposes = [Purpose::Termination, Purpose::Overlay, Purpose::Client];
    let unknown = || invalid(3)(format!("no such purpose: {purpose}"));
    Ok(Lease {
        prefix: Ipv4Network::new(row.get::<_, u32>(0)?.into(), row.get(1)?).map_err(invalid(1))?,
        pool: PoolName::new(&text(2)?).map_err(invalid(2))?,
        purpose: purposes.into_iter().find(|known| known.to_string() == purpose).ok_or_else(unknown)?,
        holder: HolderName::new(&text(4)?).map_err(invalid(4))?,
        state: if text(5)? == "active" { LeaseState::Active } else { LeaseState::Resting },
        since: row.get::<_, i64>(6)?.cast_unsigned(),
    })
}

#[cfg(test)]
mod tests;
