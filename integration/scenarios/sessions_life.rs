//! What sessions outlive: daemons, kernels, the inventory's absence, another address of the client. The edge is the fence.

use super::daemon_kit::{last, told};
use super::fleet_kit::{AGREED, BEHIND, Fleet, links};
use super::tunnels::ping;
use crate::support::needs::NETEM;
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Daemon, Host, Result, World, ensure, eventually};
use anyhow::Context as _;
use serde_json::Value;
use std::time::Duration;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(a_session_comes_back_after_a_reboot_of_both_ends_with_no_cli),
    scenario!(with_the_inventory_away_everything_stays_and_what_needs_it_waits),
    scenario!(addresses_are_given_anew_only_after_the_edge_has_confirmed),
    scenario!(who_stops_waiting_leaves_a_session_that_disconnect_ends),
    scenario!(a_session_follows_its_hosts_address_and_keeps_its_own),
    scenario!(nothing_is_routed_into_a_tunnel_that_is_down).needs(&[NETEM]),
    scenario!(an_inventory_that_went_back_changes_nothing_until_a_person_says_so),
    scenario!(a_client_with_ranges_of_its_own_leases_one_for_each_session),
];

/// What a session has, whatever its state.
fn having(session: &Value) -> Value {
    let field = |name: &str| session[name].clone();
    ["session", "device", "termination", "overlay", "client"].map(field).into_iter().collect()
}

/// As a reboot leaves a host: nothing of greyhound's is in the kernel, its state is on disk.
fn reboot(host: &Host) -> Result<()> {
    for link in links(host)? {
        host.ip(&format!("link delete {link}"))?;
    }
    // The rules are ours alone in these hosts, and so are the labelled addresses.
    host.exec([
        "sh",
        "-c",
        "ip rule flush; ip rule add pref 32766 lookup main; ip rule add pref 32767 lookup default",
    ])?;
    host.exec(["sh", "-c", "for a in $(ip -o address show dev lo label 'lo:gh' | awk '{print $4}'); do ip address delete $a dev lo; done"])?;
    Ok(())
}

fn ready(fleet: &Fleet, name: &str) -> Result<Value> {
    eventually(AGREED, || {
        let session = fleet.session(name)?;
        ensure!(session["state"] == "ready" && session["steps"]["answered"] == true, "{session}");
        Ok(session)
    })
}

fn a_session_comes_back_after_a_reboot_of_both_ends_with_no_cli(world: &World) -> Result<()> {
    let fleet = Fleet::build(world, "")?;
    let [client, ams, fra] = fleet.start()?;
    fleet.client.json(0, "connect unicast --device ams-1")?;
    let before = having(&ready(&fleet, "unicast")?);
    for daemon in [client, ams, fra] {
        daemon.kill()?;
    }
    for greyhound in [&fleet.client, &fleet.ams, &fleet.fra] {
        reboot(&greyhound.host)?;
    }
    let _edges = [Daemon::start(&fleet.ams)?, Daemon::start(&fleet.fra)?];
    let _client = Daemon::start(&fleet.client)?;
    let after = ready(&fleet, "unicast")?;
    ensure!(having(&after) == before, "{after}, and it was {before}");
    ping(&fleet.client.host, BEHIND)
}

fn with_the_inventory_away_everything_stays_and_what_needs_it_waits(world: &World) -> Result<()> {
    let fleet = Fleet::build(world, "")?;
    let [client, ams, _fra] = fleet.start()?;
    fleet.client.json(0, "connect unicast --device ams-1")?;
    let before = having(&ready(&fleet, "unicast")?);
    let directory = fleet.path.parent().context("a directory")?.to_owned();
    let away = directory.with_extension("away");
    client.kill()?;
    ams.kill()?;
    std::fs::rename(&directory, &away)?;
    reboot(&fleet.client.host)?;
    reboot(&fleet.ams.host)?;
    let _ams = Daemon::start(&fleet.ams)?;
    let seq = last(&fleet.client)?;
    let _client = Daemon::start(&fleet.client)?;
    ping(&fleet.client.host, BEHIND).context("from what was kept")?;
    told(&fleet.client, seq, "session", "is not there, and is not made here")?;
    let said = fleet.client.ends(1, "connect multicast")?.stderr;
    ensure!(said.contains("the inventory is away"), "{said}");
    ensure!(!fleet.path.exists(), "an empty inventory was made in its place");
    let plan = fleet.client.json(0, "plan --offline")?;
    ensure!(plan["steps"] == serde_json::json!([]), "without a daemon it is the same: {plan}");
    std::fs::rename(&away, &directory)?;
    eventually(Duration::from_secs(40), || {
        let session = fleet.session("unicast")?;
        ensure!(having(&session) == before, "{session}");
        fleet.client.ends(0, "connect multicast")
    })?;
    told(&fleet.client, seq, "session", "the inventory is back")?;
    Ok(())
}

