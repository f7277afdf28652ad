//! A tunnel as declared.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;
use serde::{Deserialize, Serialize};

use super::{LinkName, PoolName, Tos, Ttl, TunnelName};

/// What a tunnel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Unicast,
    /// Its link has the multicast flag, and routes of its groups lead into it.
    Multicast,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Unicast => "unicast",
            Self::Multicast => "multicast",
        })
    }
}

/// Where a tunnel's local address comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Local {
    /// Leased: from the named pool, else from the termination pools in their order.
    Auto { pool: Option<PoolName> },
    /// Of this pool's ranges: leased by its number.
    Leased { pool: PoolName, address: Ipv4Addr },
    /// An address that somebody else put on this host. Used as it is found, never leased.
    Host(Ipv4Addr),
}

/// A tunnel as declared, every default filled in that does not depend on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tunnel {
    pub name: TunnelName,
    pub kind: Kind,
    pub local: Local,
    /// Candidates in the order of the declaration, never empty, each one once.
    pub remotes: Vec<Ipv4Addr>,
    /// Our address inside the tunnel, with the prefix that it shares with the peer (/30 or /31).
    pub overlay: Ipv4Network,
    /// Prefixes routed into the tunnel; host bits cleared, sorted, each one once.
    pub routes: Vec<Ipv4Network>,
    /// Multicast groups routed into the tunnel, as prefixes in 224.0.0.0/4; sorted, each one once.
    pub groups: Vec<Ipv4Network>,
    pub ttl: Ttl,
    pub tos: Tos,
    pub key: Option<u32>,
    /// Bytes; `None`: what the path to the remote carries, less the overhead.
    pub mtu: Option<u32>,
    pub pmtudisc: bool,
    pub ignore_df: bool,
    /// The VRF link that the inside of the tunnel is in. It must exist; greyhound makes none.
    pub vrf: Option<LinkName>,
    /// Metric of the routes; 0 is the kernel's own default.
    pub metric: u32,
    /// A /32 of global scope on the tunnel, preferred source of its routes.
    pub client: Option<Ipv4Addr>,
    /// A disabled tunnel is not in the kernel; its lease is kept.
    pub enable: bool,
}

/// What was decided of a tunnel while it ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Chosen {
    /// The one of its remotes that it uses; `None`: the first.
    pub remote: Option<Ipv4Addr>,
    /// It is moved by hand only.
    pub held: bool,
}

/// What a tunnel learnt of its ends, and does not forget when the daemon ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learnt {
    /// The peer inside that answered a probe; `None`: none ever did.
    pub peer: Option<Ipv4Addr>,
    /// By remote.
    pub failures: BTreeMap<Ipv4Addr, Failure>,
}

/// The tunnel failed at a remote, whatever its probes said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The last time, in milliseconds of the clock of who keeps it.
    pub at_ms: i64,
    /// In a row, 1 or more.
    pub times: u32,
}

impl Learnt {
    /// The same, of a clock that is so many milliseconds ahead.
    pub fn ahead(mut self, by_ms: i64) -> Self {
        self.failures.values_mut().for_each(|failure| failure.at_ms = failure.at_ms.saturating_add(by_ms));
        self
    }
}

impl Tunnel {
    /// A tunnel of which nothing else is said; it leads nowhere yet.
    pub fn plain(name: TunnelName, kind: Kind, local: Local, overlay: Ipv4Network) -> Self {
        Self {
            name,
            kind,
            local,
            remotes: Vec::new(),
            overlay,
            routes: Vec::new(),
            groups: Vec::new(),
            ttl: Ttl::Fixed(64),
            tos: Tos::Fixed(0),
            key: None,
            mtu: None,
            pmtudisc: true,
            ignore_df: false,
            vrf: None,
            metric: 0,
            client: None,
            enable: true,
        }
    }

    /// The remote that it uses: the chosen one, as long as it is declared, else the first.
    pub fn remote(&self, chosen: Option<&Chosen>) -> Option<Ipv4Addr> {
        let chosen = chosen.and_then(|chosen| chosen.remote);
        chosen.filter(|remote| self.remotes.contains(remote)).or_else(|| self.remotes.first().copied())
    }

    /// The peer's address inside the tunnel: the other host of the overlay prefix.
    pub fn peer(&self) -> Ipv4Addr {
        peer_of(self.overlay)
    }
}

/// The other address of a /31 (RFC 3021), or the other host of a /30.
pub fn peer_of(overlay: Ipv4Network) -> Ipv4Addr {
    let ours = u32::from(overlay.ip());
    let flipped = if overlay.prefix() == 31 { ours ^ 1 } else { ours ^ 3 };
    Ipv4Addr::from(flipped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_is_the_other_host() {
        for (ours, peer) in [
            ("169.254.10.0/31", "169.254.10.1"),
            ("169.254.10.1/31", "169.254.10.0"),
            ("10.0.0.1/30", "10.0.0.2"),
            ("10.0.0.2/30", "10.0.0.1"),
        ] {
            assert_eq!(peer_of(ours.parse().unwrap()), peer.parse::<Ipv4Addr>().unwrap());
        }
    }
}
