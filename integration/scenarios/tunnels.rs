//! Tunnels that carry traffic: greyhound on the client, plain iproute2 on the other ends.

use crate::support::greyhound::{POOL, answer, multicast, tunnel, unicast};
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Capture, Greyhound, Host, Leaf, Packet, Receiver, Result, Sender, Underlay, World};
use crate::support::{ensure, eventually, packet};
use crate::witness::look;
use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::time::Duration;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(tunnels_of_both_kinds_over_one_underlay_link_all_carry_their_streams),
    scenario!(outer_packets_leave_from_the_secondary_address_leased_to_their_tunnel),
    scenario!(a_group_reaches_who_joined_it_and_nobody_else),
    scenario!(a_group_is_received_through_a_multicast_tunnel),
    scenario!(iproute2_is_the_other_end_with_key_and_tos),
    scenario!(a_packet_too_big_for_the_underlay_passes_with_ignore_df),
    scenario!(the_mtu_follows_the_path_in_place),
    scenario!(the_mtu_is_no_larger_than_the_kernel_takes),
    scenario!(the_mtu_is_not_what_a_message_taught_the_kernel),
    scenario!(the_client_address_is_the_source_of_routed_packets),
];

pub const AMS: &str = "203.0.113.1";
pub const FRA: &str = "203.0.114.1";

/// A client, to which the underlay leads 198.51.100.0/24, and two edges.
pub fn three(world: &World) -> Result<(Underlay, [Host; 3])> {
    Underlay::build(
        world,
        [
            Leaf::new("client", "192.0.2.10/24").owns("198.51.100.0/24"),
            Leaf::new("ams", "203.0.113.1/24"),
            Leaf::new("fra", "203.0.114.1/24"),
        ],
    )
}

pub fn ping(host: &Host, to: &str) -> Result<()> {
    host.exec(["ping", "-c2", "-i0.2", "-W10", to])?;
    Ok(())
}

fn sent(sender: &Sender, count: u64) -> Result<()> {
    eventually(Duration::from_secs(20), || {
        ensure!(sender.sent() >= count, "only {} sent", sender.sent());
        Ok(())
    })
}

fn gre(packets: Vec<Packet>) -> Vec<Packet> {
    packets.into_iter().filter(|packet| packet.protocol == packet::GRE).collect()
}

fn tunnels_of_both_kinds_over_one_underlay_link_all_carry_their_streams(world: &World) -> Result<()> {
    let (_underlay, [client, ams, fra]) = three(world)?;
    let declaration = [
        POOL.to_owned(),
        unicast("ams", AMS, 0, "routes = [\"10.20.0.0/16\"]"),
        unicast("fra", FRA, 1, "routes = [\"10.30.0.0/16\"]"),
        multicast("feed", AMS, 2, "groups = [\"239.1.0.0/16\"]"),
        multicast("news", FRA, 3, "groups = [\"239.2.0.0/16\"]"),
    ];
    let greyhound = Greyhound::new(world, &client, &declaration.concat())?;
    greyhound.apply()?;
    for (name, edge, remote, pair) in
        [("ams", &ams, AMS, 0), ("fra", &fra, FRA, 1), ("feed", &ams, AMS, 2), ("news", &fra, FRA, 3)]
    {
        let local = look::gre(&client, &format!("gh-{name}"), "local")?;
        answer(edge, name, &format!("local {remote} remote {local}"), pair)?;
    }
    ams.ip("address add 10.20.0.1/32 dev lo")?;
    fra.ip("address add 10.30.0.1/32 dev lo")?;

    let streams: [(Receiver, SocketAddrV4, &str); 4] = [
        stream(&ams, "10.20.0.1:9000", None, "169.254.10.0")?,
        stream(&fra, "10.30.0.1:9000", None, "169.254.10.2")?,
        stream(&ams, "239.1.2.3:9000", Some("169.254.10.5"), "169.254.10.4")?,
        stream(&fra, "239.2.2.3:9000", Some("169.254.10.7"), "169.254.10.6")?,
    ];
    let mut running = Vec::new();
    for (receiver, to, from) in streams {
        running.push((receiver, Sender::start_from(&client, from.parse()?, to)?, to));
    }
    for (receiver, sender, to) in running {
        sent(&sender, 200)?;
        let report = receiver.report(sender.stop())?;
        report.complete().map_err(|error| error.context(to))?;
    }
    Ok(())
}

