//! Devices and their interfaces: who offers terminations.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use serde::{Deserialize, Serialize};

use super::{DeviceCode, HolderName, InterfaceName};

/// A box that terminates tunnels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub code: DeviceCode,
    /// Who contributes it.
    #[serde(default)]
    pub owner: String,
    #[serde(default)]
    pub location: String,
    #[serde(default)]
    pub exchange: String,
    /// What sort of box it is, in its owner's words.
    #[serde(default, rename = "type")]
    pub sort: String,
    pub public_ip: Ipv4Addr,
    /// Contributed for terminations, in the order in which they are drawn from.
    #[serde(default)]
    pub prefixes: Vec<Ipv4Network>,
    #[serde(default)]
    pub status: DeviceStatus,
    /// `None`: as many as there are terminations for.
    #[serde(default)]
    pub max_sessions: Option<u64>,
    #[serde(default)]
    pub sharing: Sharing,
}

/// Whether a device takes sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceStatus {
    /// Registered, and not yet let in by an operator.
    #[default]
    Pending,
    /// It is probed and takes sessions.
    Activated,
    /// No new sessions; those it has are to go elsewhere, and stay until they do.
    Draining,
    /// No new sessions, and no probes; those it has stay.
    Suspended,
}

/// Who may have one termination address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// One session at a time.
    #[default]
    Exclusive,
    /// One session of each client, as the underlay sees the client.
    PerClient,
}

/// An interface of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    pub device: DeviceCode,
    pub name: InterfaceName,
    #[serde(default)]
    pub owner: String,
    #[serde(default)]
    pub addresses: BTreeSet<Ipv4Addr>,
    /// Are its addresses terminations?
    #[serde(default)]
    pub tunnel_termination: bool,
}

impl Interface {
    /// `CODE/NAME`: its name in the whole inventory.
    pub fn key(&self) -> String {
        format!("{}/{}", self.device, self.name)
    }

    /// The holder under which the leases of its terminations are kept.
    pub fn holder(&self) -> HolderName {
        HolderName::new(&format!("interface/{}", self.key())).expect("both names are short and printable")
    }
}

impl DeviceStatus {
    /// Every status, each one once.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Activated, Self::Draining, Self::Suspended];
}

impl fmt::Display for DeviceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "pending",
            Self::Activated => "activated",
            Self::Draining => "draining",
            Self::Suspended => "suspended",
        })
    }
}

impl Sharing {
    /// Both, each one once.
    pub const ALL: [Self; 2] = [Self::Exclusive, Self::PerClient];
}

impl fmt::Display for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Exclusive => "exclusive",
            Self::PerClient => "per-client",
        })
    }
}
