//! I3: no address and no tuple is given out twice, neither in the store nor in the kernel.

use super::store::Tuple;
use super::view::{View, is_gre, tunnel_of, tuple};
use super::{Kind, Object, verdict::Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

pub fn check(view: &View, verdict: &mut Verdict) {
    let say = &mut |what: String| verdict.violated("I3", what);
    leases(view, say);
    claims(view, say);
    tuples(view, say);
    locals(view, say);
    addresses(view, say);
}

/// The store has them in order.
fn leases(view: &View, say: &mut impl FnMut(String)) {
    for pair in view.store.leases.windows(2) {
        let [a, b] = pair else { continue };
        if b.first <= a.last {
            say(format!("{}-{} of {} and {} of {} overlap", a.first, a.last, a.holder, b.first, b.holder));
        }
    }
}

fn claims(view: &View, say: &mut impl FnMut(String)) {
    let claims = view.store.tuples.iter().map(|(tunnel, tuple)| (*tuple, tunnel.clone()));
    for (tuple, tunnels) in twice(claims) {
        say(format!("{} is claimed by {}", shown(tuple), tunnels.join(" and ")));
    }
}

/// Links that are bound to devices may share a tuple. Only those count of which one is ours.
fn tuples(view: &View, say: &mut impl FnMut(String)) {
    let gre = view.kernel.of(Kind::Link).filter(|link| is_gre(link));
    let links = gre.filter_map(|link| Some((tuple(link)?, link.device.clone())));
    for (tuple, links) in twice(links) {
        if links.iter().any(|link| view.devices.contains(link)) {
            say(format!("{} is on {}", shown(tuple), links.join(" and ")));
        }
    }
}

/// A leased local address is bound by its holder's link alone.
fn locals(view: &View, say: &mut impl FnMut(String)) {
    let holders: BTreeMap<Ipv4Addr, &str> = view.locals.iter().map(|(h, a)| (*a, h.as_str())).collect();
    for link in view.devices.iter().filter_map(|device| view.link(device)) {
        let Some((local, ..)) = tuple(link) else { continue };
        let named = format!("tunnel/{}", tunnel_of(&link.device));
        if let Some(holder) = holders.get(&local).filter(|holder| **holder != named) {
            say(format!("{local} is leased to {holder}, and {} is bound to it", link.device));
        }
    }
}

/// A leased address, and one inside a tunnel, is on one link alone: of its routing table, when inside.
fn addresses(view: &View, say: &mut impl FnMut(String)) {
    let leased: BTreeSet<String> = view.locals.values().map(Ipv4Addr::to_string).collect();
    let outer = view.addresses().filter(|address| leased.contains(&address.field("local")));
    let outer = outer.map(|address| (address.field("local"), address.device.clone()));
    let inner = view.addresses().filter(|address| view.devices.contains(&address.device));
    let vrf = |address: &Object| view.link(&address.device).map(|link| link.field("master"));
    let inner = inner.map(|address| ((address.field("local"), vrf(address)), address.device.clone()));
    let inner = twice(inner).into_iter().map(|((address, _), links)| (address, links));
    for (address, links) in twice(outer).into_iter().chain(inner) {
        say(format!("{address} is on {}", links.join(" and ")));
    }
}

fn twice<K: Ord>(all: impl Iterator<Item = (K, String)>) -> Vec<(K, Vec<String>)> {
    let mut by_key: BTreeMap<K, Vec<String>> = BTreeMap::new();
    all.for_each(|(key, who)| by_key.entry(key).or_default().push(who));
    by_key.into_iter().filter(|(_, who)| who.len() > 1).collect()
}

fn shown((local, remote, key): Tuple) -> String {
    let key = key.map(|key| format!(" key {key}")).unwrap_or_default();
    format!("local {local} remote {remote}{key}")
}
