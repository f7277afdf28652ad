//! The doctor and the kernel's settings: each cure is typed whole, as it is printed, and holds after the next boot.

use super::doctor_kit::{Seen, doctor, filter, patient, type_it};
use super::fleet_kit::edge;
use super::tunnels::{AMS, three};
use crate::support::greyhound::{POOL, answer, multicast, unicast};
use crate::support::needs::Need;
use crate::support::scenario::{Scenario, scenario};
use crate::support::{
    Daemon, Greyhound, Leaf, Receiver, Result, Sender, Underlay, World, ensure, eventually,
};
use std::net::SocketAddrV4;
use std::time::Duration;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(a_strict_filter_where_a_route_covers_the_remote_is_found),
    scenario!(a_strict_filter_on_a_tunnels_own_link_is_found),
    scenario!(an_edge_box_that_does_not_forward_is_found).needs(&[Need::Program("nft")]),
];

/// So many numbers are enough to see what becomes of them.
const ENOUGH: u64 = 50;

fn a_strict_filter_where_a_route_covers_the_remote_is_found(world: &World) -> Result<()> {
    let patient = patient(world)?;
    let (client, greyhound) = (&patient.client, &patient.greyhound);
    client.sysctl("net.ipv4.conf.eth0.rp_filter", "1")?;
    doctor(greyhound, "--quick")?.only(0, &["daemon-absent"])?;
    let covering = POOL.to_owned() + &unicast("ams", AMS, 0, "routes = [\"0.0.0.0/0\"]");
    greyhound.declare(&covering)?;
    greyhound.json(0, "apply")?;
    let found = |link: &str, seen: &Seen| {
        seen.only(7, &["rp-filter-strict", "daemon-absent"])?;
        let words =
            format!("rp_filter is 1 on {link} and 0 for all; 203.0.113.1, the remote of ams, comes in there");
        let mend = seen.evidence("rp-filter-strict", &words)?;
        let kept = type_it(client, &mend)?;
        ensure!(kept == format!("net/ipv4/conf/{link}/rp_filter=2\n"), "{kept}");
        doctor(greyhound, "--quick")?.only(0, &["daemon-absent"])
    };
    found("eth0", &doctor(greyhound, "--quick")?)?;
    doctor(greyhound, "")?.only(0, &["daemon-absent"])?;
    // The name of a link may have dots.
    client.ip_batch(&format!(
        "link add eth0.100 type dummy\naddress add 192.0.9.1/24 dev eth0.100\nlink set eth0.100 up\n\
         route add {AMS}/32 via 192.0.9.2 dev eth0.100\n"
    ))?;
    client.exec(["sysctl", "-qw", "net/ipv4/conf/eth0.100/rp_filter=1"])?;
    found("eth0.100", &doctor(greyhound, "--quick")?)
}

fn a_strict_filter_on_a_tunnels_own_link_is_found(world: &World) -> Result<()> {
    let (_underlay, [client, ams, _fra]) = three(world)?;
    let declared = POOL.to_owned() + &multicast("mc", AMS, 0, "groups = [\"239.1.1.0/24\"]");
    let greyhound = Greyhound::new(world, &client, &declared)?;
    greyhound.json(0, "apply")?;
    answer(&ams, "tun", &format!("local {AMS} remote 198.51.100.8"), 0)?;
    // Who sends is behind the other end, and is not routed into the tunnel.
    ams.ip_batch("address add 10.99.0.1/32 dev lo\nroute add 239.1.1.0/24 dev tun src 10.99.0.1\n")?;
    let group: SocketAddrV4 = "239.1.1.7:9000".parse()?;
    let arrive = |expected: bool| -> Result<()> {
        let joined = Receiver::join(&client, group, "169.254.10.0".parse()?)?;
        let sender = Sender::start(&ams, group)?;
        eventually(Duration::from_secs(20), || {
            ensure!(sender.sent() >= ENOUGH, "only {} sent", sender.sent());
            Ok(())
        })?;
        let report = joined.report(sender.stop())?;
        ensure!((report.received > 0) == expected, "{report}");
        Ok(())
    };
    arrive(true)?;
    client.sysctl("net.ipv4.conf.gh-mc.rp_filter", "1")?;
    arrive(false)?;
    let seen = doctor(&greyhound, "--quick")?;
    seen.only(7, &["rp-filter-strict", "daemon-absent"])?;
    let words =
        "rp_filter is 1 on gh-mc and 0 for all; it receives 239.1.1.0/24 and drops them when their sender";
    let kept = type_it(&client, &seen.evidence("rp-filter-strict", words)?)?;
    ensure!(kept == "net/ipv4/conf/default/rp_filter=2\n", "{kept}");
    doctor(&greyhound, "--quick")?.only(0, &["daemon-absent"])?;
    arrive(true)?;
    // Made anew, it begins as it was cured, and the larger value holds.
    client.sysctl("net.ipv4.conf.all.rp_filter", "1")?;
    client.ip("link delete gh-mc")?;
    greyhound.json(0, "apply")?;
    doctor(&greyhound, "--quick")?.only(0, &["daemon-absent"])?;
    arrive(true)
}

fn an_edge_box_that_does_not_forward_is_found(world: &World) -> Result<()> {
    let (_underlay, [ams]) =
        Underlay::build(world, [Leaf::new("ams", "203.0.113.1/24").owns("198.51.100.8/29")])?;
    let path = world.folder().join("inventory/inventory.db").display().to_string();
    let greyhound = Greyhound::new(world, &ams, &edge("ams-1", AMS, "198.51.100.8/29", &path))?;
    let _daemon = Daemon::start(&greyhound)?;
    let seen = doctor(&greyhound, "--quick")?;
    seen.only(7, &["forwarding-off"])?;
    let mend = seen.evidence("forwarding-off", "net/ipv4/ip_forward is 0, and this host is an edge box")?;
    let kept = type_it(&ams, &mend)?;
    ensure!(kept == "net/ipv4/ip_forward=1\n", "{kept}");
    doctor(&greyhound, "")?.only(0, &[])?;
    // By a policy alone nothing is known of what passes.
    filter(&ams, "forward", "accept")?;
    doctor(&greyhound, "--quick")?.only(0, &[])?;
    let drop = "add chain ip way forward { type filter hook forward priority 0; policy drop; }";
    ams.exec(["nft", drop])?;
    let seen = doctor(&greyhound, "--quick")?;
    seen.only(0, &[])?;
    seen.unexamined("forwarding-off by chain ip way forward", "nft list chain ip way forward")
}
