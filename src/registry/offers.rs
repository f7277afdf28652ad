//! Which termination a new tunnel should have: the nearest that this client can have, by what was measured.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::refused::Refused;
use super::sessions::free_terminations;
use super::tables::Registry;
use crate::model::{Device, DeviceCode, DeviceStatus, HostName, Session};

/// What a client wants of a termination.
#[derive(Clone, Debug)]
pub struct Wish<'a> {
    pub host: &'a HostName,
    /// The client as edges see it.
    pub client: Ipv4Addr,
    /// Only on this device.
    pub device: Option<&'a DeviceCode>,
    /// Only this one.
    pub termination: Option<Ipv4Addr>,
    /// How much further than the best another device may be, once the best has none left for this host.
    pub within: Duration,
}

/// The effective latency of each termination that answers (`probe::score`).
pub type Measured = BTreeMap<Ipv4Addr, Duration>;

/// A termination that the client can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub device: DeviceCode,
    pub termination: Ipv4Addr,
    pub latency: Duration,
}

/// Why one is not offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    pub device: DeviceCode,
    /// `None`: the device as a whole.
    pub termination: Option<Ipv4Addr>,
    pub why: Why,
}

/// The reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was asked for another.
    NotAsked,
    Refused(Refused),
    /// Taken, by this client or by somebody else.
    Taken,
    /// Nobody answers there, or it was not probed yet.
    Unmeasured,
    /// This much further than the best is too far.
    TooFar(Duration),
}

/// Offers in the order in which they are to be tried, and all that is not offered, with the reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    pub offers: Vec<Offer>,
    pub rejected: Vec<Rejected>,
}

/// The lowest latency of all first. Where this host has a tunnel on that device already, the device's next best; when it
/// has none left, other devices that are at most [`Wish::within`] further than the best. Ties end by address.
pub fn choose(registry: &Registry, wish: &Wish<'_>, measured: &Measured) -> Choice {
    let mut choice = Choice::default();
    let mut nearest: Option<Duration> = None;
    let devices = registry.devices.values().map(|device| &device.value);
    let had: BTreeSet<&DeviceCode> =
        registry.sessions_from(wish.host).map(|session| &session.device).collect();
    for device in devices {
        let offers = consider(registry, wish, device, measured, &mut choice.rejected);
        let all = registry.terminations_of(&device.code);
        let asked = wish.device.is_none_or(|asked| *asked == device.code);
        let best = match (offers.iter().map(|offer| offer.latency).min(), had.contains(&device.code)) {
            // What it has there is the best that it could have.
            (_, true) if asked && device.status == DeviceStatus::Activated => {
                all.filter_map(|address| measured.get(&address).copied()).min()
            }
            (best, _) => best,
        };
        nearest = nearest.into_iter().chain(best).min();
        choice.offers.extend(offers);
    }
    choice.offers.sort_by_key(|offer| (offer.latency, offer.termination));
    // Who names a termination wants it, however far it is.
    if wish.termination.is_none() {
        drop_far(&mut choice, registry, wish, nearest, measured);
    }
    choice
}

/// What of a device the client can have.
fn consider(
    registry: &Registry,
    wish: &Wish<'_>,
    device: &Device,
    measured: &Measured,
    rejected: &mut Vec<Rejected>,
) -> Vec<Offer> {
    let mut reject = |termination, why| {
        rejected.push(Rejected { device: device.code.clone(), termination, why });
    };
    if wish.device.is_some_and(|asked| *asked != device.code) {
        reject(None, Why::NotAsked);
        return Vec::new();
    }
    let free = match free_terminations(registry, device, wish.client) {
        Ok(free) => free,
        Err(refused) => {
            reject(None, Why::Refused(refused));
            return Vec::new();
        }
    };
    let mut offers = Vec::new();
    let all: BTreeSet<Ipv4Addr> = registry.terminations_of(&device.code).collect();
    for termination in all {
        let why = match measured.get(&termination) {
            _ if wish.termination.is_some_and(|asked| asked != termination) => Why::NotAsked,
            _ if !free.contains(&termination) => Why::Taken,
            None => Why::Unmeasured,
            Some(latency) => {
                let device = device.code.clone();
                offers.push(Offer { device, termination, latency: *latency });
                continue;
            }
        };
        reject(Some(termination), why);
    }
    offers
}

