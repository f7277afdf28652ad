//! I1: the kernel is as declared, and has nothing more of ours.

use super::declaration::Tunnel;
use super::view::{PROTOCOL, View, is_labelled, parameter};
use super::{Kind, Object, verdict::Verdict};
use ipnetwork::Ipv4Network;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// Bytes of the IPv4 and the GRE header, and of a key.
const OVERHEAD: u64 = 24;
const KEY: u64 = 4;
const TABLE: &str = "4700";

type Fields = BTreeMap<&'static str, String>;
/// By what names an object whatever its fields are.
type Objects = BTreeMap<String, Fields>;

pub fn check(view: &View, verdict: &mut Verdict) {
    let wanted = wanted(view, verdict);
    let present = present(view, &wanted);
    for (name, fields) in &wanted {
        match present.get(name) {
            None => verdict.violated("I1", format!("missing: {name}")),
            Some(found) => compare(name, fields, found, verdict),
        }
    }
    let known = |name: &String| wanted.contains_key(name) || view.strangers.contains(name);
    for name in present.keys().filter(|name| !known(name)) {
        verdict.violated("I1", format!("not declared: {name}"));
    }
}

/// Addresses on our links that are neither declared nor claimed: somebody else put them there.
pub fn strangers(view: &View) -> BTreeSet<String> {
    let wanted = wanted(view, &mut Verdict::default());
    let claim =
        |(tunnel, local, length): &(String, Ipv4Addr, u8)| format!("address {local}/{length} on gh-{tunnel}");
    let claimed: BTreeSet<String> = view.store.addresses.iter().map(claim).collect();
    let on_ours = view.addresses().filter(|a| view.devices.contains(&a.device) && !is_labelled(a));
    let names = on_ours.map(address_name);
    names.filter(|name| !wanted.contains_key(name) && !claimed.contains(name)).collect()
}

/// The kernel may show more fields than are asked for.
fn compare(name: &str, wanted: &Fields, found: &Fields, verdict: &mut Verdict) {
    for (field, want) in wanted {
        let has = found.get(field).map_or("", String::as_str);
        if has != want {
            verdict.violated("I1", format!("{name}: {field} is {has:?}, not {want:?}"));
        }
    }
}

fn wanted(view: &View, verdict: &mut Verdict) -> Objects {
    let mut wanted = Objects::new();
    for tunnel in view.tunnels() {
        match view.local(tunnel) {
            Some(local) => wanted_of(view, tunnel, local, &mut wanted),
            None => verdict.violated("I1", format!("{} has no local address", tunnel.name)),
        }
        if let (Some(vrf), None) = (&tunnel.vrf, table(view, tunnel)) {
            verdict.violated("I1", format!("{} is to be in {vrf}, which is no VRF", tunnel.name));
        }
    }
    wanted.extend(wanted_rules(view));
    wanted
}

fn wanted_of(view: &View, tunnel: &Tunnel, local: Ipv4Addr, wanted: &mut Objects) {
    let device = tunnel.link();
    wanted.insert(format!("link {device}"), wanted_link(view, tunnel, local));
    let scope = |scope: &str| Fields::from([("scope", scope.to_owned())]);
    wanted.insert(format!("address {} on {device}", tunnel.overlay), scope("link"));
    if let Some(client) = tunnel.client {
        wanted.insert(format!("address {client}/32 on {device}"), scope("global"));
    }
    // An address that somebody else put on this host already is used as it is.
    if tunnel.leases() && view.placed.get(&local) != Some(&false) {
        let loopback = &view.declaration.loopback;
        let fields = Fields::from([("scope", "global".to_owned()), ("label", format!("{loopback}:gh"))]);
        wanted.insert(format!("address {local}/32 on {loopback}"), fields);
    }
    let Some(table) = table(view, tunnel) else { return };
    for prefix in &tunnel.prefixes {
        let name = format!("route {} metric {} table {table}", shown(*prefix), tunnel.metric);
        let client = tunnel.client.map(|client| client.to_string());
        let fields = [
            ("dev", device.clone()),
            ("scope", "link".to_owned()),
            ("type", "unicast".to_owned()),
            ("prefsrc", client.unwrap_or_default()),
            ("gateway", String::new()),
        ];
        wanted.insert(name, fields.into());
    }
}

