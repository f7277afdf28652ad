//! The `[host]` and `[device]` sections: what this host is to the inventory.

use std::time::Duration;

use super::at::At;
use super::diagnostics::{Problem, Sink};
use super::document::{Document, Entry};
use super::{either, network, raw, value};
use crate::model::{
    AddressRange, Device, DeviceCode, DeviceStatus, EdgeRole, HostName, HostRole, InterfaceName, LOOPBACK,
    Near, Role, Routes, Sharing,
};

/// Is it an edge box?
const ROLES: [(&str, bool); 2] = [("host", false), ("edge", true)];
const SHARING: [(&str, Sharing); 2] = [("exclusive", Sharing::Exclusive), ("per-client", Sharing::PerClient)];
/// Terminations that a device offers at first: a second tunnel needs a second one. Each is probed by every client.
const TERMINATIONS: std::ops::RangeInclusive<usize> = 2..=8;
/// The most that can be asked for.
const MOST_TERMINATIONS: i64 = 1024;
const FARTHEST: Duration = Duration::from_secs(10);

/// What this host is. Sections that say something of another role are reported.
pub fn check(document: &Document, sink: &mut Sink) -> Role {
    let role = document.daemon.raw.role.as_ref();
    let edge = role.and_then(|text| sink.take(value::choice(text, "role", &ROLES)));
    let is_edge = edge.as_ref().is_some_and(|edge| edge.value);
    if document.inventory.is_none() {
        refuse_sections(document, edge.filter(|edge| edge.value).as_ref(), sink);
        return Role::Alone;
    }
    match (is_edge, &document.host, &document.device) {
        (true, Some(entry), _) => sink.push(Problem::new(
            &entry.header,
            "this is an edge box, and has a [host] section",
            "take it out, or take role = \"edge\" out of [daemon]",
        )),
        (false, _, Some(entry)) => sink.push(Problem::new(
            &entry.header,
            "this is no edge box, and has a [device] section",
            "write role = \"edge\" into [daemon], or take this section out",
        )),
        (true, None, None) => {
            if let Some(role) = role {
                let help = "write a [device] section with its code, public_ip and prefixes";
                sink.push(Problem::new(&role.span, "an edge box needs a [device] section", help));
            }
        }
        (true, None, Some(_)) | (false, _, None) => {}
    }
    match (is_edge, &document.device) {
        (true, Some(entry)) => edge_role(entry, sink).map_or(Role::Alone, Role::Edge),
        (true, None) => Role::Alone,
        (false, _) => {
            Role::Host(document.host.as_ref().map_or_else(HostRole::default, |entry| host_role(entry, sink)))
        }
    }
}

/// Without an inventory they mean nothing.
fn refuse_sections(document: &Document, edge: Option<&At<bool>>, sink: &mut Sink) {
    let host = document.host.as_ref().map(|entry| (&entry.header, "[host]"));
    let device = document.device.as_ref().map(|entry| (&entry.header, "[device]"));
    let edge = edge.map(|edge| (&edge.span, "role = \"edge\""));
    for (span, what) in [edge, host, device].into_iter().flatten() {
        let help = "write an [inventory] section with the path of its file, or take this out";
        sink.push(Problem::new(span, format!("{what} means nothing without an inventory"), help));
    }
}

fn host_role(entry: &Entry<raw::Host>, sink: &mut Sink) -> HostRole {
    let raw::Host { name, local, public_address, routes, near } = &entry.raw;
    let example = "write an address of this host, such as \"192.0.2.10\"";
    let name = name.as_ref().and_then(|text| sink.take(value::name(text, HostName::new)));
    let local = local.as_ref().filter(|text| text.value != "auto");
    let local = local.and_then(|text| {
        sink.take(network::host(text, "local", "write \"auto\", or an address of this host"))
    });
    let public =
        public_address.as_ref().and_then(|text| sink.take(network::host(text, "public_address", example)));
    let near =
        near.as_ref().and_then(|text| sink.take(value::short(text, "near", Duration::ZERO..=FARTHEST)));
    HostRole {
        name: name.map(|name| name.value),
        local: local.map(|local| local.value),
        public: public.map(|public| public.value),
        routes: routes.as_ref().map_or_else(Routes::default, |routes| self::routes(routes, sink)),
        near: near.map_or_else(Near::default, |near| Near(near.value)),
    }
}

