//! Addresses on our links, and the leased ones on the loopback link.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use crate::model::{Address, Desired, Link, LinkName, Observed, Owned, TunnelName, marks};

use super::links::{Fate, LinkPlan};
use super::ownership::Ownerships;
use super::{PlannedStep, Step};

/// Address changes, apart by when they come in the plan.
#[derive(Default)]
pub struct AddressSteps {
    /// Stale ones on our links: before anything is added.
    pub stale: Vec<PlannedStep>,
    /// On the loopback: before the tunnels that are bound to them.
    pub loopback_add: Vec<PlannedStep>,
    /// On our links: after the links.
    pub add: Vec<PlannedStep>,
    /// On the loopback: after the last tunnel that was bound to them.
    pub loopback_delete: Vec<PlannedStep>,
    /// Marked as ours on the loopback, but claimed by nobody.
    pub orphans: Vec<Address>,
    pub notes: Vec<String>,
}

/// Works out every address change. Addresses that somebody else put on our links are left alone.
pub fn plan(
    desired: &Desired,
    observed: &Observed,
    owned: &Owned,
    links: &LinkPlan,
    owners: &Ownerships<'_>,
) -> AddressSteps {
    let mut steps = AddressSteps::default();
    for (tunnel, want) in &desired.tunnels {
        let link = match links.fates.get(tunnel) {
            Some(Fate::Keep { index } | Fate::Change { index, .. }) => observed.links.get(index),
            Some(Fate::Create | Fate::Recreate { .. }) => None,
            Some(Fate::Refused { .. }) | None => continue,
        };
        let claimed = owned.claims.get(tunnel).map(|claim| &claim.addresses);
        on_tunnel(tunnel, &want.addresses, link, claimed, observed, &mut steps);
    }
    on_loopback(desired, observed, owned, links, owners, &mut steps);
    steps
}

fn on_tunnel(
    tunnel: &TunnelName,
    wanted: &BTreeSet<Address<LinkName>>,
    link: Option<&Link>,
    claimed: Option<&BTreeSet<Ipv4Network>>,
    observed: &Observed,
    steps: &mut AddressSteps,
) {
    let present = link.into_iter().flat_map(|link| observed.addresses_on(link.index));
    let present: Vec<&Address> = present.collect();
    let planned = |step| PlannedStep { tunnel: Some(tunnel.clone()), step };
    for address in &present {
        let ours = address.protocol == marks::ADDRESS_PROTOCOL
            || claimed.is_some_and(|claimed| claimed.contains(&address.address));
        if ours && !wanted.iter().any(|want| same(address, want)) {
            steps.stale.push(planned(Step::DeleteAddress((*address).clone())));
        }
    }
    for want in wanted {
        if !present.iter().any(|address| same(address, want)) {
            steps.add.push(planned(Step::AddAddress(want.clone())));
        }
    }
}

fn on_loopback(
    desired: &Desired,
    observed: &Observed,
    owned: &Owned,
    links: &LinkPlan,
    owners: &Ownerships<'_>,
    steps: &mut AddressSteps,
) {
    let refused = refused_locals(desired, links);
    let wanted: BTreeMap<Ipv4Addr, _> =
        desired.loopback.iter().map(|want| (want.address.ip(), want)).collect();
    let holders = Holders::new(observed);
    let planned = |step| PlannedStep { tunnel: None, step };
    for (_, &want) in wanted.iter().filter(|(ip, _)| !refused.contains(ip)) {
        match holders.of(want) {
            Some(holder) if !is_labelled(holder) => steps.notes.push(foreign_address(holder, observed)),
            Some(holder) if is_on(holder, &want.link, observed) => {}
            // On two links for a moment: the tunnels that are bound to it never lack it.
            Some(_) | None => steps.loopback_add.push(planned(Step::AddAddress(want.clone()))),
        }
    }
    let staying: BTreeSet<Ipv4Addr> = links.staying(owners).filter_map(|l| Some(l.gre()?.local)).collect();
    let needed = |address: &Address| {
        let ip = address.address.ip();
        match wanted.get(&ip) {
            Some(want) => refused.contains(&ip) || is_on(address, &want.link, observed),
            None => staying.contains(&ip),
        }
    };
    for address in observed.addresses.iter().filter(|address| is_labelled(address) && !needed(address)) {
        if owned.loopback.contains(&address.address.ip()) {
            steps.loopback_delete.push(planned(Step::DeleteAddress(address.clone())));
        } else {
            steps.orphans.push(address.clone());
        }
    }
}

/// Who has each address of the host.
struct Holders<'a> {
    observed: &'a Observed,
    by_ip: BTreeMap<Ipv4Addr, Vec<&'a Address>>,
}

impl<'a> Holders<'a> {
    fn new(observed: &'a Observed) -> Self {
        let mut by_ip: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for address in &observed.addresses {
            by_ip.entry(address.address.ip()).or_default().push(address);
        }
        Self { observed, by_ip }
    }

    /// Who has it already: on the wanted link, else where ever.
    fn of(&self, want: &Address<LinkName>) -> Option<&'a Address> {
        let holders = self.by_ip.get(&want.address.ip())?;
        let there = holders.iter().find(|address| is_on(address, &want.link, self.observed));
        let foreign = || holders.iter().find(|address| !is_labelled(address));
        there.or_else(foreign).or_else(|| holders.first()).copied()
    }
}

fn is_on(address: &Address, link: &LinkName, observed: &Observed) -> bool {
    observed.links.get(&address.link).is_some_and(|there| there.name == link.as_str())
}

/// Local addresses of tunnels that were refused and that no other tunnel uses: nothing half-made.
fn refused_locals(desired: &Desired, links: &LinkPlan) -> BTreeSet<Ipv4Addr> {
    let refused = |tunnel: &TunnelName| matches!(links.fates.get(tunnel), Some(Fate::Refused { .. }));
    let locals = |want: bool| {
        let tunnels = desired.tunnels.iter().filter(move |(tunnel, _)| refused(tunnel) == want);
        tunnels.map(|(_, tunnel)| tunnel.link.gre.local).collect::<BTreeSet<_>>()
    };
    locals(true).difference(&locals(false)).copied().collect()
}

/// Marks are not compared: a label or a protocol that differs is no reason to take an address off.
fn same(address: &Address, want: &Address<LinkName>) -> bool {
    address.address == want.address && address.scope == want.scope
}

/// Is it marked as one of our loopback addresses?
pub fn is_labelled(address: &Address) -> bool {
    address.label.ends_with(marks::LABEL_SUFFIX)
}

fn foreign_address(holder: &Address, observed: &Observed) -> String {
    let link = observed.links.get(&holder.link).map_or("an unknown link", |link| link.name.as_str());
    let ip = holder.address.ip();
    format!("{ip} is on {link} already, put there by somebody else: used as it is, and left when we go")
}
