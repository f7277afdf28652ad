//! Runs of addresses as numbers, and the aligned blocks in them.

use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use crate::model::AddressRange;

/// Addresses from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub first: u32,
    pub last: u32,
}

impl Span {
    pub fn one(address: Ipv4Addr) -> Self {
        Self { first: address.into(), last: address.into() }
    }

    pub fn size(self) -> u64 {
        u64::from(self.last) - u64::from(self.first) + 1
    }

    pub fn within(self, other: Self) -> bool {
        other.first <= self.first && self.last <= other.last
    }

    pub fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    pub fn intersection(self, other: Self) -> Option<Self> {
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        (first <= last).then_some(Self { first, last })
    }

    /// The smallest run of whole blocks of this unit that covers it.
    pub fn widened(self, unit: u8) -> Self {
        let host = host_bits(unit);
        Self { first: self.first & !host, last: self.last | host }
    }

    /// The prefix, if it is one.
    pub fn prefix(self) -> Option<Ipv4Network> {
        let length = 32 - u8::try_from(self.size().ilog2()).ok()?;
        let prefix = Ipv4Network::new(self.first.into(), length).ok()?;
        (Self::from(prefix) == self).then_some(prefix)
    }

    /// How many aligned blocks of this unit lie in it.
    pub fn blocks(self, unit: u8) -> u64 {
        let size = block_size(unit);
        let first = u64::from(self.first).next_multiple_of(size);
        (u64::from(self.last) + 1).saturating_sub(first) / size
    }
}

impl From<Ipv4Network> for Span {
    fn from(prefix: Ipv4Network) -> Self {
        Self { first: prefix.network().into(), last: prefix.broadcast().into() }
    }
}

impl From<AddressRange> for Span {
    fn from(range: AddressRange) -> Self {
        Self { first: range.first().into(), last: range.last().into() }
    }
}

/// The aligned blocks of `unit` in `area` that `last_obstacle` finds nothing in, lowest first.
/// `last_obstacle` gives the last address of something in the way: the walk goes on behind it,
/// so it takes as many turns as there are obstacles, not addresses.
pub(super) fn open_blocks(
    area: Span,
    unit: u8,
    last_obstacle: impl Fn(Span) -> Option<u32>,
) -> impl Iterator<Item = Span> {
    let size = block_size(unit);
    let mut cursor = u64::from(area.first).next_multiple_of(size);
    std::iter::from_fn(move || {
        loop {
            let first = u32::try_from(cursor).ok()?;
            let last = u32::try_from(cursor + (size - 1)).ok().filter(|last| *last <= area.last)?;
            let block = Span { first, last };
            match last_obstacle(block) {
                Some(end) => cursor = (u64::from(end) + 1).next_multiple_of(size),
                None => {
                    cursor += size;
                    return Some(block);
                }
            }
        }
    })
}

fn block_size(unit: u8) -> u64 {
    1 << (32 - unit)
}

fn host_bits(unit: u8) -> u32 {
    u32::MAX.checked_shr(u32::from(unit)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Span {
        text.parse::<AddressRange>().unwrap().into()
    }

    #[test]
    fn blocks_are_aligned_and_whole() {
        let open = |text: &str, unit| {
            let blocks = open_blocks(span(text), unit, |_| None);
            blocks.map(|block| block.prefix().unwrap().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(open("10.0.0.1-10.0.0.6", 31), ["10.0.0.2/31", "10.0.0.4/31"]);
        assert_eq!(open("10.0.0.1-10.0.0.6", 30), [] as [&str; 0]);
        assert_eq!(open("255.255.255.254-255.255.255.255", 32), ["255.255.255.254/32", "255.255.255.255/32"]);
        assert_eq!(open("0.0.0.0/0", 0), ["0.0.0.0/0"]);
        for (text, unit) in [("10.0.0.1-10.0.0.6", 31), ("10.0.0.1-10.0.0.6", 30), ("10.0.0.0/21", 24)] {
            assert_eq!(span(text).blocks(unit), open(text, unit).len() as u64, "{text} /{unit}");
        }
    }

    #[test]
    fn a_prefix_is_only_what_is_aligned() {
        assert_eq!(span("10.0.0.0-10.0.0.7").prefix().unwrap().to_string(), "10.0.0.0/29");
        assert_eq!(span("10.0.0.1-10.0.0.8").prefix(), None);
        assert_eq!(span("10.0.0.0-10.0.0.6").prefix(), None);
    }
}
