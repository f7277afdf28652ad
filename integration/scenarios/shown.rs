//! What the daemon measures and does, as it is shown and told: tables that go on, the stream of events, figures.

use super::daemon_kit::{SOON, last, told};
use super::moves::{QUICK, edges, known, remotes};
use super::probes_kit::{ask, probe, target};
use super::tunnels::{AMS, FRA, three};
use crate::support::command::Process;
use crate::support::needs::{NETEM, Need};
use crate::support::scenario::{Scenario, scenario};
use crate::support::underlay::Way;
use crate::support::{Daemon, Greyhound, Host, Result, World, ensure, eventually, world};
use crate::witness::Witness;
use anyhow::Context as _;
use greyhound::model::{Method, Target};
use serde_json::Value;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(latency_is_drawn_again_in_its_place).needs(&[Need::Program("script")]).exclusive(),
    scenario!(moves_and_liveness_reach_who_follows_the_events).needs(&[Need::Program("curl")]).exclusive(),
    scenario!(loss_by_direction_is_shown_where_the_reflector_counts).needs(&[NETEM]).exclusive(),
    scenario!(the_declared_reflector_answers_who_may_ask_and_no_more_than_declared),
];

/// The cursor goes to the top; nothing is cleared, so nothing flickers.
const HOME: &str = "\x1b[H";

fn latency_is_drawn_again_in_its_place(world: &World) -> Result<()> {
    let (_underlay, [client, ams, fra]) = three(world)?;
    let _edges = edges(world, [(&ams, AMS), (&fra, FRA)])?;
    let greyhound = Greyhound::new(world, &client, &(QUICK.to_owned() + &remotes(AMS, FRA)))?;
    let _daemon = Daemon::start(&greyhound)?;
    known(&greyhound)?;
    let verb = greyhound.words("latency --watch 1").join(" ");
    let line = format!("stty rows 24 cols 200; exec {} {verb}", world::greyhound().display());
    // Its own end is asked for by Ctrl-C, which the terminal makes a signal.
    let line = format!("{{ sleep 8; printf '\\003'; sleep 1; }} | script -qec '{line}' /dev/null");
    let mut watching = client.spawn(["sh", "-c", &line])?;
    let ended = watching.ended(SOON * 6)?;
    let said = watching.said();
    let screens: Vec<&str> = said.split(HOME).skip(1).collect();
    ensure!(ended.success() && screens.len() >= 3, "{ended}: {said:?}");
    ensure!(!said.contains("\x1b[2J"), "it flickers: {said:?}");
    for screen in &screens {
        let rows = screen.lines().filter(|line| line.contains(AMS) || line.contains(FRA)).count();
        ensure!(rows == 4 && screen.lines().count() <= 24, "two terminations by two methods: {screen:?}");
        ensure!(screen.contains('▁'), "no sparkline: {screen:?}");
    }
    let (first, last) = (screens[0], screens[screens.len() - 1]);
    ensure!(first != last, "it is always the same: {first:?}");
    Ok(())
}

/// What a follower of `/v1/events` was told of a kind: number and text.
fn heard(stream: &Process, kind: &str) -> Result<Vec<(u64, String)>> {
    let said = stream.said();
    let mut heard = Vec::new();
    for data in said.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let event: Value = serde_json::from_str(data).with_context(|| said.clone())?;
        if event["kind"] == kind {
            let text = event["text"].as_str().context("no text")?.to_owned();
            heard.push((event["seq"].as_u64().context("no number")?, text));
        }
    }
    Ok(heard)
}

fn moves_and_liveness_reach_who_follows_the_events(world: &World) -> Result<()> {
    let (_underlay, [client, ams, fra]) = three(world)?;
    let _edges = edges(world, [(&ams, AMS), (&fra, FRA)])?;
    let greyhound = Greyhound::new(world, &client, &(QUICK.to_owned() + &remotes(AMS, FRA)))?;
    let _daemon = Daemon::start(&greyhound)?;
    known(&greyhound)?;
    let seq = last(&greyhound)?;
    let socket = greyhound.socket().display().to_string();
    let from = format!("http://greyhound/v1/events?since={}", seq - 1);
    let stream = client.spawn(["curl", "-sN", "--unix-socket", &socket, &from])?;
    // From what was kept it has come to what happens.
    eventually(SOON, || {
        ensure!(stream.said().contains(&format!("id: {seq}")), "{}", stream.said());
        Ok(())
    })?;
    greyhound.ends(0, &format!("tunnel move ams --to {FRA}"))?;
    let moved = told(&greyhound, seq, "move", "moved by hand")?;
    let live = told(&greyhound, moved.seq, "live", "up")?;
    eventually(SOON, || {
        let (moves, lives) = (heard(&stream, "move")?, heard(&stream, "live")?);
        ensure!(moves == [(moved.seq, moved.text.clone())], "{moves:?}");
        ensure!(lives.contains(&(live.seq, live.text.clone())), "{lives:?}");
        Ok(())
    })?;
    Witness::new(&greyhound).holds()
}