/// The device that has the best of all is never too far, however far its others are.
fn drop_far(
    choice: &mut Choice,
    registry: &Registry,
    wish: &Wish<'_>,
    nearest: Option<Duration>,
    measured: &Measured,
) {
    let Some(nearest) = nearest else { return };
    let on_best = |offer: &Offer| {
        let mut all = registry.terminations_of(&offer.device);
        all.any(|address| measured.get(&address) == Some(&nearest))
    };
    let most = nearest + wish.within;
    let (near, far) = std::mem::take(&mut choice.offers)
        .into_iter()
        .partition::<Vec<_>, _>(|offer| on_best(offer) || offer.latency <= most);
    // The best device first, whatever of it is left.
    let (best, others): (Vec<_>, Vec<_>) = near.into_iter().partition(on_best);
    choice.offers = best.into_iter().chain(others).collect();
    choice.rejected.extend(far.into_iter().map(|offer| Rejected {
        device: offer.device,
        termination: Some(offer.termination),
        why: Why::TooFar(offer.latency - nearest),
    }));
}

/// A termination that is nearer than the one that a session has, and why the session is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearer {
    pub offer: Offer,
    pub why: String,
}

/// The nearest termination of all activated devices, when the session has a farther one.
pub fn nearer(registry: &Registry, session: &Session, measured: &Measured) -> Option<Nearer> {
    let own = measured.get(&session.termination)?;
    let offers = registry.terminations.values().map(|termination| &termination.value);
    let all = offers.filter_map(|offer| {
        let device = &registry.devices.get(offer.device.as_str())?.value;
        let latency = measured.get(&offer.address).filter(|_| device.status == DeviceStatus::Activated)?;
        Some((*latency, offer.address, device))
    });
    let (latency, termination, device) = all.min_by_key(|(latency, address, _)| (*latency, *address))?;
    if latency >= *own {
        return None;
    }
    let client = session.underlay.seen();
    let seats = registry.seats.values().map(|seat| &seat.value);
    let mut ours = registry.sessions_from(&session.host);
    let why = if let Some(other) = ours.find(|other| other.termination == termination) {
        format!("this host's session {} has it", other.name)
    } else {
        match free_terminations(registry, device, client) {
            Ok(free) if free.contains(&termination) => {
                "it was not free, or farther, when this session began: a new one would have it".to_owned()
            }
            Err(refused @ Refused::Full { .. }) => refused.to_string(),
            Ok(_) | Err(_) => {
                let by = seats.into_iter().find(|seat| seat.termination == termination);
                by.map_or_else(|| "it is taken".to_owned(), |seat| format!("session {} has it", seat.session))
            }
        }
    };
    Some(Nearer { offer: Offer { device: device.code.clone(), termination, latency }, why })
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, termination, why } = self;
        match termination {
            Some(termination) => write!(f, "{device} {termination}: {why}"),
            None => write!(f, "{device}: {why}"),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAsked => f.write_str("another was asked for"),
            Self::Refused(refused) => {
                write!(f, "{refused}")?;
                refused.source().map_or(Ok(()), |source| write!(f, ": {source}"))
            }
            Self::Taken => f.write_str("it is taken"),
            Self::Unmeasured => f.write_str("nobody answers there, or it was not probed yet"),
            Self::TooFar(more) => {
                write!(f, "it is {:.1} ms farther than the best", more.as_secs_f64() * 1000.0)
            }
        }
    }
}

#[cfg(test)]
mod tests;
