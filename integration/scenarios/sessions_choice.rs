//! Which termination a session gets, and why not another: the nearest that can be had, never one that does not answer.

use super::fleet_kit::{AGREED, Fleet, links};
use super::tunnels::ping;
use crate::support::needs::{NETEM, Need};
use crate::support::scenario::{Scenario, scenario};
use crate::support::underlay::Way;
use crate::support::{Result, World, ensure, eventually};
use anyhow::Context as _;
use greyhound::api::client::Client;
use greyhound::api::dto::ConnectAsk;
use greyhound::model::TunnelName;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const CURL: Need = Need::Program("curl");

pub const SCENARIOS: &[Scenario] = &[
    scenario!(the_same_by_the_command_line_by_http_and_by_the_library).needs(&[NETEM, CURL]),
    scenario!(each_reason_why_nothing_can_be_had_is_told).needs(&[NETEM]),
    scenario!(two_command_lines_at_once_never_get_the_same_termination),
    scenario!(a_draining_device_keeps_its_sessions_and_takes_no_new_ones),
    scenario!(the_status_tells_the_best_termination_and_why_it_is_not_in_use).needs(&[NETEM]),
    scenario!(connecting_takes_so_long).exclusive(),
];

fn terminations(fleet: &Fleet) -> Result<Vec<(String, String)>> {
    let sessions = fleet.client.json(0, "status")?["sessions"].clone();
    let sessions = sessions.as_array().context("sessions")?.clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(sessions.iter().map(|session| (text(&session["device"]), text(&session["termination"]))).collect())
}

/// What three ways of asking make of the same wish: two sessions on the nearest device, and nothing left of them.
fn the_same_by_the_command_line_by_http_and_by_the_library(world: &World) -> Result<()> {
    let fleet = Fleet::build(world, "")?;
    fleet.underlay.impair(&fleet.fra.host, Way::To, "delay 20ms")?;
    let _daemons = fleet.start()?;
    let greyhound = &fleet.client;
    let asked = |begin: &dyn Fn(&str) -> Result<()>, end: &dyn Fn(&str) -> Result<()>| -> Result<()> {
        begin("unicast")?;
        begin("multicast")?;
        let had = terminations(&fleet)?;
        ensure!(had.iter().all(|(device, _)| device == "ams-1") && had.len() == 2, "{had:?}");
        ensure!(had[0].1 != had[1].1, "{had:?}");
        eventually(AGREED, || {
            ensure!(
                fleet.session("unicast")?["state"] == "ready"
                    && fleet.session("multicast")?["state"] == "ready"
            );
            Ok(())
        })?;
        end("unicast")?;
        end("multicast")?;
        eventually(AGREED, || {
            ensure!(terminations(&fleet)?.is_empty() && links(&greyhound.host)?.is_empty());
            ensure!(links(&fleet.ams.host)?.is_empty());
            Ok(())
        })?;
        fleet.measured(16)
    };
    asked(&|kind| greyhound.ends(0, &format!("connect {kind}")).map(drop), &|kind| {
        greyhound.ends(0, &format!("disconnect {kind}")).map(drop)
    })
    .context("the command line")?;
    let socket = greyhound.socket().display().to_string();
    let curl = |words: &[&str]| -> Result<Value> {
        let said = greyhound
            .host
            .exec(["curl", "-sS", "--fail-with-body", "--unix-socket", &socket].iter().chain(words))?;
        Ok(serde_json::from_str(&said.stdout)?)
    };
    let post = |kind: &str| {
        let ask = format!("{{\"kind\":\"{kind}\"}}");
        let session = curl(&["-d", &ask, "http://greyhound/v1/sessions"])?;
        ensure!(session["kind"] == kind && session["state"] == "requested", "{session}");
        let news = format!("http://greyhound/v1/sessions/{kind}?wait_ms=20000&state=requested");
        eventually(AGREED, || curl(&[&news]).map(drop))
    };
    let delete = |kind: &str| {
        let session = curl(&["-X", "DELETE", &format!("http://greyhound/v1/sessions/{kind}")])?;
        ensure!(session["state"] == "ending", "{session}");
        Ok(())
    };
    asked(&post, &delete).context("HTTP")?;
    let client = Client::connect(greyhound.socket())?;
    let begin = |kind: &str| {
        let ask = ConnectAsk { kind: kind.to_owned(), ..ConnectAsk::default() };
        let session = client.connect_session(&ask)?;
        ensure!(session.device == "ams-1", "{session:?}");
        Ok(())
    };
    let end = |kind: &str| {
        client.disconnect_session(&TunnelName::new(kind)?)?;
        Ok(())
    };
    asked(&begin, &end).context("the library")
}

