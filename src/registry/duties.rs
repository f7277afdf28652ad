//! What a host or an edge box owes the inventory, by what its rows say and by what was read back from the kernel.

use std::collections::{BTreeMap, BTreeSet};

use ipnetwork::Ipv4Network;

use super::draft::Decision;
use super::refused::Refused;
use super::row::Transaction;
use super::tables::Registry;
use super::{devices, interfaces, sessions};
use crate::model::{
    Device, EdgeRole, HostName, Interface, InterfaceName, Session, SessionKey, SessionState, Timestamp,
    Underlay,
};

/// One thing to be written into the inventory. Done twice, the second time changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Duty {
    /// The device says what it is.
    Register(Device),
    /// Its interface is to offer so many terminations.
    Offer { device: Device, interface: InterfaceName, count: usize },
    /// The edge has read its end of this session back from the kernel.
    EdgeReady(Session),
    /// The host has.
    HostReady(Session),
    /// The edge has read back that its end is gone.
    ConfirmGone(Session),
    /// The host's address in the underlay is another one now.
    Follow(SessionKey, Underlay),
}

/// So many sessions are confirmed at most in one transaction; each is a row.
pub const TOGETHER: usize = 32;
/// So many terminations are added at most in one transaction; each is several rows.
const BATCH: usize = 16;

/// What an edge box owes. `built`: sessions whose tunnel, address and route were read back as they should be; `gone`:
/// those of which nothing is left in the kernel.
pub fn of_edge(
    registry: &Registry,
    edge: &EdgeRole,
    built: &BTreeSet<SessionKey>,
    gone: &BTreeSet<SessionKey>,
) -> Vec<Duty> {
    let EdgeRole { device, interface, terminations } = edge;
    let registered = registered(registry, device);
    let there = registry.devices.get(device.code.as_str()).map(|device| &device.value);
    let register = (there != Some(&registered)).then_some(Duty::Register(registered));
    if there.is_none() {
        return register.into_iter().collect();
    }
    let offered = offered(registry, device, interface);
    let count = offered.map(|offered| (offered + BATCH).min(*terminations));
    let offers = count.filter(|count| offered < Some(*count)).map(|count| {
        let (device, interface) = (device.clone(), interface.clone());
        Duty::Offer { device, interface, count }
    });
    let sessions = registry.sessions_of(&device.code).filter_map(|session| match session.state {
        SessionState::Requested if built.contains(&session.key()) => Some(Duty::EdgeReady(session.clone())),
        SessionState::Ending if gone.contains(&session.key()) => Some(Duty::ConfirmGone(session.clone())),
        SessionState::Requested | SessionState::EdgeReady | SessionState::Ready | SessionState::Ending => {
            None
        }
    });
    register.into_iter().chain(offers).chain(sessions).collect()
}

/// What a client host owes. `underlays`: what its sessions should be bound to now.
pub fn of_host(
    registry: &Registry,
    host: &HostName,
    built: &BTreeSet<SessionKey>,
    underlays: &BTreeMap<SessionKey, Underlay>,
) -> Vec<Duty> {
    let duty = |session: &Session| {
        let key = session.key();
        let moved = underlays.get(&key).filter(|underlay| **underlay != session.underlay);
        match (session.state, moved) {
            (SessionState::Ending, _) => None,
            (_, Some(underlay)) => Some(Duty::Follow(key, *underlay)),
            (SessionState::EdgeReady, None) if built.contains(&key) => Some(Duty::HostReady(session.clone())),
            (SessionState::Requested | SessionState::EdgeReady | SessionState::Ready, None) => None,
        }
    };
    registry.sessions_from(host).filter_map(duty).collect()
}

/// The transaction that does all of these, [`TOGETHER`] at most, each of another session. One that is refused is left
/// out: its session has changed meanwhile, and word of that is on its way.
pub fn decide_all(registry: &Registry, duties: &[Duty], now: Timestamp) -> Decision<()> {
    let mut all = Transaction::default();
    for Decision { transaction, value: _ } in duties.iter().flat_map(|duty| decide(registry, duty, now)) {
        all.conditions.extend(transaction.conditions);
        all.writes.extend(transaction.writes);
    }
    Decision { transaction: all, value: () }
}

