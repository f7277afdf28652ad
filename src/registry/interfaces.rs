//! Interfaces of devices, and the terminations that they offer.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::draft::{Decision, Draft};
use super::refused::Refused;
use super::row::{Kind, RowName};
use super::supply::{Supply, Want};
use super::tables::Registry;
use crate::model::{
    AddressRange, DeviceCode, Interface, InterfaceName, Lease, Purpose, SharedPool, Termination, Timestamp,
};

/// Makes an interface what this says, new or not. The addresses of a termination interface are pinned: those of a pool
/// are leased by their number, others are its device's own. Those that go are given back; one with a session stays,
/// and the error names it.
pub fn put(
    registry: &Registry,
    interface: &Interface,
    now: Timestamp,
) -> Result<Decision<Interface>, Refused> {
    let (mut draft, mut supply) = (Draft::new(registry), Supply::new(registry));
    let offered = offered(registry, interface);
    let wanted = if interface.tunnel_termination { interface.addresses.clone() } else { BTreeSet::new() };
    for address in offered.difference(&wanted) {
        withdraw(&mut draft, &mut supply, *address);
    }
    for address in wanted.difference(&offered) {
        pin(&mut draft, &mut supply, interface, *address, now)?;
    }
    offer(&mut draft, interface, &wanted);
    supply.tell_needs(&mut draft, &[], now);
    Ok(Decision { transaction: draft.finish()?, value: interface.clone() })
}

/// Sees to it that the interface offers this many terminations at least: those that are missing are leased from the
/// device's pools, then from general ones, all or none. The interface is made if it is not there; what it is otherwise
/// stays. The value is the interface as it is then.
pub fn bootstrap(
    registry: &Registry,
    (code, name): (&DeviceCode, &InterfaceName),
    count: usize,
    now: Timestamp,
) -> Result<Decision<Interface>, Refused> {
    let fresh = Interface {
        device: code.clone(),
        name: name.clone(),
        owner: String::new(),
        addresses: BTreeSet::new(),
        tunnel_termination: true,
    };
    let before = registry.interfaces.get(&fresh.key()).map(|interface| interface.value.clone());
    let mut interface = Interface { tunnel_termination: true, ..before.unwrap_or(fresh) };
    let (mut draft, mut supply) = (Draft::new(registry), Supply::new(registry));
    let held = registry.leases_of(&interface.holder()).count();
    let missing = count.saturating_sub(interface.addresses.len());
    if missing > 0 {
        let want = Want {
            holder: interface.holder(),
            purpose: Purpose::Termination,
            count: held + missing,
            device: Some(code),
            pool: None,
            pinned: None,
            reserve: false,
        };
        let leases = supply.take(&mut draft, &want, now)?;
        interface.addresses.extend(leases.iter().map(|lease| lease.prefix.ip()));
    }
    offer(&mut draft, &interface, &interface.addresses);
    supply.tell_needs(&mut draft, &[], now);
    Ok(Decision { transaction: draft.finish()?, value: interface })
}

/// Removes an interface, and gives its terminations back.
pub fn remove(registry: &Registry, key: &str, now: Timestamp) -> Result<Decision<Interface>, Refused> {
    let absent = || Refused::Absent(RowName::new(Kind::Interface, key));
    let interface = registry.interfaces.get(key).ok_or_else(absent)?.value.clone();
    let (mut draft, mut supply) = (Draft::new(registry), Supply::new(registry));
    for address in offered(registry, &interface) {
        withdraw(&mut draft, &mut supply, address);
    }
    draft.delete(&interface);
    supply.tell_needs(&mut draft, &[], now);
    Ok(Decision { transaction: draft.finish()?, value: interface })
}

/// The terminations that the interface offers now.
fn offered(registry: &Registry, interface: &Interface) -> BTreeSet<Ipv4Addr> {
    let all = registry.terminations.values().map(|termination| &termination.value);
    all.filter(|offer| is_of(offer, interface)).map(|offer| offer.address).collect()
}

fn is_of(termination: &Termination, interface: &Interface) -> bool {
    termination.device == interface.device && termination.interface == interface.name
}

fn offer(draft: &mut Draft<'_>, interface: &Interface, terminations: &BTreeSet<Ipv4Addr>) {
    draft.put(interface);
    for address in terminations {
        let (device, name) = (interface.device.clone(), interface.name.clone());
        draft.put(&Termination { address: *address, device, interface: name });
    }
}

fn withdraw(draft: &mut Draft<'_>, supply: &mut Supply<'_>, address: Ipv4Addr) {
    let registry = draft.registry;
    if let Some(termination) = registry.terminations.get(&address.to_string()) {
        draft.delete(&termination.value);
    }
    if let Some(lease) = lease_of(registry, address) {
        supply.give_back_one(draft, lease);
    }
}

fn lease_of(registry: &Registry, address: Ipv4Addr) -> Option<&Lease> {
    registry.leases.get(&format!("{address}/32")).map(|lease| &lease.value)
}

/// Can a host have the address? `what` it would be.
pub(super) fn check_host(address: Ipv4Addr, what: &'static str) -> Result<(), Refused> {
    match AddressRange::new(address, address).ok().and_then(|one| one.unusable()) {
        Some((_, why)) => Err(Refused::NoHost { address, what, why }),
        None => Ok(()),
    }
}

/// Policy: not somebody else's, and not one that is used elsewhere.
fn pin(
    draft: &mut Draft<'_>,
    supply: &mut Supply<'_>,
    interface: &Interface,
    address: Ipv4Addr,
    now: Timestamp,
) -> Result<(), Refused> {
    let registry = draft.registry;
    check_host(address, "termination")?;
    if let Some(offer) = registry.terminations.get(&address.to_string()).map(|offer| &offer.value) {
        let interface = format!("{}/{}", offer.device, offer.interface);
        return Err(Refused::Offered { address, interface });
    }
    if let Some(used) = registry.used.values().find(|used| used.value.prefix.contains(address)) {
        return Err(Refused::UsedAddress { address, note: used.value.note.clone() });
    }
    let Some(pool) = pool_of(registry, address)? else { return Ok(()) };
    if let Some(device) = pool.device.as_ref().filter(|device| **device != interface.device) {
        let (pool, device) = (pool.pool.name.clone(), device.clone());
        return Err(Refused::OthersAddress { address, pool, device });
    }
    let want = Want {
        holder: interface.holder(),
        purpose: Purpose::Termination,
        count: 1,
        device: Some(&interface.device),
        pool: Some(pool.pool.name.clone()),
        pinned: Some(address),
        reserve: false,
    };
    supply.take(draft, &want, now).map(drop)
}

/// The pool that gives this address out. One that is in a block, and in no pool of it, could be carved for another.
fn pool_of(registry: &Registry, address: Ipv4Addr) -> Result<Option<&SharedPool>, Refused> {
    let holds = |pool: &&SharedPool| pool.pool.contains(address);
    let pools = registry.pools.values().map(|pool| &pool.value).filter(holds);
    let (blocks, leaves): (Vec<_>, Vec<_>) = pools.partition(|pool| pool.carve.is_some());
    match (leaves.first(), blocks.first()) {
        (Some(pool), _) => Ok(Some(pool)),
        (None, Some(block)) => Err(Refused::InBlock { address, block: block.pool.name.clone() }),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests;
