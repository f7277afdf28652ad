//! Where packets go, inside and outside: default routes, tunnels whose ends lie behind other tunnels, VRFs.

use super::tunnels::{AMS, FRA, ping, three};
use crate::support::greyhound::{POOL, answer, unicast};
use crate::support::needs::{DUMMY, VRF};
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Capture, Greyhound, Result, World, ensure, packet};
use crate::witness::look;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(a_default_route_into_a_tunnel_swallows_neither_underlay_nor_lan).needs(&[DUMMY]),
    scenario!(outer_packets_never_enter_a_tunnel),
    scenario!(a_strict_rp_filter_that_drops_answers_is_noted),
    scenario!(without_an_underlay_outer_packets_go_nowhere_and_the_mtu_stays),
    scenario!(a_tunnel_is_inside_a_vrf_and_its_outer_packets_are_not).needs(&[VRF]),
    scenario!(a_tunnel_waits_for_its_vrf_and_comes_up_with_it).needs(&[VRF]),
];

fn a_default_route_into_a_tunnel_swallows_neither_underlay_nor_lan(world: &World) -> Result<()> {
    let (_underlay, [client, ams, fra]) = three(world)?;
    client.ip_batch(
        "link add lan0 type dummy\n\
         address add 10.77.0.1/24 dev lan0\n\
         link set lan0 up\n\
         route add 10.78.0.0/16 via 10.77.0.9\n",
    )?;
    let default = "routes = [\"0.0.0.0/0\"]";
    let declaration = POOL.to_owned() + &unicast("ams", AMS, 0, default) + &unicast("fra", FRA, 1, "");
    let greyhound = Greyhound::new(world, &client, &declaration)?;
    greyhound.apply()?;
    answer(&ams, "tun", &format!("local {AMS} remote 198.51.100.8"), 0)?;
    answer(&fra, "tun", &format!("local {FRA} remote 198.51.100.9"), 1)?;
    ams.ip("address add 100.64.0.1/32 dev lo")?;

    for to in ["100.64.0.1", "8.8.8.8"] {
        look::goes_by(&client, to, "gh-ams")?;
    }
    for to in ["10.77.0.5", "10.78.1.1"] {
        look::goes_by(&client, to, "lan0")?;
    }
    for to in ["192.0.2.254", "203.0.113.1 mark 0x47", "203.0.114.1 mark 0x47"] {
        look::goes_by(&client, to, "eth0")?;
    }
    for to in ["100.64.0.1", "169.254.10.1", "169.254.10.3", "192.0.2.254"] {
        ping(&client, to)?;
    }

    greyhound.declare(&(POOL.to_owned() + &unicast("ams", AMS, 0, "")))?;
    greyhound.apply()?;
    look::goes_by(&client, "8.8.8.8", "eth0")
}

fn outer_packets_never_enter_a_tunnel(world: &World) -> Result<()> {
    let (_underlay, [client, ams, fra]) = three(world)?;
    let declaration = [
        POOL.to_owned(),
        unicast("ams", AMS, 0, "routes = [\"203.0.114.0/24\"]"),
        unicast("fra", FRA, 1, "routes = [\"203.0.113.0/24\"]"),
    ];
    Greyhound::new(world, &client, &declaration.concat())?.apply()?;
    answer(&ams, "tun", &format!("local {AMS} remote 198.51.100.8"), 0)?;
    answer(&fra, "tun", &format!("local {FRA} remote 198.51.100.9"), 1)?;
    look::goes_by(&client, FRA, "gh-ams")?;
    look::goes_by(&client, AMS, "gh-fra")?;
    let capture = Capture::start(&client, "eth0")?;
    ping(&client, "169.254.10.1")?;
    ping(&client, "169.254.10.3")?;
    let packets = capture.stop()?;
    ensure!(packets.iter().filter(|packet| packet.protocol == packet::GRE).count() >= 8, "{packets:?}");
    let nested = packets.iter().find(|p| p.inner().is_some_and(|inner| inner.protocol == packet::GRE));
    ensure!(nested.is_none(), "a tunnel in a tunnel: {nested:?}");
    Ok(())
}

