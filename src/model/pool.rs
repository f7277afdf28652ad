//! Pools: prefixes and ranges with a purpose and a tier.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnetwork::Ipv4Network;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::PoolName;

/// What the addresses of a pool are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Local addresses of tunnels, a /32 each.
    Termination,
    /// The addresses inside tunnels, a /31 each.
    Overlay,
    /// Addresses of clients, a /32 each.
    Client,
}

impl Purpose {
    /// The prefix length of what one lease takes, when nothing else is asked for.
    pub fn unit(self) -> u8 {
        match self {
            Self::Termination | Self::Client => 32,
            Self::Overlay => 31,
        }
    }
}

impl Purpose {
    /// Every purpose, each one once.
    pub const ALL: [Self; 3] = [Self::Termination, Self::Overlay, Self::Client];
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Termination => "termination",
            Self::Overlay => "overlay",
            Self::Client => "client",
        })
    }
}

/// When a pool is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    Primary,
    /// Never touched unless whoever asks is allowed to.
    Reserve,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Primary => "primary",
            Self::Reserve => "reserve",
        })
    }
}

/// Addresses from `first` to `last`, both included; `first <= last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AddressRange {
    first: Ipv4Addr,
    last: Ipv4Addr,
}

/// Why a text is not a range.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InvalidRange {
    #[error(
        "{0:?} is neither a range such as 198.51.100.8-198.51.100.15 nor a prefix such as 198.51.100.8/29"
    )]
    Form(String),
    #[error("the range {first}-{last} ends before it begins: did you mean {last}-{first}?")]
    Backwards { first: Ipv4Addr, last: Ipv4Addr },
    #[error("{given} has host bits: write {network}, or {ip}/32 for that one address")]
    HostBits { given: Ipv4Network, network: Ipv4Network, ip: Ipv4Addr },
}

impl AddressRange {
    /// Errors when `last` comes before `first`.
    pub fn new(first: Ipv4Addr, last: Ipv4Addr) -> Result<Self, InvalidRange> {
        if last < first {
            return Err(InvalidRange::Backwards { first, last });
        }
        Ok(Self { first, last })
    }

    /// The lowest address of it.
    pub fn first(&self) -> Ipv4Addr {
        self.first
    }

    /// The highest address of it, which belongs to it.
    pub fn last(&self) -> Ipv4Addr {
        self.last
    }

    /// How many addresses it has, 1 to 2^32.
    pub fn size(&self) -> u64 {
        u64::from(u32::from(self.last)) - u64::from(u32::from(self.first)) + 1
    }

    /// Is the address one of it? Both ends are.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        self.first <= address && address <= self.last
    }

    /// The first part of the address space that no host can have and that it touches, and what that is.
    pub fn unusable(&self) -> Option<(Self, &'static str)> {
        let never: [(u32, u32, &str); 4] = [
            (0x0000_0000, 0x00ff_ffff, "0.0.0.0/8, which is no network"),
            (0x7f00_0000, 0x7fff_ffff, "loopback addresses (127.0.0.0/8)"),
            (0xe000_0000, 0xefff_ffff, "multicast addresses (224.0.0.0/4)"),
            (0xffff_ffff, 0xffff_ffff, "the broadcast address 255.255.255.255"),
        ];
        let parts = never
            .into_iter()
            .map(|(first, last, what)| (Self { first: first.into(), last: last.into() }, what));
        parts.into_iter().find(|(part, _)| part.overlaps(self))
    }

    /// Have both an address in common?
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl From<Ipv4Network> for AddressRange {
    /// Every address of the prefix, its network and broadcast addresses too: they are used as /32s.
    fn from(network: Ipv4Network) -> Self {
        Self { first: network.network(), last: network.broadcast() }
    }
}

impl FromStr for AddressRange {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        let form = || InvalidRange::Form(text.to_owned());
        if let Some((first, last)) = text.split_once('-') {
            let address = |part: &str| part.trim().parse::<Ipv4Addr>().map_err(|_| form());
            return Self::new(address(first)?, address(last)?);
        }
        let given = text.trim().parse::<Ipv4Network>().map_err(|_| form())?;
        if given.ip() != given.network() {
            let network = Ipv4Network::new(given.network(), given.prefix()).unwrap_or(given);
            return Err(InvalidRange::HostBits { given, network, ip: given.ip() });
        }
        Ok(given.into())
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first);
        }
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl TryFrom<String> for AddressRange {
    type Error = InvalidRange;

    fn try_from(text: String) -> Result<Self, InvalidRange> {
        text.parse()
    }
}

impl From<AddressRange> for String {
    fn from(range: AddressRange) -> Self {
        range.to_string()
    }
}

/// A pool as declared. Its ranges overlap neither each other nor those of another pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    pub name: PoolName,
    pub purpose: Purpose,
    pub tier: Tier,
    /// In the order of the declaration, which is the order in which they are drawn from.
    pub ranges: Vec<AddressRange>,
    /// The most leases that may be active at once; `None`: as many as there are addresses.
    pub quota: Option<u64>,
    /// Addresses of its ranges that are never given out.
    pub exclude: Vec<AddressRange>,
}

impl Pool {
    /// Is the address in one of the ranges? Excluded ones are.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        self.ranges.iter().any(|range| range.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_all_of_its_addresses() {
        let range: AddressRange = "203.0.113.0/29".parse().unwrap();
        assert_eq!(range.size(), 8);
        assert_eq!(range.to_string(), "203.0.113.0-203.0.113.7");
        assert_eq!("0.0.0.0/0".parse::<AddressRange>().unwrap().size(), 1 << 32);
    }

    #[test]
    fn what_is_not_a_range_says_what_to_write() {
        let says = |text: &str| text.parse::<AddressRange>().unwrap_err().to_string();
        assert!(says("203.0.113.3/29").contains("write 203.0.113.0/29"));
        assert!(says("203.0.113.9-203.0.113.1").contains("did you mean 203.0.113.1-203.0.113.9"));
        assert!(says("nonsense").contains("neither a range"));
        assert!(says("1.2.3.4-").contains("neither a range"));
    }
}
