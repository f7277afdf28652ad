//! One pool as one asker sees it at one time: what is in the way, and what can be had, in order.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::book::Taken;
use super::span::{Span, open_blocks};
use super::{Choice, Why};
use crate::model::{HolderName, Lease, LeaseState, Pool, Purpose, Timestamp};

#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub pool: &'a Pool,
    pub taken: Taken<'a>,
    /// `None`: somebody who has never had anything.
    pub asker: Option<(&'a HolderName, Purpose)>,
    pub now: Timestamp,
}

/// Something in the way, and the last address that it has.
pub(super) struct Obstacle<'a> {
    pub last: u32,
    pub reason: Reason<'a>,
}

pub(super) enum Reason<'a> {
    /// 0.0.0.0 is "any" to the kernel: it is never given out.
    Unspecified,
    Excluded,
    /// What it is.
    Foreign(&'a str),
    Active(&'a Lease),
    /// Leased to nobody, and yet a tunnel of this holder may have it.
    InUse(&'a HolderName),
    Resting(&'a Lease),
}

impl<'a> View<'a> {
    /// Up to `wanted` blocks that can be had, in the order of the rule; none that is in `not`.
    pub fn candidates(&self, unit: u8, wanted: usize, not: &BTreeSet<Span>) -> Vec<Choice> {
        let mut seen = not.clone();
        let mut chosen = Vec::new();
        let own = self.own(unit).into_iter().map(|block| (block, Why::Own));
        let fresh = self.fresh(unit).map(|block| (block, Why::NeverUsed));
        // Looked at only when the others do not suffice: it sorts all that has rested.
        let rested = std::iter::once_with(|| self.rested(unit, wanted + not.len())).flatten();
        for (block, why) in own.chain(fresh).chain(rested) {
            if chosen.len() == wanted {
                break;
            }
            if let (true, Some(prefix)) = (seen.insert(block), block.prefix()) {
                chosen.push(Choice { prefix, pool: self.pool.name.clone(), why });
            }
        }
        chosen
    }

    /// What keeps the asker from having all of the span: the last such thing of the first sort found.
    pub fn obstacle(&self, span: Span) -> Option<Obstacle<'a>> {
        if span.first == 0 {
            return Some(Obstacle { last: 0, reason: Reason::Unspecified });
        }
        let leases = self.taken.book.over(span).rev();
        let mut held = leases.filter_map(|lease| {
            let last = Span::from(lease.prefix).last;
            self.held(lease).map(|reason| Obstacle { last, reason })
        });
        held.next()
            .or_else(|| self.in_use(span))
            .or_else(|| self.foreign(span))
            .or_else(|| self.excluded(span))
    }

    /// In the ranges, whole, one of them.
    pub fn covers(&self, span: Span) -> bool {
        self.pool.ranges.iter().any(|range| span.within((*range).into()))
    }

    /// When others than its last holder can have it.
    pub fn rests_until(&self, lease: &Lease) -> Timestamp {
        lease.since.saturating_add(self.taken.rest)
    }

    /// The active leases in the ranges.
    pub fn active(&self) -> impl Iterator<Item = &'a Lease> {
        self.leases().filter(|lease| lease.state == LeaseState::Active)
    }

    /// When the next lease in the ranges has rested.
    pub fn next_rested(&self) -> Option<Timestamp> {
        let resting = self.leases().filter(|lease| matches!(self.held(lease), Some(Reason::Resting(_))));
        resting.map(|lease| self.rests_until(lease)).min()
    }

    /// Each one once, though it may lie across ranges.
    fn leases(&self) -> impl Iterator<Item = &'a Lease> + use<'a> {
        let (ranges, book) = (&self.pool.ranges, self.taken.book);
        ranges.iter().enumerate().flat_map(move |(n, range)| {
            let seen = move |lease: &Lease| {
                let span = Span::from(lease.prefix);
                ranges[..n].iter().any(|before| span.overlaps((*before).into()))
            };
            book.over((*range).into()).filter(move |lease| !seen(lease))
        })
    }

    /// What the asker gave back itself: the last first, so that it gets the same again.
    fn own(&self, unit: u8) -> Vec<Span> {
        let Some((holder, _)) = self.asker else { return Vec::new() };
        let leases = self.taken.book.of(holder);
        let mut own: Vec<_> = leases
            .filter(|lease| lease.state == LeaseState::Resting && lease.prefix.prefix() == unit)
            .map(|lease| (lease.since, Span::from(lease.prefix)))
            .filter(|(_, block)| self.covers(*block) && self.obstacle(*block).is_none())
            .collect();
        own.sort_by_key(|(since, block)| (std::cmp::Reverse(*since), *block));
        own.into_iter().map(|(_, block)| block).collect()
    }

    /// What nobody has ever had, range by range.
    fn fresh(&self, unit: u8) -> impl Iterator<Item = Span> {
        self.pool.ranges.iter().flat_map(move |range| {
            open_blocks((*range).into(), unit, |block| {
                let leased = self.taken.book.leased_until(block);
                leased.or_else(|| self.obstacle(block).map(|obstacle| obstacle.last))
            })
        })
    }

    /// What somebody has had, by the end of its rest; a block of several rests as long as the longest.
    /// No more than `wanted` of one lease: they are the lowest, and equal in all else.
    fn rested(&self, unit: u8, wanted: usize) -> impl Iterator<Item = (Span, Why)> + use<> {
        let mut rested = BTreeSet::new();
        for range in self.pool.ranges.iter().map(|range| Span::from(*range)) {
            for lease in self.taken.book.over(range).filter(|lease| self.held(lease).is_none()) {
                let area = Span::from(lease.prefix).widened(unit).intersection(range);
                let open = area.map(|area| {
                    open_blocks(area, unit, |block| self.obstacle(block).map(|obstacle| obstacle.last))
                });
                for block in open.into_iter().flatten().take(wanted) {
                    let ends = self.taken.book.over(block).map(|lease| self.rests_until(lease));
                    rested.insert((ends.max().unwrap_or(0), block));
                }
            }
        }
        rested.into_iter().map(|(since, block)| (block, Why::Rested { since }))
    }

    fn held(&self, lease: &'a Lease) -> Option<Reason<'a>> {
        let own = self.asker.is_some_and(|(holder, _)| *holder == lease.holder);
        let same = own && self.asker.is_some_and(|(_, purpose)| purpose == lease.purpose);
        match lease.state {
            LeaseState::Active => (!same).then_some(Reason::Active(lease)),
            LeaseState::Resting => {
                (!own && self.rests_until(lease) > self.now).then_some(Reason::Resting(lease))
            }
        }
    }

    fn in_use(&self, span: Span) -> Option<Obstacle<'a>> {
        self.taken.book.in_use(span).rev().find_map(|(last, holders)| {
            let other = holders.iter().find(|holder| self.asker.is_none_or(|(asker, _)| asker != *holder));
            other.map(|holder| Obstacle { last, reason: Reason::InUse(holder) })
        })
    }

    fn foreign(&self, span: Span) -> Option<Obstacle<'a>> {
        let mut inside = self.taken.foreign.range(Ipv4Addr::from(span.first)..=span.last.into());
        let (last, what) = inside.next_back()?;
        Some(Obstacle { last: (*last).into(), reason: Reason::Foreign(what) })
    }

    fn excluded(&self, span: Span) -> Option<Obstacle<'a>> {
        let spans = self.pool.exclude.iter().map(|range| Span::from(*range));
        let last = spans.filter(|excluded| excluded.overlaps(span)).map(|excluded| excluded.last).max()?;
        Some(Obstacle { last, reason: Reason::Excluded })
    }
}
