//! The rule, and the choice by it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use super::book::Taken;
use super::span::Span;
use super::view::{Reason, View};
use super::{Ask, Choice, Exhausted, Refused, Why};
use crate::model::{Lease, LeaseState, Pool, PoolName, Tier, Timestamp};

/// The whole rule, as `explain` prints it. [`choose`] does exactly this, in this order.
pub const RULE: [&str; 6] = [
    "what the holder has and what still fits stays with it, whatever becomes of the pools",
    "pools in the order of their declaration; the reserve tier after the primary one, and only if allowed",
    "within a pool: what the holder itself gave back last; then the lowest prefix that was never leased, range \
     by range; then the one whose rest ended longest ago, the lowest of equals",
    "passed over: 0.0.0.0, excluded, foreign, leased, in use by another holder's tunnel, still resting from \
     another holder",
    "a pool gives no more than its quota of active leases",
    "all that are asked for, or none",
];

/// Chooses by [`RULE`] what the holder shall have for this purpose. What it has now and what is not
/// among the choices is to be given back together with taking them.
pub fn choose(pools: &[Pool], taken: Taken<'_>, ask: &Ask, now: Timestamp) -> Result<Vec<Choice>, Refused> {
    check(ask)?;
    let mut choices = kept(pools, taken, ask);
    if choices.len() == ask.count {
        return Ok(choices);
    }
    let kept: BTreeSet<Span> = choices.iter().map(|choice| choice.prefix.into()).collect();
    let (allowed, reserve) = eligible(pools, ask)?;
    let view = |pool| View { pool, taken, asker: Some((&ask.holder, ask.purpose)), now };
    if let Some(address) = ask.pinned {
        return pinned(ask, address, &allowed, &reserve, view, &kept).map(|choice| vec![choice]);
    }
    let mut full = Vec::new();
    for pool in &allowed {
        let view = view(pool);
        let missing = ask.count - choices.len();
        let room = room(&view, &kept);
        let found = view.candidates(ask.unit, missing.min(room), &kept);
        if found.len() == room && room < missing {
            full.push(pool.name.clone());
        }
        choices.extend(found);
    }
    if choices.len() < ask.count {
        let found = choices.len() - kept.len();
        let asked = ask.count - kept.len();
        return Err(exhausted(ask, asked, found, full, (&allowed, &reserve), view).into());
    }
    Ok(choices)
}

fn check(ask: &Ask) -> Result<(), Refused> {
    if ask.unit > 32 {
        return Err(Refused::Unit(ask.unit));
    }
    let Some(address) = ask.pinned else { return Ok(()) };
    if ask.count > 1 {
        return Err(Refused::PinnedMany { address, count: ask.count });
    }
    match Ipv4Network::new(address, ask.unit) {
        Ok(prefix) if prefix.network() == address => Ok(()),
        _ => Err(Refused::Misaligned { address, unit: ask.unit }),
    }
}

/// What the holder has and what still fits: the oldest first, and no more than are asked for.
fn kept(pools: &[Pool], taken: Taken<'_>, ask: &Ask) -> Vec<Choice> {
    let leases = taken.book.of(&ask.holder);
    let mut kept: Vec<_> = leases.filter(|lease| fits(pools, taken, ask, lease)).collect();
    kept.sort_by_key(|lease| (lease.since, lease.prefix));
    let kept = kept.into_iter().take(ask.count);
    kept.map(|lease| Choice { prefix: lease.prefix, pool: home(pools, lease), why: Why::Kept }).collect()
}

fn fits(pools: &[Pool], taken: Taken<'_>, ask: &Ask, lease: &Lease) -> bool {
    lease.state == LeaseState::Active
        && lease.purpose == ask.purpose
        && lease.prefix.prefix() == ask.unit
        && ask.pinned.is_none_or(|address| address == lease.prefix.network())
        && ask.pool.as_ref().is_none_or(|pool| *pool == home(pools, lease))
        && !lost(taken, ask, lease)
}

/// Somebody else has the address, and no tunnel of the holder uses it yet: nothing is moved by another.
fn lost(taken: Taken<'_>, ask: &Ask, lease: &Lease) -> bool {
    let span = Span::from(lease.prefix);
    let foreign = taken.foreign.range(Ipv4Addr::from(span.first)..=span.last.into()).next().is_some();
    foreign && !taken.book.in_use(span).any(|(_, holders)| holders.contains(&ask.holder))
}

