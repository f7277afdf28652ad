//! What tunnels must be to each other inside one VRF (none at all counts as one): overlays,
//! client addresses, routes.
//!
//! Disabled tunnels count as well: enabling one must never be what breaks a file.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use super::at::{At, Span};
use super::diagnostics::{Problem, Sink};
use super::draft::Draft;
use crate::model::LinkName;

pub fn check(drafts: &[Draft], sink: &mut Sink) {
    let mut spaces: BTreeMap<Option<&LinkName>, Vec<&Draft>> = BTreeMap::new();
    for draft in drafts {
        // A VRF that could not be read is no reason to complain about another.
        if let Some(vrf) = &draft.vrf {
            spaces.entry(vrf.as_ref()).or_default().push(draft);
        }
    }
    for (vrf, drafts) in spaces {
        let place = vrf.map_or(String::new(), |vrf| format!(" in VRF {vrf}"));
        let overlays = check_overlays(&drafts, &place, sink);
        check_clients(&drafts, &overlays, &place, sink);
        check_routes(&drafts, &place, sink);
    }
}

type Overlay<'d> = (&'d At<Ipv4Network>, &'d Draft);

/// Returns them sorted by their first addresses. Prefixes overlap only if one contains the other,
/// so one look at the widest before each is enough.
fn check_overlays<'d>(drafts: &[&'d Draft], place: &str, sink: &mut Sink) -> Vec<Overlay<'d>> {
    let mut overlays: Vec<Overlay> =
        drafts.iter().filter_map(|draft| Some((draft.overlay.as_ref()?, *draft))).collect();
    overlays.sort_by_key(|(at, _)| (at.value.network(), at.value.prefix(), at.span.start));
    let mut widest: Option<Overlay> = None;
    for &(at, draft) in &overlays {
        let Some((before, holder)) = widest.filter(|(before, _)| before.value.contains(at.value.network()))
        else {
            widest = Some((at, draft));
            continue;
        };
        // The complaint is about the one that comes later in the file.
        let (late, early, owner) =
            if at.span.start > before.span.start { (at, before, holder) } else { (before, at, draft) };
        let message =
            format!("`overlay` {} overlaps {} of {}{place}", late.value, early.value, owner.title());
        let help = "give each tunnel a /31 or /30 of its own: the kernel takes both, and answers go into one";
        sink.push(Problem::new(&late.span, message, help).also(&early.span, "overlaps this"));
    }
    overlays
}

fn check_clients(drafts: &[&Draft], overlays: &[Overlay<'_>], place: &str, sink: &mut Sink) {
    let mut holders: BTreeMap<Ipv4Addr, (&Draft, &Span)> = BTreeMap::new();
    for draft in drafts {
        let Some(client) = &draft.client else { continue };
        if let Some((holder, span)) = holders.get(&client.value) {
            let message = format!("`client` {} is that of {}, too{place}", client.value, holder.title());
            let help = "give each tunnel a client address of its own, or leave it out of one";
            sink.push(Problem::new(&client.span, message, help).also(span, "used here"));
        } else {
            holders.insert(client.value, (draft, &client.span));
        }
        let next = overlays.partition_point(|(at, _)| at.value.network() <= client.value);
        let before = next.checked_sub(1).map(|index| overlays[index]);
        if let Some((overlay, owner)) = before.filter(|(at, _)| at.value.contains(client.value)) {
            let message =
                format!("`client` {} is in the overlay {} of {}", client.value, overlay.value, owner.title());
            let help = "write an address outside all overlays: those lead to the two ends of one tunnel only";
            sink.push(Problem::new(&client.span, message, help).also(&overlay.span, "the overlay"));
        }
    }
}

/// Groups are routes, too. The kernel tells routes of a table apart by prefix and metric.
fn check_routes(drafts: &[&Draft], place: &str, sink: &mut Sink) {
    let mut holders: BTreeMap<(Ipv4Network, u32), (&Draft, &Span)> = BTreeMap::new();
    for draft in drafts {
        let Some(metric) = draft.metric else { continue };
        let lists = [("routes", &draft.routes), ("groups", &draft.groups)];
        for (key, at) in lists.into_iter().flat_map(|(key, list)| list.iter().map(move |at| (key, at))) {
            let Some((holder, span)) = holders.get(&(at.value, metric)) else {
                holders.insert((at.value, metric), (draft, &at.span));
                continue;
            };
            let (message, help) = if std::ptr::eq(*holder, *draft) {
                (format!("`{key}`: {} is listed twice", at.value), "take one of them out".to_owned())
            } else {
                let owner = holder.title();
                let message = format!(
                    "`{key}`: {} with metric {metric} is routed into {owner} already{place}",
                    at.value
                );
                (
                    message,
                    "take it out of one of them, or give one another `metric`: the higher one stands by"
                        .into(),
                )
            };
            sink.push(Problem::new(&at.span, message, &*help).also(span, "the first"));
        }
    }
}
