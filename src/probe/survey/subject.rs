//! A tunnel as the survey sees it, and who is asked for it. Pure.

use std::net::Ipv4Addr;

use crate::model::Target;

/// A tunnel as the survey sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// As declared.
    pub candidates: Vec<Ipv4Addr>,
    /// The one of them that it uses.
    pub current: Ipv4Addr,
    /// Where its outer packets leave from, and so its probes; `None`: from where the route says.
    pub source: Option<Ipv4Addr>,
    /// `None`: it is not in the kernel.
    pub inside: Option<Inside>,
    /// It is moved by hand only.
    pub held: bool,
}

/// The inside of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inside {
    /// Its ifindex.
    pub link: u32,
    /// That of its VRF.
    pub vrf: Option<u32>,
    pub source: Ipv4Addr,
    pub peer: Ipv4Addr,
}

impl Subject {
    pub(super) fn to(&self, address: Ipv4Addr) -> Target {
        Target { source: self.source, ..Target::to(address) }
    }

    pub(super) fn outer(&self) -> impl Iterator<Item = Target> {
        self.candidates.iter().map(|address| self.to(*address))
    }

    pub(super) fn inner(&self) -> Option<Target> {
        let Inside { link, vrf, source, peer } = self.inside?;
        Some(Target { address: peer, source: Some(source), link: Some(link), vrf })
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = Target> {
        self.outer().chain(self.inner())
    }
}
