//! Whose is each link? What is claimed, marked or declared decides; see "What always holds" (2) in ARCHITECTURE.md.

use std::collections::BTreeMap;

use crate::model::{Desired, Link, Observed, Owned, TunnelName, Tuple, marks};

/// Whose a link is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Claimed and marked, under its own name or renamed.
    Ours(TunnelName),
    /// Not claimed, but equal to a declared tunnel in every identity field.
    Adopted(TunnelName),
    /// Marked, neither claimed nor equal to what is declared.
    Orphan,
    /// Somebody else's: no step names it.
    Foreign,
}

/// The links of one observation, each with its owner.
pub struct Ownerships<'a> {
    of: BTreeMap<u32, Ownership>,
    observed: &'a Observed,
    by_tunnel: BTreeMap<TunnelName, u32>,
    by_name: BTreeMap<&'a str, u32>,
    by_tuple: BTreeMap<Tuple, u32>,
}

impl<'a> Ownerships<'a> {
    /// Works out the owner of every observed link: first each by its own name, then those that were renamed.
    pub fn new(desired: &Desired, observed: &'a Observed, owned: &Owned) -> Self {
        let by_name = observed.links.values().map(|link| (link.name.as_str(), link.index)).collect();
        let by_tuple = observed.links.values().filter_map(|l| Some((l.gre()?.tuple(), l.index))).collect();
        let mut all = Self { of: BTreeMap::new(), observed, by_tunnel: BTreeMap::new(), by_name, by_tuple };
        for link in observed.links.values() {
            all.set(link.index, by_own_name(link, desired, owned));
        }
        let claimed = claimed_tuples(owned);
        for link in observed.links.values() {
            all.recognise_renamed(link, &claimed);
        }
        all
    }

    /// Whose the link with this ifindex is; one that was not observed is foreign.
    pub fn of(&self, index: u32) -> &Ownership {
        self.of.get(&index).unwrap_or(&Ownership::Foreign)
    }

    /// The link that is this tunnel's, under whatever name.
    pub fn link_of(&self, tunnel: &TunnelName) -> Option<&'a Link> {
        self.observed.links.get(self.by_tunnel.get(tunnel)?)
    }

    /// The observed link of that name, whoever owns it.
    pub fn named(&self, name: &str) -> Option<&'a Link> {
        self.observed.links.get(self.by_name.get(name)?)
    }

    /// The layer-3 GRE link with this tuple.
    pub fn with_tuple(&self, tuple: &Tuple) -> Option<&'a Link> {
        self.observed.links.get(self.by_tuple.get(tuple)?)
    }

    /// The tunnel that this link belongs to, if it is ours or adopted.
    pub fn tunnel_of(&self, index: u32) -> Option<&TunnelName> {
        match self.of(index) {
            Ownership::Ours(tunnel) | Ownership::Adopted(tunnel) => Some(tunnel),
            Ownership::Orphan | Ownership::Foreign => None,
        }
    }

    /// Every tunnel that has a link, declared or not.
    pub fn tunnels(&self) -> impl Iterator<Item = (&TunnelName, &'a Link)> {
        self.by_tunnel.iter().filter_map(|(tunnel, index)| Some((tunnel, self.observed.links.get(index)?)))
    }

    /// The orphans, by ifindex.
    pub fn orphans(&self) -> impl Iterator<Item = &'a Link> {
        self.observed.links.values().filter(|link| *self.of(link.index) == Ownership::Orphan)
    }

    fn set(&mut self, index: u32, ownership: Ownership) {
        if let Ownership::Ours(tunnel) | Ownership::Adopted(tunnel) = &ownership {
            self.by_tunnel.insert(tunnel.clone(), index);
        }
        self.of.insert(index, ownership);
    }

    /// A link in our group with a claimed tuple is ours under another name, unless the claim's own
    /// link is there as well.
    fn recognise_renamed(&mut self, link: &Link, claimed: &BTreeMap<Tuple, &TunnelName>) {
        let undecided = matches!(self.of(link.index), Ownership::Foreign | Ownership::Orphan);
        let Some(gre) = link.gre().filter(|_| undecided && link.group == marks::LINK_GROUP) else { return };
        if let Some(tunnel) = claimed.get(&gre.tuple()).filter(|t| !self.by_tunnel.contains_key(**t)) {
            self.set(link.index, Ownership::Ours((*tunnel).clone()));
        }
    }
}

fn claimed_tuples(owned: &Owned) -> BTreeMap<Tuple, &TunnelName> {
    let tuples = |(tunnel, claim)| {
        let claim: &crate::model::Claim = claim;
        claim.tuples.iter().map(move |tuple| (*tuple, tunnel))
    };
    owned.claims.iter().flat_map(tuples).collect()
}

fn by_own_name(link: &Link, desired: &Desired, owned: &Owned) -> Ownership {
    let Some(gre) = link.gre() else { return Ownership::Foreign };
    let Some(tunnel) = TunnelName::of_link(&link.name) else { return Ownership::Foreign };
    let marked = link.group == marks::LINK_GROUP;
    let claimed = owned.claims.get(&tunnel);
    if claimed.is_some_and(|claim| marked || claim.tuples.contains(&gre.tuple())) {
        return Ownership::Ours(tunnel);
    }
    let declared = desired.tunnels.get(&tunnel);
    if declared.is_some_and(|declared| declared.link.gre.tuple() == gre.tuple() && !gre.exotic) {
        return Ownership::Adopted(tunnel);
    }
    if marked { Ownership::Orphan } else { Ownership::Foreign }
}
