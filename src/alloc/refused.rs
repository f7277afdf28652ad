//! Why nothing was chosen, and what to do about it.

use std::fmt;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use thiserror::Error;

use crate::model::{HolderName, PoolName, Purpose};

/// Why an ask got nothing. An address that is not to be had is named, and so is who has it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refused {
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    #[error("{}", no_pool(*purpose, pool.as_ref()))]
    NoPool { purpose: Purpose, pool: Option<PoolName> },
    #[error("{} is held by {holder}: choose another, or release it there", shown(*prefix))]
    Held { prefix: Ipv4Network, holder: HolderName },
    #[error("{} was given back by {holder} and rests for {left} s more", shown(*prefix))]
    Resting { prefix: Ipv4Network, holder: HolderName, left: u64 },
    #[error("{} is foreign: {what}; remove it there, or choose another", shown(*prefix))]
    Foreign { prefix: Ipv4Network, what: String },
    #[error("{} is excluded from pool {pool}", shown(*prefix))]
    Excluded { prefix: Ipv4Network, pool: PoolName },
    #[error("{} is not in one range of a {purpose} pool that was asked: add it to one", shown(*prefix))]
    Outside { prefix: Ipv4Network, purpose: Purpose },
    #[error("{} is in pool {pool}, a reserve: this ask may not draw from reserves", shown(*prefix))]
    Reserve { prefix: Ipv4Network, pool: PoolName },
    #[error(
        "{} is free, but pool {pool} has reached its quota of {quota}: raise it, or release a lease",
        shown(*prefix)
    )]
    Quota { prefix: Ipv4Network, pool: PoolName, quota: u64 },
    #[error("0.0.0.0 means \"any address\" and is never given out")]
    Unspecified,
    #[error("{address} does not begin a /{unit}")]
    Misaligned { address: Ipv4Addr, unit: u8 },
    #[error("{count} were asked for, and all of them pinned to {address}: pin one at a time")]
    PinnedMany { address: Ipv4Addr, count: usize },
    #[error("/{0} is not a prefix length: it goes from 0 to 32")]
    Unit(u8),
}

/// The pools cannot give what was asked for, and gave nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub struct Exhausted {
    pub purpose: Purpose,
    /// Prefix length of each.
    pub unit: u8,
    /// How many were asked for beyond what the holder has.
    pub asked: usize,
    /// How many of them could have been given now.
    pub free: usize,
    /// Seconds until the next lease has rested.
    pub rested_in: Option<u64>,
    /// The pools that were asked, never empty unless all that could serve are reserves.
    pub pools: Vec<PoolName>,
    /// Those of them that stopped at their quota.
    pub full: Vec<PoolName>,
    /// How many the reserve tier has, which this ask may not draw from.
    pub reserve: u64,
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { purpose, unit, asked, free, rested_in, pools, full, reserve } = self;
        write!(f, "{purpose} pools are exhausted: {asked} asked (/{unit}), {free} free")?;
        if let Some(seconds) = rested_in {
            write!(f, ", the next has rested in {seconds} s")?;
        }
        match (full.as_slice(), pools.as_slice()) {
            ([], []) => f.write_str("; declare a primary pool")?,
            ([], names) => write!(f, "; add a range to pool {}", either(names))?,
            (names, _) => write!(f, "; raise the quota of pool {}, which is reached", either(names))?,
        }
        if *reserve > 0 {
            write!(f, ", or allow the reserve tier, which has {reserve}")?;
        }
        Ok(())
    }
}

fn either(names: &[PoolName]) -> String {
    names.iter().map(PoolName::as_str).collect::<Vec<_>>().join(" or ")
}

fn no_pool(purpose: Purpose, pool: Option<&PoolName>) -> String {
    match pool {
        Some(pool) => format!("there is no pool {pool} of purpose {purpose}: declare it, or name another"),
        None => format!("there is no pool of purpose {purpose}: declare a [[pool]] with ranges"),
    }
}

/// An address for a /32, else the prefix.
fn shown(prefix: Ipv4Network) -> String {
    if prefix.prefix() == 32 { prefix.ip().to_string() } else { prefix.to_string() }
}