/// Who listens there, having joined on this interface if any; to whom, and from where, one sends.
fn stream<'a>(
    host: &Host,
    to: &str,
    interface: Option<&str>,
    from: &'a str,
) -> Result<(Receiver, SocketAddrV4, &'a str)> {
    let to = to.parse()?;
    let receiver = match interface {
        Some(interface) => Receiver::join(host, to, interface.parse()?)?,
        None => Receiver::start(host, to)?,
    };
    Ok((receiver, to, from))
}

fn outer_packets_leave_from_the_secondary_address_leased_to_their_tunnel(world: &World) -> Result<()> {
    let (_underlay, [client, ams, fra]) = three(world)?;
    let declaration = POOL.to_owned() + &unicast("ams", AMS, 0, "") + &unicast("fra", FRA, 1, "ttl = 77");
    let greyhound = Greyhound::new(world, &client, &declaration)?;
    greyhound.apply()?;
    answer(&ams, "tun", &format!("local {AMS} remote 198.51.100.8"), 0)?;
    answer(&fra, "tun", &format!("local {FRA} remote 198.51.100.9"), 1)?;
    let loopback: BTreeSet<_> = look::addresses(&client, "lo")?.into_iter().collect();
    ensure!(loopback.contains("198.51.100.8/32") && loopback.contains("198.51.100.9/32"), "{loopback:?}");

    let capture = Capture::start(&client, "eth0")?;
    ping(&client, "169.254.10.1")?;
    ping(&client, "169.254.10.3")?;
    let outer = gre(capture.stop()?);
    let seen: BTreeSet<_> = outer.iter().map(|p| (p.source.to_string(), p.destination.to_string())).collect();
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let expected = [
        pair("198.51.100.8", AMS),
        pair("198.51.100.9", FRA),
        pair(AMS, "198.51.100.8"),
        pair(FRA, "198.51.100.9"),
    ];
    ensure!(seen == expected.into_iter().collect(), "{seen:?}");
    for packet in outer.iter().filter(|packet| packet.source.octets()[0] == 198) {
        let ttl = if packet.destination.to_string() == AMS { 64 } else { 77 };
        ensure!(packet.ttl == ttl && packet.dont_fragment, "{packet}");
    }
    Ok(())
}

fn a_group_reaches_who_joined_it_and_nobody_else(world: &World) -> Result<()> {
    let (_underlay, [client, ams, fra]) = three(world)?;
    let groups = "groups = [\"239.1.2.0/24\"]";
    let other = "groups = [\"239.9.0.0/16\"]";
    let declaration =
        POOL.to_owned() + &multicast("feed", AMS, 0, groups) + &multicast("news", FRA, 1, other);
    Greyhound::new(world, &client, &declaration)?.apply()?;
    answer(&ams, "feed", &format!("local {AMS} remote 198.51.100.8"), 0)?;
    answer(&fra, "news", &format!("local {FRA} remote 198.51.100.9"), 1)?;
    let group: SocketAddrV4 = "239.1.2.3:9000".parse()?;
    let joined = Receiver::join(&ams, group, "169.254.10.1".parse()?)?;
    let another_group = Receiver::join(&ams, "239.1.2.4:9000".parse()?, "169.254.10.1".parse()?)?;
    let another_tunnel = Receiver::join(&fra, group, "169.254.10.3".parse()?)?;
    let sender = Sender::start_from(&client, "169.254.10.0".parse()?, group)?;
    sent(&sender, 200)?;
    let count = sender.stop();
    joined.report(count)?.complete()?;
    for silent in [another_group, another_tunnel] {
        let report = silent.report(count)?;
        ensure!(report.received == 0, "who did not join hears nothing: {report}");
    }
    Ok(())
}

