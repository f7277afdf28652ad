//! The probes of the bench: 4,000 targets on loopback, one round a second, beside fping: processor time an echo, and
//! memory, each of a process of its own.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Context as _;
use comfy_table::{Table, presets};
use greyhound::probe::{Reflector, Settings, reflector};
use serde_json::Value;

use crate::support::{Host, Result, World, ensure, world};

const TARGETS: u32 = 4_000;
/// So many that the start of a process counts for little.
const ECHOES: u32 = 20;

/// What a process cost.
struct Cost {
    what: &'static str,
    /// Microseconds of processor time an echo.
    cpu: f64,
    /// MiB.
    peak: f64,
}

pub fn bench() -> Result<Table> {
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
    let ours = ["probe", "-c", &echoes, "-i", "1s", "-m"];
    let measure = |what, words: &[&str]| measure(&host, what, words, &targets);
    // Turn by turn, so that whatever else the machine does falls on both.
    let mut costs = Vec::new();
    for _ in 0..2 {
        costs.push(measure("greyhound, ICMP", &[&[&*greyhound], &ours[..], &["icmp"]].concat())?);
        costs.push(measure("fping", &["fping", "-q", "-C", &echoes, "-p", "1000", "-i", "0.2"])?);
        costs.push(measure("greyhound, STAMP", &[&[&*greyhound], &ours[..], &["stamp"]].concat())?);
    }
    Ok(table(&costs))
}

fn measure(host: &Host, what: &'static str, words: &[&str], targets: &[String]) -> Result<Cost> {
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/peers/cost.py").display().to_string();
    let words = ["python3", &script].into_iter().chain(words.iter().copied());
    let output = host.exec(words.chain(targets.iter().map(String::as_str)))?;
    let cost: Value = serde_json::from_str(&output.stdout).with_context(|| output.stdout.clone())?;
    let number = |name: &str| cost[name].as_f64().with_context(|| format!("no {name} in {cost}"));
    // Both end with 1 when somebody did not answer.
    ensure!(number("status")? == 0.0, "{what}: {cost}: {}", output.stderr);
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
    ]);
    let mean = |what: &str, figure: fn(&Cost) -> f64| {
        let figures: Vec<f64> = costs.iter().filter(|cost| cost.what == what).map(figure).collect();
        figures.iter().sum::<f64>() / figures.len() as f64
    };
    let peer = mean("fping", |cost| cost.cpu);
    for what in ["greyhound, ICMP", "greyhound, STAMP", "fping"] {
        let (cpu, peak) = (mean(what, |cost| cost.cpu), mean(what, |cost| cost.peak));
        let row =
            [what.to_owned(), format!("{cpu:.1} us"), format!("{peak:.1} MiB"), format!("{:.2}", cpu / peer)];
        table.add_row(row);
    }
    table
}
