//! Prefixes carved from a block, each of them a range of a pool.

use super::draft::{Decision, Draft};
use super::pools;
use super::refused::Refused;
use super::row::{Kind, RowName};
use super::supply::{Supply, Want};
use super::tables::Registry;
use crate::model::{AddressRange, DeviceCode, Pool, PoolName, SharedPool, Tier, Timestamp};

/// What is to be carved, and for whom.
#[derive(Clone, Debug)]
pub struct Carving {
    pub block: PoolName,
    /// The pool that gets it as a range; it is made if it is not there.
    pub pool: PoolName,
    /// Whose pool that is; `None`: a general one.
    pub device: Option<DeviceCode>,
    /// How many prefixes more.
    pub count: usize,
    /// The operator says that the block may be drawn from though it is a reserve.
    pub reserve: bool,
}

/// Carves the next prefixes of a block into a pool, all or none; the pool as it is then.
pub fn carve(
    registry: &Registry,
    carving: &Carving,
    now: Timestamp,
) -> Result<Decision<SharedPool>, Refused> {
    let block = registry.pool(&carving.block)?;
    if block.carve.is_none() {
        return Err(Refused::NoBlock(carving.block.clone()));
    }
    let mut pool = pool_of(registry, block, carving)?;
    let device = pool.device.clone();
    let closed = block.pool.tier == Tier::Reserve && !carving.reserve;
    if let Some(device) = device.as_ref().filter(|device| closed && !block.allowed.contains(*device)) {
        return Err(Refused::Reserve { block: carving.block.clone(), device: device.clone() });
    }
    let (mut draft, mut supply) = (Draft::new(registry), Supply::new(registry));
    let want = Want {
        holder: pool.holder(),
        purpose: block.pool.purpose,
        count: registry.leases_of(&pool.holder()).count() + carving.count,
        device: device.as_ref(),
        pool: None,
        pinned: None,
        reserve: carving.reserve,
    };
    let leases = supply.carve(&mut draft, block, &want, now)?;
    let prefixes: Vec<_> = leases.iter().map(|lease| lease.prefix).collect();
    let fresh = prefixes.iter().filter(|prefix| !pool.covers(**prefix)).copied().map(AddressRange::from);
    let fresh: Vec<_> = fresh.collect();
    pool.pool.ranges.extend(fresh);
    pools::put_in(&mut draft, &mut supply, &pool, &prefixes, now)?;
    supply.tell_needs(&mut draft, &[&pool], now);
    Ok(Decision { transaction: draft.finish()?, value: pool })
}

/// The pool as it is, or a new one without ranges.
fn pool_of(registry: &Registry, block: &SharedPool, carving: &Carving) -> Result<SharedPool, Refused> {
    let Carving { block: from, pool: name, device, count: _, reserve: _ } = carving;
    let Some(before) = registry.pools.get(name.as_str()).map(|pool| &pool.value) else {
        let (purpose, tier) = (block.pool.purpose, Tier::Primary);
        let pool =
            Pool { name: name.clone(), purpose, tier, ranges: Vec::new(), quota: None, exclude: Vec::new() };
        return Ok(SharedPool {
            pool,
            device: device.clone(),
            carve: None,
            allowed: Default::default(),
            low_water: 0,
            carved_from: Some(from.clone()),
        });
    };
    let same = before.carved_from.as_ref() == Some(from) && (device.is_none() || before.device == *device);
    if same {
        return Ok(before.clone());
    }
    let row = RowName::new(Kind::Pool, name.as_str());
    Err(Refused::Differs { row, what: format!("it was not carved from {from} for that device") })
}
