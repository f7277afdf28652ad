//! What is taken. Ordered by address, so that a choice looks at gaps and not at addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::ops::Bound;

use ipnetwork::Ipv4Network;

use super::span::Span;
use crate::model::{HolderName, Lease};

/// Addresses that are nobody's lease and yet not to be had, each with what it is: a few words such as
/// "an address of this host, on eth0".
pub type Foreign = BTreeMap<Ipv4Addr, String>;

/// What is not to be had, or not yet.
#[derive(Clone, Copy, Debug)]
pub struct Taken<'a> {
    pub book: &'a Book,
    pub foreign: &'a Foreign,
    /// Seconds that a prefix given back is kept from everybody but its last holder.
    pub rest: u64,
}

/// All leases, active and resting, and the addresses that tunnels are known to use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    /// By first address. They never overlap.
    leases: BTreeMap<u32, Lease>,
    of: BTreeMap<HolderName, BTreeSet<u32>>,
    /// Leases side by side as one run, first to last: a search steps over all of them at once.
    runs: BTreeMap<u32, u32>,
    in_use: BTreeMap<u32, BTreeSet<HolderName>>,
}

impl Book {
    /// A book of these leases, with nothing in use; of two with the same first address the later one stays.
    pub fn new(leases: impl IntoIterator<Item = Lease>) -> Self {
        let mut book = Self::default();
        leases.into_iter().for_each(|lease| book.insert(lease));
        book
    }

    /// Puts a lease in; one of the same first address is replaced.
    pub fn insert(&mut self, lease: Lease) {
        self.remove(lease.prefix);
        let first = lease.prefix.network().into();
        self.join(lease.prefix.into());
        self.of.entry(lease.holder.clone()).or_default().insert(first);
        self.leases.insert(first, lease);
    }

    /// Takes out the lease that begins where the prefix does, whatever its length, and returns it.
    pub fn remove(&mut self, prefix: Ipv4Network) -> Option<Lease> {
        let first = prefix.network().into();
        let lease = self.leases.remove(&first)?;
        self.split(lease.prefix.into());
        if let Some(firsts) = self.of.get_mut(&lease.holder) {
            firsts.remove(&first);
            if firsts.is_empty() {
                self.of.remove(&lease.holder);
            }
        }
        Some(lease)
    }

    /// This holder's tunnel may still be in the kernel with this address, leased or not.
    pub fn set_in_use(&mut self, address: Ipv4Addr, holder: HolderName) {
        self.in_use.entry(address.into()).or_default().insert(holder);
    }

    /// Nothing of this holder is in the kernel any more.
    pub fn clear_in_use(&mut self, holder: &HolderName) {
        self.in_use.retain(|_, holders| {
            holders.remove(holder);
            !holders.is_empty()
        });
    }

    /// All leases, active and resting, by address.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values()
    }

    /// The lease of exactly this prefix.
    pub fn get(&self, prefix: Ipv4Network) -> Option<&Lease> {
        self.leases.get(&prefix.network().into()).filter(|lease| lease.prefix == prefix)
    }

    /// The holder's leases, by address.
    pub fn of<'a>(&'a self, holder: &HolderName) -> impl Iterator<Item = &'a Lease> + use<'a> {
        let firsts = self.of.get(holder).into_iter().flatten();
        firsts.filter_map(|first| self.leases.get(first))
    }

    /// The leases that have an address of the prefix, by address.
    pub fn overlapping(&self, prefix: Ipv4Network) -> impl Iterator<Item = &Lease> {
        self.over(prefix.into())
    }

    /// The leases that have an address of the span, by address.
    pub(super) fn over(&self, span: Span) -> impl DoubleEndedIterator<Item = &Lease> {
        let before = self.leases.range(..=span.first).next_back().map(|(_, lease)| lease);
        let reaching = before.filter(|lease| Span::from(lease.prefix).last >= span.first);
        let inside = self.leases.range((Bound::Excluded(span.first), Bound::Included(span.last)));
        reaching.into_iter().chain(inside.map(|(_, lease)| lease))
    }

    /// The addresses of the span that tunnels use, and whose.
    pub(super) fn in_use(&self, span: Span) -> impl DoubleEndedIterator<Item = (u32, &BTreeSet<HolderName>)> {
        self.in_use.range(span.first..=span.last).map(|(address, holders)| (*address, holders))
    }

    /// The end of the last run of leases that has an address of the span.
    pub(super) fn leased_until(&self, span: Span) -> Option<u32> {
        let (_, last) = self.runs.range(..=span.last).next_back()?;
        (*last >= span.first).then_some(*last)
    }

    fn join(&mut self, Span { mut first, mut last }: Span) {
        let before = self.runs.range(..first).next_back().map(|(first, last)| (*first, *last));
        if let Some((start, _)) = before.filter(|(_, end)| end.checked_add(1) == Some(first)) {
            first = start;
        }
        if let Some(end) = last.checked_add(1).and_then(|next| self.runs.remove(&next)) {
            last = end;
        }
        self.runs.insert(first, last);
    }

    fn split(&mut self, Span { first, last }: Span) {
        let Some((start, end)) = self.runs.range_mut(..=first).next_back() else { return };
        let (start, after) = (*start, std::mem::replace(end, first.saturating_sub(1)));
        if start == first {
            self.runs.remove(&start);
        }
        if after > last {
            self.runs.insert(last + 1, after);
        }
    }
}