fn a_strict_rp_filter_that_drops_answers_is_noted(world: &World) -> Result<()> {
    let (_underlay, [client, _ams, fra]) = three(world)?;
    client.sysctl("net.ipv4.conf.all.rp_filter", "0")?;
    client.sysctl("net.ipv4.conf.eth0.rp_filter", "1")?;
    let routes = |routes| POOL.to_owned() + &unicast("ams", AMS, 0, routes) + &unicast("fra", FRA, 1, "");
    let greyhound = Greyhound::new(world, &client, &routes(""))?;
    let notes = || Ok::<_, anyhow::Error>(greyhound.apply()?["left"]["notes"].to_string());
    ensure!(notes()? == "[]", "nothing is routed into a tunnel");
    answer(&fra, "tun", &format!("local {FRA} remote 198.51.100.9"), 1)?;
    ping(&client, "169.254.10.3")?;

    greyhound.declare(&routes("routes = [\"203.0.114.0/24\"]"))?;
    let said = notes()?;
    ensure!(said.contains("strict rp_filter on eth0") && said.contains("203.0.114.1 is into ams"), "{said}");
    let lost = client.try_exec(["ping", "-c2", "-i0.2", "-W1", "169.254.10.3"])?;
    ensure!(!lost.status.success(), "no answer was dropped");

    client.sysctl("net.ipv4.conf.eth0.rp_filter", "2")?;
    ensure!(notes()? == "[]", "the filter is loose");
    ping(&client, "169.254.10.3")
}

fn without_an_underlay_outer_packets_go_nowhere_and_the_mtu_stays(world: &World) -> Result<()> {
    let (_underlay, [client, ..]) = three(world)?;
    let greyhound = Greyhound::new(
        world,
        &client,
        &(POOL.to_owned() + &unicast("ams", AMS, 0, "routes = [\"0.0.0.0/0\"]")),
    )?;
    greyhound.apply()?;
    client.ip("route delete default")?;
    look::goes_by(&client, "8.8.8.8", "gh-ams")?;
    let way = client.try_exec(["ip", "route", "get", AMS, "mark", "0x47"])?;
    ensure!(way.stderr.contains("unreachable"), "outer packets still have a way: {}", way.stdout);
    let outcome = greyhound.apply()?;
    ensure!(outcome["done"] == 0, "{outcome}");
    ensure!(look::gre(&client, "gh-ams", "mtu")? == "1476", "the MTU has changed");
    Ok(())
}

fn a_tunnel_is_inside_a_vrf_and_its_outer_packets_are_not(world: &World) -> Result<()> {
    let (_underlay, [client, ams, fra]) = three(world)?;
    client.ip_batch("link add red type vrf table 100\nlink set red up\n")?;
    let routes = "routes = [\"10.20.0.0/16\"]";
    let declaration = [
        POOL.to_owned(),
        unicast("ams", AMS, 0, &format!("vrf = \"red\"\n{routes}")),
        unicast("fra", FRA, 1, routes),
    ];
    let greyhound = Greyhound::new(world, &client, &declaration.concat())?;
    greyhound.apply()?;
    answer(&ams, "tun", &format!("local {AMS} remote 198.51.100.8"), 0)?;
    answer(&fra, "tun", &format!("local {FRA} remote 198.51.100.9"), 1)?;
    ams.ip("address add 10.20.0.1/32 dev lo")?;
    fra.ip("address add 10.20.0.2/32 dev lo")?;

    ensure!(look::gre(&client, "gh-ams", "master")? == "red", "gh-ams is not in red");
    look::goes_by(&client, "10.20.0.1 vrf red", "gh-ams")?;
    look::goes_by(&client, "10.20.0.1", "gh-fra")?;
    client.exec(["ping", "-c2", "-i0.2", "-W10", "-I", "red", "10.20.0.1"])?;
    ping(&client, "10.20.0.2")?;

    let index = look::index(&client, "gh-ams")?;
    greyhound.declare(&declaration.concat().replace("vrf = \"red\"", "metric = 7"))?;
    greyhound.apply()?;
    ensure!(look::gre(&client, "gh-ams", "master")?.is_empty(), "gh-ams is still in a VRF");
    ensure!(look::index(&client, "gh-ams")? == index, "gh-ams was made anew");
    let left = client.json("route show table 100 proto 147")?;
    ensure!(left.as_array().is_some_and(Vec::is_empty), "left in the VRF's table: {left}");
    ping(&client, "169.254.10.1")
}

fn a_tunnel_waits_for_its_vrf_and_comes_up_with_it(world: &World) -> Result<()> {
    let (_underlay, [client, ..]) = three(world)?;
    let red = "vrf = \"red\"\nroutes = [\"10.20.0.0/16\"]";
    let declaration = POOL.to_owned() + &unicast("ams", AMS, 0, red) + &unicast("fra", FRA, 1, "");
    let greyhound = Greyhound::new(world, &client, &declaration)?;
    let outcome = greyhound.apply_partly()?;
    let why = outcome["left"]["held"]["ams"].as_str().unwrap_or_default().to_owned();
    ensure!(why.contains("there is no VRF red: make it first"), "{outcome}");
    look::absent(&client, "gh-ams")?;
    look::present(&client, "gh-fra")?;
    client.ip_batch("link add red type vrf table 100\nlink set red up\n")?;
    greyhound.apply()?;
    look::goes_by(&client, "10.20.0.1 vrf red", "gh-ams")
}
