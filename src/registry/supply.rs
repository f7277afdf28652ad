//! Addresses taken from pools and given back, chosen by `alloc`; and word of pools that run out.
//!
//! What is carved from blocks and what is leased from all other pools are two books: a block's ranges hold those of
//! the pools that were carved from it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::draft::Draft;
use super::refused::Refused;
use super::row::{Kind, RowName};
use super::tables::Registry;
use crate::alloc::{self, Ask, Book, Choice, Foreign, PoolExplanation, Taken, Why};
use crate::model::{
    DeviceCode, HolderName, Lease, LeaseState, Need, Pool, PoolName, Purpose, SharedPool, Termination, Tier,
    Timestamp,
};

/// What a holder needs.
#[derive(Clone, Debug)]
pub struct Want<'a> {
    pub holder: HolderName,
    pub purpose: Purpose,
    /// How many it shall have in all; what it has already counts.
    pub count: usize,
    /// From pools of this device, then from general ones; `None`: from general ones alone.
    pub device: Option<&'a DeviceCode>,
    /// Only from this pool.
    pub pool: Option<PoolName>,
    /// Exactly this address; goes with a count of one.
    pub pinned: Option<Ipv4Addr>,
    /// May reserves be drawn from, whomever they allow?
    pub reserve: bool,
}

/// All pools of the inventory, and what is taken of them.
#[derive(Clone, Debug)]
pub struct Supply<'a> {
    registry: &'a Registry,
    leaves: Book,
    blocks: Book,
    foreign: Foreign,
    touched: BTreeSet<PoolName>,
}

impl<'a> Supply<'a> {
    pub fn new(registry: &'a Registry) -> Self {
        let is_block = |lease: &&Lease| {
            registry.pools.get(lease.pool.as_str()).is_some_and(|pool| pool.value.carve.is_some())
        };
        let leases = registry.leases.values().map(|lease| &lease.value);
        let (blocks, leaves): (Vec<_>, Vec<_>) = leases.partition(is_block);
        let foreign = foreign(registry);
        let mut leaves = Book::new(leaves.into_iter().cloned());
        // What was leased before it was said to be used elsewhere stays with its holder.
        for address in foreign.keys() {
            if let Some(lease) = registry.leases.get(&format!("{address}/32")) {
                leaves.set_in_use(*address, lease.value.holder.clone());
            }
        }
        let blocks = Book::new(blocks.into_iter().cloned());
        Self { registry, leaves, blocks, foreign, touched: BTreeSet::new() }
    }

    /// Takes what is missing of what is wanted, all of it or nothing; what the holder has by then, in order.
    pub fn take(
        &mut self,
        draft: &mut Draft<'_>,
        want: &Want<'_>,
        now: Timestamp,
    ) -> Result<Vec<Lease>, Refused> {
        let pools = self.open_to(want);
        if pools.is_empty() {
            let (holder, device) = (want.holder.clone(), want.device.cloned());
            return Err(Refused::NoPool { holder, purpose: want.purpose, device });
        }
        let unit = pools[0].unit();
        self.choose(draft, want, unit, &pools, now)
    }

    /// The same from this block: prefixes as long as it carves them.
    pub fn carve(
        &mut self,
        draft: &mut Draft<'_>,
        block: &SharedPool,
        want: &Want<'_>,
        now: Timestamp,
    ) -> Result<Vec<Lease>, Refused> {
        self.choose(draft, want, block.unit(), &[block], now)
    }

    /// Gives back all that the holder has.
    pub fn give_back(&mut self, draft: &mut Draft<'_>, holder: &HolderName) {
        let both = self.leaves.of(holder).chain(self.blocks.of(holder));
        let leases: Vec<Lease> = both.cloned().collect();
        leases.iter().for_each(|lease| self.give_back_one(draft, lease));
    }

    /// Gives back one lease.
    pub fn give_back_one(&mut self, draft: &mut Draft<'_>, lease: &Lease) {
        draft.delete(lease);
        self.book_of(&lease.pool).remove(lease.prefix);
        self.touched.insert(lease.pool.clone());
    }

    /// This pool has changed, and so may have what it needs.
    pub fn touch(&mut self, pool: &PoolName) {
        self.touched.insert(pool.clone());
    }

    /// Says of the pools that were drawn from whether they need more; `changed` stands for the rows of those that
    /// the draft writes anew.
    pub fn tell_needs(&self, draft: &mut Draft<'_>, changed: &[&SharedPool], now: Timestamp) {
        for name in &self.touched {
            let stored = self.registry.pools.get(name.as_str()).map(|pool| &pool.value);
            let anew = changed.iter().copied().find(|pool| pool.pool.name == *name);
            let Some(pool) = anew.or(stored) else { continue };
            let before = self.registry.needs.get(name.as_str()).map(|need| &need.value);
            let left = alloc::available(&pool.pool, pool.unit(), self.taken(pool), now);
            match before {
                _ if left <= pool.low_water => {
                    let since = before.map_or(now, |need| need.since);
                    let needed = pool.low_water + 1 - left;
                    draft.put(&Need { pool: name.clone(), left, needed, since });
                }
                Some(need) => draft.delete(need),
                None => {}
            }
        }
    }

    /// How full a pool is, what comes next and why, and the state of every address.
    pub fn explain(&self, pool: &SharedPool, now: Timestamp) -> PoolExplanation {
        alloc::explain_pool(&pool.pool, pool.unit(), self.taken(pool), now)
    }

