//! Several clients of one device, and what keeps outer packets out of tunnels.

use super::fleet_kit::{AGREED, Fleet, client, links};
use super::tunnels::ping;
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Daemon, Greyhound, Host, Result, World, ensure, eventually};
use anyhow::Context as _;
use serde_json::Value;
use std::net::Ipv4Addr;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(clients_share_a_termination_where_that_is_the_policy),
    scenario!(clients_reach_each_other_where_routes_are_the_inventorys),
    scenario!(a_strict_filter_that_would_drop_the_answers_is_refused_with_the_reason),
];

/// Another client, on a link of its own.
fn second(world: &World, fleet: &Fleet, more: &str) -> Result<(Host, Greyhound)> {
    let host = world.host("other")?;
    let router = fleet.underlay.router.namespace();
    host.ip_batch(&format!(
        "link add eth0 type veth peer name other netns {router}\naddress add 192.0.5.10/24 dev eth0\n\
         link set eth0 up\n"
    ))?;
    fleet.underlay.router.ip_batch("address add 192.0.5.254/24 dev other\nlink set other up\n")?;
    host.ip("route add default via 192.0.5.254")?;
    let path = fleet.path.display().to_string();
    let greyhound = Greyhound::new(world, &host, &client("client-2", more, &path))?;
    Ok((host, greyhound))
}

/// An address of the tunnel on this host, by its prefix length.
fn inside(host: &Host, length: u64) -> Result<Ipv4Addr> {
    let shown = host.exec(["ip", "-j", "address", "show", "dev", "gh-unicast"])?.stdout;
    let shown: Value = serde_json::from_str(&shown)?;
    let all = shown[0]["addr_info"].as_array().context("addresses")?.clone();
    let found = all.iter().find(|address| address["prefixlen"] == length).context("none of this length")?;
    Ok(found["local"].as_str().context("text")?.parse()?)
}

fn clients_share_a_termination_where_that_is_the_policy(world: &World) -> Result<()> {
    let fleet = Fleet::build(world, "")?;
    let _daemons = fleet.start()?;
    fleet.client.ends(0, "device set ams-1 --sharing per-client")?;
    let (other_host, other) = second(world, &fleet, "")?;
    let _other = Daemon::start(&other)?;
    eventually(AGREED, || other.ends(0, "connect unicast --termination 198.51.100.8 --no-wait"))?;
    fleet.client.ends(0, "connect unicast --termination 198.51.100.8")?;
    let refused = fleet.client.ends(1, "connect unicast --termination 198.51.100.8")?.stderr;
    ensure!(refused.contains("198.51.100.8"), "one client never has it twice: {refused}");
    eventually(AGREED, || {
        ensure!(links(&fleet.ams.host)?.len() == 2);
        for host in [&fleet.client.host, &other_host] {
            let ours = inside(host, 31)?;
            ping(host, &Ipv4Addr::from(u32::from(ours) ^ 1).to_string())?;
        }
        Ok(())
    })
}

fn clients_reach_each_other_where_routes_are_the_inventorys(world: &World) -> Result<()> {
    let fleet = Fleet::build(world, "")?;
    let _daemons = fleet.start()?;
    let everything = "routes = \"inventory\"";
    let path = fleet.path.display().to_string();
    fleet.client.declare(&client("client-1", everything, &path))?;
    fleet.client.json(0, "reload")?;
    let (other_host, other) = second(world, &fleet, everything)?;
    let _other = Daemon::start(&other)?;
    eventually(AGREED, || other.ends(0, "connect unicast --device ams-1"))?;
    eventually(AGREED, || fleet.client.ends(0, "connect unicast --device ams-1"))?;
    eventually(AGREED, || {
        let (one, two) = (inside(&fleet.client.host, 32)?, inside(&other_host, 32)?);
        let routes = fleet.client.host.exec(["ip", "route", "show", "table", "4700"])?.stdout;
        ensure!(
            routes.contains(&format!("{two} dev gh-unicast")) && routes.contains("198.51.100.8/29"),
            "{routes}"
        );
        ensure!(routes.contains(&format!("src {one}")), "with the client's address as source: {routes}");
        ping(&fleet.client.host, &two.to_string())?;
        ping(&other_host, &one.to_string())
    })?;
    // The terminations are among what is routed into tunnels, and outer packets are not.
    ensure!(fleet.session("unicast")?["steps"]["answered"] == true);
    other.json(0, "disconnect unicast")?;
    eventually(AGREED, || {
        let routes = fleet.client.host.exec(["ip", "route", "show", "table", "4700"])?.stdout;
        let to_clients = routes.lines().any(|route| route.starts_with("10.8.0."));
        ensure!(!to_clients, "a client that has gone is routed to: {routes}");
        Ok(())
    })
}

fn a_strict_filter_that_would_drop_the_answers_is_refused_with_the_reason(world: &World) -> Result<()> {
    let fleet = Fleet::build(world, "")?;
    let _daemons = fleet.start()?;
    let path = fleet.path.display().to_string();
    fleet.client.declare(&client("client-1", "routes = [\"198.51.100.0/24\"]", &path))?;
    fleet.client.json(0, "reload")?;
    fleet.client.host.sysctl("net.ipv4.conf.eth0.rp_filter", "1")?;
    let refused = fleet.client.ends(1, "connect unicast")?.stderr;
    ensure!(refused.contains("strict rp_filter on eth0 would drop what comes from 198.51.100."), "{refused}");
    ensure!(refused.contains("set net/ipv4/conf/eth0/rp_filter to 2"), "{refused}");
    ensure!(fleet.client.json(0, "session list")? == serde_json::json!([]));
    fleet.client.host.sysctl("net.ipv4.conf.eth0.rp_filter", "2")?;
    fleet.client.ends(0, "connect unicast")?;
    ensure!(fleet.session("unicast")?["steps"]["answered"] == true);
    Ok(())
}