fn a_group_is_received_through_a_multicast_tunnel(world: &World) -> Result<()> {
    let (_underlay, [client, ams, _fra]) = three(world)?;
    Greyhound::new(world, &client, &(POOL.to_owned() + &multicast("feed", AMS, 0, "")))?.apply()?;
    answer(&ams, "feed", &format!("local {AMS} remote 198.51.100.8"), 0)?;
    ams.ip("route add 239.1.0.0/16 dev feed")?;
    let group: SocketAddrV4 = "239.1.2.3:9000".parse()?;
    let joined = Receiver::join(&client, group, "169.254.10.0".parse()?)?;
    let sender = Sender::start_from(&ams, "169.254.10.1".parse()?, group)?;
    sent(&sender, 200)?;
    joined.report(sender.stop())?.complete()
}

fn iproute2_is_the_other_end_with_key_and_tos(world: &World) -> Result<()> {
    let (_underlay, [client, ams, _fra]) = three(world)?;
    let more = "key = 42\ntos = 0xb8\nttl = 99\npmtudisc = false";
    Greyhound::new(world, &client, &(POOL.to_owned() + &unicast("ams", AMS, 0, more)))?.apply()?;
    answer(&ams, "tun", &format!("local {AMS} remote 198.51.100.8 key 42 tos 0xb8 ttl 99 nopmtudisc"), 0)?;
    let receiver = Receiver::start(&ams, "169.254.10.1:9000".parse()?)?;
    let capture = Capture::start(&client, "eth0")?;
    let sender = Sender::start(&client, "169.254.10.1:9000".parse()?)?;
    sent(&sender, 100)?;
    receiver.report(sender.stop())?.complete()?;
    let outer = gre(capture.stop()?);
    ensure!(outer.len() >= 100, "{} outer packets", outer.len());
    for packet in outer {
        let key = packet.gre.as_ref().and_then(|gre| gre.key);
        ensure!(key == Some(42) && packet.tos == 0xb8 && packet.ttl == 99, "key {key:?}: {packet}");
    }
    Ok(())
}

fn a_packet_too_big_for_the_underlay_passes_with_ignore_df(world: &World) -> Result<()> {
    let (_underlay, [client, ams, _fra]) = three(world)?;
    let more = "mtu = 1500\npmtudisc = false\nignore-df = true";
    Greyhound::new(world, &client, &(POOL.to_owned() + &unicast("ams", AMS, 0, more)))?.apply()?;
    let options = "nopmtudisc ignore-df";
    answer(&ams, "tun", &format!("local {AMS} remote 198.51.100.8 {options}"), 0)?;
    ams.ip("link set tun mtu 1500")?;
    client.exec(["ping", "-c2", "-i0.2", "-W10", "-M", "do", "-s", "1472", "169.254.10.1"])?;
    Ok(())
}

fn the_mtu_follows_the_path_in_place(world: &World) -> Result<()> {
    let leaf = Leaf::new("client", "192.0.2.10/24").mtu(1400);
    let (_underlay, [client]) = Underlay::build(world, [leaf])?;
    let declaration = [
        POOL.to_owned(),
        unicast("plain", AMS, 0, ""),
        unicast("keyed", AMS, 1, "key = 1"),
        unicast("fixed", AMS, 2, "mtu = 1234"),
        unicast("narrow", FRA, 3, ""),
    ];
    let greyhound = Greyhound::new(world, &client, &declaration.concat())?;
    client.ip("route add 203.0.114.0/24 via 192.0.2.254 mtu 1300")?;
    greyhound.apply()?;
    let expect = |name: &str, mtu: &str| {
        let found = look::gre(&client, name, "mtu")?;
        ensure!(found == mtu, "{name} has an MTU of {found}, not {mtu}");
        Ok(())
    };
    let all = |plain, keyed, narrow| {
        expect("gh-plain", plain)?;
        expect("gh-keyed", keyed)?;
        expect("gh-fixed", "1234")?;
        expect("gh-narrow", narrow)
    };
    all("1376", "1372", "1276")?;
    let index = look::index(&client, "gh-plain")?;
    client.ip("link set eth0 mtu 1450")?;
    greyhound.apply()?;
    all("1426", "1422", "1276")?;
    ensure!(look::index(&client, "gh-plain")? == index, "gh-plain was made anew");
    Ok(())
}