    /// What is taken of the pool.
    fn taken(&self, pool: &SharedPool) -> Taken<'_> {
        let book = if pool.carve.is_some() { &self.blocks } else { &self.leaves };
        Taken { book, foreign: &self.foreign, rest: 0 }
    }

    fn book_of(&mut self, pool: &PoolName) -> &mut Book {
        let block = self.registry.pools.get(pool.as_str()).is_some_and(|pool| pool.value.carve.is_some());
        if block { &mut self.blocks } else { &mut self.leaves }
    }

    /// The pools that may serve: those of the device before general ones.
    fn open_to(&self, want: &Want<'_>) -> Vec<&'a SharedPool> {
        let serves = |pool: &&SharedPool| {
            pool.pool.purpose == want.purpose
                && pool.carve.is_none()
                && (pool.device.is_none() || pool.device.as_ref() == want.device)
        };
        let mut pools: Vec<_> = self.registry.pools.values().map(|pool| &pool.value).filter(serves).collect();
        pools.sort_by_key(|pool| pool.device.is_none());
        pools
    }

    fn choose(
        &mut self,
        draft: &mut Draft<'_>,
        want: &Want<'_>,
        unit: u8,
        pools: &[&SharedPool],
        now: Timestamp,
    ) -> Result<Vec<Lease>, Refused> {
        let may = |pool: &SharedPool| {
            want.reserve || want.device.is_some_and(|device| pool.allowed.contains(device))
        };
        let reserve_allowed = pools.iter().any(|pool| pool.pool.tier == Tier::Reserve && may(pool));
        // Reserves that are closed to this holder are left out once it may draw from another.
        let open =
            pools.iter().filter(|pool| !reserve_allowed || pool.pool.tier == Tier::Primary || may(pool));
        let open: Vec<Pool> = open.map(|pool| pool.pool.clone()).collect();
        let Want { holder, purpose, count, device: _, pool, pinned, reserve: _ } = want;
        let ask = Ask {
            holder: holder.clone(),
            purpose: *purpose,
            count: *count,
            unit,
            pool: pool.clone(),
            pinned: *pinned,
            reserve_allowed,
        };
        let choices = alloc::choose(&open, self.taken(pools[0]), &ask, now)
            .map_err(|source| Refused::NoAddress { holder: holder.clone(), source })?;
        let leases: Vec<_> = choices.into_iter().map(|choice| self.enter(draft, want, choice, now)).collect();
        for pool in pools.iter().filter(|pool| leases.iter().any(|lease| lease.pool == pool.pool.name)) {
            self.check_quota(pool)?;
        }
        Ok(leases)
    }

    fn enter(&mut self, draft: &mut Draft<'_>, want: &Want<'_>, choice: Choice, now: Timestamp) -> Lease {
        let Choice { prefix, pool, why } = choice;
        let (holder, purpose) = (want.holder.clone(), want.purpose);
        if let (Why::Kept, Some(kept)) = (why, self.book_of(&pool).get(prefix)) {
            return kept.clone();
        }
        let lease = Lease { prefix, pool, purpose, holder, state: LeaseState::Active, since: now };
        self.book_of(&lease.pool).insert(lease.clone());
        self.touched.insert(lease.pool.clone());
        draft.put(&lease);
        lease
    }

    /// Also of what the holder has besides: `alloc` takes that for what it gives back.
    fn check_quota(&self, pool: &SharedPool) -> Result<(), Refused> {
        let Some(quota) = pool.pool.quota else { return Ok(()) };
        let leases = self.taken(pool).book.leases().filter(|lease| lease.pool == pool.pool.name);
        if leases.count() as u64 > quota {
            return Err(Refused::Quota { pool: pool.pool.name.clone(), quota });
        }
        Ok(())
    }
}

/// The addresses of pools that are used elsewhere, and for what.
fn foreign(registry: &Registry) -> Foreign {
    let ranges: Vec<_> = registry.pools.values().flat_map(|pool| &pool.value.pool.ranges).collect();
    let mut foreign = BTreeMap::new();
    for used in registry.used.values().map(|used| &used.value) {
        let note = if used.note.is_empty() { "used elsewhere" } else { &used.note };
        for address in
            used.prefix.iter().filter(|address| ranges.iter().any(|range| range.contains(*address)))
        {
            foreign.insert(address, note.to_owned());
        }
    }
    // Pinned before there was a pool of it.
    for termination in registry.terminations.values().map(|termination| &termination.value) {
        let Termination { address, device, interface } = termination;
        let leased = registry.leases.contains_key(&format!("{address}/32"));
        if !leased && ranges.iter().any(|range| range.contains(*address)) {
            foreign.insert(*address, format!("a termination of interface {device}/{interface}"));
        }
    }
    foreign
}

impl Registry {
    /// The pool of this name, or an error that says that there is none.
    pub fn pool(&self, name: &PoolName) -> Result<&SharedPool, Refused> {
        let absent = || Refused::Absent(RowName::new(Kind::Pool, name.as_str()));
        self.pools.get(name.as_str()).map(|pool| &pool.value).ok_or_else(absent)
    }

    /// The leases of a holder, by prefix.
    pub fn leases_of(&self, holder: &HolderName) -> impl Iterator<Item = &Lease> {
        self.leases.values().map(|lease| &lease.value).filter(move |lease| lease.holder == *holder)
    }
}
