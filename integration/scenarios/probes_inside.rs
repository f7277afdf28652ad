//! Probes that go through tunnels, in VRFs too; and where probes leave from.

use super::probes::{BOTH, EDGE, path};
use super::probes_kit::{MS, ask, by_kernel, probe, reflector, target};
use crate::support::greyhound::unicast;
use crate::support::needs::VRF;
use crate::support::packet::ICMP;
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Capture, Daemon, Greyhound, Host, Result, World, ensure, eventually};
use crate::witness::look;
use anyhow::Context as _;
use greyhound::model::{Method, Target};
use greyhound::probe::{Ask, Pace, Settings};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(probes_go_through_a_tunnel_and_back_through_it),
    scenario!(probes_go_through_a_tunnel_in_a_vrf_and_back).needs(&[VRF]),
    scenario!(a_vrf_without_a_socket_is_told_and_everybody_else_is_answered),
    scenario!(a_daemon_asks_and_answers_in_vrfs).needs(&[VRF]),
    scenario!(before_a_tunnel_has_an_address_probes_have_one),
];

fn probes_go_through_a_tunnel_and_back_through_it(world: &World) -> Result<()> {
    let (_underlay, [client, edge]) = path(world)?;
    inside(&client, &edge, false)
}

fn probes_go_through_a_tunnel_in_a_vrf_and_back(world: &World) -> Result<()> {
    let (_underlay, [client, edge]) = path(world)?;
    for host in [&client, &edge] {
        host.ip_batch("link add red type vrf table 100\nlink set red up\n")?;
    }
    inside(&client, &edge, true)
}

fn inside(client: &Host, edge: &Host, vrf: bool) -> Result<()> {
    client.ip_batch(
        "link add inner type gre local 192.0.2.10 remote 203.0.113.1\naddress add 169.254.10.0/31 dev inner\nlink set inner up\n",
    )?;
    edge.ip_batch(
        "link add inner type gre local 203.0.113.1 remote 192.0.2.10\naddress add 169.254.10.1/31 dev inner\nlink set inner up\n",
    )?;
    let index = |host: &Host, link: &str| -> Result<u32> { Ok(u32::try_from(look::index(host, link)?)?) };
    if vrf {
        client.ip("link set inner master red")?;
        edge.ip("link set inner master red")?;
    }
    let red = |host: &Host| vrf.then(|| index(host, "red")).transpose();
    let tunnels = BTreeSet::from([index(edge, "inner")?]);
    let vrfs = red(edge)?.into_iter().collect();
    let _reflector = reflector(edge, 862, Settings { tunnels, vrfs, ..Settings::default() })?;
    let source = Some("169.254.10.0".parse()?);
    let link = Some(index(client, "inner")?);
    let inside = Target { source, link, vrf: red(client)?, ..target("169.254.10.1") };
    let measured = probe(client, [(inside.clone(), ask(BOTH, 10, 20))])?;
    measured.whole()?;
    ensure!(by_kernel(&measured.answers("169.254.10.1", Method::Icmp)) >= 8, "{:?}", measured.reports);
    edge.ip("link delete inner")?;
    let pace = Pace { interval: MS * 20, timeout: MS * 100 };
    let silent = probe(client, [(inside, Ask { count: Some(5), ..Ask::of(BOTH, pace) })])?;
    ensure!(silent.unanswered() == 10, "{:?}", silent.reports);
    Ok(())
}

/// The kernel takes no ifindex beyond 2^31 - 1.
fn a_vrf_without_a_socket_is_told_and_everybody_else_is_answered(world: &World) -> Result<()> {
    let (_underlay, [client, edge]) = path(world)?;
    let settings = Settings { vrfs: [u32::MAX].into(), ..Settings::default() };
    let mut reflector = reflector(&edge, 862, settings)?;
    ensure!(reflector.deaf().keys().eq([&u32::MAX]), "{:?}", reflector.deaf());
    probe(&client, [(target(EDGE), ask(&[Method::Stamp], 5, 20))])?.whole()?;
    edge.within(|| Ok(reflector.set(Settings::default())?))?;
    ensure!(reflector.deaf().is_empty(), "{:?}", reflector.deaf());
    Ok(())
}