fn each_reason_why_nothing_can_be_had_is_told(world: &World) -> Result<()> {
    let fleet = Fleet::build(world, "")?;
    fleet.underlay.impair(&fleet.fra.host, Way::To, "delay 30ms")?;
    let _daemons = fleet.start()?;
    let greyhound = &fleet.client;
    // Who does not answer has no latency, and is never chosen; however near it is.
    fleet.underlay.silence(&fleet.ams.host)?;
    eventually(AGREED, || {
        let latency = greyhound.json(0, "latency")?;
        let rows = latency["terminations"].as_array().context("rows")?.clone();
        let ams = rows.iter().filter(|row| row["device"] == "ams-1");
        ensure!(ams.clone().count() == 8 && ams.clone().all(|row| row["latency_ms"].is_null()), "{latency}");
        Ok(())
    })?;
    let far = greyhound.json(0, "connect unicast --no-wait")?;
    ensure!(far["session"]["device"] == "fra-1", "an unreachable one won: {far}");
    for way in [Way::To, Way::From] {
        fleet.underlay.heal(&fleet.ams.host, way)?;
    }
    fleet.measured(16)?;
    greyhound.json(0, "connect unicast --device ams-1")?;
    greyhound.ends(0, "device set ams-1 --max-sessions 1")?;
    let refused = eventually(AGREED, || greyhound.ends(1, "connect unicast --device ams-1"))?.stderr;
    ensure!(refused.contains("ams-1: device ams-1 has 1 session(s), its most"), "{refused}");
    ensure!(refused.contains("fra-1: another was asked for"), "{refused}");
    greyhound.ends(0, "device set ams-1 --max-sessions none --status suspended")?;
    let refused = eventually(AGREED, || {
        let refused = greyhound.ends(1, "connect unicast --device ams-1")?.stderr;
        ensure!(
            refused.contains("device ams-1 is suspended: only activated ones take sessions"),
            "{refused}"
        );
        Ok(refused)
    })?;
    ensure!(!refused.contains("0.0.0.0"), "{refused}");
    // Addresses run out: an error that says so, and nothing is taken.
    greyhound.ends(0, "device set ams-1 --status activated")?;
    greyhound.ends(0, "pool set clients --quota 2")?;
    let refused = eventually(AGREED, || {
        let refused = greyhound.json(1, "connect multicast")?;
        ensure!(refused.to_string().contains("client pools are exhausted"), "{refused}");
        Ok(refused)
    })?;
    ensure!(refused["problems"].as_array().is_some_and(|reasons| !reasons.is_empty()), "{refused}");
    ensure!(greyhound.json(0, "session list")?.as_array().map(Vec::len) == Some(2));
    Ok(())
}

/// All eight of the device, asked for at once, by more than can have one.
fn two_command_lines_at_once_never_get_the_same_termination(world: &World) -> Result<()> {
    let fleet = Fleet::build(world, "")?;
    let _daemons = fleet.start()?;
    let greyhound = &fleet.client;
    let asked: Vec<_> = (0..10)
        .map(|_| {
            let greyhound = greyhound.clone();
            std::thread::spawn(move || greyhound.run("connect unicast --device ams-1 --no-wait"))
        })
        .collect();
    let mut got = 0;
    for asked in asked {
        let output = asked.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        let status = output.status.code();
        ensure!(matches!(status, Some(0 | 1)), "{status:?}: {}", output.stderr);
        ensure!(status == Some(0) || output.stderr.contains("ams-1"), "{}", output.stderr);
        got += usize::from(status == Some(0));
    }
    let sessions = greyhound.json(0, "session list")?;
    let sessions = sessions.as_array().context("sessions")?;
    let all = |field: &str| -> BTreeSet<String> {
        sessions.iter().map(|session| session[field].to_string()).collect()
    };
    ensure!(got == 8 && sessions.len() == 8, "{got} of 10 have one of 8: {sessions:#?}");
    for field in ["termination", "overlay", "client", "name"] {
        ensure!(all(field).len() == 8, "{field}: {:?}", all(field));
    }
    eventually(AGREED * 2, || {
        ensure!(links(&fleet.ams.host)?.len() == 8 && links(&greyhound.host)?.len() == 8);
        ping(&greyhound.host, "169.254.20.14")
    })
}

