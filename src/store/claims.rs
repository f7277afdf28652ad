//! Claims of a transaction: tunnels and loopback addresses. Written before the kernel is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Change, Error};
use crate::model::{Claim, TunnelName, Tuple};
use crate::sqlite::invalid;

impl Change<'_> {
    /// Before the kernel is touched: what is claimed already and this as well.
    pub fn claim(&mut self, tunnel: &TunnelName, claim: &Claim) -> Result<(), Error> {
        self.refuse_clash(tunnel, claim)?;
        self.run("claim a tunnel", |conn| add(conn, tunnel, claim))?;
        self.note_in_use(tunnel, claim);
        Ok(())
    }

    /// After reading back: exactly this.
    pub fn settle(&mut self, tunnel: &TunnelName, claim: &Claim) -> Result<(), Error> {
        self.refuse_clash(tunnel, claim)?;
        self.unclaim(tunnel)?;
        self.run("settle a claim", |conn| add(conn, tunnel, claim))?;
        self.note_in_use(tunnel, claim);
        Ok(())
    }

    /// After reading back that it is gone.
    pub fn unclaim(&mut self, tunnel: &TunnelName) -> Result<(), Error> {
        self.run("drop a claim", |conn| {
            conn.prepare_cached("DELETE FROM claim WHERE tunnel = ?1")?.execute([tunnel.as_str()])
        })?;
        if let Some(book) = &mut self.book {
            book.clear_in_use(&tunnel.holder());
        }
        Ok(())
    }

    /// Before the address is put on the loopback link.
    pub fn claim_loopback(&mut self, address: Ipv4Addr) -> Result<(), Error> {
        self.run("claim a loopback address", |conn| {
            let sql = "INSERT INTO loopback VALUES (?1) ON CONFLICT DO NOTHING";
            conn.prepare_cached(sql)?.execute([u32::from(address)]).map(drop)
        })
    }

    /// After reading back that it is gone.
    pub fn unclaim_loopback(&mut self, address: Ipv4Addr) -> Result<(), Error> {
        self.run("drop a loopback address", |conn| {
            let sql = "DELETE FROM loopback WHERE address = ?1";
            conn.prepare_cached(sql)?.execute([u32::from(address)]).map(drop)
        })
    }

    /// As the transaction sees them.
    pub fn claims(&mut self) -> Result<BTreeMap<TunnelName, Claim>, Error> {
        self.run("read the claims", read)
    }

    /// As the transaction sees them.
    pub fn loopback(&mut self) -> Result<BTreeSet<Ipv4Addr>, Error> {
        self.run("read the loopback addresses", read_loopback)
    }

    /// Looked for before anything is written, so that a clash leaves the transaction as it was.
    fn refuse_clash(&mut self, tunnel: &TunnelName, claim: &Claim) -> Result<(), Error> {
        for tuple in &claim.tuples {
            let holder = self.run("look for a claim", |conn| holder(conn, tuple))?;
            if let Some(holder) = holder.filter(|holder| holder != tunnel.as_str()) {
                return Err(Error::Clash { tunnel: tunnel.clone(), tuple: *tuple, holder });
            }
        }
        Ok(())
    }

    fn note_in_use(&mut self, tunnel: &TunnelName, claim: &Claim) {
        if let Some(book) = &mut self.book {
            claim.tuples.iter().for_each(|tuple| book.set_in_use(tuple.local, tunnel.holder()));
        }
    }
}

pub(super) fn read(conn: &Connection) -> rusqlite::Result<BTreeMap<TunnelName, Claim>> {
    let mut claims = BTreeMap::new();
    let name = |text: String| TunnelName::new(&text).map_err(invalid(0));
    let mut tunnels = conn.prepare_cached("SELECT tunnel FROM claim")?;
    for tunnel in tunnels.query_map([], |row| row.get(0))? {
        claims.insert(name(tunnel?)?, Claim { tuples: BTreeSet::new(), addresses: BTreeSet::new() });
    }
    let mut tuples = conn.prepare_cached("SELECT tunnel, local, remote, key FROM claim_tuple")?;
    let tuples = tuples.query_map([], |row| {
        let (local, remote) = (row.get::<_, u32>(1)?.into(), row.get::<_, u32>(2)?.into());
        Ok((row.get(0)?, Tuple { local, remote, key: row.get(3)? }))
    })?;
    for tuple in tuples {
        let (tunnel, tuple) = tuple?;
        if let Some(claim) = claims.get_mut(&name(tunnel)?) {
            claim.tuples.insert(tuple);
        }
    }
    let mut addresses = conn.prepare_cached("SELECT tunnel, address, length FROM claim_address")?;
    let addresses = addresses.query_map([], |row| {
        let prefix = Ipv4Network::new(row.get::<_, u32>(1)?.into(), row.get(2)?).map_err(invalid(2))?;
        Ok((row.get(0)?, prefix))
    })?;
    for address in addresses {
        let (tunnel, address) = address?;
        if let Some(claim) = claims.get_mut(&name(tunnel)?) {
            claim.addresses.insert(address);
        }
    }
    Ok(claims)
}

pub(super) fn read_loopback(conn: &Connection) -> rusqlite::Result<BTreeSet<Ipv4Addr>> {
    let mut addresses = conn.prepare_cached("SELECT address FROM loopback")?;
    addresses.query_map([], |row| row.get::<_, u32>(0).map(Ipv4Addr::from))?.collect()
}

fn holder(conn: &Connection, tuple: &Tuple) -> rusqlite::Result<Option<String>> {
    let Tuple { local, remote, key } = *tuple;
    let sql = "SELECT tunnel FROM claim_tuple
               WHERE local = ?1 AND remote = ?2 AND ifnull(key, -1) = ifnull(?3, -1)";
    let row = (u32::from(local), u32::from(remote), key);
    conn.prepare_cached(sql)?.query_row(row, |row| row.get(0)).optional()
}

fn add(conn: &Connection, tunnel: &TunnelName, claim: &Claim) -> rusqlite::Result<()> {
    let Claim { tuples, addresses } = claim;
    let tunnel = tunnel.as_str();
    conn.prepare_cached("INSERT INTO claim (tunnel) VALUES (?1) ON CONFLICT DO NOTHING")?
        .execute([tunnel])?;
    for tuple in tuples {
        if holder(conn, tuple)?.is_none() {
            let Tuple { local, remote, key } = *tuple;
            let row = params![tunnel, u32::from(local), u32::from(remote), key];
            conn.prepare_cached("INSERT INTO claim_tuple VALUES (?1, ?2, ?3, ?4)")?.execute(row)?;
        }
    }
    for address in addresses {
        let sql = "INSERT INTO claim_address VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        let row = params![tunnel, u32::from(address.ip()), address.prefix()];
        conn.prepare_cached(sql)?.execute(row)?;
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests;
