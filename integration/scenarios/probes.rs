//! Probes by ICMP echo and STAMP: who answers, who cannot, and what is not believed.

use super::probes_kit::{MS, Measured, ask, by_kernel, probe, reflector, target};
use crate::support::needs::NETEM;
use crate::support::scenario::{Scenario, scenario};
use crate::support::underlay::Way;
use crate::support::{Host, Leaf, Result, Underlay, World, ensure};
use anyhow::Context as _;
use greyhound::model::{Method, Oddities, Outcome, Target};
use greyhound::probe::{Ask, Pace, Settings};
use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub const SCENARIOS: &[Scenario] = &[
    scenario!(probes_on_loopback_are_answered_or_say_why),
    scenario!(both_methods_cross_an_underlay_from_any_source),
    scenario!(a_router_says_that_a_host_cannot_be_reached),
    scenario!(loss_is_told_apart_by_direction).needs(&[NETEM]),
    scenario!(duplicated_replies_count_once).needs(&[NETEM]),
    scenario!(late_replies_are_lost).needs(&[NETEM]),
    scenario!(forged_replies_are_not_believed),
    scenario!(a_reflector_is_changed_while_it_answers),
    scenario!(the_verb_measures_and_says_who_is_silent),
];

pub const BOTH: &[Method] = &[Method::Icmp, Method::Stamp];
pub const EDGE: &str = "203.0.113.1";

/// A client with a loopback address that the underlay knows, and an edge box.
pub fn path(world: &World) -> Result<(Underlay, [Host; 2])> {
    let client = Leaf::new("client", "192.0.2.10/24").owns("198.51.100.8/32");
    let (underlay, hosts) = Underlay::build(world, [client, Leaf::new("edge", "203.0.113.1/24")])?;
    hosts[0].ip("address add 198.51.100.8/32 dev lo")?;
    Ok((underlay, hosts))
}

fn probes_on_loopback_are_answered_or_say_why(world: &World) -> Result<()> {
    let host = world.host("host")?;
    let there = target("127.0.0.1");
    let sourceless = Target { source: Some("203.0.113.77".parse()?), ..there.clone() };
    let linkless = Target { link: Some(4_242), ..there.clone() };
    let silent = target("127.0.0.2");
    let unreachable = target("192.0.2.1");
    let asks = [
        (there, ask(&[Method::Icmp], 20, 20)),
        (sourceless.clone(), ask(&[Method::Icmp], 20, 20)),
        (linkless.clone(), ask(&[Method::Icmp], 20, 20)),
        (silent.clone(), ask(&[Method::Stamp], 20, 20)),
        (unreachable.clone(), ask(BOTH, 20, 20)),
    ];
    let measured = probe(&host, asks)?;
    let answers = measured.answers("127.0.0.1", Method::Icmp);
    ensure!(answers.len() == 20 && by_kernel(&answers) >= 15, "{answers:?}");
    let why = [
        (sourceless, "this host: no route from 203.0.113.77, or no such source"),
        (linkless, "this host: the tunnel's link is gone"),
        (silent, "port unreachable, says 127.0.0.2"),
        (unreachable, "this host: no route"),
    ];
    for (target, why) in why {
        let said = measured.refusal(&target)?;
        ensure!(said == why, "{target:?}: {said}");
    }
    Ok(())
}

fn both_methods_cross_an_underlay_from_any_source(world: &World) -> Result<()> {
    let (_underlay, [client, edge]) = path(world)?;
    let reflector = reflector(&edge, 862, Settings::default())?;
    let ours = Target { source: Some("198.51.100.8".parse()?), ..target(EDGE) };
    let capture = crate::support::Capture::start(&edge, "eth0")?;
    let measured = probe(&client, [(target(EDGE), ask(BOTH, 10, 50)), (ours, ask(BOTH, 10, 50))])?;
    measured.whole()?;
    for method in BOTH {
        let answers = measured.answers(EDGE, *method);
        ensure!(by_kernel(&answers) >= 15, "{method}: {answers:?}");
    }
    let mut counted: Vec<_> =
        measured.answers(EDGE, Method::Stamp).into_iter().map(|answer| answer.reflected).collect();
    counted.sort_unstable();
    let twice: Vec<_> = (0..10).flat_map(|number| [Some(number); 2]).collect();
    ensure!(counted == twice, "each source is a session of its own: {counted:?}");
    ensure!(reflector.counts()?.answered == 20, "{:?}", reflector.counts()?);
    let sources: BTreeSet<_> = capture.stop()?.iter().map(|packet| packet.source).collect();
    ensure!(sources.contains(&"198.51.100.8".parse()?), "{sources:?}");
    Ok(())
}