fn wanted_link(view: &View, tunnel: &Tunnel, local: Ipv4Addr) -> Fields {
    let key = tunnel.key.map(|key| Ipv4Addr::from(key).to_string()).unwrap_or_default();
    let remote = view.remote(tunnel).map(|remote| remote.to_string());
    let tos = if tunnel.tos == 0 { String::new() } else { format!("{:#x}", tunnel.tos) };
    let mut fields = Fields::from([
        ("type", "gre".to_owned()),
        ("local", local.to_string()),
        ("remote", remote.unwrap_or_default()),
        ("ikey", key.clone()),
        ("okey", key),
        ("ttl", tunnel.ttl.to_string()),
        ("tos", tos),
        ("pmtudisc", tunnel.pmtudisc.to_string()),
        ("ignore_df", tunnel.ignore_df.to_string()),
        ("fwmark", "0x47".to_owned()),
        ("group", super::view::GROUP.to_owned()),
        ("up", "true".to_owned()),
        ("multicast", tunnel.multicast.to_string()),
        ("vrf", tunnel.vrf.clone().unwrap_or_default()),
        ("checksum or sequence", String::new()),
    ]);
    let mtu = tunnel.mtu.map(u64::from).or_else(|| path_mtu(view, tunnel));
    fields.extend(mtu.map(|mtu| ("mtu", mtu.to_string())));
    fields
}

/// What the path carries, less the headers. Without a path, or with one through a tunnel of ours, the MTU stays.
fn path_mtu(view: &View, tunnel: &Tunnel) -> Option<u64> {
    let way = view.ways.get(&view.remote(tunnel)?)?;
    let device = way["dev"].as_str().filter(|device| !view.devices.contains(*device))?;
    // What expires was learned from a message; anybody can send one.
    let of_route = way["metrics"][0]["mtu"].as_u64().filter(|_| way["expires"].is_null());
    let mtu = of_route.or_else(|| view.link(device)?.value["mtu"].as_u64())?;
    // An IPv4 packet has no more than 65,535 bytes.
    Some(mtu.min(65_535).saturating_sub(OVERHEAD + tunnel.key.map_or(0, |_| KEY)).max(68))
}

/// The table of its routes; nothing when its VRF is none.
fn table(view: &View, tunnel: &Tunnel) -> Option<String> {
    let Some(vrf) = &tunnel.vrf else { return Some(TABLE.to_owned()) };
    let table = parameter(view.link(vrf)?, "table");
    (!table.is_empty()).then_some(table)
}

/// What serves all: outer packets go by main, all others look up our table, and a default into a tunnel comes after
/// the networks of this host.
fn wanted_rules(view: &View) -> Objects {
    let default = |tunnel: &Tunnel| tunnel.vrf.is_none() && tunnel.prefixes.iter().any(|p| p.prefix() == 0);
    let mut rules = Vec::new();
    if view.declaration.enabled().next().is_some() {
        rules.push((4700, false, "0x47", "main", ""));
        rules.push((4701, true, "0x47", TABLE, "0"));
    }
    if view.declaration.enabled().any(default) {
        rules.push((4702, false, "", "main", "0"));
        rules.push((4703, true, "0x47", TABLE, ""));
    }
    let fields = |(priority, not, mark, table, suppressed): (u32, bool, &str, &str, &str)| {
        let fields = [
            ("not", not.to_string()),
            ("fwmark", mark.to_owned()),
            ("table", table.to_owned()),
            ("suppress_prefixlen", suppressed.to_owned()),
        ];
        (format!("rule {priority}"), Fields::from(fields))
    };
    rules.into_iter().map(fields).collect()
}

