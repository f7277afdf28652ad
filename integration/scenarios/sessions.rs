//! Sessions: a client connects, both ends build the tunnel, and nothing is left when it ends.

use super::daemon_kit::{last, since, told};
use super::fleet_kit::{AGREED, BEHIND, Fleet, links};
use super::tunnels::ping;
use crate::support::needs::NETEM;
use crate::support::scenario::{Scenario, scenario};
use crate::support::underlay::Way;
use crate::support::{Daemon, Result, World, ensure, eventually};
use serde_json::json;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(two_sessions_of_one_client_pass_traffic_and_leave_nothing).needs(&[NETEM]),
    scenario!(an_edge_box_registers_itself_once_and_answers_at_its_terminations),
];

fn two_sessions_of_one_client_pass_traffic_and_leave_nothing(world: &World) -> Result<()> {
    let fleet = Fleet::build(world, "")?;
    fleet.underlay.impair(&fleet.fra.host, Way::To, "delay 20ms")?;
    let _daemons = fleet.start()?;
    let client = &fleet.client;
    let unicast = client.json(0, "connect unicast")?;
    let session = &unicast["session"];
    ensure!(session["device"] == "ams-1" && session["tunnel"] == "unicast", "{unicast}");
    for step in ["leased", "edge ready", "link up", "reply received"] {
        ensure!(unicast["took_ms"][step].is_number(), "{step}: {unicast}");
    }
    let multicast = client.json(0, "connect multicast --subscribe 239.1.0.1")?;
    let second = &multicast["session"];
    ensure!(second["device"] == "ams-1", "the next best of the same device: {multicast}");
    ensure!(second["termination"] != session["termination"], "{multicast}");
    ping(&client.host, BEHIND)?;
    ping(&client.host, "169.254.20.0")?;
    ping(&client.host, "169.254.20.2")?;
    eventually(AGREED, || {
        for name in ["unicast", "multicast"] {
            let session = fleet.session(name)?;
            ensure!(session["state"] == "ready", "{session}");
        }
        Ok(())
    })?;
    ensure!(links(&fleet.ams.host)?.len() == 2 && links(&fleet.fra.host)?.is_empty());
    let ended = client.json(0, "disconnect --all")?;
    ensure!(ended.as_array().is_some_and(|all| all.iter().all(|one| one["gone"] == true)), "{ended}");
    for host in [&client.host, &fleet.ams.host, &fleet.fra.host] {
        ensure!(links(host)?.is_empty(), "{:?}", links(host)?);
    }
    ensure!(client.json(0, "session list")? == json!([]));
    let leases = client.json(0, "lease list")?;
    let of_sessions = leases.to_string().contains("session/");
    ensure!(!of_sessions, "{leases}");
    Ok(())
}

fn an_edge_box_registers_itself_once_and_answers_at_its_terminations(world: &World) -> Result<()> {
    let fleet = Fleet::build(world, "")?;
    let edge = &fleet.ams;
    let daemon = Daemon::start(edge)?;
    let registered = "device ams-1 is registered, pending: its prefixes have room for 8 termination(s)";
    eventually(AGREED, || told(edge, 0, "session", registered))?;
    eventually(AGREED, || told(edge, 0, "session", "ams-1/lo offers 8 termination(s): 198.51.100.8, "))?;
    let labelled = || -> Result<usize> {
        let shown = edge.host.exec(["ip", "-o", "address", "show", "dev", "lo", "label", "lo:gh"])?.stdout;
        Ok(shown.lines().filter(|line| line.contains("inet 198.51.100.") && line.contains("/32")).count())
    };
    eventually(AGREED, || {
        ensure!(labelled()? == 8, "{} of 8 are on lo", labelled()?);
        Ok(())
    })?;
    // All addresses of a /29 are hosts here, the first and the last too.
    for address in ["198.51.100.8", "198.51.100.15"] {
        eventually(AGREED, || {
            fleet.client.host.greyhound(["probe", address, "--count", "2", "--method", "both"]).and_then(
                |said| {
                    ensure!(said.status.success(), "{}{}", said.stdout, said.stderr);
                    Ok(())
                },
            )
        })?;
    }
    edge.host.ip("address delete 198.51.100.12/32 dev lo")?;
    eventually(AGREED, || {
        ensure!(labelled()? == 8, "it was not put back");
        Ok(())
    })?;
    let before = edge.json(0, "inventory export")?;
    daemon.kill()?;
    let seq = last(edge)?;
    let _daemon = Daemon::start(edge)?;
    ensure!(labelled()? == 8);
    std::thread::sleep(std::time::Duration::from_secs(2));
    let said: Vec<_> = since(edge, seq)?.into_iter().filter(|event| event.kind == "session").collect();
    ensure!(said.is_empty(), "it registers itself once: {said:?}");
    ensure!(edge.json(0, "inventory export")? == before);
    Ok(())
}
