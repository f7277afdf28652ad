//! Leases: an address or prefix taken from a pool by a holder.

use std::fmt;

use ipnetwork::Ipv4Network;
use serde::{Deserialize, Serialize};

use super::{HolderName, PoolName, Purpose};

/// Seconds since 1970-01-01T00:00:00Z.
pub type Timestamp = u64;

/// A lease. It knows nothing of tunnel types, tenants or VRFs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lease {
    /// What was taken: a /32 for a single address. Never overlaps another lease.
    pub prefix: Ipv4Network,
    /// Where it was taken from; a lease that no declared pool covers any more stays with its holder.
    pub pool: PoolName,
    pub purpose: Purpose,
    pub holder: HolderName,
    pub state: LeaseState,
    /// When it came into this state.
    pub since: Timestamp,
}

/// Where a lease is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaseState {
    /// Its holder may use it.
    Active,
    /// Given back; nobody but its last holder gets it before it has rested.
    Resting,
}

impl fmt::Display for LeaseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Active => "active",
            Self::Resting => "resting",
        })
    }
}
