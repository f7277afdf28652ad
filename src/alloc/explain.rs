//! The state of every pool: how much there is of it, what comes next and why, and all of its parts.

use std::collections::BTreeSet;

use ipnetwork::Ipv4Network;
use serde::Serialize;

use super::book::Taken;
use super::span::Span;
use super::view::View;
use super::{RULE, Why};
use crate::model::{AddressRange, HolderName, Lease, LeaseState, Pool, PoolName, Purpose, Tier, Timestamp};

/// All that [`explain`] says, as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// How a prefix is chosen, sentence by sentence.
    pub rule: Vec<&'static str>,
    /// In the order of the declaration.
    pub pools: Vec<PoolExplanation>,
    /// Active leases that no declared pool covers: they stay with their holders.
    pub strays: Vec<Lease>,
}

/// One pool. Addresses are counted in `sizes`, blocks of `unit` in `available`, leases of any length in `leases`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PoolExplanation {
    pub name: PoolName,
    pub purpose: Purpose,
    pub tier: Tier,
    /// Prefix length of what `available` counts and `next` is.
    pub unit: u8,
    /// Of all its ranges together.
    pub sizes: Sizes,
    /// Active leases.
    pub leases: u64,
    /// The most active leases; `None`: no limit.
    pub quota: Option<u64>,
    /// How many could be had now by somebody who never had any.
    pub available: u64,
    pub next: Next,
    /// In the order of the declaration.
    pub ranges: Vec<RangeExplanation>,
}

/// Addresses by what keeps them; each one is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sizes {
    pub total: u64,
    /// By declaration, and 0.0.0.0.
    pub excluded: u64,
    /// Leased, or still in use by a tunnel.
    pub active: u64,
    /// Given back less than the rest ago.
    pub resting: u64,
    /// Nobody's lease, and yet not to be had: [`super::Foreign`].
    pub foreign: u64,
    /// Never leased, or rested.
    pub free: u64,
}

/// What somebody who never had anything would get of this pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "next")]
pub enum Next {
    Prefix {
        prefix: Ipv4Network,
        #[serde(flatten)]
        why: Why,
    },
    QuotaReached,
    /// Nothing, until something has rested.
    Nothing {
        /// `None`: nothing rests.
        rested_at: Option<Timestamp>,
    },
}

/// One range of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RangeExplanation {
    pub range: AddressRange,
    pub sizes: Sizes,
    /// All of the range, in order, neighbours of one state taken together.
    pub parts: Vec<Part>,
}

/// Neighbouring addresses of one state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    pub range: AddressRange,
    #[serde(flatten)]
    pub state: PartState,
}

/// What keeps an address, or that nothing does. Where several things do, the first of these is shown: an active
/// lease, exclusion, what is foreign, a tunnel that uses it, rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum PartState {
    /// Never leased.
    Free,
    /// By declaration; 0.0.0.0 always is.
    Excluded,
    /// Not to be had for a reason outside of the leases.
    Foreign {
        /// What it is, in a few words.
        what: String,
    },
    /// Leased, whether a tunnel uses it or not.
    Active { holder: HolderName, since: Timestamp },
    /// Not leased, but a tunnel of this holder may still have it.
    InUse { holder: HolderName },
    /// Kept for its last holder until then.
    Resting { holder: HolderName, until: Timestamp },
    /// Free again since then.
    Rested { holder: HolderName, since: Timestamp },
}

/// Explains every pool as it is now.
pub fn explain(pools: &[Pool], taken: Taken<'_>, now: Timestamp) -> Explanation {
    let covered = |lease: &Lease| {
        let span = Span::from(lease.prefix);
        pools.iter().flat_map(|pool| &pool.ranges).any(|range| span.within((*range).into()))
    };
    let strays = taken.book.leases().filter(|lease| lease.state == LeaseState::Active && !covered(lease));
    Explanation {
        rule: RULE.to_vec(),
        pools: pools.iter().map(|pool| explain_pool(pool, pool.purpose.unit(), taken, now)).collect(),
        strays: strays.cloned().collect(),
    }
}

/// Explains one pool that gives prefixes of this length.
pub fn explain_pool(pool: &Pool, unit: u8, taken: Taken<'_>, now: Timestamp) -> PoolExplanation {
    View { pool, taken, asker: None, now }.explain(unit)
}

/// How many prefixes of this length somebody could have of the pool who never had any.
pub fn available(pool: &Pool, unit: u8, taken: Taken<'_>, now: Timestamp) -> u64 {
    View { pool, taken, asker: None, now }.available(unit)
}

impl View<'_> {
    fn explain(&self, unit: u8) -> PoolExplanation {
        let ranges: Vec<_> = self.pool.ranges.iter().map(|range| self.explain_range(*range)).collect();
        let leases = self.active().count() as u64;
        let next = match self.candidates(unit, 1, &BTreeSet::new()).pop() {
            _ if self.pool.quota.is_some_and(|quota| leases >= quota) => Next::QuotaReached,
            Some(choice) => Next::Prefix { prefix: choice.prefix, why: choice.why },
            None => Next::Nothing { rested_at: self.next_rested() },
        };
        PoolExplanation {
            name: self.pool.name.clone(),
            purpose: self.pool.purpose,
            tier: self.pool.tier,
            unit,
            sizes: ranges.iter().fold(Sizes::default(), |sum, range| sum.plus(range.sizes)),
            leases,
            quota: self.pool.quota,
            available: self.available(unit),
            next,
            ranges,
        }
    }

    fn explain_range(&self, range: AddressRange) -> RangeExplanation {
        let parts = self.parts(range);
        let mut sizes = Sizes::default();
        parts.iter().for_each(|(span, state)| sizes.count(span.size(), state));
        let parts = parts.into_iter().filter_map(|(span, state)| {
            let range = AddressRange::new(span.first.into(), span.last.into()).ok()?;
            Some(Part { range, state })
        });
        RangeExplanation { range, sizes, parts: parts.collect() }
    }
}

impl Sizes {
    fn count(&mut self, addresses: u64, state: &PartState) {
        self.total += addresses;
        *match state {
            PartState::Free | PartState::Rested { .. } => &mut self.free,
            PartState::Excluded => &mut self.excluded,
            PartState::Foreign { .. } => &mut self.foreign,
            PartState::Active { .. } | PartState::InUse { .. } => &mut self.active,
            PartState::Resting { .. } => &mut self.resting,
        } += addresses;
    }

    fn plus(self, other: Self) -> Self {
        let Self { total, excluded, active, resting, foreign, free } = other;
        Self {
            total: self.total + total,
            excluded: self.excluded + excluded,
            active: self.active + active,
            resting: self.resting + resting,
            foreign: self.foreign + foreign,
            free: self.free + free,
        }
    }
}

#[cfg(test)]
mod tests;
