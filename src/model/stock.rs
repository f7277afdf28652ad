//! What the inventory has of addresses: pools that devices share, addresses used elsewhere, terminations on offer.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use serde::{Deserialize, Serialize};

use super::{AddressRange, DeviceCode, HolderName, InterfaceName, Pool, PoolName, SessionKey, Timestamp};

/// A pool of the inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedPool {
    #[serde(flatten)]
    pub pool: Pool,
    /// For this device alone; `None`: general, for all.
    #[serde(default)]
    pub device: Option<DeviceCode>,
    /// Prefix length of what is carved from it; `None`: it is no block, and its purpose says what a lease takes.
    #[serde(default)]
    pub carve: Option<u8>,
    /// The devices that may draw from it though it is a reserve.
    #[serde(default)]
    pub allowed: BTreeSet<DeviceCode>,
    /// With so many left or fewer it is said that more are needed.
    #[serde(default)]
    pub low_water: u64,
    /// The block that its ranges were carved from.
    #[serde(default)]
    pub carved_from: Option<PoolName>,
}

impl SharedPool {
    /// Prefix length of what one lease takes.
    pub fn unit(&self) -> u8 {
        self.carve.unwrap_or(self.pool.purpose.unit())
    }

    /// Whose it is: `general`, or `device CODE`.
    pub fn scope(&self) -> String {
        self.device.as_ref().map_or_else(|| "general".to_owned(), |device| format!("device {device}"))
    }

    /// The holder under which the prefixes that it was carved from are kept.
    pub fn holder(&self) -> HolderName {
        HolderName::new(&format!("pool/{}", self.pool.name)).expect("the name is short and printable")
    }

    /// Is the prefix in one of its ranges, whole?
    pub fn covers(&self, prefix: Ipv4Network) -> bool {
        let wanted = AddressRange::from(prefix);
        self.pool.ranges.iter().any(|range| range.contains(wanted.first()) && range.contains(wanted.last()))
    }
}

/// Addresses that somebody uses elsewhere: they are never given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    pub prefix: Ipv4Network,
    /// For what, in a few words.
    #[serde(default)]
    pub note: String,
}

/// An address of a tunnel-termination interface. Its key is the address: no two interfaces offer the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Termination {
    pub address: Ipv4Addr,
    pub device: DeviceCode,
    pub interface: InterfaceName,
}

/// A session's place at a termination: alone, or beside sessions of other clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    pub termination: Ipv4Addr,
    /// The client as the edge sees it; `None`: the whole termination.
    pub client: Option<Ipv4Addr>,
    /// `HOST/NAME`.
    pub session: String,
}

/// Word that a pool is running out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    pub pool: PoolName,
    /// How many it could still give when this was written.
    pub left: u64,
    /// How many more bring it above its low water.
    pub needed: u64,
    pub since: Timestamp,
}

impl Seat {
    /// The seat of the session at the termination that only one session of this client can have.
    pub fn of_client(termination: Ipv4Addr, client: Ipv4Addr, session: &SessionKey) -> Self {
        Self { termination, client: Some(client), session: session.to_string() }
    }

    /// The seat that only one session can have.
    pub fn alone(termination: Ipv4Addr, session: &SessionKey) -> Self {
        Self { termination, client: None, session: session.to_string() }
    }

    /// `TERMINATION`, or `TERMINATION/CLIENT`.
    pub fn key(&self) -> String {
        self.client
            .map_or_else(|| self.termination.to_string(), |client| format!("{}/{client}", self.termination))
    }
}
