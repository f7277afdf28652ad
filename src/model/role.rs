//! What a host is to the inventory that it shares with others.

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnetwork::Ipv4Network;

use super::{Device, HostName, InterfaceName};

/// What this host is to the inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It has no part in any.
    #[default]
    Alone,
    /// It connects to devices.
    Host(HostRole),
    /// It is a device.
    Edge(EdgeRole),
}

/// A host that connects to devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostRole {
    /// What it is called in the inventory; `None`: as its kernel calls it.
    pub name: Option<HostName>,
    /// The address that its tunnels are bound to. `None`: one of its own termination pools, else the one that the route
    /// to the termination would use.
    pub local: Option<Ipv4Addr>,
    /// Its address as the world sees it, behind a 1:1 NAT.
    pub public: Option<Ipv4Addr>,
    pub routes: Routes,
    pub near: Near,
}

/// What a client host routes into its unicast tunnels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routes {
    /// These prefixes; sorted, each one once.
    Listed(Vec<Ipv4Network>),
    /// Every prefix of the inventory's devices, and every client's address but our own.
    Inventory,
}

/// How much further than the best another device may be, once the best has no termination left for this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Near(pub Duration);

/// A box that terminates tunnels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeRole {
    /// As it registers itself.
    pub device: Device,
    /// The interface that offers its terminations.
    pub interface: InterfaceName,
    /// It offers so many terminations at least.
    pub terminations: usize,
}

impl Default for Routes {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

impl Default for Near {
    fn default() -> Self {
        Self(Duration::from_millis(5))
    }
}
