//! The probes of `make bench`: 4,000 targets on loopback, one round a second, beside fping: processor time an echo, and
//! memory, each of a process of its own; greyhound may not lose a reply.
//!
//! It takes no GRE, so it runs on the machine itself, in a network namespace of its own: an emulated processor spends
//! its time in other places than a real one.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

#[allow(dead_code, unused_imports, unused_macros, reason = "a kit: the bench uses a part of it")]
mod support;
#[allow(dead_code, unused_imports, reason = "the kit stands on it")]
mod witness;

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use comfy_table::{Table, presets};
use greyhound::probe::{Reflector, Settings, reflector};
use serde_json::Value;

use support::{Host, Result, World, ensure, world};

const TARGETS: u32 = 4_000;
/// So many that the start of a process counts for little.
const ECHOES: u32 = 40;

fn main() -> ExitCode {
    match world::open_base().and_then(|_base| bench()) {
        Ok(table) => {
            println!("{table}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("The bench of the probes failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What a process cost.
struct Cost {
    what: &'static str,
    /// Microseconds of processor time an echo.
    cpu: f64,
    /// MiB.
    peak: f64,
}

fn bench() -> Result<Table> {
    let world = World::new()?;
    let host = world.host("host")?;
    let allow = vec!["127.0.0.0/8".parse()?];
    let settings = Settings { allow, rate: 100_000, ..Settings::default() };
    let _reflector =
        host.within(|| Ok(Reflector::start(reflector::Options { settings, ..Default::default() })?))?;
    let greyhound = world::greyhound().display().to_string();
    let first = u32::from(Ipv4Addr::new(127, 1, 0, 1));
    let targets: Vec<_> =
        (first..first + TARGETS).map(|address| Ipv4Addr::from(address).to_string()).collect();
    let echoes = ECHOES.to_string();
    let ours = ["probe", "-j", "-c", &echoes, "-i", "1s", "-m"];
    let said = world.file("said", "")?;
    let measure = |what, words: &[&str]| {
        let cost = measure(&host, what, words, &targets, &said)?;
        let text = std::fs::read_to_string(&said)?;
        if what == "fping" {
            println!("fping lost {} of {}", lost_by_fping(&text), TARGETS * ECHOES);
        } else {
            let lost = lost(&text)?;
            ensure!(lost == 0, "{what} lost {lost} of {}", TARGETS * ECHOES);
        }
        Ok(cost)
    };
    // Turn by turn, so that whatever else the machine does falls on both.
    let mut costs = Vec::new();
    for _ in 0..2 {
        costs.push(measure("greyhound, ICMP", &[&[&*greyhound], &ours[..], &["icmp"]].concat())?);
        costs.push(measure("fping", &["fping", "-q", "-C", &echoes, "-p", "1000", "-i", "0.2"])?);
        costs.push(measure("greyhound, STAMP", &[&[&*greyhound], &ours[..], &["stamp"]].concat())?);
    }
    Ok(table(&costs))
}

/// Replies that `greyhound probe -j` did not get.
fn lost(said: &str) -> Result<u32> {
    let view: Value = serde_json::from_str(said).with_context(|| said.to_owned())?;
    let rows = view["targets"].as_array().context("no targets")?;
    let answered: u64 = rows.iter().filter_map(|row| row["answered"].as_u64()).sum();
    Ok(TARGETS * ECHOES - u32::try_from(answered)?)
}

/// Replies that `fping -C` did not get: a dash each, behind the colon.
fn lost_by_fping(said: &str) -> u32 {
    let times: Vec<&str> = said
        .lines()
        .filter_map(|line| line.split_once(" : "))
        .flat_map(|(_, times)| times.split(' '))
        .collect();
    let answered = times.iter().filter(|time| time.parse::<f64>().is_ok()).count();
    TARGETS * ECHOES - u32::try_from(answered).unwrap_or(0)
}

fn measure(host: &Host, what: &'static str, words: &[&str], targets: &[String], said: &Path) -> Result<Cost> {
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/peers/cost.py").display().to_string();
    let said = said.display().to_string();
    let words = ["python3", &script, &said].into_iter().chain(words.iter().copied());
    let output = host.exec(words.chain(targets.iter().map(String::as_str)))?;
    let cost: Value = serde_json::from_str(&output.stdout).with_context(|| output.stdout.clone())?;
    let number = |name: &str| cost[name].as_f64().with_context(|| format!("no {name} in {cost}"));
    // Both end with 1 when somebody did not answer.
    ensure!(number("status")? == 0.0, "{what}: {cost}");
    let cpu = number("cpu")? * 1e6 / f64::from(TARGETS * ECHOES);
    Ok(Cost { what, cpu, peak: number("peak")? / 1024.0 })
}

fn table(costs: &[Cost]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header([
        "4,000 targets, one round a second",
        "processor time an echo",
        "memory",
        "CPU of fping's",
        "memory of fping's",
    ]);
    let mean = |what: &str, figure: fn(&Cost) -> f64| {
        let figures: Vec<f64> = costs.iter().filter(|cost| cost.what == what).map(figure).collect();
        figures.iter().sum::<f64>() / figures.len() as f64
    };
    let (peer, memory) = (mean("fping", |cost| cost.cpu), mean("fping", |cost| cost.peak));
    for what in ["greyhound, ICMP", "greyhound, STAMP", "fping"] {
        let (cpu, peak) = (mean(what, |cost| cost.cpu), mean(what, |cost| cost.peak));
        let row = [
            what.to_owned(),
            format!("{cpu:.1} us"),
            format!("{peak:.1} MiB"),
            format!("{:.2}", cpu / peer),
            format!("{:.2}", peak / memory),
        ];
        table.add_row(row);
    }
    table
}