fn present(view: &View, wanted: &Objects) -> Objects {
    let mut present = Objects::new();
    for link in view.devices.iter().filter(|d| !view.is_excused(d)).filter_map(|d| view.link(d)) {
        put(&mut present, format!("link {}", link.device), link_fields(link));
    }
    for address in view.addresses() {
        let name = address_name(address);
        let ours = view.devices.contains(&address.device) && !view.is_excused(&address.device);
        if ours || wanted.contains_key(&name) || is_labelled(address) && !is_excused_local(view, address) {
            put(&mut present, name, fields(address, ["scope", "label"]));
        }
    }
    for route in view.routes().filter(|route| !view.is_excused(&route.device)) {
        let metric = Some(route.field("metric")).filter(|metric| !metric.is_empty());
        let metric = metric.unwrap_or_else(|| "0".to_owned());
        let name = format!("route {} metric {metric} table {}", route.field("dst"), route.field("table"));
        put(&mut present, name, fields(route, ["dev", "scope", "type", "prefsrc", "gateway"]));
    }
    present_rules(view, wanted, &mut present);
    present
}

/// The protocol number alone, elsewhere, makes no rule greyhound's. One that somebody else made counts when it is as wanted: the kernel takes no second one.
fn present_rules(view: &View, wanted: &Objects, present: &mut Objects) {
    for rule in view.kernel.of(Kind::Rule) {
        let name = format!("rule {}", rule.field("priority"));
        let mut found = fields(rule, ["fwmark", "table", "suppress_prefixlen"]);
        found.insert("not", rule.value.get("not").is_some().to_string());
        let place = (4700..=4703).contains(&rule.value["priority"].as_u64().unwrap_or(0));
        let place = place && [TABLE, "main"].contains(&rule.field("table").as_str());
        if place && rule.field("protocol") == PROTOCOL || wanted.get(&name) == Some(&found) {
            put(present, name, found);
        }
    }
}

fn is_excused_local(view: &View, address: &Object) -> bool {
    let mut excused = view.excused.iter().filter_map(|name| view.locals.get(&format!("tunnel/{name}")));
    excused.any(|local| local.to_string() == address.field("local"))
}

fn address_name(address: &Object) -> String {
    format!("address {}/{} on {}", address.field("local"), address.field("prefixlen"), address.device)
}

fn link_fields(link: &Object) -> Fields {
    let flags = link.value["flags"].as_array().cloned().unwrap_or_default();
    let flag = |name: &str| flags.iter().any(|flag| flag == name).to_string();
    let or = |text: String, default: &str| if text.is_empty() { default.to_owned() } else { text };
    let extras = ["icsum", "ocsum", "iseq", "oseq"].map(|name| parameter(link, name));
    Fields::from([
        ("type", link.value["linkinfo"]["info_kind"].as_str().unwrap_or_default().to_owned()),
        ("local", parameter(link, "local")),
        ("remote", parameter(link, "remote")),
        ("ikey", parameter(link, "ikey")),
        ("okey", parameter(link, "okey")),
        ("ttl", parameter(link, "ttl")),
        ("tos", parameter(link, "tos")),
        ("pmtudisc", or(parameter(link, "pmtudisc"), "false")),
        ("ignore_df", or(parameter(link, "ignore_df"), "false")),
        ("fwmark", parameter(link, "fwmark")),
        ("group", link.field("group")),
        ("mtu", link.field("mtu")),
        ("up", flag("UP")),
        ("multicast", flag("MULTICAST")),
        ("vrf", link.field("master")),
        ("checksum or sequence", extras.concat()),
    ])
}

fn fields<const N: usize>(object: &Object, names: [&'static str; N]) -> Fields {
    names.into_iter().map(|name| (name, object.field(name))).collect()
}

/// A second object of one name is one too many.
fn put(present: &mut Objects, name: String, fields: Fields) {
    let name = if present.contains_key(&name) { format!("{name}, once more") } else { name };
    present.insert(name, fields);
}

/// As `ip` prints a destination.
fn shown(prefix: Ipv4Network) -> String {
    match prefix.prefix() {
        0 => "default".to_owned(),
        32 => prefix.ip().to_string(),
        _ => prefix.to_string(),
    }
}
