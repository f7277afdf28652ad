//! `greyhound pool add`, `set`, `remove`, `carve`: pools of the inventory.

use super::Ended;
use super::context::Context;
use super::shelf::{Limit, edited, word};
use crate::model::{AddressRange, DeviceCode, Pool, PoolName, Purpose, SharedPool, Tier};
use crate::reconcile;
use crate::registry::carve::{self, Carving};
use crate::registry::record::Record as _;
use crate::registry::{Refused, Registry, pools};

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Add a pool to the inventory. Added again with the same words, nothing changes.
    Add {
        /// Its name: 1 to 32 of a-z, 0-9, '-' and '_'.
        name: PoolName,
        /// termination (ends of tunnels), overlay (a /31 inside each tunnel) or client.
        #[arg(long, value_parser = word(&Purpose::ALL))]
        purpose: Purpose,
        /// For this device alone [default: general, for all].
        #[arg(long, value_name = "CODE")]
        device: Option<DeviceCode>,
        /// It is a block: prefixes of this length are carved from it, and nothing else is.
        #[arg(long, value_name = "LENGTH")]
        carve: Option<u8>,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change a pool of the inventory. What is not named stays; no tunnel is touched.
    Set {
        /// Its name.
        name: PoolName,
        #[command(flatten)]
        fields: Fields,
        /// Take a range away that nothing is leased from.
        #[arg(long, value_name = "RANGE")]
        remove_range: Vec<AddressRange>,
        /// Give these addresses out again.
        #[arg(long, value_name = "RANGE")]
        include: Vec<AddressRange>,
        /// This device may no longer draw from it.
        #[arg(long, value_name = "CODE")]
        disallow: Vec<DeviceCode>,
    },
    /// Remove a pool of the inventory that nothing is leased from.
    Remove {
        /// Its name.
        name: PoolName,
    },
    /// Carve the next prefixes of a block into a pool, which is made if it is not there.
    Carve {
        /// The pool that gets them.
        name: PoolName,
        /// The block.
        #[arg(long, value_name = "POOL")]
        from: PoolName,
        /// The pool is for this device alone [default: general, for all].
        #[arg(long, value_name = "CODE")]
        device: Option<DeviceCode>,
        /// How many prefixes.
        #[arg(long, default_value_t = 1)]
        count: usize,
        /// Draw from the block though it is a reserve.
        #[arg(long)]
        allow_reserve: bool,
    },
}

#[derive(Clone, Debug, clap::Args)]
pub struct Fields {
    /// Add a range, such as 198.51.100.8-198.51.100.15, or a prefix. Can be given again.
    #[arg(long, value_name = "RANGE")]
    range: Vec<AddressRange>,
    /// Never give these addresses of it out.
    #[arg(long, value_name = "RANGE")]
    exclude: Vec<AddressRange>,
    /// primary, or reserve: only for devices that it allows.
    #[arg(long, value_parser = word(&[Tier::Primary, Tier::Reserve]))]
    tier: Option<Tier>,
    /// The most leases at once, or none.
    #[arg(long, value_name = "N|none")]
    quota: Option<Limit>,
    /// Say that more are needed when so many are left or fewer [default: 0].
    #[arg(long, value_name = "N")]
    low_water: Option<u64>,
    /// This device may draw from it though it is a reserve. Can be given again.
    #[arg(long, value_name = "CODE")]
    allow: Vec<DeviceCode>,
}

pub fn run(context: &Context, verb: &Verb) -> anyhow::Result<Ended> {
    let now = reconcile::now();
    match verb {
        Verb::Add { name, purpose, device, carve, fields } => {
            let bare = bare(name, *purpose);
            let bare = SharedPool { device: device.clone(), carve: *carve, ..bare };
            let pool = fields.applied(bare, &[], &[], &[]);
            let decide = |registry: &Registry| match registry.pools.get(name.as_str()) {
                Some(before) if before.value != pool => Err(Refused::Present(pool.row_name())),
                _ => pools::put(registry, &pool, now),
            };
            context.change_inventory(decide, |placed| {
                told(&placed.pool, "is in the inventory", &placed.warnings)
            })
        }
        Verb::Set { name, fields, remove_range, include, disallow } => {
            let decide = |registry: &Registry| {
                let before = registry.pool(name)?.clone();
                pools::put(registry, &fields.applied(before, remove_range, include, disallow), now)
            };
            context.change_inventory(decide, |placed| told(&placed.pool, "is set", &placed.warnings))
        }
        Verb::Remove { name } => context.change_inventory(
            |registry| pools::remove(registry, name, now),
            |_| format!("Pool {name} is removed."),
        ),
        Verb::Carve { name, from, device, count, allow_reserve } => {
            let carving = Carving {
                block: from.clone(),
                pool: name.clone(),
                device: device.clone(),
                count: *count,
                reserve: *allow_reserve,
            };
            context.change_inventory(
                |registry| carve::carve(registry, &carving, now),
                |pool| told(pool, "is carved", &[]),
            )
        }
    }
}

impl Fields {
    fn applied(
        &self,
        before: SharedPool,
        ranges: &[AddressRange],
        include: &[AddressRange],
        disallow: &[DeviceCode],
    ) -> SharedPool {
        let allowed = before.allowed.iter().filter(|code| !disallow.contains(code)).chain(&self.allow);
        SharedPool {
            allowed: allowed.cloned().collect(),
            low_water: self.low_water.unwrap_or(before.low_water),
            pool: Pool {
                tier: self.tier.unwrap_or(before.pool.tier),
                ranges: edited(&before.pool.ranges, &self.range, ranges),
                quota: self.quota.map_or(before.pool.quota, |limit| limit.0),
                exclude: edited(&before.pool.exclude, &self.exclude, include),
                ..before.pool
            },
            ..before
        }
    }
}

fn bare(name: &PoolName, purpose: Purpose) -> SharedPool {
    let (tier, ranges, exclude) = (Tier::Primary, Vec::new(), Vec::new());
    SharedPool {
        pool: Pool { name: name.clone(), purpose, tier, ranges, quota: None, exclude },
        device: None,
        carve: None,
        allowed: Default::default(),
        low_water: 0,
        carved_from: None,
    }
}

fn told(pool: &SharedPool, what: &str, warnings: &[String]) -> String {
    let Pool { name, purpose, ranges, .. } = &pool.pool;
    let addresses: u64 = ranges.iter().map(AddressRange::size).sum();
    let ranges: Vec<_> = ranges.iter().map(ToString::to_string).collect();
    let first = format!(
        "Pool {name} {what}: {purpose}, {}, {addresses} address(es) in {}.\n",
        pool.scope(),
        ranges.join(", ")
    );
    let warnings = warnings.iter().map(|warning| format!("! {warning}\n"));
    std::iter::once(first).chain(warnings).collect()
}
