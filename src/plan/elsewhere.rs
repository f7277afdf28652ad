//! What a device needs that does not run greyhound: all of it is planned on a host that has nothing but its loopback
//! link, and told as commands of iproute2 ([`super::commands`]) or as a configuration of EOS ([`super::eos`]).

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::model::{
    Desired, DesiredTunnel, DeviceCode, LOOPBACK, Link, LinkKind, LinkName, Local, Observed, Owned,
    SessionKey, Tunnel, TunnelName,
};

use super::{Declared, PlannedStep, desire, plan};

/// What a device needs, and how to get there from nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    pub device: DeviceCode,
    pub desired: Desired,
    /// On an empty host there is nothing to change or to take away: they only add.
    pub steps: Vec<PlannedStep>,
    /// Whose each tunnel is.
    pub sessions: BTreeMap<TunnelName, SessionKey>,
}

impl Elsewhere {
    /// `offered`: the device's terminations. The path to a remote is not known there, so each MTU is Ethernet's less
    /// the overhead.
    pub fn new(
        device: &DeviceCode,
        tunnels: &BTreeMap<SessionKey, Tunnel>,
        offered: &BTreeSet<Ipv4Addr>,
    ) -> Self {
        let sessions = tunnels.iter().map(|(key, tunnel)| (tunnel.name.clone(), key.clone())).collect();
        let tunnels = tunnels.values().map(|tunnel| (tunnel.name.clone(), tunnel.clone())).collect();
        let observed = empty();
        let desired = wanted(&tunnels, offered, &observed);
        let steps = plan(&desired, &observed, &Owned::default()).steps;
        Self { device: device.clone(), desired, steps, sessions }
    }

    /// Each tunnel with its session, in the order of the tunnels' names.
    pub fn tunnels(&self) -> impl Iterator<Item = (&SessionKey, &DesiredTunnel)> {
        self.desired.tunnels.iter().filter_map(|(name, tunnel)| Some((self.sessions.get(name)?, tunnel)))
    }

    /// The sessions that cannot be built there, and why.
    pub fn left_out(&self) -> BTreeMap<&SessionKey, &str> {
        let held = self.desired.held.iter();
        held.filter_map(|(name, why)| Some((self.sessions.get(name)?, why.as_str()))).collect()
    }

    /// What it is, in a few words.
    pub fn title(&self) -> String {
        let Self { device, desired, steps: _, sessions: _ } = self;
        let (terminations, tunnels) = (desired.loopback.len(), desired.tunnels.len());
        format!(
            "Rendered by greyhound for device {device}: {terminations} termination(s), {tunnels} tunnel(s)."
        )
    }
}

/// A host that has its loopback link and nothing else.
fn empty() -> Observed {
    let lo = Link {
        index: 1,
        name: LOOPBACK.to_owned(),
        kind: LinkKind::Other(String::new()),
        mtu: 65536,
        group: 0,
        up: true,
        multicast: false,
        master: None,
        addrgen_none: false,
    };
    Observed { links: BTreeMap::from([(lo.index, lo)]), ..Observed::default() }
}

fn wanted(
    tunnels: &BTreeMap<TunnelName, Tunnel>,
    offered: &BTreeSet<Ipv4Addr>,
    observed: &Observed,
) -> Desired {
    let local = |tunnel: &Tunnel| match tunnel.local {
        Local::Host(address) if offered.contains(&address) => Ok(address),
        Local::Host(address) => Err(format!("{address} is no termination of its device")),
        Local::Auto { .. } | Local::Leased { .. } => Err("its local address is leased elsewhere".to_owned()),
    };
    let locals = tunnels.iter().map(|(name, tunnel)| (name.clone(), local(tunnel))).collect();
    let declared = Declared {
        tunnels,
        locals: &locals,
        probe: None,
        offered,
        choices: &BTreeMap::new(),
        loopback: &LinkName::new(LOOPBACK).expect("lo is a link name"),
    };
    desire(&declared, observed)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::model::Kind;

    pub fn key(text: &str) -> SessionKey {
        text.parse().unwrap()
    }

    /// The edge's end of a session: the overlay is the pair of addresses number `pair` of 169.254.10.0/24.
    pub fn tunnel(kind: Kind, local: &str, remote: &str, pair: u8) -> Tunnel {
        let overlay = format!("169.254.10.{}/31", pair * 2).parse().unwrap();
        let name = TunnelName::new(&format!("sa9fe0a{:02x}", pair * 2)).unwrap();
        Tunnel {
            remotes: vec![remote.parse().unwrap()],
            routes: vec![format!("203.0.113.{pair}/32").parse().unwrap()],
            ..Tunnel::plain(name, kind, Local::Host(local.parse().unwrap()), overlay)
        }
    }

    pub fn device() -> DeviceCode {
        DeviceCode::new("ams-1").unwrap()
    }

    /// A unicast and a multicast session, and one whose termination is not offered any more.
    pub fn example() -> Elsewhere {
        let tunnels = BTreeMap::from([
            (key("web-1/ams"), tunnel(Kind::Unicast, "198.51.100.8", "192.0.2.7", 1)),
            (key("feed-1/multi"), tunnel(Kind::Multicast, "198.51.100.9", "192.0.2.8", 2)),
            (key("web-2/gone"), tunnel(Kind::Unicast, "198.51.100.15", "192.0.2.9", 3)),
        ]);
        let offered = [8, 9, 10].map(|last| Ipv4Addr::new(198, 51, 100, last)).into();
        Elsewhere::new(&device(), &tunnels, &offered)
    }

    /// The text is that of a file in `integration/render`; with `GREYHOUND_BLESS=1` the file is written anew.
    pub fn is_golden(name: &str, text: &str) {
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/render").join(name);
        if std::env::var_os("GREYHOUND_BLESS").is_some() {
            std::fs::write(&golden, text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(&golden).unwrap_or_default(), "{name}");
    }

    #[test]
    fn all_of_it_is_added_and_what_cannot_be_built_is_told() {
        use crate::plan::Step;
        let example = example();
        let adds = |step: &Step| {
            matches!(step, Step::CreateLink(_) | Step::AddAddress(_) | Step::AddRoute(_) | Step::AddRule(_))
        };
        assert!(example.steps.iter().all(|planned| adds(&planned.step)));
        let sessions: Vec<_> = example.tunnels().map(|(key, _)| key.to_string()).collect();
        assert_eq!(sessions, ["web-1/ams", "feed-1/multi"]);
        let [(gone, why)] = &example.left_out().into_iter().collect::<Vec<_>>()[..] else { panic!() };
        assert_eq!(gone.to_string(), "web-2/gone");
        assert_eq!(*why, "198.51.100.15 is no termination of its device");
    }

    #[test]
    fn without_a_path_the_mtu_is_ethernets_less_the_overhead() {
        assert!(example().tunnels().all(|(_, tunnel)| tunnel.link.mtu == 1476));
    }

    #[test]
    fn a_device_without_sessions_has_its_terminations_only() {
        let lone = Elsewhere::new(&device(), &BTreeMap::new(), &[Ipv4Addr::new(198, 51, 100, 8)].into());
        assert_eq!((lone.steps.len(), lone.tunnels().count(), lone.left_out().len()), (1, 0, 0));
    }
}
