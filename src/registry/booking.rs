//! A new session of this host: the nearest termination that it can have, and all that belongs to it, or nothing.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::draft::Decision;
use super::offers::{self, Choice, Measured, Rejected, Why, Wish};
use super::refused::Refused;
use super::sessions::{self, Request};
use super::tables::Registry;
use crate::model::{DeviceCode, HostName, Kind, Near, Session, SessionKey, Timestamp, TunnelName, Underlay};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    pub host: HostName,
    /// `None`: the kind, and a number where that is taken.
    pub name: Option<TunnelName>,
    pub kind: Kind,
    /// Only this one.
    pub device: Option<DeviceCode>,
    /// Only this one.
    pub termination: Option<Ipv4Addr>,
    pub publish: BTreeSet<Ipv4Addr>,
    pub subscribe: BTreeSet<Ipv4Addr>,
    pub underlay: Underlay,
    pub near: Near,
    pub measured: Measured,
    /// Names of tunnels that the host has without a session.
    pub names: BTreeSet<TunnelName>,
}

/// The session, or why there is none; then nothing is written.
pub type Booked = Result<Session, Vec<Rejected>>;

/// Takes the first offer that can be had, or answers with the session that is there already under that name.
///
/// # Errors
/// When it is not for want of a termination that nothing can be had: the same holds for all of them.
pub fn book(registry: &Registry, booking: &Booking, now: Timestamp) -> Result<Decision<Booked>, Refused> {
    let name = match &booking.name {
        Some(name) => name.clone(),
        None => free_name(registry, booking),
    };
    let key = SessionKey { host: booking.host.clone(), name: name.clone() };
    if let Some(there) = registry.sessions.get(&key.to_string()) {
        let device = booking.device.as_ref().unwrap_or(&there.value.device);
        let termination = booking.termination.unwrap_or(there.value.termination);
        let request = request(booking, &name, device, termination);
        let Decision { transaction, value } = sessions::request(registry, &request, now)?;
        return Ok(Decision { transaction, value: Ok(value) });
    }
    let wish = Wish {
        host: &booking.host,
        client: booking.underlay.seen(),
        device: booking.device.as_ref(),
        termination: booking.termination,
        within: booking.near.0,
    };
    let Choice { offers, mut rejected } = offers::choose(registry, &wish, &booking.measured);
    for offer in offers {
        let request = request(booking, &name, &offer.device, offer.termination);
        match sessions::request(registry, &request, now) {
            Ok(Decision { transaction, value }) => return Ok(Decision { transaction, value: Ok(value) }),
            Err(refused) if refused.is_of_device() => rejected.push(Rejected {
                device: offer.device,
                termination: Some(offer.termination),
                why: Why::Refused(refused),
            }),
            Err(refused) => return Err(refused),
        }
    }
    Ok(Decision { transaction: Default::default(), value: Err(rejected) })
}

fn request(booking: &Booking, name: &TunnelName, device: &DeviceCode, termination: Ipv4Addr) -> Request {
    Request {
        host: booking.host.clone(),
        name: name.clone(),
        kind: booking.kind,
        device: device.clone(),
        termination: Some(termination),
        underlay: booking.underlay,
        publish: booking.publish.clone(),
        subscribe: booking.subscribe.clone(),
    }
}

/// `unicast`, `unicast-2`, …
fn free_name(registry: &Registry, booking: &Booking) -> TunnelName {
    let taken = |name: &TunnelName| {
        let key = SessionKey { host: booking.host.clone(), name: name.clone() };
        booking.names.contains(name) || registry.sessions.contains_key(&key.to_string())
    };
    let kind = booking.kind.to_string();
    let numbered = (2_u32..).map(|number| format!("{kind}-{number}"));
    let names = std::iter::once(kind.clone()).chain(numbered).map_while(|name| TunnelName::new(&name).ok());
    // After 99 names of a kind any other that is free: there is one, for a host has fewer sessions than that.
    let short = (0_u32..).map_while(|number| TunnelName::new(&format!("s{number}")).ok());
    names.chain(short).find(|name| !taken(name)).expect("a host has fewer sessions than there are names")
}

#[cfg(test)]
mod tests;
