//! Kernel objects: links, addresses, routes, rules, and the underlay's answer for a destination.
//!
//! `L` is how an object names its link: by ifindex in what is observed, by name in what is desired.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use serde::{Deserialize, Serialize};

use super::{Gre, LinkName};

/// The kernel's own loopback link, of which each network namespace has one. It has no kind.
pub const LOOPBACK: &str = "lo";

/// A link as the kernel reports it, folded to what greyhound looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub index: u32,
    pub name: String,
    pub kind: LinkKind,
    /// Bytes.
    pub mtu: u32,
    pub group: u32,
    /// `IFF_UP`: the administrator's wish, not carrier. GRE links have no carrier of their own.
    pub up: bool,
    /// `IFF_MULTICAST`.
    pub multicast: bool,
    /// Ifindex of the VRF or bridge that it is in.
    pub master: Option<u32>,
    /// It makes no IPv6 address by itself: `addrgenmode none`, or no IPv6 on the link at all.
    pub addrgen_none: bool,
}

/// What greyhound tells apart; every other kind keeps the kernel's word for it ("" for none).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkKind {
    Gre(Gre),
    /// gretap and erspan: GRE in Ethernet's clothes. Their tuples are apart from those of `gre`.
    Gretap(Gre),
    Vrf {
        table: u32,
    },
    Other(String),
}

impl Link {
    /// The GRE parameters, if this is a layer-3 GRE link.
    pub fn gre(&self) -> Option<&Gre> {
        match &self.kind {
            LinkKind::Gre(gre) => Some(gre),
            LinkKind::Gretap(_) | LinkKind::Vrf { .. } | LinkKind::Other(_) => None,
        }
    }
}

/// The scope of an address or a route (`rt_scope_t`, linux/rtnetlink.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    Global,
    Link,
    Host,
    Other(u8),
}

impl Scope {
    /// As in `ifa_scope` and `rtm_scope`.
    pub fn wire(self) -> u8 {
        match self {
            Self::Global => 0,
            Self::Link => 253,
            Self::Host => 254,
            Self::Other(scope) => scope,
        }
    }

    /// Of `ifa_scope` or `rtm_scope`.
    pub fn from_wire(scope: u8) -> Self {
        match scope {
            0 => Self::Global,
            253 => Self::Link,
            254 => Self::Host,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Global => f.write_str("global"),
            Self::Link => f.write_str("link"),
            Self::Host => f.write_str("host"),
            Self::Other(scope) => write!(f, "{scope}"),
        }
    }
}

/// An IPv4 address on a link. The kernel tells two of one link apart by address and prefix length.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Address<L = u32> {
    pub link: L,
    /// With host bits: the address itself and its prefix length.
    pub address: Ipv4Network,
    pub scope: Scope,
    /// `IFA_LABEL`: the link's name when nobody chose one.
    pub label: String,
    /// `IFA_PROTO`; 0 where none was given or the kernel does not keep it.
    pub protocol: u8,
}

/// What a route does with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteKind {
    Unicast,
    /// Any other `rtm_type` (linux/rtnetlink.h). greyhound makes none, and may find some.
    Other(u8),
}

/// An IPv4 route. The kernel's FIB tells two of one table apart by destination, TOS and metric.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Route<L = u32> {
    pub table: u32,
    /// Without host bits.
    pub destination: Ipv4Network,
    /// `RTA_PRIORITY`; 0 is the kernel's own default.
    pub metric: u32,
    pub tos: u8,
    /// The link packets leave by; `None` when there is none or more than one.
    pub link: Option<L>,
    pub gateway: Option<Ipv4Addr>,
    pub prefsrc: Option<Ipv4Addr>,
    pub protocol: u8,
    pub scope: Scope,
    pub kind: RouteKind,
}

/// A routing rule that sends packets to a table, folded to the selectors that greyhound uses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rule {
    pub priority: u32,
    /// It holds for the packets that its selector does not match (`FIB_RULE_INVERT`).
    pub invert: bool,
    /// Mark and mask.
    pub fwmark: Option<(u32, u32)>,
    pub table: u32,
    pub suppress_prefixlength: Option<u32>,
    pub protocol: u8,
    /// It has a selector or an action that greyhound never sets.
    pub exotic: bool,
}

/// How the underlay would carry a packet to a destination, as the kernel's route lookup answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// Ifindex of the link it leaves by.
    pub link: u32,
    pub gateway: Option<Ipv4Addr>,
    /// The source the kernel would choose.
    pub source: Option<Ipv4Addr>,
    /// Bytes: the route's own MTU where it has one, else the link's.
    pub mtu: u32,
    /// The link drops what comes in by it from a source that packets would not leave to by it: `rp_filter` 1.
    #[serde(default)]
    pub strict_rp: bool,
}

/// The tunnel that packets to this address are sent into, of those whose routes these are. The host's own networks
/// come before a default route.
pub fn covering<'a, T>(into: &'a BTreeMap<Ipv4Network, T>, remote: Ipv4Addr, path: &Path) -> Option<&'a T> {
    let least = if path.gateway.is_some() { 0 } else { 1 };
    (least..=32).rev().find_map(|length| {
        let network = Ipv4Network::new(remote, length).ok()?;
        into.get(&Ipv4Network::new(network.network(), length).ok()?)
    })
}

/// What a link has carried since it was made (`struct rtnl_link_stats64`, linux/if_link.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
}

impl Address<u32> {
    /// The same address with its link named.
    pub fn named(&self, link: LinkName) -> Address<LinkName> {
        let Self { link: _, address, scope, label, protocol } = self.clone();
        Address { link, address, scope, label, protocol }
    }
}

impl Route<u32> {
    /// The same route with its link named.
    pub fn named(&self, link: Option<LinkName>) -> Route<LinkName> {
        let Self { table, destination, metric, tos, link: _, gateway, prefsrc, protocol, scope, kind } =
            self.clone();
        Route { table, destination, metric, tos, link, gateway, prefsrc, protocol, scope, kind }
    }
}

impl<L> Route<L> {
    /// What the kernel tells routes apart by.
    pub fn key(&self) -> (u32, Ipv4Network, u32, u8) {
        (self.table, self.destination, self.metric, self.tos)
    }
}