fn an_inventory_that_went_back_changes_nothing_until_a_person_says_so(world: &World) -> Result<()> {
    let fleet = Fleet::build(world, "")?;
    let _daemons = fleet.start()?;
    fleet.client.json(0, "connect unicast --device ams-1")?;
    ready(&fleet, "unicast")?;
    let seq = last(&fleet.client)?;
    // Another one in its place: empty, and at its beginning.
    let directory = fleet.path.parent().context("a directory")?.to_owned();
    std::fs::rename(&directory, directory.with_extension("before"))?;
    fleet.client.ends(0, "device list")?;
    eventually(AGREED, || {
        told(&fleet.client, seq, "session", "it was replaced by an older one, or by another")
    })?;
    ensure!(links(&fleet.client.host)?.len() == 1 && links(&fleet.ams.host)?.len() == 1);
    ping(&fleet.client.host, BEHIND)?;
    fleet.client.json(0, "reload")?;
    eventually(AGREED, || {
        ensure!(links(&fleet.client.host)?.is_empty(), "the empty one is believed now");
        Ok(())
    })
}

fn addresses_are_given_anew_only_after_the_edge_has_confirmed(world: &World) -> Result<()> {
    let fleet = Fleet::build(world, "")?;
    let [_client, ams, _fra] = fleet.start()?;
    fleet.client.json(0, "connect unicast --device ams-1 --termination 198.51.100.8")?;
    ready(&fleet, "unicast")?;
    ams.kill()?;
    let ended = fleet.client.json(4, "disconnect unicast --timeout 2")?;
    ensure!(ended[0]["gone"] == false && ended[0]["took_ms"]["tunnel down"].is_number(), "{ended}");
    ensure!(links(&fleet.client.host)?.is_empty() && links(&fleet.ams.host)?.len() == 1);
    let said = fleet.client.ends(1, "connect unicast --termination 198.51.100.8")?;
    ensure!(said.stderr.contains("ams-1 198.51.100.8: it is taken"), "{}", said.stderr);
    let _ams = Daemon::start(&fleet.ams)?;
    eventually(AGREED, || {
        ensure!(links(&fleet.ams.host)?.is_empty());
        fleet.client.ends(0, "connect unicast --termination 198.51.100.8")
    })?;
    Ok(())
}

fn who_stops_waiting_leaves_a_session_that_disconnect_ends(world: &World) -> Result<()> {
    let fleet = Fleet::build(world, "")?;
    let [_client, ams, _fra] = fleet.start()?;
    ams.kill()?;
    // As Ctrl-C, while the edge is not there to answer.
    let connect = fleet.client.words("connect unicast --device ams-1").join(" ");
    let program = crate::support::world::greyhound().display();
    let waits = format!("timeout --preserve-status -s INT 3 {program} {connect}; echo ended with $?");
    let said = fleet.client.host.exec(["sh", "-c", &waits])?.stdout;
    ensure!(said.contains("leased") && !said.contains("edge ready"), "{said}");
    ensure!(said.contains("ended with 130"), "{said}");
    ensure!(fleet.session("unicast")?["state"] == "requested");
    let _ams = Daemon::start(&fleet.ams)?;
    ready(&fleet, "unicast")?;
    let ended = fleet.client.json(0, "disconnect unicast")?;
    ensure!(ended[0]["gone"] == true, "{ended}");
    Ok(())
}

