//! What is gathered for metrics alone, when somebody asks for them.

use crate::api::dto::LatencyView;

/// As it was when somebody last asked.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// When the daemon began, in milliseconds since 1970-01-01T00:00:00Z.
    pub began_ms: u64,
    /// Is the declaration kept?
    pub keeping: bool,
    pub asked: Asked,
    /// `None`: not gathered yet.
    pub measured: Option<LatencyView>,
    /// This host's own pools, then the inventory's.
    pub pools: Vec<Stock>,
    /// `None`: this host has no part in an inventory.
    pub shared: Option<Shared>,
}

/// What was asked of the kernel since the daemon began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub dumps: u64,
    pub reads: u64,
    pub changes: u64,
}

/// How this host stands with its inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared {
    /// It is there; `None`: it was not read yet.
    pub up: Option<bool>,
    /// Changes that cannot be written now.
    pub owed: u64,
}

/// A pool and what is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stock {
    pub name: String,
    /// `host`, `general`, or `device CODE`.
    pub scope: String,
    pub purpose: String,
    pub tier: String,
    /// Addresses by what keeps them.
    pub excluded: u64,
    pub active: u64,
    pub resting: u64,
    pub foreign: u64,
    pub free: u64,
    /// Leases that could be had now.
    pub available: u64,
    pub low_water: Option<u64>,
    pub quota: Option<u64>,
}
