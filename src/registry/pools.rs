//! Pools beside each other: no address is of two, a block's are of those that were carved from it. Addresses that
//! are used elsewhere are known, and never given out.

use ipnetwork::Ipv4Network;
use serde::Serialize;

use super::devices::too_small;
use super::draft::{Decision, Draft};
use super::record::Record as _;
use super::refused::Refused;
use super::row::{Kind, RowName};
use super::supply::Supply;
use super::tables::Registry;
use crate::alloc::{self, Book, Foreign, Taken};
use crate::model::{AddressRange, Lease, PoolName, Purpose, SharedPool, Timestamp, Used};

/// The shortest prefix that can be imported as used elsewhere: its addresses are looked at one by one.
const SHORTEST_USED: u8 = 20;

/// What became of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Placed {
    #[serde(flatten)]
    pub pool: SharedPool,
    /// Sentences for the operator.
    pub warnings: Vec<String>,
}

/// Makes a pool what this says, new or not.
pub fn put(registry: &Registry, pool: &SharedPool, now: Timestamp) -> Result<Decision<Placed>, Refused> {
    let mut draft = Draft::new(registry);
    put_in(&mut draft, &mut Supply::new(registry), pool, &[], now)?;
    let contributed = pool.pool.purpose == Purpose::Termination && pool.carve.is_none();
    let ranges = pool.pool.ranges.iter().filter(|_| contributed);
    let warnings = ranges.filter_map(|range| too_small(*range)).collect();
    Ok(Decision { transaction: draft.finish()?, value: Placed { pool: pool.clone(), warnings } })
}

/// Removes a pool that nothing is leased from; what it was carved from is given back to the block.
pub fn remove(registry: &Registry, name: &PoolName, now: Timestamp) -> Result<Decision<SharedPool>, Refused> {
    let pool = registry.pool(name)?.clone();
    let (mut draft, mut supply) = (Draft::new(registry), Supply::new(registry));
    drop_in(&mut draft, &mut supply, &pool);
    supply.tell_needs(&mut draft, &[], now);
    Ok(Decision { transaction: draft.finish()?, value: pool })
}

/// The same within a draft.
pub(super) fn drop_in(draft: &mut Draft<'_>, supply: &mut Supply<'_>, pool: &SharedPool) {
    supply.give_back(draft, &pool.holder());
    if let Some(need) = draft.registry.needs.get(pool.pool.name.as_str()) {
        draft.delete(&need.value);
    }
    draft.delete(pool);
    draft.pass(definitions());
}

/// Puts a pool within a draft that may have carved these prefixes for it.
pub(super) fn put_in(
    draft: &mut Draft<'_>,
    supply: &mut Supply<'_>,
    pool: &SharedPool,
    carved: &[Ipv4Network],
    now: Timestamp,
) -> Result<(), Refused> {
    check_alone(pool)?;
    check_leases(draft.registry, pool)?;
    check_beside(draft.registry, pool, carved)?;
    draft.put(pool);
    let changed =
        draft.registry.pools.get(pool.pool.name.as_str()).is_none_or(|before| before.value != *pool);
    if changed {
        // Whoever has leased by the pool as it was is done before this, or has to look again.
        draft.pass(definitions());
        draft.pass(pool.row_name().fence());
        supply.touch(&pool.pool.name);
        supply.tell_needs(draft, &[pool], now);
    }
    Ok(())
}

/// Remembers addresses as used elsewhere; the value is the leases that lie in them, which stay with their holders.
pub fn import_used(registry: &Registry, used: &[Used]) -> Result<Decision<Vec<Lease>>, Refused> {
    let mut draft = Draft::new(registry);
    for used in used {
        if used.prefix.prefix() < SHORTEST_USED {
            return Err(Refused::UsedTooLarge(used.prefix));
        }
        draft.put(used);
    }
    let spans = used.iter().map(|used| AddressRange::from(used.prefix));
    let spans: Vec<_> = spans.collect();
    let lies = |range: &AddressRange| spans.iter().any(|span| span.overlaps(range));
    pass_pools(&mut draft, lies);
    let leases = registry.leases.values().map(|lease| &lease.value);
    let leased = leases.filter(|lease| lies(&lease.prefix.into())).cloned().collect();
    Ok(Decision { transaction: draft.finish()?, value: leased })
}

/// These addresses are used elsewhere no more.
pub fn forget_used(registry: &Registry, prefix: Ipv4Network) -> Result<Decision<Used>, Refused> {
    let row = RowName::new(Kind::Used, prefix.to_string());
    let used = registry.used.get(&row.key).ok_or(Refused::Absent(row))?.value.clone();
    let mut draft = Draft::new(registry);
    draft.delete(&used);
    pass_pools(&mut draft, |range| AddressRange::from(prefix).overlaps(range));
    Ok(Decision { transaction: draft.finish()?, value: used })
}

