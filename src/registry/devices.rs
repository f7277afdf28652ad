//! Devices: registered by themselves, changed by operators, removed. The prefixes of a device are a termination pool
//! of its code.

use serde::Serialize;

use super::draft::{Decision, Draft};
use super::pools;
use super::refused::Refused;
use super::row::{Kind, RowName};
use super::supply::Supply;
use super::tables::Registry;
use crate::model::{
    AddressRange, Device, DeviceCode, Need, Pool, PoolName, Purpose, SharedPool, Tier, Timestamp,
};

/// The smallest prefix that a contributor should bring, and how many terminations it has.
const SMALLEST: u8 = 29;

/// What became of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Registered {
    #[serde(flatten)]
    pub device: Device,
    /// How many terminations its prefixes have, used or not.
    pub capacity: u64,
    /// Sentences for the operator.
    pub warnings: Vec<String>,
}

/// Registers a device, as it says of itself. Registered again, what operators decide stays as it is: its status, its
/// most sessions and its sharing.
pub fn register(
    registry: &Registry,
    device: &Device,
    now: Timestamp,
) -> Result<Decision<Registered>, Refused> {
    let mut device = device.clone();
    if let Some(before) = registry.devices.get(device.code.as_str()) {
        device.status = before.value.status;
        device.max_sessions = before.value.max_sessions;
        device.sharing = before.value.sharing;
    }
    put(registry, &device, now)
}

/// Makes a device what this says, all of it.
pub fn put(registry: &Registry, device: &Device, now: Timestamp) -> Result<Decision<Registered>, Refused> {
    let mut draft = Draft::new(registry);
    draft.put(device);
    let mut supply = Supply::new(registry);
    match own_pool(registry, device)? {
        Some(pool) => pools::put_in(&mut draft, &mut supply, &pool, &[], now)?,
        None => drop_pool(&mut draft, &mut supply, &device.code),
    }
    let value = Registered {
        capacity: capacity(device),
        warnings: device.prefixes.iter().filter_map(|prefix| too_small((*prefix).into())).collect(),
        device: device.clone(),
    };
    Ok(Decision { transaction: draft.finish()?, value })
}

/// Removes a device and its pool. What is on it goes first: an error names it.
pub fn remove(registry: &Registry, code: &DeviceCode) -> Result<Decision<Device>, Refused> {
    let device = registry.device(code)?.clone();
    let mut draft = Draft::new(registry);
    drop_pool(&mut draft, &mut Supply::new(registry), code);
    draft.delete(&device);
    Ok(Decision { transaction: draft.finish()?, value: device })
}

/// How many terminations the device's prefixes have: all addresses of a prefix count, because each is used as a /32.
pub fn capacity(device: &Device) -> u64 {
    device.prefixes.iter().map(|prefix| AddressRange::from(*prefix).size()).sum()
}

/// What to tell the contributor of a range that is smaller than it should be.
pub fn too_small(range: AddressRange) -> Option<String> {
    let smallest = 1 << (32 - SMALLEST);
    (range.size() < smallest).then(|| {
        format!(
            "{range} has {} usable address(es): contribute a /{SMALLEST} ({smallest}) or more",
            range.size()
        )
    })
}

/// The device's pool as its prefixes make it; limits that operators set stay.
fn own_pool(registry: &Registry, device: &Device) -> Result<Option<SharedPool>, Refused> {
    if device.prefixes.is_empty() {
        return Ok(None);
    }
    let ranges = device.prefixes.iter().map(|prefix| (*prefix).into()).collect();
    let Some(before) = registry.pools.get(device.code.as_str()) else {
        let name = PoolName::new(device.code.as_str()).expect("codes are pool names too");
        let (purpose, tier) = (Purpose::Termination, Tier::Primary);
        let pool = Pool { name, purpose, tier, ranges, quota: None, exclude: Vec::new() };
        let device = Some(device.code.clone());
        let allowed = Default::default();
        return Ok(Some(SharedPool { pool, device, carve: None, allowed, low_water: 0, carved_from: None }));
    };
    let mut pool = before.value.clone();
    if !is_own(&pool, &device.code) {
        let what = format!("it is not the pool of device {}'s prefixes: rename one of them", device.code);
        return Err(Refused::Differs { row: RowName::new(Kind::Pool, device.code.as_str()), what });
    }
    pool.pool.ranges = ranges;
    Ok(Some(pool))
}

fn is_own(pool: &SharedPool, code: &DeviceCode) -> bool {
    pool.device.as_ref() == Some(code)
        && pool.pool.purpose == Purpose::Termination
        && pool.carved_from.is_none()
}

/// Who has leases of it refuses that.
fn drop_pool(draft: &mut Draft<'_>, supply: &mut Supply<'_>, code: &DeviceCode) {
    let registry = draft.registry;
    let Some(pool) = registry.pools.get(code.as_str()).filter(|pool| is_own(&pool.value, code)) else {
        return;
    };
    pools::drop_in(draft, supply, &pool.value);
}

impl Registry {
    /// The device of this code, or an error that says that there is none.
    pub fn device(&self, code: &DeviceCode) -> Result<&Device, Refused> {
        let absent = || Refused::Absent(RowName::new(Kind::Device, code.as_str()));
        self.devices.get(code.as_str()).map(|device| &device.value).ok_or_else(absent)
    }

    /// Pools that run out, by name.
    pub fn needs(&self) -> impl Iterator<Item = &Need> {
        self.needs.values().map(|need| &need.value)
    }
}

#[cfg(test)]
mod tests;
