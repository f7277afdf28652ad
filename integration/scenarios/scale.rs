//! A thousand tunnels from one declaration, and the time of it beside `ip -batch`.

use crate::support::many::{batch, declaration};
use crate::support::needs::DUMMY;
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Greyhound, Host, Result, World, ensure, world};
use crate::witness::{Snapshot, foreign, look};
use anyhow::Context as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub const SCENARIOS: &[Scenario] =
    &[scenario!(a_thousand_tunnels_come_change_and_go).needs(&[DUMMY]).exclusive()];

const TUNNELS: u32 = 1_000;
const REMOVED: u32 = 200;

/// The time of a verb and the most memory that it had resident at once, in KiB.
fn measured(greyhound: &Greyhound, verb: &str) -> Result<(Duration, u64)> {
    let program = world::greyhound().display().to_string();
    let begun = Instant::now();
    let mut process = greyhound.host.spawn(std::iter::once(program).chain(greyhound.words(verb)))?;
    let status = format!("/proc/{}/status", process.id());
    let mut peak = 0;
    while process.still_runs().is_ok() {
        peak = peak.max(high_water(&status).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(10));
    }
    let (status, took) = (process.ended(Duration::ZERO)?, begun.elapsed());
    ensure!(status.success(), "`{verb}`: {status}: {}", process.said());
    Ok((took, peak))
}

fn high_water(status: &str) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Everything of ours without the numbers that the kernel gave.
fn numberless(host: &Host) -> Result<BTreeMap<String, Value>> {
    let snapshot = look::ours(host)?;
    let objects = snapshot.objects().map(|object| {
        let mut value = object.value.clone();
        value.as_object_mut().map(|fields| fields.remove("ifindex"));
        (object.identity.clone(), value)
    });
    Ok(objects.collect())
}

fn links(host: &Host) -> Result<usize> {
    let listed = host.json("link show group 26472")?;
    Ok(listed
        .as_array()
        .context("no list of links")?
        .iter()
        .filter(|link| link["ifname"].is_string())
        .count())
}

fn a_thousand_tunnels_come_change_and_go(world: &World) -> Result<()> {
    let hosts = world.hosts(&["client", "batch"])?;
    let (client, other) = (&hosts[0], &hosts[1]);
    let lines = batch(TUNNELS)?;
    let begun = Instant::now();
    other.ip_batch(&lines)?;
    let batch = begun.elapsed();

    foreign::populate(client)?;
    let before = Snapshot::take(client)?;
    let greyhound = Greyhound::new(world, client, &declaration(0, TUNNELS)?)?;
    let (apply, peak) = measured(&greyhound, "apply")?;
    let (apply, batch) = (apply.as_secs_f64(), batch.as_secs_f64());
    println!(
        "1,000 tunnels: greyhound apply {apply:.1} s, ip -batch {batch:.1} s, ratio {:.2}; peak memory {:.1} MiB",
        apply / batch,
        peak as f64 / 1024.0
    );
    ensure!(numberless(other)? == numberless(client)?, "not the same objects");
    ensure!(links(client)? == TUNNELS as usize, "{} links", links(client)?);
    greyhound.ends(0, "plan --exit-code")?;

    greyhound.declare(&declaration(REMOVED, TUNNELS)?)?;
    let (fewer, _) = measured(&greyhound, "apply")?;
    ensure!(links(client)? == (TUNNELS - REMOVED) as usize, "{} links", links(client)?);
    let (flush, _) = measured(&greyhound, "flush")?;
    println!("200 of them removed in {:.1} s, flush in {:.1} s", fewer.as_secs_f64(), flush.as_secs_f64());
    before.expect_unchanged(&Snapshot::take(client)?)
}