/// What of the whole does not fit together, a sentence each.
pub fn problems(registry: &Registry) -> Vec<String> {
    let dangling = registry.dangling();
    let dangling = dangling.map(|(row, referred)| format!("{row} refers to {referred}, which is not there"));
    dangling.chain(audit(registry).err().map(|refused| refused.to_string())).collect()
}

/// Do all pools fit together, and are all leases where they should be?
pub fn audit(registry: &Registry) -> Result<(), Refused> {
    for pool in registry.pools.values().map(|pool| &pool.value) {
        check_alone(pool)?;
        check_leases(registry, pool)?;
        check_beside(registry, pool, &[])?;
    }
    Ok(())
}

/// The fences of all pools that have such a range: who leases from them meanwhile looks again.
fn pass_pools(draft: &mut Draft<'_>, lies: impl Fn(&AddressRange) -> bool) {
    for pool in draft.registry.pools.values().map(|pool| &pool.value) {
        if pool.pool.ranges.iter().any(&lies) {
            draft.pass(pool.row_name().fence());
        }
    }
}

/// Which pools there are is decided by one after the other.
fn definitions() -> RowName {
    RowName::new(Kind::Fence, "pools")
}

fn check_alone(pool: &SharedPool) -> Result<(), Refused> {
    let name = &pool.pool.name;
    if pool.pool.ranges.is_empty() {
        return Err(Refused::NoRanges { pool: name.clone() });
    }
    for (n, range) in pool.pool.ranges.iter().enumerate() {
        if let Some((_, what)) = range.unusable() {
            return Err(Refused::Unusable { pool: name.clone(), range: *range, what });
        }
        if let Some(other) = pool.pool.ranges[..n].iter().find(|other| other.overlaps(range)) {
            let (pool, of) = (name.clone(), name.clone());
            return Err(Refused::Overlap { pool, range: *range, other: *other, of });
        }
    }
    let empty = Taken { book: &Book::default(), foreign: &Foreign::new(), rest: 0 };
    match pool.carve {
        Some(unit) if unit > 32 || alloc::available(&pool.pool, unit, empty, 0) == 0 => {
            Err(Refused::NothingToCarve { pool: name.clone(), unit })
        }
        _ => Ok(()),
    }
}

/// What is leased of the pool must stay what it is.
fn check_leases(registry: &Registry, pool: &SharedPool) -> Result<(), Refused> {
    let name = &pool.pool.name;
    let Some(before) = registry.pools.get(name.as_str()) else { return Ok(()) };
    let leases = registry.leases.values().map(|lease| &lease.value);
    let mut leases = leases.filter(|lease| lease.pool == *name).peekable();
    let same = before.value.pool.purpose == pool.pool.purpose && before.value.carve == pool.carve;
    if leases.peek().is_some() && !same {
        return Err(Refused::InUse { pool: name.clone() });
    }
    match leases.find(|lease| !pool.covers(lease.prefix)) {
        Some(Lease { prefix, holder, .. }) => {
            Err(Refused::Uncovered { pool: name.clone(), prefix: *prefix, holder: holder.clone() })
        }
        None => Ok(()),
    }
}

fn check_beside(registry: &Registry, pool: &SharedPool, carved: &[Ipv4Network]) -> Result<(), Refused> {
    let name = &pool.pool.name;
    let others = registry.pools.values().map(|other| &other.value).filter(|other| other.pool.name != *name);
    for other in others {
        for range in &pool.pool.ranges {
            let Some(met) = other.pool.ranges.iter().find(|met| met.overlaps(range)) else { continue };
            let (block, leaf, part) = match (pool.carve, other.carve) {
                (None, Some(_)) => (other, pool, range),
                (Some(_), None) => (pool, other, met),
                _ => {
                    let (pool, of) = (name.clone(), other.pool.name.clone());
                    return Err(Refused::Overlap { pool, range: *range, other: *met, of });
                }
            };
            if !was_carved(registry, block, leaf, *part, carved) {
                let (pool, block) = (leaf.pool.name.clone(), block.pool.name.clone());
                return Err(Refused::NotCarved { pool, range: *part, block });
            }
        }
    }
    Ok(())
}

fn was_carved(
    registry: &Registry,
    block: &SharedPool,
    leaf: &SharedPool,
    part: AddressRange,
    carved: &[Ipv4Network],
) -> bool {
    let holder = leaf.holder();
    let leases = registry.leases_of(&holder).filter(|lease| lease.pool == block.pool.name);
    let prefixes = leases.map(|lease| lease.prefix).chain(carved.iter().copied());
    let mut prefixes = prefixes.map(AddressRange::from);
    prefixes.any(|prefix| prefix.contains(part.first()) && prefix.contains(part.last()))
}

#[cfg(test)]
mod tests;
