//! Why a change is not made, and what to do about it. Nothing was written.

use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use thiserror::Error;

use super::row::{LARGEST, RowName};
use crate::alloc;
use crate::model::{
    AddressRange, DeviceCode, DeviceStatus, HolderName, PoolName, Purpose, SessionKey, SessionState,
};

/// Each says what stands in the way, by its name.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refused {
    #[error("{row} cannot be read: {what}; was it written by a later greyhound, or by hand?")]
    Unreadable { row: RowName, what: String },
    #[error("{row} refers to {referred}, which is not in the inventory: add that first")]
    Dangling { row: RowName, referred: RowName },
    #[error("{row} cannot be removed: {by} refers to it; remove that first")]
    Referred { row: RowName, by: RowName },
    #[error("there is no {0} in the inventory")]
    Absent(RowName),
    #[error("there is {0} already: change it with set, or remove it first")]
    Present(RowName),
    #[error("{row} is there already, and another: {what}")]
    Differs { row: RowName, what: String },
    #[error(
        "it takes {writes} writes on {conditions} conditions, and a transaction has at most {LARGEST} of each: \
         do it in parts"
    )]
    TooLarge { conditions: usize, writes: usize },

    #[error("no address for {holder}")]
    NoAddress { holder: HolderName, source: alloc::Refused },
    #[error("no address for {holder}: no {purpose} pool is there for {}: greyhound pool add makes one", whom(device.as_ref()))]
    NoPool { holder: HolderName, purpose: Purpose, device: Option<DeviceCode> },
    #[error("pool {pool} has reached its quota of {quota}: raise it, or release a lease")]
    Quota { pool: PoolName, quota: u64 },
    #[error("{}", owned(row, *prefix))]
    Owned { row: RowName, prefix: Option<Ipv4Network> },

    #[error("pool {pool} has no ranges: give at least one prefix")]
    NoRanges { pool: PoolName },
    #[error("pool {pool}: {range} overlaps {other} of pool {of}: each address is of one pool")]
    Overlap { pool: PoolName, range: AddressRange, other: AddressRange, of: PoolName },
    #[error(
        "pool {pool}: {range} is in block {block} and was not carved from it: greyhound pool carve does that"
    )]
    NotCarved { pool: PoolName, range: AddressRange, block: PoolName },
    #[error("pool {pool}: {range} holds {what}, which no host can have")]
    Unusable { pool: PoolName, range: AddressRange, what: &'static str },
    #[error("pool {pool} would no longer cover lease {prefix} of {holder}: release that first")]
    Uncovered { pool: PoolName, prefix: Ipv4Network, holder: HolderName },
    #[error("pool {pool} has leases: its purpose, and what is carved from it, stay as they are")]
    InUse { pool: PoolName },
    #[error("pool {0} is no block: nothing is carved from it; greyhound pool add --carve makes one")]
    NoBlock(PoolName),
    #[error("pool {pool} carves a /{unit}, and its ranges have none: give shorter prefixes")]
    NothingToCarve { pool: PoolName, unit: u8 },
    #[error(
        "block {block} is a reserve: device {device} may not draw from it; greyhound pool set {block} --allow {device} lets it"
    )]
    Reserve { block: PoolName, device: DeviceCode },
    #[error(
        "{0} is shorter than /20: imported prefixes have at most 4096 addresses; take it out of the pools instead"
    )]
    UsedTooLarge(Ipv4Network),

    #[error("{address} is of pool {pool}, which is for device {device}: pin an address of your own")]
    OthersAddress { address: Ipv4Addr, pool: PoolName, device: DeviceCode },
    #[error("{address} is used elsewhere ({note}): it cannot be a termination")]
    UsedAddress { address: Ipv4Addr, note: String },
    #[error("{address} is in block {block}, and in no pool that was carved from it: carve one first")]
    InBlock { address: Ipv4Addr, block: PoolName },
    #[error("{address} cannot be a {what}: it is of {why}")]
    NoHost { address: Ipv4Addr, what: &'static str, why: &'static str },
    #[error("{address} is a termination of interface {interface} already: no two offer the same")]
    Offered { address: Ipv4Addr, interface: String },

    #[error("device {code} is {status}: only activated ones take sessions")]
    NotActivated { code: DeviceCode, status: DeviceStatus },
    #[error("device {code} has {max} session(s), its most")]
    Full { code: DeviceCode, max: u64 },
    #[error("device {code} has no termination that is free for {client}")]
    NoTermination { code: DeviceCode, client: Ipv4Addr },
    #[error("{address} is no termination of device {code}")]
    NotOffered { address: Ipv4Addr, code: DeviceCode },
    #[error("{0} is no multicast group: name addresses of 224.0.0.0/4")]
    NoGroup(Ipv4Addr),
    #[error("a unicast session has no groups: ask for a multicast one")]
    UnicastGroups,
    #[error("termination {address} is taken by session {by}")]
    Taken { address: Ipv4Addr, by: String },
    #[error("session {session} is {state}: {what}")]
    State { session: SessionKey, state: SessionState, what: &'static str },
}

impl Refused {
    /// Is it for want of something that another device may have?
    pub fn is_of_device(&self) -> bool {
        matches!(
            self,
            Self::NotActivated { .. }
                | Self::Full { .. }
                | Self::NoTermination { .. }
                | Self::NotOffered { .. }
                | Self::Taken { .. }
                | Self::NoAddress { .. }
                | Self::NoPool { .. }
                | Self::Quota { .. }
        )
    }
}

fn owned(row: &RowName, prefix: Option<Ipv4Network>) -> String {
    match prefix {
        Some(prefix) => format!("lease {prefix} is of {row}: it goes when that does"),
        None => format!("{row} takes and gives its leases itself: choose another holder's name"),
    }
}

fn whom(device: Option<&DeviceCode>) -> String {
    device.map_or_else(|| "all".to_owned(), |device| format!("device {device} or for all"))
}
