//! Declared tunnels, their local addresses and what the host looks like, turned into what should be.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use crate::model::{
    Address, Chosen, Desired, DesiredLink, DesiredTunnel, Gre, Kind, LOOPBACK, Link, LinkKind, LinkName,
    Local, Observed, Route, RouteKind, Rule, Scope, Tunnel, TunnelName, Tuple, gre, marks,
};

/// The MTU assumed where no path to the remote is known yet: Ethernet's (RFC 894).
const UNKNOWN_PATH_MTU: u32 = 1500;
/// The least MTU of an IPv4 link (RFC 791, 3.1; `ip_tunnel_change_mtu` refuses less).
const LEAST_MTU: u32 = 68;
/// The largest packet that a GRE link makes, its own headers included (`IP_MAX_MTU`, include/net/ip.h). `lo` has more.
const LARGEST_PACKET: u32 = 0xffff;

/// What is declared, with the local address of each tunnel, or why it has none.
pub struct Declared<'a> {
    pub tunnels: &'a BTreeMap<TunnelName, Tunnel>,
    pub locals: &'a BTreeMap<TunnelName, Result<Ipv4Addr, String>>,
    /// Where probes leave from for tunnels without one.
    pub probe: Option<Ipv4Addr>,
    /// Addresses that are on the loopback link, whether a tunnel has them or not.
    pub offered: &'a BTreeSet<Ipv4Addr>,
    /// Which of their remotes they use, where that was decided.
    pub choices: &'a BTreeMap<TunnelName, Chosen>,
    /// The link that leased addresses are put on.
    pub loopback: &'a LinkName,
}

/// What should be in the kernel. A tunnel that cannot be worked out on this host now is held.
pub fn desire(declared: &Declared<'_>, observed: &Observed) -> Desired {
    let mut desired = Desired::default();
    let here = Here::new(observed);
    let offered = declared.offered.iter().copied();
    let extra = declared.probe.into_iter().chain(offered);
    let extra = extra.filter(|address| fits(declared.loopback, *address, &here).is_ok());
    desired.loopback.extend(extra.map(|address| loopback_address(declared.loopback, address)));
    let enabled = declared.tunnels.values().filter(|tunnel| tunnel.enable);
    for tunnel in enabled.clone() {
        let local = local(declared, tunnel, &here, &desired.loopback);
        if let (Ok(address), false) = (&local, matches!(tunnel.local, Local::Host(_))) {
            desired.loopback.insert(loopback_address(declared.loopback, *address));
        }
        let remote = tunnel.remote(declared.choices.get(&tunnel.name));
        let remote = remote.ok_or_else(|| "it has no remote".to_owned());
        match local.and_then(|local| desire_tunnel(tunnel, local, remote?, &here)) {
            Ok(made) => {
                desired.tunnels.insert(tunnel.name.clone(), made);
            }
            Err(reason) => {
                desired.held.insert(tunnel.name.clone(), reason);
            }
        }
    }
    desired.rules = rules(enabled);
    desired
}

/// What each tunnel asks of this host, looked up once.
struct Here<'a> {
    observed: &'a Observed,
    addresses: BTreeSet<Ipv4Addr>,
    links: BTreeMap<&'a str, &'a Link>,
}

impl<'a> Here<'a> {
    fn new(observed: &'a Observed) -> Self {
        let addresses = observed.addresses.iter().map(|address| address.address.ip()).collect();
        Self { observed, addresses, links: observed.by_name() }
    }

    fn link(&self, name: &LinkName) -> Option<&'a Link> {
        self.links.get(name.as_str()).copied()
    }
}

fn local(
    declared: &Declared<'_>,
    tunnel: &Tunnel,
    here: &Here<'_>,
    loopback: &BTreeSet<Address<LinkName>>,
) -> Result<Ipv4Addr, String> {
    let local = declared.locals.get(&tunnel.name).cloned();
    let local = local.unwrap_or_else(|| Err("it has no local address yet".to_owned()))?;
    match tunnel.local {
        Local::Auto { .. } | Local::Leased { .. } => fits(declared.loopback, local, here).map(|()| local),
        Local::Host(_) if loopback.iter().any(|ours| ours.address.ip() == local) => Ok(local),
        Local::Host(_) if !here.addresses.contains(&local) => {
            Err(format!("no link of this host has {local}: add the address, or set local = \"auto\""))
        }
        Local::Host(_) => Ok(local),
    }
}

/// No cable takes the addresses of these links with it, and they have no neighbours to ask for them.
fn fits(loopback: &LinkName, local: Ipv4Addr, here: &Here<'_>) -> Result<(), String> {
    let Some(link) = here.link(loopback) else {
        let hint = "make it, or set another loopback";
        return Err(format!("there is no link {loopback} to put {local} on: {hint}"));
    };
    let kind = match &link.kind {
        LinkKind::Other(kind) => kind.as_str(),
        LinkKind::Vrf { .. } => "vrf",
        LinkKind::Gre(_) => "gre",
        LinkKind::Gretap(_) => "gretap",
    };
    match kind {
        "dummy" => Ok(()),
        "" if link.name == LOOPBACK => Ok(()),
        "" => Err(format!("{loopback} is no loopback link: set loopback to lo or a dummy link")),
        kind => Err(format!("{loopback} is a {kind}: set loopback to lo or a dummy link")),
    }
}

