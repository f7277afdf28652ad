//! Arithmetic of address ranges.

use std::net::Ipv4Addr;

use crate::model::AddressRange;

/// As one would write it: a single address stands alone.
pub fn show(range: &AddressRange) -> String {
    if range.first() == range.last() { range.first().to_string() } else { range.to_string() }
}

/// The same addresses as few ranges: sorted, neither overlapping nor touching.
pub fn merge(ranges: impl IntoIterator<Item = AddressRange>) -> Vec<AddressRange> {
    let mut ranges: Vec<AddressRange> = ranges.into_iter().collect();
    ranges.sort();
    let mut merged: Vec<AddressRange> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if u32::from(range.first()) <= u32::from(last.last()).saturating_add(1) => {
                let end = last.last().max(range.last());
                *last = AddressRange::new(last.first(), end).unwrap_or(*last);
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// Is all of the range in the merged ranges?
pub fn covers(merged: &[AddressRange], range: &AddressRange) -> bool {
    let next = merged.partition_point(|one| one.first() <= range.first());
    next.checked_sub(1).is_some_and(|at| merged[at].last() >= range.last())
}

/// How many addresses there are.
pub fn count(merged: &[AddressRange]) -> u64 {
    merged.iter().map(AddressRange::size).sum()
}

/// How many addresses two merged lists have in common.
pub fn common(one: &[AddressRange], other: &[AddressRange]) -> u64 {
    let (mut i, mut j, mut both) = (0, 0, 0);
    while let (Some(a), Some(b)) = (one.get(i), other.get(j)) {
        let first: Ipv4Addr = a.first().max(b.first());
        let last = a.last().min(b.last());
        both += AddressRange::new(first, last).map_or(0, |shared| shared.size());
        if a.last() <= b.last() { i += 1 } else { j += 1 }
    }
    both
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn few() -> impl Strategy<Value = Vec<AddressRange>> {
        let range = (0_u32..60, 0_u32..8).prop_map(|(first, more)| {
            AddressRange::new(first.into(), (first + more).into()).expect("it begins before it ends")
        });
        proptest::collection::vec(range, 0..8)
    }

    fn has(ranges: &[AddressRange], address: u32) -> bool {
        ranges.iter().any(|range| range.contains(address.into()))
    }

    proptest! {
        #[test]
        fn merged_ranges_are_the_same_addresses(one in few(), other in few()) {
            let (a, b) = (merge(one.clone()), merge(other.clone()));
            for address in 0..80 {
                prop_assert_eq!(has(&one, address), has(&a, address));
            }
            prop_assert_eq!(count(&a), (0..80).filter(|n| has(&one, *n)).count() as u64);
            let both = (0..80).filter(|n| has(&one, *n) && has(&other, *n)).count() as u64;
            prop_assert_eq!(common(&a, &b), both);
            for range in &other {
                let inside = (0..80).filter(|n| range.contains((*n).into())).all(|n| has(&one, n));
                prop_assert_eq!(covers(&a, range), inside);
            }
        }
    }

    #[test]
    fn the_last_address_touches_nothing() {
        let all: AddressRange = "0.0.0.0/0".parse().unwrap();
        assert_eq!(count(&merge([all, "255.255.255.255/32".parse().unwrap()])), 1 << 32);
    }
}
