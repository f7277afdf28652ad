//! Desired, observed and owned: what `plan` stands on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use serde::{Deserialize, Serialize};

use super::LinkKind;
use super::{Address, Gre, Link, LinkName, Path, Route, Rule, Scope, TunnelName, Tuple};

/// What should be in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    pub tunnels: BTreeMap<TunnelName, DesiredTunnel>,
    /// Declared tunnels that cannot be worked out now, and why. What the kernel has of them stays.
    pub held: BTreeMap<TunnelName, String>,
    /// Our secondary addresses on the loopback link.
    pub loopback: BTreeSet<Address<LinkName>>,
    pub rules: BTreeSet<Rule>,
}

/// One tunnel's share: a link, and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredTunnel {
    pub link: DesiredLink,
    pub addresses: BTreeSet<Address<LinkName>>,
    pub routes: BTreeSet<Route<LinkName>>,
}

/// A GRE link as greyhound wants it. Always up, always in our group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredLink {
    pub name: LinkName,
    pub gre: Gre,
    /// Bytes.
    pub mtu: u32,
    pub multicast: bool,
    pub vrf: Option<LinkName>,
}

/// What the kernel says is, folded to what greyhound looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Observed {
    /// By ifindex.
    pub links: BTreeMap<u32, Link>,
    pub addresses: BTreeSet<Address>,
    /// Those with our protocol number, whatever their table, and all of our table. What others have in the table of a
    /// VRF may be a million routes, and is not looked at: who is in the way there is found out when ours is refused.
    pub routes: BTreeSet<Route>,
    pub rules: BTreeSet<Rule>,
    /// The underlay's answer for each remote that was asked about; absent: no route to it.
    pub paths: BTreeMap<Ipv4Addr, Path>,
}

impl Observed {
    /// The addresses of the link with this ifindex.
    pub fn addresses_on(&self, index: u32) -> impl Iterator<Item = &Address> {
        // They are ordered by their links first, and this is the least of one link.
        let any = Ipv4Addr::UNSPECIFIED;
        let address = Ipv4Network::new(any, 0).unwrap_or(any.into());
        let (scope, label, protocol) = (Scope::Global, String::new(), 0);
        let least = Address { link: index, address, scope, label, protocol };
        self.addresses.range(least..).take_while(move |address| address.link == index)
    }

    /// All links by their names, for who looks many up.
    pub fn by_name(&self) -> BTreeMap<&str, &Link> {
        self.links.values().map(|link| (link.name.as_str(), link)).collect()
    }

    /// The ifindex of the VRF that a link is in.
    pub fn vrf_of(&self, link: &Link) -> Option<u32> {
        let master = self.links.get(&link.master?)?;
        matches!(master.kind, LinkKind::Vrf { .. }).then_some(master.index)
    }

    /// The link of that name; names are unique in a network namespace.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| link.name == name)
    }
}

/// What the store says is ours. Written before the kernel is touched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Owned {
    pub claims: BTreeMap<TunnelName, Claim>,
    /// Addresses that we put, or are about to put, on the loopback link.
    pub loopback: BTreeSet<Ipv4Addr>,
}

/// A claim: this link, with one of these tuples, is ours, and so are these addresses on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The tuple in force, and during a change the one before it as well.
    pub tuples: BTreeSet<Tuple>,
    pub addresses: BTreeSet<Ipv4Network>,
}
