//! `make bench`: greyhound beside `ip -batch`, turn by turn in one run. Times under emulation are good as ratios only.
//!
//! | measure | greyhound | its peer |
//! |---|---|---|
//! | bring-up | `apply` of a fresh declaration, leases and all, read back | `ip -batch` that makes the same objects |
//! | tear-down | `flush`, read back | `ip -batch` that takes them away |
//! | repair | the daemon: from the event of a deleted link to the event of its last route | `ip -batch` of that one tunnel |
//!
//! The probes have a bench of their own, `bench_probes`.
//!
//! `GREYHOUND_BENCH_TUNNELS` and `GREYHOUND_BENCH_ROUNDS` say how many.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

#[allow(dead_code, unused_imports, unused_macros, reason = "a kit: the bench uses a part of it")]
mod support;
#[allow(dead_code, unused_imports, reason = "the kit stands on it")]
mod witness;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use comfy_table::{Table, presets};
use support::daemon::Daemon;
use support::many::{batch, declaration, unbatch};
use support::{Greyhound, Host, Result, World, ensure, eventually, world};

const TUNNELS: u32 = 500;
const ROUNDS: u32 = 3;

fn main() -> ExitCode {
    match world::open_base().and_then(|_base| bench()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("The bench failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// One measure: the times of both, a round each.
struct Measure {
    what: &'static str,
    ours: Vec<Duration>,
    peer: Vec<Duration>,
}

impl Measure {
    fn new(what: &'static str) -> Self {
        Self { what, ours: Vec::new(), peer: Vec::new() }
    }
}

fn bench() -> Result<()> {
    let (tunnels, rounds) =
        (setting("GREYHOUND_BENCH_TUNNELS", TUNNELS)?, setting("GREYHOUND_BENCH_ROUNDS", ROUNDS)?);
    println!(
        "{tunnels} tunnels, each with a loopback address, an address and a route; {rounds} rounds, turn by turn"
    );
    let mut measures = [Measure::new("bring-up"), Measure::new("tear-down"), Measure::new("repair of one")];
    for round in 1..=rounds {
        let world = World::new()?;
        let hosts = world.hosts(&["greyhound", "batch"])?;
        let greyhound = Greyhound::new(&world, &hosts[0], &declaration(0, tunnels)?)?;
        let (make, unmake) = (batch(tunnels)?, unbatch(tunnels)?);
        let up = |host: &Host| timed(|| host.ip_batch(&make).map(drop));
        measures[0].ours.push(timed(|| greyhound.ends(0, "apply").map(drop))?);
        measures[0].peer.push(up(&hosts[1])?);
        repairs(&greyhound, &hosts[1], &mut measures[2])?;
        measures[1].ours.push(timed(|| greyhound.ends(0, "flush").map(drop))?);
        measures[1].peer.push(timed(|| hosts[1].ip_batch(&unmake).map(drop))?);
        println!("round {round} of {rounds} is done");
    }
    println!("{}", table(&measures));
    Ok(())
}

fn setting(name: &str, default: u32) -> Result<u32> {
    match std::env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name} is {text:?}")),
        Err(_) => Ok(default),
    }
}

fn timed(deed: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let begun = Instant::now();
    deed()?;
    Ok(begun.elapsed())
}

fn repairs(greyhound: &Greyhound, other: &Host, measure: &mut Measure) -> Result<()> {
    let host = &greyhound.host;
    let daemon = Daemon::start(greyhound)?;
    let mut monitor = host.spawn(["ip", "-ts", "-o", "monitor", "link", "route"])?;
    // It says nothing of when it listens.
    std::thread::sleep(Duration::from_secs(1));
    host.ip("link delete gh-t0007")?;
    let took = eventually(Duration::from_secs(30), || repaired(&monitor.said()))?;
    monitor.signal(nix::sys::signal::Signal::SIGKILL)?;
    monitor.ended(Duration::from_secs(10))?;
    daemon.stop()?;
    measure.ours.push(took);
    other.ip("link delete gh-t0007")?;
    let lines: String =
        batch(8)?.lines().filter(|line| line.contains("gh-t0007")).map(|line| format!("{line}\n")).collect();
    measure.peer.push(timed(|| other.ip_batch(&lines).map(drop))?);
    Ok(())
}

/// From the link's end to its new route, by the times that `ip monitor` gave them.
fn repaired(said: &str) -> Result<Duration> {
    let time = |line: &str| {
        let stamp = line.strip_prefix('[')?.split_once(']')?.0;
        let (hours, rest) = stamp.split_once('T')?.1.split_once(':')?;
        let (minutes, seconds) = rest.split_once(':')?;
        let (hours, minutes) = (hours.parse::<f64>().ok()?, minutes.parse::<f64>().ok()?);
        Some(hours.mul_add(3600.0, minutes * 60.0) + seconds.parse::<f64>().ok()?)
    };
    let mut lines = said.lines().filter(|line| line.contains("gh-t0007"));
    let gone = lines.by_ref().find(|line| line.contains("Deleted") && line.contains("link/gre"));
    let made = lines.find(|line| !line.contains("Deleted") && line.contains("table 4700"));
    let (gone, made) = (gone.and_then(time), made.and_then(time));
    ensure!(gone.is_some() && made.is_some(), "no repair was seen: {said}");
    Ok(Duration::from_secs_f64((made.unwrap_or(0.0) - gone.unwrap_or(0.0)).rem_euclid(86_400.0)))
}

fn table(measures: &[Measure]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header([
        "",
        "greyhound (min, median, max)",
        "ip -batch (min, median, max)",
        "ratio of medians",
    ]);
    for Measure { what, ours, peer } in measures {
        let (ours, peer) = (sorted(ours), sorted(peer));
        let ratio = median(&ours) / median(&peer);
        table.add_row([(*what).to_owned(), text(&ours), text(&peer), format!("{ratio:.2}")]);
    }
    table
}

fn sorted(times: &[Duration]) -> Vec<f64> {
    let mut seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
    seconds.sort_by(f64::total_cmp);
    seconds
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

fn text(sorted: &[f64]) -> String {
    format!("{:.3} s, {:.3} s, {:.3} s", sorted[0], median(sorted), sorted[sorted.len() - 1])
}