fn routes(routes: &At<either::OneOrMany>, sink: &mut Sink) -> Routes {
    match &routes.value {
        either::OneOrMany::One(word) if word == "inventory" => Routes::Inventory,
        either::OneOrMany::One(word) => {
            let help = "write \"inventory\", or a list such as [\"10.20.0.0/16\"]";
            let message = format!("`routes` cannot be {word:?}");
            sink.push(Problem::new(&routes.span, message, help));
            Routes::default()
        }
        either::OneOrMany::Many(list) => {
            let listed = list.iter().filter_map(|text| sink.take(network::route(text)));
            let mut listed: Vec<_> = listed.map(|route| route.value).collect();
            listed.sort();
            listed.dedup();
            Routes::Listed(listed)
        }
    }
}

fn edge_role(entry: &Entry<raw::Device>, sink: &mut Sink) -> Option<EdgeRole> {
    let raw = &entry.raw;
    let code = entry.required("code", raw.code.as_ref(), sink);
    let code = code.and_then(|text| sink.take(value::name(text, DeviceCode::new)));
    let public_ip = entry.required("public_ip", raw.public_ip.as_ref(), sink);
    let public_ip = public_ip.and_then(|text| {
        sink.take(network::host(text, "public_ip", "write the address that it is known by"))
    });
    let interface = raw.interface.as_ref().and_then(|text| sink.take(value::name(text, InterfaceName::new)));
    let sharing = raw.sharing.as_ref().and_then(|text| sink.take(value::choice(text, "sharing", &SHARING)));
    let max_sessions = raw.max_sessions.as_ref();
    let max_sessions =
        max_sessions.and_then(|number| sink.take(value::number(number, "max_sessions", 0..=1_000_000)));
    let least = i64::try_from(*TERMINATIONS.start()).unwrap_or(2);
    let terminations = raw.terminations.as_ref();
    let terminations = terminations.and_then(|number| {
        sink.take(value::number::<i64>(number, "terminations", least..=MOST_TERMINATIONS))
    });
    let prefixes = prefixes(raw.prefixes.as_ref(), sink);
    let text = |field: &Option<At<String>>| field.as_ref().map(|at| at.value.clone()).unwrap_or_default();
    let device = Device {
        code: code?.value,
        owner: text(&raw.owner),
        location: text(&raw.location),
        exchange: text(&raw.exchange),
        sort: text(&raw.sort),
        public_ip: public_ip?.value,
        prefixes,
        status: DeviceStatus::default(),
        max_sessions: max_sessions.map(|number| number.value),
        sharing: sharing.map(|sharing| sharing.value).unwrap_or_default(),
    };
    let all: u64 = device.prefixes.iter().map(|prefix| AddressRange::from(*prefix).size()).sum();
    let usual = usize::try_from(all).unwrap_or(usize::MAX).clamp(*TERMINATIONS.start(), *TERMINATIONS.end());
    let wanted = terminations.and_then(|number| usize::try_from(number.value).ok());
    let interface = match interface {
        Some(interface) => interface.value,
        None => InterfaceName::new(LOOPBACK).ok()?,
    };
    Some(EdgeRole { device, interface, terminations: wanted.unwrap_or(usual) })
}

/// In their order, each one once.
fn prefixes(list: Option<&At<Vec<At<String>>>>, sink: &mut Sink) -> Vec<ipnetwork::Ipv4Network> {
    let mut prefixes: Vec<At<ipnetwork::Ipv4Network>> = Vec::new();
    for text in list.into_iter().flat_map(|list| &list.value) {
        let Some(prefix) = sink.take(network::prefix(text, "prefixes", "198.51.100.8/29")) else { continue };
        let range = AddressRange::from(prefix.value);
        if let Some((address, why)) = range.unusable() {
            let message = format!("`prefixes`: {address} of {} is {why}", prefix.value);
            sink.push(Problem::new(&text.span, message, "write prefixes of addresses that hosts can have"));
        } else if let Some(other) = prefixes.iter().find(|other| other.value.overlaps(prefix.value)) {
            let message = format!("`prefixes`: {} overlaps {}", prefix.value, other.value);
            sink.push(Problem::new(&text.span, message, "take one of them out"));
        } else {
            prefixes.push(prefix);
        }
    }
    prefixes.into_iter().map(|prefix| prefix.value).collect()
}