fn a_session_follows_its_hosts_address_and_keeps_its_own(world: &World) -> Result<()> {
    let fleet = Fleet::build(world, "")?;
    let _daemons = fleet.start()?;
    let host = &fleet.client.host;
    fleet.client.json(0, "connect unicast --device ams-1")?;
    let before = ready(&fleet, "unicast")?;
    ensure!(before["bound"] == "192.0.2.10", "{before}");
    host.ip_batch(
        "address add 192.0.2.77/24 dev eth0\n\
         route replace default via 192.0.2.254 src 192.0.2.77\n\
         address delete 192.0.2.10/24 dev eth0\n",
    )?;
    // With its first address the kernel takes the others of its prefix, and their routes, unless they are promoted.
    host.ip_batch(
        "address replace 192.0.2.77/24 dev eth0\n\
         route replace default via 192.0.2.254 src 192.0.2.77\n",
    )?;
    eventually(AGREED, || {
        let after = fleet.session("unicast")?;
        ensure!(after["bound"] == "192.0.2.77" && after["state"] == "ready", "{after}");
        ensure!(having(&after) == having(&before), "{after}, and it was {before}");
        Ok(())
    })?;
    ping(host, BEHIND)?;
    // Behind a 1:1 NAT the edge sees another address than the one that the tunnel is bound to.
    let public = "public_address = \"192.0.2.200\"";
    let text = super::fleet_kit::client("client-1", public, &fleet.path.display().to_string());
    fleet.client.declare(&text)?;
    fleet.client.json(0, "reload")?;
    eventually(AGREED, || {
        let after = fleet.session("unicast")?;
        ensure!(after["bound"] == "192.0.2.77" && after["public"] == "192.0.2.200", "{after}");
        let links = fleet.ams.host.exec(["ip", "-d", "link", "show", "type", "gre"])?.stdout;
        ensure!(links.contains("remote 192.0.2.200"), "{links}");
        Ok(())
    })
}

fn nothing_is_routed_into_a_tunnel_that_is_down(world: &World) -> Result<()> {
    let fleet = Fleet::build(world, "")?;
    let _daemons = fleet.start()?;
    fleet.client.json(0, "connect unicast --device ams-1")?;
    ready(&fleet, "unicast")?;
    let into = || -> Result<bool> {
        let routes = fleet.client.host.exec(["ip", "route", "show", "table", "4700"])?.stdout;
        Ok(routes.contains("10.9.0.0/16"))
    };
    ensure!(into()?, "routed while it is up");
    fleet.underlay.silence(&fleet.ams.host)?;
    eventually(AGREED, || {
        ensure!(!into()?, "still routed");
        let down = fleet.client.tunnel("unicast", "probe")?;
        ensure!(down["liveness"] == "down", "{down}");
        Ok(())
    })?;
    for way in [crate::support::underlay::Way::To, crate::support::underlay::Way::From] {
        fleet.underlay.heal(&fleet.ams.host, way)?;
    }
    eventually(AGREED, || {
        ensure!(into()?, "not routed again");
        ping(&fleet.client.host, BEHIND)
    })
}

fn a_client_with_ranges_of_its_own_leases_one_for_each_session(world: &World) -> Result<()> {
    let pool = "[[pool]]\nname = \"loopbacks\"\npurpose = \"termination\"\nranges = [\"192.0.3.0/30\"]";
    let fleet = Fleet::build(world, pool)?;
    let _daemons = fleet.start()?;
    fleet.client.json(0, "connect unicast")?;
    fleet.client.json(0, "connect multicast")?;
    let one = ready(&fleet, "unicast")?["bound"].clone();
    let two = ready(&fleet, "multicast")?["bound"].clone();
    ensure!(one != two, "both are bound to {one}");
    for (name, bound) in [("unicast", &one), ("multicast", &two)] {
        ensure!(bound.as_str().is_some_and(|bound| bound.starts_with("192.0.3.")), "{name}: {bound}");
        ensure!(
            fleet.client.tunnel(name, "local")? == *bound
                && fleet.client.tunnel(name, "pool")? == "loopbacks"
        );
    }
    // Probes of a termination in use leave from its tunnel's address, all others from one of the same range.
    let latency = fleet.client.json(0, "latency")?;
    for row in latency["terminations"].as_array().context("rows")? {
        let source = row["source"].as_str().unwrap_or_default();
        ensure!(source.starts_with("192.0.3."), "{row}");
    }
    fleet.client.json(0, "disconnect --all")?;
    let left = fleet.client.host.exec(["ip", "address", "show", "dev", "lo"])?.stdout;
    let left = left.matches("lo:gh").count();
    ensure!(left == 1, "the probes' own stays: {left}");
    Ok(())
}
