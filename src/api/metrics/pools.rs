//! Pools, leases and the inventory into samples.

use std::collections::BTreeMap;

use super::catalogue::Metric;
use super::gauges::{Shared, Stock};
use super::sheet::{Sheet, labels};
use crate::api::handle::Snapshot;

pub fn add(sheet: &mut Sheet, seen: &Snapshot) {
    seen.gauges.pools.iter().for_each(|stock| add_stock(sheet, stock));
    let mut leases: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    for lease in &seen.leases {
        *leases.entry((&lease.pool, &lease.purpose, &lease.state)).or_default() += 1;
    }
    for ((pool, purpose, state), count) in leases {
        sheet.add(Metric::Leases, &labels([pool, purpose, state]), count);
    }
    if let Some(Shared { up, owed }) = seen.gauges.shared {
        sheet.add_known(Metric::InventoryUp, &labels([]), up);
        sheet.add(Metric::InventoryOwed, &labels([]), owed);
    }
}

fn add_stock(sheet: &mut Sheet, stock: &Stock) {
    let Stock {
        name,
        scope,
        purpose,
        tier,
        excluded,
        active,
        resting,
        foreign,
        free,
        available,
        low_water,
        quota,
    } = stock;
    for (state, count) in [
        ("excluded", excluded),
        ("active", active),
        ("resting", resting),
        ("foreign", foreign),
        ("free", free),
    ] {
        let of = labels([name, scope, purpose, tier, state]);
        sheet.add(Metric::PoolAddresses, &of, *count);
    }
    let of = labels([name, scope, purpose, tier]);
    sheet.add(Metric::PoolAvailable, &of, *available);
    sheet.add_known(Metric::PoolLowWater, &of, *low_water);
    sheet.add_known(Metric::PoolQuota, &of, *quota);
}
