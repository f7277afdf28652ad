//! I4: what is marked in the kernel is claimed in the store, and what is active in the store is in the kernel.

use super::verdict::Verdict;
use super::view::{View, is_labelled, parameter, tunnel_of, tuple};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

pub fn check(view: &View, verdict: &mut Verdict) {
    let say = &mut |what: String| verdict.violated("I4", what);
    marked(view, say);
    claimed(view, say);
    leased(view, say);
}

fn marked(view: &View, say: &mut impl FnMut(String)) {
    for device in view.devices.iter().filter(|device| !view.is_excused(device)) {
        if !view.store.claims.contains(tunnel_of(device)) {
            say(format!("link {device} is marked, and nobody claims it"));
        }
    }
    for address in view.addresses().filter(|address| is_labelled(address)) {
        let local = address.field("local");
        if local.parse().is_ok_and(|local: Ipv4Addr| !view.store.loopback.contains(&local)) {
            say(format!("address {local} on {} is labelled, and nobody claims it", address.device));
        }
    }
    for route in view.routes().filter(|route| !view.devices.contains(&route.device)) {
        say(format!("{} is marked, and leads to no link of ours", route.identity));
    }
}

fn claimed(view: &View, say: &mut impl FnMut(String)) {
    let tuples: BTreeSet<_> = view.store.tuples.iter().map(|(of, tuple)| (of.as_str(), *tuple)).collect();
    let claims = view.store.claims.iter().filter(|tunnel| !view.excused.contains(*tunnel));
    for tunnel in claims {
        let Some(link) = view.link(&format!("gh-{tunnel}")) else {
            say(format!("tunnel {tunnel} is claimed, and its link is not in the kernel"));
            continue;
        };
        if tuple(link).is_none_or(|tuple| !tuples.contains(&(tunnel.as_str(), tuple))) {
            say(format!("tunnel {tunnel} is claimed, and {} has another tuple", link.device));
        }
    }
    for (tunnel, local, length) in &view.store.addresses {
        let device = format!("gh-{tunnel}");
        let name = format!("address {local}/{length} on {device}");
        if !view.is_excused(&device) && view.kernel.get(&name).is_none() {
            say(format!("tunnel {tunnel} claims {name}, which is not there"));
        }
    }
    for local in view.store.loopback.iter().filter(|local| !view.placed.contains_key(*local)) {
        say(format!("address {local} is claimed, and on no link"));
    }
}

/// Disabled tunnels keep their leases.
fn leased(view: &View, say: &mut impl FnMut(String)) {
    let tunnels: BTreeMap<_, _> = view.declaration.tunnels.iter().map(|t| (t.holder(), t)).collect();
    for (holder, local) in &view.locals {
        match tunnels.get(holder) {
            None => say(format!("{local} is leased to {holder}, which is not declared")),
            Some(tunnel) if !tunnel.enabled || view.excused.contains(&tunnel.name) => {}
            Some(tunnel) => {
                let link = view.link(&tunnel.link());
                let bound = link.is_some_and(|link| parameter(link, "local") == local.to_string());
                if !bound || !view.placed.contains_key(local) {
                    say(format!("{local} is leased to {holder}, and not in use by it in the kernel"));
                }
            }
        }
    }
}
