//! Claims: written before the kernel is touched, and cut back to what the kernel then shows.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::model::{Claim, Desired, Gre, Observed, Owned, TunnelName, Tuple};
use crate::plan::{Fate, Plan, addresses::is_labelled, ownership::Ownerships};

/// What must be claimed before the plan is carried out: for each tunnel what it has and what it gets.
/// A tunnel whose link was refused claims nothing: the link in its way is not ours.
/// A tuple that another tunnel is about to leave is claimed by that one until it has left.
pub fn before(desired: &Desired, plan: &Plan, owned: &Owned) -> BTreeMap<TunnelName, Claim> {
    let held = |(tunnel, claim)| {
        let claim: &Claim = claim;
        claim.tuples.iter().map(move |tuple| (*tuple, tunnel))
    };
    let held: BTreeMap<Tuple, &TunnelName> = owned.claims.iter().flat_map(held).collect();
    let mut claims = BTreeMap::new();
    for (tunnel, want) in &desired.tunnels {
        if matches!(plan.fates.get(tunnel), Some(Fate::Refused { .. }) | None) {
            continue;
        }
        let had = owned.claims.get(tunnel);
        let mut claim = had.cloned().unwrap_or_default();
        let tuple = want.link.gre.tuple();
        if held.get(&tuple).is_none_or(|holder| *holder == tunnel) {
            claim.tuples.insert(tuple);
        }
        claim.addresses.extend(want.addresses.iter().map(|address| address.address));
        if had != Some(&claim) {
            claims.insert(tunnel.clone(), claim);
        }
    }
    claims
}

/// Loopback addresses to claim before they are put there.
pub fn loopback_before(desired: &Desired, owned: &Owned) -> BTreeSet<Ipv4Addr> {
    let wanted = desired.loopback.iter().map(|address| address.address.ip());
    wanted.filter(|ip| !owned.loopback.contains(ip)).collect()
}

/// What is left to claim once the kernel was read back: claims of what it has. `None`: as it was.
pub struct Settled {
    pub changed: BTreeMap<TunnelName, Claim>,
    pub gone: BTreeSet<TunnelName>,
    pub loopback_gone: BTreeSet<Ipv4Addr>,
}

/// Cuts claims back to what is in the kernel or still wanted.
pub fn after(desired: &Desired, observed: &Observed, owned: &Owned) -> Settled {
    let owners = Ownerships::new(desired, observed, owned);
    let mut settled =
        Settled { changed: BTreeMap::new(), gone: BTreeSet::new(), loopback_gone: BTreeSet::new() };
    for (tunnel, claim) in &owned.claims {
        let Some(link) = owners.link_of(tunnel) else {
            settled.gone.insert(tunnel.clone());
            continue;
        };
        let present: BTreeSet<_> = observed.addresses_on(link.index).map(|a| a.address).collect();
        let mut left = claim.clone();
        left.tuples = link.gre().map(Gre::tuple).into_iter().collect();
        left.addresses.retain(|address| present.contains(address));
        if left != *claim {
            settled.changed.insert(tunnel.clone(), left);
        }
    }
    settled.loopback_gone = owned.loopback.difference(&loopback_needed(desired, observed)).copied().collect();
    settled
}

fn loopback_needed(desired: &Desired, observed: &Observed) -> BTreeSet<Ipv4Addr> {
    let present = observed.addresses.iter().filter(|address| is_labelled(address));
    let wanted = desired.loopback.iter().map(|address| address.address.ip());
    present.map(|address| address.address.ip()).chain(wanted).collect()
}
