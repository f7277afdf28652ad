//! What can be said of one tunnel alone.

use std::collections::BTreeMap;

use super::at::At;
use super::diagnostics::{Problem, Sink};
use super::draft::Draft;
use crate::model::{Kind, Ttl, gre};

/// `ETH_MIN_MTU` (linux/if_ether.h): the least that `ip_tunnel_create` (net/ipv4/ip_tunnel.c) takes.
const LEAST_MTU: u32 = 68;
/// `IP_MAX_MTU` (linux/ip.h): the headers come off it. The kernel cuts a larger MTU down in
/// silence, and what we want would never be what is there.
const LARGEST_PACKET: u32 = 0xffff;

pub fn check(draft: &Draft, sink: &mut Sink) {
    check_link(draft, sink);
    check_mtu(draft, sink);
    check_multicast(draft, sink);
    check_remotes(draft, sink);
    check_recursion(draft, sink);
    check_own_overlay(draft, sink);
}

fn check_link(draft: &Draft, sink: &mut Sink) {
    // ipgre_netlink_parms (net/ipv4/ip_gre.c): EINVAL.
    if let Some(at) = draft.ignore_df.as_ref().filter(|at| at.value && draft.pmtudisc == Some(true)) {
        let help =
            "set `pmtudisc = false` as well, or take `ignore-df` out: the kernel refuses both together";
        sink.push(Problem::new(&at.span, "`ignore-df` needs `pmtudisc = false`", help));
    }
    if let (Some(pool), Some(address)) = (&draft.pool, draft.address()) {
        let message = "`pool` goes with `local = \"auto\"` only";
        let help = "take `pool` out: a fixed address tells its pool by itself";
        sink.push(Problem::new(&pool.span, message, help).also(&address.span, "this address is fixed"));
    }
}

fn check_mtu(draft: &Draft, sink: &mut Sink) {
    let (Some(mtu), Some(key)) = (&draft.mtu, draft.key) else { return };
    let most = LARGEST_PACKET - gre::overhead(key);
    if !(i64::from(LEAST_MTU)..=i64::from(most)).contains(&mtu.value) {
        let help = format!(
            "write {LEAST_MTU} to {most} bytes, which is what the kernel takes, or leave `mtu` out to \
             have it worked out from the path"
        );
        sink.push(Problem::new(&mtu.span, format!("`mtu` cannot be {}", mtu.value), help));
    }
}

fn check_multicast(draft: &Draft, sink: &mut Sink) {
    match draft.kind {
        Some(Kind::Unicast) => {
            if let Some(group) = draft.groups.first() {
                let help = "write kind = \"multicast\", or take `groups` out";
                sink.push(Problem::new(&group.span, "a unicast tunnel has no `groups`", help));
            }
        }
        Some(Kind::Multicast) => {
            if let Some(ttl) = draft.ttl.as_ref().filter(|ttl| ttl.value == Ttl::Inherit) {
                let message = "a multicast tunnel cannot inherit its TTL";
                let help =
                    "write ttl = 64: IGMP has TTL 1, and would die at the first router of the underlay";
                sink.push(Problem::new(&ttl.span, message, help));
            }
        }
        None => {}
    }
}

fn check_remotes(draft: &Draft, sink: &mut Sink) {
    let local = draft.address();
    let mut seen = BTreeMap::new();
    for remote in &draft.remotes {
        if let Some(first) = seen.insert(remote.value, &remote.span) {
            let message = format!("the remote {} is listed twice", remote.value);
            sink.push(Problem::new(&remote.span, message, "take one of them out").also(first, "the first"));
        }
        if let Some(local) = local.as_ref().filter(|local| local.value == remote.value) {
            let message = format!("`remote` and `local` are both {}", remote.value);
            let help = "write the address of the other end: a tunnel to oneself carries nothing";
            sink.push(Problem::new(&remote.span, message, help).also(&local.span, "the same"));
        }
    }
}

/// Outer addresses must not be reached through the tunnel itself. The default route is no danger:
/// outer packets are marked, and looked up in the main table. Nor are the routes of a VRF: the
/// underlay is outside it.
fn check_recursion(draft: &Draft, sink: &mut Sink) {
    if draft.vrf != Some(None) {
        return;
    }
    let outer = draft.remotes.iter().map(|at| (at, "remote"));
    let local = draft.address();
    for (at, key) in outer.chain(local.iter().map(|at| (at, "local"))) {
        let through =
            |route: &&At<ipnetwork::Ipv4Network>| route.value.prefix() > 0 && route.value.contains(at.value);
        let Some(route) = draft.routes.iter().find(through) else { continue };
        let message = match key {
            "remote" => format!("the remote {} would be routed through its own tunnel", at.value),
            _ => format!("the local address {} is in a prefix routed into its own tunnel", at.value),
        };
        let help = format!("write routes without {}, or 0.0.0.0/0 for everything", at.value);
        sink.push(Problem::new(&at.span, message, help).also(&route.span, "by this route"));
    }
}

fn check_own_overlay(draft: &Draft, sink: &mut Sink) {
    let Some(overlay) = &draft.overlay else { return };
    let inside = "addresses inside the tunnel and outside it must differ: write another `overlay`";
    let local = draft.address();
    let outer = draft.remotes.iter().map(|at| (at, "remote")).chain(local.iter().map(|at| (at, "local")));
    for (at, key) in outer {
        if overlay.value.contains(at.value) {
            let message = format!("`{key}` {} is in the tunnel's own overlay {}", at.value, overlay.value);
            sink.push(Problem::new(&at.span, message, inside).also(&overlay.span, "the overlay"));
        }
    }
    for route in &draft.routes {
        if (route.value.network(), route.value.prefix()) == (overlay.value.network(), overlay.value.prefix())
        {
            let message = format!("`routes`: {} is the overlay itself", route.value);
            let help = "take it out: the kernel makes that route by itself";
            sink.push(Problem::new(&route.span, message, help).also(&overlay.span, "the overlay"));
        }
    }
}