/// The pool that covers the lease now, or the one that it was taken from when none does.
fn home(pools: &[Pool], lease: &Lease) -> PoolName {
    let span = Span::from(lease.prefix);
    let covers = |pool: &&Pool| {
        pool.purpose == lease.purpose && pool.ranges.iter().any(|range| span.within((*range).into()))
    };
    pools.iter().find(covers).map_or_else(|| lease.pool.clone(), |pool| pool.name.clone())
}

/// The pools that may serve the ask in the order of the rule, and the reserves that may not.
fn eligible<'a>(pools: &'a [Pool], ask: &Ask) -> Result<(Vec<&'a Pool>, Vec<&'a Pool>), Refused> {
    let serves =
        |pool: &&Pool| pool.purpose == ask.purpose && ask.pool.as_ref().is_none_or(|name| *name == pool.name);
    let (mut allowed, mut reserve): (Vec<_>, Vec<_>) =
        pools.iter().filter(serves).partition(|pool| pool.tier == Tier::Primary);
    if allowed.is_empty() && reserve.is_empty() {
        return Err(Refused::NoPool { purpose: ask.purpose, pool: ask.pool.clone() });
    }
    if ask.reserve_allowed {
        allowed.append(&mut reserve);
    }
    Ok((allowed, reserve))
}

/// How many more leases the quota lets the asker have. What it has and what it will not keep is not counted.
fn room(view: &View<'_>, kept: &BTreeSet<Span>) -> usize {
    let Some(quota) = view.pool.quota else { return usize::MAX };
    let leaves = |lease: &Lease| {
        let own = view.asker.is_some_and(|asker| asker == (&lease.holder, lease.purpose));
        own && !kept.contains(&lease.prefix.into())
    };
    let active = view.active().filter(|lease| !leaves(lease)).count();
    usize::try_from(quota).unwrap_or(usize::MAX).saturating_sub(active)
}

fn pinned<'a>(
    ask: &Ask,
    address: Ipv4Addr,
    allowed: &[&'a Pool],
    reserve: &[&'a Pool],
    view: impl Fn(&'a Pool) -> View<'a>,
    kept: &BTreeSet<Span>,
) -> Result<Choice, Refused> {
    let span = Span::one(address).widened(ask.unit);
    let prefix = span.prefix().ok_or(Refused::Misaligned { address, unit: ask.unit })?;
    let Some(pool) = allowed.iter().find(|pool| view(pool).covers(span)) else {
        return Err(match reserve.iter().find(|pool| view(pool).covers(span)) {
            Some(pool) => Refused::Reserve { prefix, pool: pool.name.clone() },
            None => Refused::Outside { prefix, purpose: ask.purpose },
        });
    };
    let view = view(pool);
    if let Some(obstacle) = view.obstacle(span) {
        return Err(why_not(prefix, pool, obstacle.reason, &view));
    }
    match pool.quota {
        Some(quota) if room(&view, kept) == 0 => {
            Err(Refused::Quota { prefix, pool: pool.name.clone(), quota })
        }
        _ => Ok(Choice { prefix, pool: pool.name.clone(), why: Why::Pinned }),
    }
}

fn why_not(prefix: Ipv4Network, pool: &Pool, reason: Reason<'_>, view: &View<'_>) -> Refused {
    match reason {
        Reason::Unspecified => Refused::Unspecified,
        Reason::Excluded => Refused::Excluded { prefix, pool: pool.name.clone() },
        Reason::Foreign(what) => Refused::Foreign { prefix, what: what.to_owned() },
        Reason::Active(lease) => Refused::Held { prefix, holder: lease.holder.clone() },
        Reason::InUse(holder) => Refused::Held { prefix, holder: holder.clone() },
        Reason::Resting(lease) => Refused::Resting {
            prefix,
            holder: lease.holder.clone(),
            left: view.rests_until(lease).saturating_sub(view.now),
        },
    }
}

fn exhausted<'a>(
    ask: &Ask,
    asked: usize,
    free: usize,
    full: Vec<PoolName>,
    (allowed, reserve): (&[&'a Pool], &[&'a Pool]),
    view: impl Fn(&'a Pool) -> View<'a>,
) -> Exhausted {
    let waits = allowed.iter().filter_map(|pool| view(pool).next_rested()).min();
    Exhausted {
        purpose: ask.purpose,
        unit: ask.unit,
        asked,
        free,
        rested_in: waits.map(|until| until.saturating_sub(view(allowed[0]).now)),
        pools: allowed.iter().map(|pool| pool.name.clone()).collect(),
        full,
        reserve: reserve.iter().map(|pool| view(pool).available(ask.unit)).sum(),
    }
}

#[cfg(test)]
mod tests;