/// The transaction that does it, and a sentence for what an operator should hear of.
pub fn decide(registry: &Registry, duty: &Duty, now: Timestamp) -> Result<Decision<Option<String>>, Refused> {
    fn quiet<T>(decision: Decision<T>) -> Decision<Option<String>> {
        Decision { transaction: decision.transaction, value: None }
    }
    Ok(match duty {
        Duty::Register(device) => {
            let Decision { transaction, value } = devices::register(registry, device, now)?;
            let devices::Registered { device, capacity, warnings } = value;
            let text = format!(
                "device {} is registered, {}: its prefixes have room for {capacity} termination(s)",
                device.code, device.status
            );
            let text = std::iter::once(text).chain(warnings).collect::<Vec<_>>().join("; ");
            Decision { transaction, value: Some(text) }
        }
        Duty::Offer { device, interface, count } => {
            let Decision { transaction, value } = offer(registry, (device, interface), *count, now)?;
            let Interface { addresses, .. } = &value;
            let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            let text = format!("{} offers {} termination(s): {}", value.key(), list.len(), list.join(", "));
            Decision { transaction, value: Some(text) }
        }
        Duty::EdgeReady(session) => quiet(sessions::edge_ready(registry, session, now)?),
        Duty::HostReady(session) => quiet(sessions::host_ready(registry, session, now)?),
        // Another one of that name by now has a tunnel of its own.
        Duty::ConfirmGone(gone) if registry.session(&gone.key()).is_ok_and(|there| there != gone) => {
            Decision { transaction: Transaction::default(), value: None }
        }
        Duty::ConfirmGone(gone) => quiet(sessions::confirm_gone(registry, &gone.key(), false, now)?),
        Duty::Follow(key, underlay) => quiet(sessions::follow(registry, key, *underlay, now)?),
    })
}

/// The device as its row should be. Its status, its most sessions and its sharing are for operators to say, and prefixes
/// that they have added stay.
fn registered(registry: &Registry, device: &Device) -> Device {
    let Some(there) = registry.devices.get(device.code.as_str()).map(|device| &device.value) else {
        return device.clone();
    };
    let Device { status, max_sessions, sharing, mut prefixes, .. } = there.clone();
    // Where one holds another, the larger one is meant.
    let within = |inner: &Ipv4Network, all: &[Ipv4Network]| {
        all.iter().any(|outer| outer != inner && inner.is_subnet_of(*outer))
    };
    prefixes.retain(|prefix| !within(prefix, &device.prefixes));
    let new = device.prefixes.iter().filter(|ours| !prefixes.contains(ours) && !within(ours, &prefixes));
    let new: Vec<_> = new.copied().collect();
    prefixes.extend(new);
    Device { status, max_sessions, sharing, prefixes, ..device.clone() }
}

/// So many terminations are offered; `None`: an operator has said that the interface offers none.
fn offered(registry: &Registry, device: &Device, interface: &InterfaceName) -> Option<usize> {
    let key = format!("{}/{interface}", device.code);
    let Some(interface) = registry.interfaces.get(&key).map(|interface| &interface.value) else {
        return Some(0);
    };
    interface.tunnel_termination.then_some(interface.addresses.len())
}

/// As many as there are addresses for, if not all: two at least, or one more than there are.
fn offer(
    registry: &Registry,
    (device, interface): (&Device, &InterfaceName),
    count: usize,
    now: Timestamp,
) -> Result<Decision<Interface>, Refused> {
    let least = offered(registry, device, interface).unwrap_or(0).max(1) + 1;
    let bootstrap = |count| interfaces::bootstrap(registry, (&device.code, interface), count, now);
    match bootstrap(count) {
        Err(refused) if refused.is_of_device() => {
            (least..count).rev().find_map(|fewer| bootstrap(fewer).ok()).ok_or(refused)
        }
        all => all,
    }
}

#[cfg(test)]
mod tests;