/// P13: what is measured before is measured from where a tunnel will be, not from whatever address the route prefers.
fn before_a_tunnel_has_an_address_probes_have_one(world: &World) -> Result<()> {
    let (_underlay, [client, _edge]) = path(world)?;
    let pool = |name: &str, range: &str| {
        format!("[[pool]]\nname = \"{name}\"\npurpose = \"termination\"\nranges = [\"{range}\"]\n")
    };
    let (one, more) = (pool("one", "198.51.100.9/32"), pool("more", "198.51.100.16/29"));
    let tunnel = |name, pair| unicast(name, EDGE, pair, &format!("key = {pair}\npool = \"one\""));
    let two = tunnel("a", 0) + &tunnel("b", 1);
    let greyhound = Greyhound::new(world, &client, &(one.clone() + &two))?;
    let daemon = Daemon::start(&greyhound)?;
    let source = |tunnel: &str| {
        let latency = greyhound.json(0, "latency")?;
        let rows = latency["terminations"].as_array().cloned().unwrap_or_default();
        let row = rows.into_iter().find(|row| row["device"] == tunnel).context("no row")?;
        Ok::<_, anyhow::Error>(row["source"].clone())
    };
    ensure!(source("a")? == "198.51.100.9" && source("b")?.is_null(), "{}", source("b")?);
    let capture = Capture::start(&client, "eth0")?;
    greyhound.declare(&(one.clone() + &more + &two))?;
    greyhound.ends(4, "reload")?;
    let probe = "198.51.100.16";
    ensure!(source("b")? == probe, "{}", source("b")?);
    let lent = greyhound.json(0, "lease list")?.to_string();
    ensure!(lent.contains("\"holder\":\"probe\""), "{lent}");
    std::thread::sleep(Duration::from_secs(12));
    let asked = capture.stop()?;
    let from: Ipv4Addr = probe.parse()?;
    ensure!(asked.iter().any(|packet| packet.source == from && packet.protocol == ICMP), "{asked:?}");
    // For good: also when nobody needs it now, and after a restart.
    greyhound.declare(&(one + &more + &tunnel("a", 0)))?;
    greyhound.ends(0, "reload")?;
    daemon.stop()?;
    let _daemon = Daemon::start(&greyhound)?;
    let kept = greyhound.json(0, "lease list")?.to_string();
    ensure!(kept.contains("\"holder\":\"probe\"") && kept.contains(probe), "{kept}");
    let lo = look::addresses(&client, "lo")?;
    ensure!(lo.iter().any(|address| address.starts_with(probe)), "{lo:?}");
    Ok(())
}

/// Only the peer inside may ask, so whatever is answered came through the tunnel, and out of the VRF.
fn a_daemon_asks_and_answers_in_vrfs(world: &World) -> Result<()> {
    let (_underlay, [client, edge]) = path(world)?;
    let tunnel = |name: &str, local: &str, remote: &str, overlay: &str| {
        format!(
            "[[tunnel]]\nname = \"{name}\"\nkind = \"unicast\"\nlocal = \"{local}\"\nremote = \"{remote}\"\n\
             overlay = \"{overlay}/31\"\nvrf = \"red\"\n"
        )
    };
    let ours = Greyhound::new(world, &client, &tunnel("edge", "192.0.2.10", EDGE, "169.254.10.0"))?;
    let theirs =
        tunnel("client", EDGE, "192.0.2.10", "169.254.10.1") + "[reflector]\nallow = [\"192.0.2.99/32\"]\n";
    let theirs = Greyhound::new(world, &edge, &theirs)?;
    let _daemons = [Daemon::start(&ours)?, Daemon::start(&theirs)?];
    let answered = || {
        let latency = theirs.json(0, "latency")?;
        latency["reflector"]["answered"].as_u64().with_context(|| latency.to_string())
    };
    // The VRFs come later, and again with another ifindex.
    for _ in 0..2 {
        for host in [&client, &edge] {
            host.ip_batch("link add red type vrf table 100\nlink set red up\n")?;
        }
        let before = answered()?;
        eventually(Duration::from_secs(30), || {
            ensure!(answered()? > before + 3, "{} after {before}", answered()?);
            Ok(())
        })?;
        client.ip("link delete red")?;
        edge.ip("link delete red")?;
    }
    Ok(())
}