fn a_draining_device_keeps_its_sessions_and_takes_no_new_ones(world: &World) -> Result<()> {
    let fleet = Fleet::build(world, "")?;
    let _daemons = fleet.start()?;
    fleet.client.json(0, "connect unicast --device ams-1")?;
    fleet.client.ends(0, "device set ams-1 --status draining")?;
    let said = eventually(AGREED, || fleet.client.ends(1, "connect unicast --device ams-1"))?.stderr;
    ensure!(said.contains("device ams-1 is draining"), "{said}");
    eventually(AGREED, || {
        let latency = fleet.client.json(0, "latency")?;
        let rows = latency["terminations"].as_array().context("rows")?;
        let of_ams: Vec<_> = rows.iter().filter(|row| row["device"] == "ams-1").collect();
        ensure!(of_ams.len() == 1 && of_ams[0]["in_use"] == true, "still probed: {of_ams:?}");
        Ok(())
    })?;
    ensure!(fleet.session("unicast")?["state"] == "ready");
    ping(&fleet.client.host, super::fleet_kit::BEHIND)?;
    let other = fleet.client.json(0, "connect unicast")?;
    ensure!(other["session"]["device"] == "fra-1", "{other}");
    Ok(())
}

fn the_status_tells_the_best_termination_and_why_it_is_not_in_use(world: &World) -> Result<()> {
    let fleet = Fleet::build(world, "")?;
    fleet.underlay.impair(&fleet.fra.host, Way::To, "delay 20ms")?;
    let _daemons = fleet.start()?;
    fleet.client.json(0, "connect unicast --device fra-1")?;
    let figures = eventually(AGREED, || {
        let session = fleet.session("unicast")?;
        ensure!(session["best"]["device"] == "ams-1" && session["latency_ms"].is_number(), "{session}");
        Ok(session)
    })?;
    let (used, best) = (figures["latency_ms"].as_f64(), figures["best"]["latency_ms"].as_f64());
    ensure!(used > Some(20.0) && best < used, "the figure is that of the termination in use: {figures}");
    ensure!(
        figures["best"]["why"].as_str().is_some_and(|why| why.contains("when this session began")),
        "{figures}"
    );
    let text = fleet.client.ends(0, "status")?.stdout;
    ensure!(text.contains("WHY NOT THERE") && text.contains("ams-1 198.51.100."), "{text}");
    // The same figure ranks in the choice and in what is shown.
    let latency = fleet.client.json(0, "latency")?;
    let rows = latency["terminations"].as_array().context("rows")?;
    let in_use: Vec<_> = rows.iter().filter(|row| row["in_use"] == true).collect();
    ensure!(in_use.len() == 1 && in_use[0]["device"] == "fra-1", "{in_use:?}");
    Ok(())
}

/// From the command to the first reply through the tunnel.
fn connecting_takes_so_long(world: &World) -> Result<()> {
    const ROUNDS: usize = 20;
    let fleet = Fleet::build(world, "")?;
    let _daemons = fleet.start()?;
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let connected = fleet.client.json(0, "connect unicast")?;
        took.push((connected["took_ms"].clone(), begun.elapsed()));
        fleet.client.json(0, "disconnect unicast")?;
        fleet.measured(16)?;
    }
    let quantile = |all: &mut Vec<f64>, at: usize| {
        all.sort_by(f64::total_cmp);
        all[(all.len() * at / 100).min(all.len() - 1)]
    };
    for step in ["leased", "edge ready", "link up", "reply received"] {
        let mut all: Vec<f64> = took.iter().filter_map(|(steps, _)| steps[step].as_f64()).collect();
        ensure!(all.len() == ROUNDS, "{step}: {took:?}");
        let (half, most) = (quantile(&mut all, 50), quantile(&mut all, 99));
        println!("connect, {ROUNDS} times: {step} p50 {half:.0} ms, p99 {most:.0} ms");
    }
    let slowest = took.iter().map(|(_, whole)| *whole).max().unwrap_or(Duration::ZERO);
    println!("connect, {ROUNDS} times: the command as a whole took {slowest:?} at most");
    Ok(())
}