/// A STAMP reflector that keeps no sessions: it gives each request its own number back (RFC 8762, 4.3).
struct Stateless {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Stateless {
    fn start(host: &Host) -> Result<Self> {
        let socket = host.within(|| Ok(UdpSocket::bind("0.0.0.0:862")?))?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut request = [0; 64];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((44, from)) = socket.recv_from(&mut request) else { continue };
                let mut reply = [0; 44];
                reply[..14].copy_from_slice(&request[..14]);
                reply[24..38].copy_from_slice(&request[..14]);
                let _ = socket.send_to(&reply, from);
            }
        });
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Stateless {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// What was measured of a termination by STAMP.
fn stamp(greyhound: &Greyhound, address: &str) -> Result<Value> {
    let latency = greyhound.json(0, "latency")?;
    let rows = latency["terminations"].as_array().context("no rows")?.iter();
    let mut methods =
        rows.filter(|row| row["termination"] == address).filter_map(|row| row["methods"].as_array());
    let found = methods.next().and_then(|methods| methods.iter().find(|method| method["method"] == "stamp"));
    Ok(found.with_context(|| format!("no STAMP of {address} in {latency}"))?.clone())
}

fn loss_by_direction_is_shown_where_the_reflector_counts(world: &World) -> Result<()> {
    let (underlay, [client, ams, fra]) = three(world)?;
    let stateful = "[reflector]\nallow = [\"198.51.100.0/24\"]\n".to_owned();
    let tunnel = format!(
        "[[tunnel]]\nname = \"client\"\nkind = \"unicast\"\nlocal = \"{AMS}\"\nremote = \"198.51.100.8\"\n\
         overlay = \"169.254.10.1/31\"\n"
    );
    let _stateful = Daemon::start(&Greyhound::new(world, &ams, &(stateful + &tunnel))?)?;
    let _stateless = Stateless::start(&fra)?;
    for host in [&ams, &fra] {
        underlay.impair(host, Way::To, "loss 30%")?;
    }
    let greyhound = Greyhound::new(world, &client, &(QUICK.to_owned() + &remotes(AMS, FRA)))?;
    let _daemon = Daemon::start(&greyhound)?;
    greyhound.ends(0, "tunnel hold ams")?;
    eventually(SOON * 8, || {
        let (counts, copies) = (stamp(&greyhound, AMS)?, stamp(&greyhound, FRA)?);
        let enough = |method: &Value| {
            method["sent"].as_u64() >= Some(60) && method["loss"].as_f64().is_some_and(|loss| loss > 0.1)
        };
        ensure!(enough(&counts) && enough(&copies), "{counts} {copies}");
        Ok(())
    })?;
    let (counts, copies) = (stamp(&greyhound, AMS)?, stamp(&greyhound, FRA)?);
    ensure!(
        counts["loss_forward"].as_f64().is_some_and(|loss| loss > 0.05),
        "lost on the way there: {counts}"
    );
    ensure!(counts["loss_backward"] == 0.0, "nothing was lost on the way back: {counts}");
    ensure!(copies["loss_forward"].is_null() && copies["loss_backward"].is_null(), "{copies}");
    let text = greyhound.ends(0, "latency")?.stdout;
    let directions = |address: &str| {
        let mut lines = text.lines().filter(|line| line.contains(address) && line.contains(" stamp "));
        // The last ones are drawn behind it, and "probed" before them is one word.
        let line = lines.next()?;
        line.split_whitespace().nth(14).map(str::to_owned)
    };
    ensure!(directions(AMS).is_some_and(|shown| shown.ends_with("%/0%")), "{text}");
    ensure!(directions(FRA).as_deref() == Some("-"), "{text}");
    Ok(())
}

fn the_declared_reflector_answers_who_may_ask_and_no_more_than_declared(world: &World) -> Result<()> {
    let (_underlay, [client, edge, _fra]) = three(world)?;
    client.ip("address add 198.51.100.8/32 dev lo")?;
    let declaration = |allow: &str, packets: u32| {
        format!(
            "[reflector]\nallow = [{allow}]\npackets = {packets}\n[[tunnel]]\nname = \"client\"\n\
             kind = \"unicast\"\nlocal = \"{AMS}\"\nremote = \"198.51.100.8\"\noverlay = \"169.254.10.1/31\"\n"
        )
    };
    let greyhound = Greyhound::new(world, &edge, &declaration("\"198.51.100.0/24\"", 5))?;
    let daemon = Daemon::start(&greyhound)?;
    let allowed = Target { source: Some("198.51.100.8".parse()?), ..target(AMS) };
    let stranger = Target { source: Some("192.0.2.10".parse()?), ..target(AMS) };
    let answered = |who: &Target| -> Result<usize> {
        let measured = probe(&client, [(who.clone(), ask(&[Method::Stamp], 20, 10))])?;
        Ok(20 - measured.unanswered())
    };
    let counts = || Ok::<_, anyhow::Error>(greyhound.json(0, "latency")?["reflector"].clone());
    ensure!(answered(&stranger)? == 0, "who may not ask was answered");
    ensure!(counts()?["forbidden"] == 20, "{}", counts()?);
    let limited = answered(&allowed)?;
    ensure!((5..=8).contains(&limited), "5 a second: {limited}");
    let counted = counts()?;
    ensure!(counted["answered"] == limited && counted["limited"] == 20 - limited, "{counted}");
    greyhound.declare(&declaration("\"198.51.100.0/24\", \"192.0.2.10/32\"", 1000))?;
    daemon.reload()?;
    eventually(SOON, || {
        ensure!(answered(&stranger)? == 20 && answered(&allowed)? == 20, "{}", counts()?);
        Ok(())
    })?;
    // Nobody is answered without the section.
    let alone = declaration("\"198.51.100.0/24\"", 5);
    greyhound.declare(alone.split_once("packets = 5\n").context("no tunnel")?.1)?;
    greyhound.ends(0, "reload")?;
    ensure!(answered(&allowed)? == 0 && counts()?.is_null(), "{}", counts()?);
    Witness::new(&greyhound).holds()
}