fn loopback_address(link: &LinkName, address: Ipv4Addr) -> Address<LinkName> {
    Address {
        link: link.clone(),
        address: host(address),
        scope: Scope::Global,
        label: marks::label(link.as_str()).unwrap_or_else(|| link.to_string()),
        protocol: marks::ADDRESS_PROTOCOL,
    }
}

fn desire_tunnel(
    tunnel: &Tunnel,
    local: Ipv4Addr,
    remote: Ipv4Addr,
    here: &Here<'_>,
) -> Result<DesiredTunnel, String> {
    if here.addresses.contains(&remote) {
        return Err(format!("{remote} is this host's own address: set the remote to the other host's"));
    }
    let table = table(tunnel, here)?;
    let parameters = Gre {
        ttl: tunnel.ttl,
        tos: tunnel.tos,
        pmtudisc: tunnel.pmtudisc,
        ignore_df: tunnel.ignore_df,
        ..Gre::new(Tuple { local, remote, key: tunnel.key })
    };
    let name = tunnel.name.link();
    let link = DesiredLink {
        mtu: mtu(tunnel, remote, here),
        gre: parameters,
        multicast: tunnel.kind == Kind::Multicast,
        vrf: tunnel.vrf.clone(),
        name: name.clone(),
    };
    Ok(DesiredTunnel { link, addresses: addresses(tunnel, &name), routes: routes(tunnel, &name, table) })
}

fn table(tunnel: &Tunnel, here: &Here<'_>) -> Result<u32, String> {
    let Some(vrf) = &tunnel.vrf else { return Ok(marks::TABLE) };
    match here.link(vrf).map(|link| &link.kind) {
        Some(LinkKind::Vrf { table }) => Ok(*table),
        Some(_) => Err(format!("{vrf} is not a VRF: give the name of one, or leave vrf out")),
        None => Err(format!("there is no VRF {vrf}: make it first (ip link add {vrf} type vrf table N)")),
    }
}

/// As declared, else what the path carries. Without a path, what the link has already stays; a path through a tunnel
/// of ours is none, or each turn would take its overhead off once more.
fn mtu(tunnel: &Tunnel, remote: Ipv4Addr, here: &Here<'_>) -> u32 {
    let overhead = gre::overhead(tunnel.key);
    let carried = |path_mtu: u32| path_mtu.min(LARGEST_PACKET).saturating_sub(overhead).max(LEAST_MTU);
    let ours = |index| here.observed.links.get(&index).is_some_and(|link| link.group == marks::LINK_GROUP);
    let path = here.observed.paths.get(&remote).filter(|path| !ours(path.link)).map(|path| carried(path.mtu));
    let present = || here.link(&tunnel.name.link()).map(|link| link.mtu);
    tunnel.mtu.or(path).or_else(present).unwrap_or_else(|| carried(UNKNOWN_PATH_MTU))
}

fn addresses(tunnel: &Tunnel, link: &LinkName) -> BTreeSet<Address<LinkName>> {
    let address = |address, scope| Address {
        link: link.clone(),
        address,
        scope,
        label: link.to_string(),
        protocol: marks::ADDRESS_PROTOCOL,
    };
    let overlay = address(tunnel.overlay, Scope::Link);
    let client = tunnel.client.map(|client| address(host(client), Scope::Global));
    std::iter::once(overlay).chain(client).collect()
}

fn routes(tunnel: &Tunnel, link: &LinkName, table: u32) -> BTreeSet<Route<LinkName>> {
    let route = |destination: &Ipv4Network| Route {
        table,
        destination: *destination,
        metric: tunnel.metric,
        tos: 0,
        link: Some(link.clone()),
        gateway: None,
        prefsrc: tunnel.client,
        protocol: marks::ROUTE_PROTOCOL,
        scope: Scope::Link,
        kind: RouteKind::Unicast,
    };
    tunnel.routes.iter().chain(&tunnel.groups).map(route).collect()
}

/// Marked packets go by main, and never by our table, also where main has no route for them; all others by our table.
/// Our own default route comes after main's other routes, so that a default into a tunnel does not swallow the
/// networks this host is on.
fn rules<'a>(mut tunnels: impl Iterator<Item = &'a Tunnel> + Clone) -> BTreeSet<Rule> {
    let default = |tunnel: &Tunnel| tunnel.vrf.is_none() && tunnel.routes.iter().any(|r| r.prefix() == 0);
    let rule = |priority, invert, fwmark, table, suppress_prefixlength| Rule {
        priority,
        invert,
        fwmark,
        table,
        suppress_prefixlength,
        protocol: marks::ROUTE_PROTOCOL,
        exotic: false,
    };
    let mark = Some((marks::FWMARK, u32::MAX));
    let mut rules = BTreeSet::new();
    if tunnels.clone().next().is_some() {
        rules.insert(rule(marks::RULE_UNDERLAY, false, mark, marks::TABLE_MAIN, None));
        rules.insert(rule(marks::RULE_ROUTES, true, mark, marks::TABLE, Some(0)));
    }
    if tunnels.any(default) {
        rules.insert(rule(marks::RULE_MAIN, false, None, marks::TABLE_MAIN, Some(0)));
        rules.insert(rule(marks::RULE_DEFAULT, true, mark, marks::TABLE, None));
    }
    rules
}

fn host(address: Ipv4Addr) -> Ipv4Network {
    Ipv4Network::from(address)
}