fn the_mtu_is_no_larger_than_the_kernel_takes(world: &World) -> Result<()> {
    let host = world.host("client")?;
    host.ip(&format!("route add {AMS}/32 dev lo"))?;
    let declaration = POOL.to_owned() + &unicast("plain", AMS, 0, "") + &unicast("keyed", AMS, 1, "key = 1");
    Greyhound::new(world, &host, &declaration)?.apply()?;
    for (name, mtu) in [("gh-plain", "65511"), ("gh-keyed", "65507")] {
        ensure!(look::gre(&host, name, "mtu")? == mtu, "{name}");
        let more = mtu.parse::<u32>()? + 1;
        let larger = host.try_exec(["ip", "link", "set", name, "mtu", &more.to_string()])?;
        ensure!(!larger.status.success(), "the kernel takes more than {mtu}");
    }
    Ok(())
}

/// Fragmentation-needed messages are not authenticated, and what they teach is forgotten after ten minutes.
fn the_mtu_is_not_what_a_message_taught_the_kernel(world: &World) -> Result<()> {
    let (_underlay, [client, _ams]) = Underlay::build(
        world,
        [Leaf::new("client", "192.0.2.10/24"), Leaf::new("ams", "203.0.113.1/24").mtu(1300)],
    )?;
    client.try_exec(["ping", "-c2", "-i0.2", "-W2", "-M", "do", "-s", "1400", AMS])?;
    let learned = client.ip(&format!("route get {AMS}"))?.stdout;
    ensure!(learned.contains("mtu 1300"), "nothing was learned: {learned}");
    let greyhound = Greyhound::new(world, &client, &(POOL.to_owned() + &unicast("ams", AMS, 0, "")))?;
    greyhound.apply()?;
    let mtu = look::gre(&client, "gh-ams", "mtu")?;
    ensure!(mtu == "1476", "an MTU of {mtu}");
    Ok(())
}

fn the_client_address_is_the_source_of_routed_packets(world: &World) -> Result<()> {
    let (_underlay, [client, ams, _fra]) = three(world)?;
    let more = "client = \"203.0.113.77\"\nroutes = [\"10.20.0.0/16\"]";
    let declaration = POOL.to_owned() + &tunnel("ams", "unicast", "198.51.100.12", AMS, 0, more);
    Greyhound::new(world, &client, &declaration)?.apply()?;
    answer(&ams, "tun", &format!("local {AMS} remote 198.51.100.12"), 0)?;
    ams.ip_batch("address add 10.20.0.1/32 dev lo\nroute add 203.0.113.77/32 dev tun\n")?;
    let capture = Capture::start(&ams, "eth0")?;
    ping(&client, "10.20.0.1")?;
    let outer = gre(capture.stop()?);
    let inner = outer.iter().filter_map(Packet::inner).find(|inner| inner.destination.octets()[0] == 10);
    let source = inner.map(|inner| inner.source.to_string());
    ensure!(source.as_deref() == Some("203.0.113.77"), "the inner source is {source:?}");
    ensure!(look::way(&client, "10.20.9.9")?["prefsrc"] == "203.0.113.77", "not the preferred source");
    Ok(())
}
