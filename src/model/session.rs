//! Sessions: the agreement between a client host and a device to have one tunnel.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnetwork::Ipv4Network;
use serde::{Deserialize, Serialize};

use super::{AddressRange, DeviceCode, HolderName, HostName, InvalidName, Kind, Timestamp, TunnelName};

/// Which session: the client host, and what the tunnel is called there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    pub host: HostName,
    pub name: TunnelName,
}

/// One session. What it has of addresses belongs to it until its edge says that the tunnel is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub host: HostName,
    /// The tunnel's name on the client host.
    pub name: TunnelName,
    pub device: DeviceCode,
    pub kind: Kind,
    pub termination: Ipv4Addr,
    /// A /31: the edge has the first address, the client the second.
    pub overlay: Ipv4Network,
    /// The client's address inside: a /32 on its tunnel, routed to it by the edge.
    pub client: Ipv4Addr,
    pub underlay: Underlay,
    /// Groups that the client sends to, and those that it wants.
    #[serde(default)]
    pub publish: BTreeSet<Ipv4Addr>,
    #[serde(default)]
    pub subscribe: BTreeSet<Ipv4Addr>,
    pub state: SessionState,
    /// When it came into this state.
    pub since: Timestamp,
}

/// The client's end in the underlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Underlay {
    /// The address that the client's tunnel is bound to.
    pub bound: Ipv4Addr,
    /// What the world sees of it, where a 1:1 NAT is between.
    #[serde(default)]
    pub public: Option<Ipv4Addr>,
}

/// Where a session is in its life. When its edge has said that the tunnel is gone, there is no session any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionState {
    /// It has its addresses; neither end is known to be built.
    Requested,
    /// The edge has read its end back from the kernel.
    EdgeReady,
    /// Both ends have.
    Ready,
    /// Both ends take it down; the edge says when its own is gone.
    Ending,
}

impl SessionKey {
    /// The holder under which the session's leases are kept.
    pub fn holder(&self) -> HolderName {
        HolderName::new(&format!("session/{self}")).expect("both names are short and printable")
    }
}

impl Session {
    pub fn key(&self) -> SessionKey {
        SessionKey { host: self.host.clone(), name: self.name.clone() }
    }

    /// What of it no tunnel can have; `None`: nothing.
    pub fn oddity(&self) -> Option<String> {
        let Self { overlay, client, underlay, termination, publish, subscribe, .. } = self;
        if overlay.prefix() != 31 || overlay.ip() != overlay.network() {
            return Some(format!("its overlay {overlay} is no /31"));
        }
        let hosts = [overlay.ip(), *client, underlay.bound, underlay.seen(), *termination];
        let no_host = hosts.into_iter().find_map(|address| {
            let one = AddressRange::new(address, address).ok()?;
            one.unusable().map(|(_, why)| format!("{address} is of {why}"))
        });
        let no_group = publish.iter().chain(subscribe).find(|group| !group.is_multicast());
        no_host.or_else(|| no_group.map(|group| format!("{group} is no multicast group")))
    }

    /// Our address inside the tunnel on the edge, with the prefix.
    pub fn edge_overlay(&self) -> Ipv4Network {
        self.overlay
    }

    /// Our address inside the tunnel on the client, with the prefix.
    pub fn client_overlay(&self) -> Ipv4Network {
        Ipv4Network::new(self.overlay.broadcast(), self.overlay.prefix()).unwrap_or(self.overlay)
    }

    /// What the tunnel is called on the edge: `s` and its /31 in eight hexadecimal digits. No two sessions share a /31.
    pub fn edge_tunnel(&self) -> TunnelName {
        TunnelName::new(&format!("s{:08x}", u32::from(self.overlay.network())))
            .expect("nine letters and digits")
    }
}

impl Underlay {
    /// The client's address as the edge sees it: the remote of the edge's tunnel.
    pub fn seen(&self) -> Ipv4Addr {
        self.public.unwrap_or(self.bound)
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.host, self.name))
    }
}

impl FromStr for SessionKey {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (host, name) = text.split_once('/').ok_or_else(|| InvalidName {
            text: text.to_owned(),
            what: "session",
            rule: "use HOST/NAME, the client host and its tunnel's name",
        })?;
        Ok(Self { host: HostName::new(host)?, name: TunnelName::new(name)? })
    }
}

impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Requested => "requested",
            Self::EdgeReady => "edge-ready",
            Self::Ready => "ready",
            Self::Ending => "ending",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_ends_have_the_two_addresses_of_the_31() {
        let session = Session {
            host: HostName::new("client-1.example").unwrap(),
            name: TunnelName::new("ams").unwrap(),
            device: DeviceCode::new("ams-1").unwrap(),
            kind: Kind::Unicast,
            termination: [198, 51, 100, 8].into(),
            overlay: "169.254.10.6/31".parse().unwrap(),
            client: [203, 0, 113, 7].into(),
            underlay: Underlay { bound: [10, 0, 0, 2].into(), public: Some([192, 0, 2, 2].into()) },
            publish: BTreeSet::new(),
            subscribe: BTreeSet::new(),
            state: SessionState::Requested,
            since: 0,
        };
        assert_eq!(session.edge_overlay().to_string(), "169.254.10.6/31");
        assert_eq!(session.client_overlay().to_string(), "169.254.10.7/31");
        assert_eq!(session.edge_tunnel().as_str(), "sa9fe0a06");
        assert_eq!(session.underlay.seen(), Ipv4Addr::new(192, 0, 2, 2));
        assert_eq!(session.key().to_string().parse(), Ok(session.key()));
        assert_eq!(session.key().holder().as_str(), "session/client-1.example/ams");
        assert_eq!(session.oddity(), None);
        let odd = |change: &dyn Fn(&mut Session)| {
            let mut odd = session.clone();
            change(&mut odd);
            odd.oddity().unwrap()
        };
        let wide = "10.0.0.0/8".parse().unwrap();
        assert_eq!(odd(&|session| session.overlay = wide), "its overlay 10.0.0.0/8 is no /31");
        let zero = odd(&|session| session.underlay = Underlay { bound: [0, 0, 0, 0].into(), public: None });
        assert_eq!(zero, "0.0.0.0 is of 0.0.0.0/8, which is no network");
        let group = odd(&|session| session.publish = [[10, 0, 0, 1].into()].into());
        assert_eq!(group, "10.0.0.1 is no multicast group");
    }

    #[test]
    fn the_longest_names_still_make_a_holder() {
        let host = HostName::new(&"h".repeat(40)).unwrap();
        let key = SessionKey { host, name: TunnelName::new("twelve-chars").unwrap() };
        assert_eq!(key.holder().as_str().len(), 61);
        assert!("no-slash".parse::<SessionKey>().is_err());
        assert!(HostName::new(".hidden").is_err() && HostName::new("Upper").is_err());
    }
}
