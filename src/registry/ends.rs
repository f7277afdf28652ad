//! Sessions as tunnels: what each end of them builds. A session that is ending is built by nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use super::tables::Registry;
use crate::model::{
    AddressRange, DeviceCode, HostName, Kind, Local, Pool, Purpose, Routes, Session, SessionKey,
    SessionState, Tunnel, TunnelName,
};

/// What a client host decides of the insides of its tunnels.
#[derive(Clone, Debug)]
pub struct Client<'a> {
    /// Its own ranges: an address of one of them is leased.
    pub pools: &'a [Pool],
    pub routes: &'a Routes,
}

/// What an edge box has for its sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    /// By session.
    pub tunnels: BTreeMap<SessionKey, Tunnel>,
    /// The addresses that it offers, whether a session has them or not.
    pub terminations: BTreeSet<Ipv4Addr>,
}

/// The tunnels of a client host. Where two lead to the same prefix, that of the lowest overlay addresses comes first.
pub fn of_host(registry: &Registry, host: &HostName, client: &Client<'_>) -> BTreeMap<TunnelName, Tunnel> {
    let built = registry.sessions_from(host).filter(|session| is_built(session));
    let tunnel = |session: &Session| {
        let local = local(client.pools, session.underlay.bound);
        let mut tunnel = Tunnel::plain(session.name.clone(), session.kind, local, session.client_overlay());
        tunnel.remotes = vec![session.termination];
        tunnel.client = Some(session.client);
        match session.kind {
            Kind::Unicast => {
                tunnel.routes = routes(registry, session, client.routes);
                tunnel.metric = metric(session.overlay);
            }
            Kind::Multicast => {
                let groups = session.publish.union(&session.subscribe);
                tunnel.groups = groups.map(|group| Ipv4Network::from(*group)).collect();
            }
        }
        (session.name.clone(), tunnel)
    };
    built.map(tunnel).collect()
}

/// What a device builds: the other end of each tunnel, with a route to the client's address in it.
pub fn of_edge(registry: &Registry, code: &DeviceCode) -> Edge {
    let built = registry.sessions_of(code).filter(|session| is_built(session));
    let tunnel = |session: &Session| {
        let local = Local::Host(session.termination);
        let mut tunnel = Tunnel::plain(session.edge_tunnel(), session.kind, local, session.edge_overlay());
        tunnel.remotes = vec![session.underlay.seen()];
        tunnel.routes = vec![session.client.into()];
        (session.key(), tunnel)
    };
    let terminations = registry.terminations_of(code).collect();
    Edge { tunnels: built.map(tunnel).collect(), terminations }
}

/// Which of all /31s of the inventory's overlay ranges this one is, counted from the lowest. No two have the same place,
/// and it stays while sessions come and go. What is carved from a block is counted with the block.
pub fn place(registry: &Registry, overlay: Ipv4Network) -> u64 {
    let pools = registry.pools.values().map(|pool| &pool.value).filter(|pool| pool.carved_from.is_none());
    let ranges =
        pools.filter(|pool| pool.pool.purpose == Purpose::Overlay).flat_map(|pool| &pool.pool.ranges);
    let address = u64::from(u32::from(overlay.network()));
    let below =
        |range: &AddressRange| address.saturating_sub(u32::from(range.first()).into()).min(range.size());
    ranges.map(below).sum::<u64>() / 2
}

fn is_built(session: &Session) -> bool {
    match session.state {
        SessionState::Requested | SessionState::EdgeReady | SessionState::Ready => true,
        SessionState::Ending => false,
    }
}

fn local(pools: &[Pool], address: Ipv4Addr) -> Local {
    let mut ours = pools.iter().filter(|pool| pool.purpose == Purpose::Termination);
    let of = ours.find(|pool| pool.contains(address));
    of.map_or(Local::Host(address), |pool| Local::Leased { pool: pool.name.clone(), address })
}

/// No two sessions share a /31, so no two routes of a prefix clash, and none changes when another session comes or goes.
fn metric(overlay: Ipv4Network) -> u32 {
    u32::from(overlay.network()) >> 1
}

/// In order, each one once. The way to a termination may be among them: outer packets bear a mark, and go another way.
fn routes(registry: &Registry, session: &Session, routes: &Routes) -> Vec<Ipv4Network> {
    let wanted: BTreeSet<Ipv4Network> = match routes {
        Routes::Listed(listed) => listed.iter().copied().collect(),
        Routes::Inventory => {
            let devices = registry.devices.values().flat_map(|device| &device.value.prefixes).copied();
            let others = registry.sessions.values().map(|session| &session.value);
            let others = others.filter(|other| is_built(other) && other.host != session.host);
            devices.chain(others.map(|other| other.client.into())).collect()
        }
    };
    wanted.into_iter().collect()
}

#[cfg(test)]
mod tests;
