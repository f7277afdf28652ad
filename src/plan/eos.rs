//! What a device needs as a running configuration of Arista EOS.
//!
//! A loopback interface has one termination, and loopbacks are numbered from 100 up in the order of their addresses.
//! A tunnel's number is 100 and the place of its /31 among all of the inventory's, so that it keeps its number
//! while other sessions come and go. Its source is the address, not the loopback: numbers of loopbacks may change.
//!
//! What greyhound sets and EOS has no word for: the mark of outer packets, and with it the rules and the table of our
//! own. Routes to clients are among the others there.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use ipnetwork::Ipv4Network;

use crate::model::tunnel::peer_of;
use crate::model::{DesiredTunnel, Gre, Scope, SessionKey, Ttl};

use super::elsewhere::Elsewhere;

/// The first number of loopbacks and of tunnels: those below are left to the box's own.
const FIRST: u64 = 100;

/// The whole configuration. `place` says which of all /31s an overlay is.
pub fn text(elsewhere: &Elsewhere, place: impl Fn(Ipv4Network) -> u64) -> String {
    let mut out = header(elsewhere);
    for (number, address) in (FIRST..).zip(&elsewhere.desired.loopback) {
        let _ = write!(out, "interface Loopback{number}\n   ip address {}\n!\n", address.address);
    }
    let mut routes = String::new();
    for (session, tunnel) in elsewhere.tunnels() {
        let Some(overlay) = overlay(tunnel) else { continue };
        out.push_str(&interface(session, tunnel, overlay, FIRST + place(overlay)));
        routes.push_str(&clients(tunnel, peer_of(overlay)));
    }
    out + &routes
}

fn header(elsewhere: &Elsewhere) -> String {
    let mut out = format!(
        "! {}\n\
         ! EOS puts no firewall mark on outer packets: let no route into a tunnel cover a tunnel's destination.\n\
         ! An interface or a route that was rendered earlier and is not here any more has to be removed by hand.\n",
        elsewhere.title()
    );
    if elsewhere.tunnels().any(|(_, tunnel)| tunnel.link.multicast) {
        out.push_str(
            "! Multicast needs ip multicast-routing, and a rendezvous point under router pim sparse-mode.\n",
        );
    }
    for (session, why) in elsewhere.left_out() {
        let _ = writeln!(out, "! Left out: session {session}: {why}");
    }
    out + "!\n"
}

/// Our address inside: the one that it shares a prefix with the peer.
fn overlay(tunnel: &DesiredTunnel) -> Option<Ipv4Network> {
    tunnel.addresses.iter().find(|address| address.scope == Scope::Link).map(|address| address.address)
}

/// The TTL can only be set together with path MTU discovery; without both, the inner packet's is taken.
fn interface(session: &SessionKey, tunnel: &DesiredTunnel, overlay: Ipv4Network, number: u64) -> String {
    let link = &tunnel.link;
    let Gre { local, remote, ttl, pmtudisc, .. } = &link.gre;
    let mut lines = vec![
        format!("description {session}"),
        format!("mtu {}", link.mtu),
        format!("ip address {overlay}"),
        "tunnel mode gre".to_owned(),
        format!("tunnel source {local}"),
        format!("tunnel destination {remote}"),
    ];
    if *pmtudisc {
        lines.push("tunnel path-mtu-discovery".to_owned());
    }
    if let (true, Ttl::Fixed(ttl)) = (pmtudisc, ttl) {
        lines.push(format!("tunnel ttl {ttl}"));
    }
    if link.multicast {
        lines.push("pim ipv4 sparse-mode".to_owned());
    }
    lines.push("no shutdown".to_owned());
    let lines: String = lines.iter().map(|line| format!("   {line}\n")).collect();
    format!("interface Tunnel{number}\n{lines}!\n")
}

/// By the peer's address inside, which is connected.
fn clients(tunnel: &DesiredTunnel, peer: Ipv4Addr) -> String {
    tunnel.routes.iter().map(|route| format!("ip route {} {peer}\n", route.destination)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::elsewhere::tests::{device, example, is_golden, key, tunnel};
    use super::*;
    use crate::model::Kind;

    /// As in a pool 169.254.10.0/24.
    fn place(overlay: Ipv4Network) -> u64 {
        u64::from(overlay.network().octets()[3]) / 2
    }

    #[test]
    fn the_configuration_of_an_edge_box() {
        is_golden("eos.txt", &text(&example(), place));
    }

    #[test]
    fn a_tunnel_keeps_its_number_when_another_session_goes() {
        let offered = [[198, 51, 100, 8].into(), [198, 51, 100, 9].into()].into();
        let mut tunnels = BTreeMap::from([
            (key("a/one"), tunnel(Kind::Unicast, "198.51.100.8", "192.0.2.7", 1)),
            (key("b/two"), tunnel(Kind::Unicast, "198.51.100.9", "192.0.2.8", 2)),
        ]);
        let both = text(&Elsewhere::new(&device(), &tunnels, &offered), place);
        tunnels.remove(&key("a/one"));
        let one = text(&Elsewhere::new(&device(), &tunnels, &offered), place);
        let two = "interface Tunnel102\n   description b/two\n";
        assert!(both.contains(two) && one.contains(two), "{both}{one}");
        assert!(!one.contains("Tunnel101"), "{one}");
    }

    #[test]
    fn the_ttl_is_set_only_where_it_can_be() {
        let mut plain = tunnel(Kind::Unicast, "198.51.100.8", "192.0.2.7", 1);
        plain.pmtudisc = false;
        let offered = [[198, 51, 100, 8].into()].into();
        let text = text(&Elsewhere::new(&device(), &[(key("a/one"), plain)].into(), &offered), place);
        assert!(!text.contains("ttl") && !text.contains("path-mtu-discovery"), "{text}");
    }
}
