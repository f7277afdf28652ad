//! The lab itself: kernel, hosts, captures and traffic, with plain iproute2 on both ends.

use crate::support::needs::{DUMMY, NETEM};
use crate::support::scenario::{Scenario, scenario};
use crate::support::underlay::Way;
use crate::support::{Capture, Host, Leaf, Receiver, Result, Sender, Underlay, World, ensure};
use crate::support::{eventually, packet};
use nix::sys::signal::kill;
use std::time::{Duration, Instant};

pub const SCENARIOS: &[Scenario] = &[
    scenario!(a_tunnel_of_iproute2_carries_a_stream_from_its_secondary_address),
    scenario!(a_stream_shows_what_was_lost).needs(&[NETEM]),
    scenario!(a_group_is_heard_through_a_tunnel),
    scenario!(delay_is_measured_by_ping).needs(&[NETEM]),
    scenario!(the_greyhound_under_test_runs),
    scenario!(hosts_and_processes_end_with_their_guards).needs(&[DUMMY]),
];

const CLIENT: &str = "198.51.100.8";
const EDGE: &str = "203.0.113.1";

/// A client with a secondary loopback address, an edge, and a GRE tunnel between the two, by iproute2.
fn tunnel(world: &World) -> Result<(Underlay, Host, Host)> {
    let (underlay, [client, edge]) = Underlay::build(
        world,
        [Leaf::new("client", "192.0.2.10/24").owns("198.51.100.0/24"), Leaf::new("edge", "203.0.113.1/24")],
    )?;
    client.ip_batch(&format!(
        "address add {CLIENT}/32 dev lo\n\
         link add tun type gre local {CLIENT} remote {EDGE} ttl 64\n\
         address add 169.254.10.0/31 dev tun\n\
         link set tun up multicast on\n\
         route add 239.1.0.0/16 dev tun\n"
    ))?;
    edge.ip_batch(&format!(
        "link add tun type gre local {EDGE} remote {CLIENT} ttl 64\n\
         address add 169.254.10.1/31 dev tun\n\
         link set tun up multicast on\n"
    ))?;
    Ok((underlay, client, edge))
}

fn a_tunnel_of_iproute2_carries_a_stream_from_its_secondary_address(world: &World) -> Result<()> {
    let (_underlay, client, edge) = tunnel(world)?;
    let receiver = Receiver::start(&edge, "169.254.10.1:9000".parse()?)?;
    let capture = Capture::start(&edge, "eth0")?;
    let sender = Sender::start(&client, "169.254.10.1:9000".parse()?)?;
    eventually(Duration::from_secs(10), || {
        ensure!(sender.sent() >= 300, "only {} sent", sender.sent());
        Ok(())
    })?;
    let report = receiver.report(sender.stop())?;
    report.complete()?;

    let packets = capture.stop()?;
    let outer: Vec<_> = packets.iter().filter(|packet| packet.protocol == packet::GRE).collect();
    ensure!(outer.len() as u64 == report.sent, "{} GRE packets for {report}", outer.len());
    for packet in outer {
        ensure!(packet.source.to_string() == CLIENT && packet.ttl == 63, "{packet}");
        let inner = packet.inner().map(|inner| (inner.protocol, inner.destination.to_string()));
        ensure!(inner == Some((packet::UDP, "169.254.10.1".to_owned())), "{packet}");
    }
    Ok(())
}

fn a_stream_shows_what_was_lost(world: &World) -> Result<()> {
    let (underlay, client, edge) = tunnel(world)?;
    let receiver = Receiver::start(&edge, "169.254.10.1:9000".parse()?)?;
    let sender = Sender::start(&client, "169.254.10.1:9000".parse()?)?;
    let more = |count: u64| {
        let from = sender.sent();
        eventually(Duration::from_secs(10), || {
            ensure!(sender.sent() >= from + count, "only {} sent", sender.sent() - from);
            Ok(())
        })
    };
    more(100)?;
    underlay.silence(&edge)?;
    more(100)?;
    underlay.heal(&edge, Way::To)?;
    underlay.heal(&edge, Way::From)?;
    more(100)?;
    let report = receiver.report(sender.stop())?;
    ensure!(report.lost >= 100 && report.gap == report.lost, "one outage of at least 100 numbers: {report}");
    ensure!(report.received >= 200 && report.duplicated == 0, "the rest came: {report}");
    Ok(())
}

fn a_group_is_heard_through_a_tunnel(world: &World) -> Result<()> {
    let (_underlay, client, edge) = tunnel(world)?;
    let group = "239.1.2.3:9000".parse()?;
    let joined = Receiver::join(&edge, group, "169.254.10.1".parse()?)?;
    let elsewhere = Receiver::join(&edge, "239.1.2.4:9000".parse()?, "169.254.10.1".parse()?)?;
    let sender = Sender::start_from(&client, "169.254.10.0".parse()?, group)?;
    eventually(Duration::from_secs(10), || {
        ensure!(sender.sent() >= 200, "only {} sent", sender.sent());
        Ok(())
    })?;
    let sent = sender.stop();
    joined.report(sent)?.complete()?;
    let nothing = elsewhere.report(sent)?;
    ensure!(nothing.received == 0, "another group heard {nothing}");
    Ok(())
}

fn delay_is_measured_by_ping(world: &World) -> Result<()> {
    let (underlay, client, edge) = tunnel(world)?;
    client.exec(["ping", "-c1", "-W10", "169.254.10.1"])?;
    underlay.impair(&edge, Way::To, "delay 300ms")?;
    let start = Instant::now();
    client.exec(["ping", "-c1", "-W10", "169.254.10.1"])?;
    ensure!(start.elapsed() >= Duration::from_millis(300), "back after {:?}", start.elapsed());
    Ok(())
}

fn the_greyhound_under_test_runs(world: &World) -> Result<()> {
    world.host("kennel")?.greyhound(["--help"])?.success()?;
    Ok(())
}

fn hosts_and_processes_end_with_their_guards(world: &World) -> Result<()> {
    let inner = World::new()?;
    let host = inner.host("brief")?;
    host.ip("link add dummy9 type dummy")?;
    let mut process = host.spawn(["sh", "-c", "echo started; exec sleep 1000"])?;
    eventually(Duration::from_secs(10), || {
        ensure!(process.said() == "started\n", "it said {:?}", process.said());
        process.still_runs()
    })?;
    let (id, namespace) = (process.id(), host.namespace().to_owned());
    let error = host.exec(["sh", "-c", "echo why >&2; exit 3"]).expect_err("status 3 is an error");
    ensure!(format!("{error:#}").contains("exit status: 3: why"), "{error:#}");
    drop((process, host, inner));
    ensure!(kill(id, None).is_err(), "process {id} is still there");
    let left = world.host("observer")?.exec(["ip", "netns", "list"])?.stdout;
    ensure!(!left.contains(&namespace), "left: {left}");
    Ok(())
}
