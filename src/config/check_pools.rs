//! What pools must be to each other; and the map from addresses to pools.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::at::Span;
use super::check_pool::Draft;
use super::diagnostics::{Problem, Sink};
use super::ranges;
use crate::model::{AddressRange, PoolName, Purpose, Tier};

/// The pools of a file, by name and by address.
pub struct Pools<'d> {
    pub drafts: &'d [Draft],
    by_name: BTreeMap<&'d PoolName, &'d Draft>,
    /// Sorted by their first addresses. They do not overlap, or the file is refused anyway.
    ranges: Vec<(AddressRange, &'d Draft)>,
}

impl<'d> Pools<'d> {
    pub fn get(&self, name: &PoolName) -> Option<&'d Draft> {
        self.by_name.get(name).copied()
    }

    /// The pool that the address belongs to, excluded or not.
    pub fn of(&self, address: Ipv4Addr) -> Option<&'d Draft> {
        let next = self.ranges.partition_point(|(range, _)| range.first() <= address);
        let (range, draft) = self.ranges.get(next.checked_sub(1)?)?;
        range.contains(address).then_some(*draft)
    }

    /// Can `local = "auto"` be leased from one of them? Yes, too, where a pool could not be read.
    pub fn may_lease(&self) -> bool {
        self.drafts.iter().any(|draft| {
            draft.purpose.is_none_or(|purpose| purpose == Purpose::Termination)
                && draft.tier.is_none_or(|tier| tier == Tier::Primary)
        })
    }
}

pub fn check<'d>(drafts: &'d [Draft], sink: &mut Sink) -> Pools<'d> {
    let mut by_name: BTreeMap<&PoolName, &Draft> = BTreeMap::new();
    let mut spans: BTreeMap<&PoolName, &Span> = BTreeMap::new();
    for draft in drafts {
        let Some(name) = &draft.name else { continue };
        if let Some(first) = spans.get(&name.value) {
            let message = format!("there are two pools named `{}`", name.value);
            let problem = Problem::new(&name.span, message, "give one of them another name");
            sink.push(problem.also(first, "the first"));
            continue;
        }
        spans.insert(&name.value, &name.span);
        by_name.insert(&name.value, draft);
    }
    let ranges = check_overlaps(drafts, sink);
    Pools { drafts, by_name, ranges }
}

fn check_overlaps<'d>(drafts: &'d [Draft], sink: &mut Sink) -> Vec<(AddressRange, &'d Draft)> {
    let mut all: Vec<_> =
        drafts.iter().flat_map(|draft| draft.ranges.iter().map(move |range| (range, draft))).collect();
    all.sort_by_key(|(range, _)| (range.value, range.span.start));
    let mut widest = None;
    for &(range, draft) in &all {
        let Some((before, holder)) = widest else {
            widest = Some((range, draft));
            continue;
        };
        if range.value.overlaps(&before.value) {
            // The complaint is about the one that comes later in the file.
            let (late, early, of) = if range.span.start > before.span.start {
                (range, before, holder)
            } else {
                (before, range, draft)
            };
            let (one, other) = (ranges::show(&late.value), ranges::show(&early.value));
            let message = format!("the range {one} overlaps {other} of {}", of.title());
            let help = "let each address be in one range of one pool: two holders could get it otherwise";
            sink.push(Problem::new(&late.span, message, help).also(&early.span, "overlaps this"));
        }
        if range.value.last() > before.value.last() {
            widest = Some((range, draft));
        }
    }
    all.into_iter().map(|(range, draft)| (range.value, draft)).collect()
}
