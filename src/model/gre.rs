//! A GRE link's parameters (RFC 2784, RFC 2890; linux/if_tunnel.h).

use std::fmt;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// `GRE_CSUM` in host order of the 16-bit flags field (linux/if_tunnel.h).
pub const GRE_CSUM: u16 = 0x8000;
/// `GRE_KEY` (linux/if_tunnel.h).
pub const GRE_KEY: u16 = 0x2000;
/// `GRE_SEQ` (linux/if_tunnel.h).
pub const GRE_SEQ: u16 = 0x1000;

/// The IPv4 header without options and the GRE base header, in bytes (RFC 791, 3.1; RFC 2784, 2.1).
const BASE_OVERHEAD: u32 = 20 + 4;
/// Each optional GRE field, in bytes (RFC 2890, 2).
const FIELD: u32 = 4;

/// What tells one GRE link of a network namespace from another, its name aside.
/// The kernel refuses a second link with the same one (`ip_tunnel_find`, net/ipv4/ip_tunnel.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tuple {
    pub local: Ipv4Addr,
    pub remote: Ipv4Addr,
    /// No key is not key 0.
    pub key: Option<u32>,
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "local {} remote {}", self.local, self.remote)?;
        self.key.map_or(Ok(()), |key| write!(f, " key {key}"))
    }
}

/// The outer header's TTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ttl {
    /// Taken from the inner packet. The kernel writes it as 0.
    Inherit,
    /// 1 to 255.
    Fixed(u8),
}

impl Ttl {
    /// As in `IFLA_GRE_TTL`.
    pub fn wire(self) -> u8 {
        match self {
            Self::Inherit => 0,
            Self::Fixed(ttl) => ttl,
        }
    }

    /// Of `IFLA_GRE_TTL`, where 0 is "inherit".
    pub fn from_wire(ttl: u8) -> Self {
        if ttl == 0 { Self::Inherit } else { Self::Fixed(ttl) }
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inherit => f.write_str("inherit"),
            Self::Fixed(ttl) => write!(f, "{ttl}"),
        }
    }
}

/// The outer header's TOS octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tos {
    /// Taken from the inner packet. The kernel writes it as 1, the octet's unused bit.
    Inherit,
    /// An even number: bit 0 of the octet means "inherit" to the kernel.
    Fixed(u8),
}

impl Tos {
    /// As in `IFLA_GRE_TOS`.
    pub fn wire(self) -> u8 {
        match self {
            Self::Inherit => 1,
            Self::Fixed(tos) => tos,
        }
    }

    /// Of `IFLA_GRE_TOS`, where bit 0 is "inherit".
    pub fn from_wire(tos: u8) -> Self {
        if tos & 1 == 1 { Self::Inherit } else { Self::Fixed(tos) }
    }
}

impl fmt::Display for Tos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inherit => f.write_str("inherit"),
            Self::Fixed(tos) => write!(f, "{tos:#04x}"),
        }
    }
}

/// The parameters of a GRE link, as declared or as the kernel reports them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gre {
    /// `0.0.0.0` is "any".
    pub local: Ipv4Addr,
    /// `0.0.0.0` is "any".
    pub remote: Ipv4Addr,
    pub ikey: Option<u32>,
    pub okey: Option<u32>,
    /// `GRE_CSUM` and `GRE_SEQ` of what is taken in; the key has a field of its own.
    pub iflags: u16,
    /// `GRE_CSUM` and `GRE_SEQ` of what is sent.
    pub oflags: u16,
    pub ttl: Ttl,
    pub tos: Tos,
    /// The outer header carries DF.
    pub pmtudisc: bool,
    /// The inner header's DF is not honoured. The kernel takes it only without `pmtudisc`.
    pub ignore_df: bool,
    pub fwmark: u32,
    /// It has what greyhound never sets: a bound device, an encapsulation, `external`, ERSPAN.
    pub exotic: bool,
}

impl Gre {
    /// A link as greyhound makes it: marked, TTL 64, DF on the outer header.
    pub fn new(tuple: Tuple) -> Self {
        Self {
            local: tuple.local,
            remote: tuple.remote,
            ikey: tuple.key,
            okey: tuple.key,
            iflags: 0,
            oflags: 0,
            ttl: Ttl::Fixed(64),
            tos: Tos::Fixed(0),
            pmtudisc: true,
            ignore_df: false,
            fwmark: super::marks::FWMARK,
            exotic: false,
        }
    }

    /// What the kernel tells GRE links apart by.
    pub fn tuple(&self) -> Tuple {
        Tuple { local: self.local, remote: self.remote, key: self.ikey }
    }
}

/// Bytes that GRE over IPv4 adds to a packet: 24, and 4 more with a key.
pub fn overhead(key: Option<u32>) -> u32 {
    BASE_OVERHEAD + key.map_or(0, |_| FIELD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overhead_counts_each_header() {
        assert_eq!(overhead(None), 24);
        assert_eq!(overhead(Some(0)), 28);
    }

    #[test]
    fn inherit_has_its_wire_forms() {
        for wire in 0..=255 {
            assert_eq!(Ttl::from_wire(wire).wire(), wire);
        }
        assert_eq!(Tos::from_wire(1), Tos::Inherit);
        assert_eq!(Tos::from_wire(0xb8), Tos::Fixed(0xb8));
        assert_eq!(Ttl::from_wire(0), Ttl::Inherit);
    }

    #[test]
    fn no_key_is_not_key_zero() {
        let tuple = |key| Tuple { local: [1, 2, 3, 4].into(), remote: [5, 6, 7, 8].into(), key };
        assert_ne!(tuple(None), tuple(Some(0)));
        assert_eq!(tuple(Some(0)).to_string(), "local 1.2.3.4 remote 5.6.7.8 key 0");
    }
}
