//! What the insides of tunnels must be to the outsides of all: outside a VRF, the routes of overlays and
//! the client addresses are in the tables that outer packets go by. Those of a VRF are in its own table.
//!
//! Disabled tunnels count as well: enabling one must never be what breaks a file.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::at::Span;
use super::diagnostics::{Problem, Sink};
use super::draft::Draft;
use crate::model::AddressRange;

pub fn check(drafts: &[Draft], sink: &mut Sink) {
    let outer = outer(drafts);
    for draft in drafts.iter().filter(|draft| draft.vrf == Some(None)) {
        check_overlay(draft, &outer, sink);
        check_client(draft, &outer, sink);
    }
}

/// An address that outer packets have, and the first that is declared with it.
struct Outer<'d> {
    what: &'static str,
    draft: &'d Draft,
    span: Span,
}

fn outer(drafts: &[Draft]) -> BTreeMap<Ipv4Addr, Outer<'_>> {
    let mut outer = BTreeMap::new();
    for draft in drafts {
        let remotes = draft.remotes.iter().map(|at| (at.clone(), "remote"));
        let local = draft.address().map(|at| (at, "local address"));
        for (at, what) in remotes.chain(local) {
            outer.entry(at.value).or_insert(Outer { what, draft, span: at.span });
        }
    }
    outer
}

fn check_overlay(draft: &Draft, outer: &BTreeMap<Ipv4Addr, Outer<'_>>, sink: &mut Sink) {
    let Some(overlay) = &draft.overlay else { return };
    let range = AddressRange::from(overlay.value);
    for (address, Outer { what, draft: owner, span }) in outer.range(range.first()..=range.last()) {
        // Its own outer addresses: check_tunnel has said so.
        if is_outer_of(*address, draft) {
            continue;
        }
        let message = format!("`overlay` {} holds {address}, the {what} of {}", overlay.value, owner.title());
        let help = "write another `overlay`: the kernel would send the outer packets for that address into this tunnel";
        sink.push(Problem::new(&overlay.span, message, help).also(span, format!("the {what}")));
    }
}

fn is_outer_of(address: Ipv4Addr, draft: &Draft) -> bool {
    let remote = draft.remotes.iter().any(|remote| remote.value == address);
    remote || draft.address().is_some_and(|local| local.value == address)
}

fn check_client(draft: &Draft, outer: &BTreeMap<Ipv4Addr, Outer<'_>>, sink: &mut Sink) {
    let Some(client) = &draft.client else { return };
    let Some(Outer { what, draft: owner, span }) = outer.get(&client.value) else { return };
    let message = format!("`client` {} is the {what} of {}", client.value, owner.title());
    let help = "write an address that no tunnel has as its `remote` or `local`: this one would be put on the \
                tunnel, and outer packets need it in the underlay";
    sink.push(Problem::new(&client.span, message, help).also(span, format!("the {what}")));
}
