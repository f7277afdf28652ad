//! What a tunnel learns of its ends: where GRE alone fails, and whether the peer inside answers at all.

use super::daemon_kit::{SOON, last, since, status, told};
use super::moves::{QUICK, block_gre, edges, known, leads_to, remotes};
use super::tunnels::{AMS, FRA, three};
use crate::support::greyhound::answer;
use crate::support::needs::NETEM;
use crate::support::scenario::{Scenario, scenario};
use crate::support::underlay::Way;
use crate::support::{Daemon, Greyhound, Result, World, ensure, eventually};
use crate::witness::Witness;
use anyhow::Context as _;
use serde_json::Value;
use std::thread::sleep;
use std::time::Duration;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(where_gre_alone_failed_is_shown_and_not_forgotten_by_a_restart).needs(&[NETEM]).exclusive(),
    scenario!(a_peer_that_answers_no_overlay_probe_is_found_out_and_not_called_dead)
        .needs(&[NETEM])
        .exclusive(),
    scenario!(a_peer_that_answered_once_is_called_dead_also_after_a_restart).needs(&[NETEM]).exclusive(),
];

/// By these figures a tunnel moves for being better 6 s after a restart, and up to a quarter more.
const WOULD_RETURN: Duration = Duration::from_secs(12);

/// The row of a termination in `latency -j`.
fn row(greyhound: &Greyhound, address: &str) -> Result<Value> {
    let latency = greyhound.json(0, "latency")?;
    let rows = latency["terminations"].as_array().context("no rows")?;
    let found = rows.iter().find(|row| row["termination"] == address);
    Ok(found.with_context(|| format!("no {address} in {latency}"))?.clone())
}

/// It answers, and is said not to be moved to.
fn shunned(greyhound: &Greyhound, address: &str) -> Result<()> {
    let row = row(greyhound, address)?;
    let why = "this tunnel failed there";
    ensure!(row["latency_ms"].is_number(), "{row}");
    ensure!(row["shunned"].as_str().is_some_and(|shunned| shunned.starts_with(why)), "{row}");
    let text = greyhound.ends(0, "latency")?.stdout;
    ensure!(text.contains(&format!("\n! ams: {address}: {why}")), "{text}");
    Ok(())
}

fn where_gre_alone_failed_is_shown_and_not_forgotten_by_a_restart(world: &World) -> Result<()> {
    let (underlay, [client, ams, fra]) = three(world)?;
    let _edges = edges(world, [(&ams, AMS), (&fra, FRA)])?;
    underlay.impair(&fra, Way::To, "delay 60ms")?;
    let greyhound = Greyhound::new(world, &client, &(QUICK.to_owned() + &remotes(AMS, FRA)))?;
    let daemon = Daemon::start(&greyhound)?;
    known(&greyhound)?;
    ensure!(row(&greyhound, AMS)?["shunned"].is_null(), "nothing has happened");
    block_gre(&ams)?;
    eventually(SOON * 2, || leads_to(&greyhound, FRA))?;
    told(&greyhound, 0, "move", "is dead")?;
    shunned(&greyhound, AMS)?;
    daemon.kill()?;
    let seq = last(&greyhound)?;
    let _daemon = Daemon::start(&greyhound)?;
    known(&greyhound)?;
    sleep(WOULD_RETURN);
    let moves: Vec<_> = since(&greyhound, seq)?.into_iter().filter(|event| event.kind == "move").collect();
    ensure!(moves.is_empty(), "it went back: {moves:?}");
    leads_to(&greyhound, FRA)?;
    shunned(&greyhound, AMS)?;
    Witness::new(&greyhound).holds()
}

/// What liveness was found to be, in this order.
fn found(greyhound: &Greyhound, seq: u64) -> Result<Vec<String>> {
    let live = since(greyhound, seq)?.into_iter().filter(|event| event.kind == "live");
    Ok(live.map(|event| event.text).collect())
}

fn a_peer_that_answers_no_overlay_probe_is_found_out_and_not_called_dead(world: &World) -> Result<()> {
    let (underlay, [client, ams, _fra]) = three(world)?;
    // The other end takes GRE, and nobody is there inside.
    answer(&ams, "tun", &format!("local {AMS} remote 198.51.100.8"), 0)?;
    ams.ip("address flush dev tun")?;
    let declaration = QUICK.to_owned() + "methods = [\"icmp\"]\n" + &remotes(AMS, FRA);
    let greyhound = Greyhound::new(world, &client, &declaration)?;
    let _daemon = Daemon::start(&greyhound)?;
    let is_silent = || {
        let ams = status(&greyhound, "ams")?;
        ensure!(ams["probe"]["liveness"] == "silent" && ams["probe"]["liveness_why"].is_null(), "{ams}");
        Ok(())
    };
    eventually(SOON * 4, is_silent)?;
    sleep(Duration::from_secs(8));
    is_silent()?;
    ensure!(found(&greyhound, 0)? == ["peer answers no overlay probe"], "{:?}", found(&greyhound, 0)?);
    leads_to(&greyhound, AMS)?;
    // There, the termination's own probes say who is dead.
    let seq = last(&greyhound)?;
    underlay.silence(&ams)?;
    eventually(SOON * 3, || leads_to(&greyhound, FRA))?;
    let moved = told(&greyhound, seq, "move", "is dead")?;
    ensure!(!moved.text.contains("through the tunnel"), "{moved:?}");
    Witness::new(&greyhound).holds()
}

fn a_peer_that_answered_once_is_called_dead_also_after_a_restart(world: &World) -> Result<()> {
    let (_underlay, [client, ams, _fra]) = three(world)?;
    answer(&ams, "tun", &format!("local {AMS} remote 198.51.100.8"), 0)?;
    let greyhound = Greyhound::new(world, &client, &(QUICK.to_owned() + &remotes(AMS, FRA)))?;
    let daemon = Daemon::start(&greyhound)?;
    greyhound.ends(0, "tunnel hold ams")?;
    told(&greyhound, 0, "live", "up")?;
    daemon.kill()?;
    ams.ip("address flush dev tun")?;
    let seq = last(&greyhound)?;
    let _daemon = Daemon::start(&greyhound)?;
    eventually(SOON * 4, || {
        let found = found(&greyhound, seq)?;
        ensure!(found.first().is_some_and(|text| text.starts_with("down: no answer")), "{found:?}");
        Ok(())
    })?;
    Witness::new(&greyhound).holds()
}