fn a_router_says_that_a_host_cannot_be_reached(world: &World) -> Result<()> {
    let (underlay, [client, _edge]) = path(world)?;
    underlay.router.ip("route add unreachable 203.0.113.128/25")?;
    underlay.router.ip("route add prohibit 203.0.112.0/24")?;
    // Besides, a router complains to a host five times at once, and then once a second (`ip_error`,
    // net/ipv4/route.c).
    underlay.router.sysctl("net.ipv4.icmp_ratemask", "0")?;
    let (gone, forbidden) = (target("203.0.113.200"), target("203.0.112.1"));
    let asks = [(gone.clone(), ask(BOTH, 1, 50)), (forbidden.clone(), ask(BOTH, 1, 50))];
    let measured = probe(&client, asks)?;
    for (target, why) in [
        (gone, "host unreachable, says 192.0.2.254"),
        (forbidden, "administratively prohibited, says 192.0.2.254"),
    ] {
        let said = measured.refusal(&target)?;
        ensure!(said == why, "{said}");
    }
    Ok(())
}

/// Packets lost on the way there and on the way back, by what the reflector counted.
fn lost(measured: &Measured) -> Result<(u32, u32)> {
    let mut answered = Vec::new();
    for report in &measured.reports {
        if let Outcome::Answered(answer) = &report.sample.outcome {
            answered.push((report.sample.sequence, answer.reflected.context("stateless")?));
        }
    }
    let (first, last) = (answered.first().context("no answer")?, answered.last().context("no answer")?);
    let sent = last.0.wrapping_sub(first.0) + 1;
    let reflected = last.1 - first.1 + 1;
    Ok((sent - reflected, reflected - u32::try_from(answered.len())?))
}

fn loss_is_told_apart_by_direction(world: &World) -> Result<()> {
    let (underlay, [client, edge]) = path(world)?;
    let _reflector = reflector(&edge, 862, Settings::default())?;
    let mut seen = Vec::new();
    for way in [Way::To, Way::From] {
        underlay.impair(&edge, way, "loss 30%")?;
        let measured = probe(&client, [(target(EDGE), ask(&[Method::Stamp], 200, 20))])?;
        seen.push(lost(&measured)?);
        underlay.heal(&edge, way)?;
    }
    println!("lost there and back, of 200: {seen:?}");
    ensure!(seen[0].1 == 0 && (25..100).contains(&seen[0].0), "on the way there: {seen:?}");
    ensure!(seen[1].0 == 0 && (25..100).contains(&seen[1].1), "on the way back: {seen:?}");
    Ok(())
}

fn duplicated_replies_count_once(world: &World) -> Result<()> {
    let (underlay, [client, edge]) = path(world)?;
    let _reflector = reflector(&edge, 862, Settings::default())?;
    underlay.impair(&edge, Way::From, "duplicate 100%")?;
    let measured = probe(&client, [(target(EDGE), ask(BOTH, 20, 20))])?;
    ensure!(measured.unanswered() == 0, "{:?}", measured.reports);
    let expected = Oddities { duplicated: 40, ..Oddities::default() };
    ensure!(measured.census.all == expected, "{:?}", measured.census);
    Ok(())
}

fn late_replies_are_lost(world: &World) -> Result<()> {
    let (underlay, [client, edge]) = path(world)?;
    let _reflector = reflector(&edge, 862, Settings::default())?;
    underlay.impair(&edge, Way::To, "delay 150ms")?;
    let pace = Pace { interval: MS * 50, timeout: MS * 80 };
    let impatient = Ask { count: Some(10), ..Ask::of(BOTH, pace) };
    let measured = probe(&client, [(target(EDGE), impatient)])?;
    ensure!(measured.unanswered() == 20, "{:?}", measured.reports);
    let expected = Oddities { late: 20, ..Oddities::default() };
    ensure!(measured.census.all == expected, "{:?}", measured.census);
    Ok(())
}

/// Answers each request three times: with another timestamp, from another port, and at last as it must be.
fn liar(host: &Host, stop: &Arc<AtomicBool>) -> Result<std::thread::JoinHandle<()>> {
    let (socket, other) =
        host.within(|| Ok((UdpSocket::bind("0.0.0.0:862")?, UdpSocket::bind("0.0.0.0:0")?)))?;
    socket.set_read_timeout(Some(MS * 50))?;
    let stop = Arc::clone(stop);
    Ok(std::thread::spawn(move || {
        let mut request = [0; 64];
        while !stop.load(Ordering::Relaxed) {
            let Ok((44, from)) = socket.recv_from(&mut request) else { continue };
            let mut reply = [0; 44];
            reply[24..38].copy_from_slice(&request[..14]);
            reply[13] = 1;
            let _ = other.send_to(&reply, from);
            reply[35] ^= 1;
            let _ = socket.send_to(&reply, from);
            reply[35] ^= 1;
            let _ = socket.send_to(&reply[..43], from);
            let _ = socket.send_to(&reply, from);
        }
    }))
}

