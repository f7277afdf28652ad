//! What every address of a pool is, run by run.

use std::collections::BTreeSet;

use super::PartState;
use super::span::Span;
use super::view::View;
use crate::model::{AddressRange, Lease, LeaseState};

impl View<'_> {
    /// How many blocks of this unit the asker could have now.
    pub fn available(&self, unit: u8) -> u64 {
        let open = |range: &AddressRange| {
            let parts = self.parts(*range).into_iter();
            let free = parts.filter(|(_, state)| matches!(state, PartState::Free | PartState::Rested { .. }));
            joined(free.map(|(span, _)| (span, ()))).iter().map(|(span, ())| span.blocks(unit)).sum::<u64>()
        };
        let open = self.pool.ranges.iter().map(open).sum();
        let room = self.pool.quota.map(|quota| quota.saturating_sub(self.active().count() as u64));
        room.map_or(open, |room| room.min(open))
    }

    /// The range cut wherever anything begins or ends, and neighbours of one state joined again.
    pub fn parts(&self, range: AddressRange) -> Vec<(Span, PartState)> {
        let whole = Span::from(range);
        let book = self.taken.book;
        let leases = book.over(whole).map(|lease| lease.prefix.into());
        let excluded = self.pool.exclude.iter().map(|range| Span::from(*range));
        let foreign = self.taken.foreign.range(range.first()..=range.last()).map(|(one, _)| Span::one(*one));
        let in_use = book.in_use(whole).map(|(address, _)| Span { first: address, last: address });
        let unspecified = std::iter::once(Span { first: 0, last: 0 });
        let spans = leases.chain(excluded).chain(foreign).chain(in_use).chain(unspecified);

        let mut cuts = BTreeSet::from([u64::from(whole.first), u64::from(whole.last) + 1]);
        for span in spans.filter_map(|span| span.intersection(whole)) {
            cuts.extend([u64::from(span.first), u64::from(span.last) + 1]);
        }
        let ends = cuts.iter().skip(1);
        joined(cuts.iter().zip(ends).filter_map(|(first, end)| {
            let span = Span { first: u32::try_from(*first).ok()?, last: u32::try_from(end - 1).ok()? };
            Some((span, self.state(Span { last: span.first, ..span })))
        }))
    }

    /// What one address is.
    fn state(&self, one: Span) -> PartState {
        let lease = self.taken.book.over(one).next();
        if let Some(Lease { holder, since, .. }) = lease.filter(|lease| lease.state == LeaseState::Active) {
            return PartState::Active { holder: holder.clone(), since: *since };
        }
        if one.first == 0 || self.pool.exclude.iter().any(|range| one.within((*range).into())) {
            return PartState::Excluded;
        }
        if let Some(what) = self.taken.foreign.get(&one.first.into()) {
            return PartState::Foreign { what: what.clone() };
        }
        let mut users = self.taken.book.in_use(one).flat_map(|(_, holders)| holders);
        if let Some(holder) = users.next() {
            return PartState::InUse { holder: holder.clone() };
        }
        let Some(lease) = lease else { return PartState::Free };
        let (holder, until) = (lease.holder.clone(), self.rests_until(lease));
        if until > self.now {
            PartState::Resting { holder, until }
        } else {
            PartState::Rested { holder, since: until }
        }
    }
}

/// Neighbouring spans of equal state, as one.
fn joined<S: PartialEq>(spans: impl Iterator<Item = (Span, S)>) -> Vec<(Span, S)> {
    let mut joined: Vec<(Span, S)> = Vec::new();
    for (span, state) in spans {
        match joined.last_mut() {
            Some((before, same)) if *same == state && before.last.checked_add(1) == Some(span.first) => {
                before.last = span.last;
            }
            _ => joined.push((span, state)),
        }
    }
    joined
}