fn forged_replies_are_not_believed(world: &World) -> Result<()> {
    let (_underlay, [client, edge]) = path(world)?;
    let stop = Arc::default();
    let liar = liar(&edge, &stop)?;
    let measured = probe(&client, [(target(EDGE), ask(&[Method::Stamp], 10, 20))]);
    stop.store(true, Ordering::Relaxed);
    let _ = liar.join();
    let measured = measured?;
    ensure!(measured.unanswered() == 0, "{:?}", measured.reports);
    ensure!(measured.answers(EDGE, Method::Stamp).iter().all(|answer| answer.reflected == Some(0)));
    let expected = Oddities { forged: 30, ..Oddities::default() };
    ensure!(measured.census.all == expected, "{:?}", measured.census);
    Ok(())
}

fn a_reflector_is_changed_while_it_answers(world: &World) -> Result<()> {
    let (_underlay, [client, edge]) = path(world)?;
    let mut reflector = reflector(&edge, 8_862, Settings::default())?;
    let pace = Pace { interval: MS * 10, timeout: MS * 100 };
    let asked = Ask { count: Some(20), port: 8_862, ..Ask::of(&[Method::Stamp], pace) };
    let answered =
        || Ok::<_, anyhow::Error>(20 - probe(&client, [(target(EDGE), asked.clone())])?.unanswered());
    ensure!(answered()? == 20);
    let allow = vec!["198.51.100.0/24".parse()?];
    reflector.set(Settings { allow, ..Settings::default() })?;
    ensure!(answered()? == 0, "not allowed");
    let allow = vec!["192.0.2.10/32".parse()?];
    reflector.set(Settings { allow, rate: 5, ..Settings::default() })?;
    let begun = Instant::now();
    let limited = answered()?;
    // A second's worth at once, and then so many a second: a slow machine takes longer to ask.
    let most = 6 + begun.elapsed().as_millis() as usize / 200;
    ensure!((5..=most).contains(&limited), "5 a second: {limited}, not {most} at most");
    let counts = reflector.counts()?;
    ensure!(counts.forbidden == 20 && counts.limited + counts.answered == 40, "{counts:?}");
    drop(reflector);
    let gone = probe(&client, [(target(EDGE), asked.clone())])?;
    // The kernel limits its complaints.
    let said = |report: &&greyhound::probe::Report| {
        report.sample.outcome == Outcome::Refused("port unreachable, says 203.0.113.1".to_owned())
    };
    ensure!(gone.reports.iter().any(|report| said(&report)) && gone.unanswered() == 20, "{:?}", gone.reports);
    Ok(())
}

fn the_verb_measures_and_says_who_is_silent(world: &World) -> Result<()> {
    let (_underlay, [client, edge]) = path(world)?;
    let _reflector = reflector(&edge, 862, Settings::default())?;
    let words =
        "probe 203.0.113.1 192.0.2.254 --method both --count 3 --interval 20ms --from 198.51.100.8 -j";
    let output = client.greyhound(words.split_whitespace())?;
    ensure!(output.status.code() == Some(1), "the router reflects nothing: {output:?}");
    let shown: serde_json::Value = serde_json::from_str(&output.stdout)?;
    let rows = shown["targets"].as_array().context("no targets")?;
    ensure!(rows.len() == 4, "{shown:#}");
    for (row, answered) in rows.iter().zip([3, 3, 3, 0]) {
        ensure!(row["sent"] == 3 && row["answered"] == answered, "{row:#}");
    }
    ensure!(rows[3]["why"] == "port unreachable, says 192.0.2.254", "{:#}", rows[3]);
    let whole = client.greyhound("probe 203.0.113.1 -c 2 -i 10ms".split_whitespace())?.success()?;
    ensure!(whole.stdout.contains("203.0.113.1  icmp    2     2         0%"), "{}", whole.stdout);
    let mut endless = client.spawn([
        crate::support::world::greyhound().to_str().context("a path")?,
        "probe",
        EDGE,
        "-c",
        "100000",
    ])?;
    std::thread::sleep(Duration::from_secs(2));
    endless.signal(nix::sys::signal::Signal::SIGINT)?;
    let status = endless.ended(Duration::from_secs(5))?;
    ensure!(status.success() && endless.said().contains("203.0.113.1  icmp"), "{status}: {}", endless.said());
    Ok(())
}
