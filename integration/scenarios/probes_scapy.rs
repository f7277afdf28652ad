//! STAMP with an implementation that is not ours, both ways: scapy's.

use super::probes_kit::{MS, ask, probe, reflector, target};
use crate::support::needs::Need;
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Host, Leaf, Result, Underlay, World, ensure, eventually};
use anyhow::Context as _;
use greyhound::model::Method;
use greyhound::probe::Settings;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const SCAPY: Need = Need::Kernel {
    what: "scapy beside it, which integration/setup installs",
    trial: "\"$GREYHOUND_LAB_CACHE/scapy-2.7.0/bin/python\" -c 'import scapy.contrib.stamp'",
};

pub const SCENARIOS: &[Scenario] = &[
    scenario!(scapy_asks_our_reflector).needs(&[SCAPY]),
    scenario!(our_engine_asks_scapys_reflector).needs(&[SCAPY]),
];

const EDGE: &str = "203.0.113.1";

fn path(world: &World) -> Result<(Underlay, [Host; 2])> {
    Underlay::build(world, [Leaf::new("client", "192.0.2.10/24"), Leaf::new("edge", "203.0.113.1/24")])
}

/// A script of scapy as the words of a command.
fn script(name: &str, arguments: &[&str]) -> Result<Vec<String>> {
    let cache = std::env::var("GREYHOUND_LAB_CACHE").context("GREYHOUND_LAB_CACHE")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/peers").join(name);
    let first = [format!("{cache}/scapy-2.7.0/bin/python"), script.display().to_string()];
    Ok(first.into_iter().chain(arguments.iter().map(|argument| (*argument).to_owned())).collect())
}

fn scapy_asks_our_reflector(world: &World) -> Result<()> {
    let (_underlay, [client, edge]) = path(world)?;
    let _reflector = reflector(&edge, 862, Settings::default())?;
    let output = client.exec(script("stamp_sender.py", &[EDGE, "862", "6"])?)?;
    let lines: Vec<Value> = output.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(lines.len() == 6, "{}", output.stdout);
    for (number, line) in lines.iter().enumerate() {
        let padded = number % 2 == 1;
        let expected = [
            ("from", json!(EDGE)),
            ("length", line["asked"].clone()),
            ("seq", json!(number)),
            ("ssid", json!(77)),
            ("seq_sender", json!(1000 + number)),
            // One router on the way.
            ("ttl_sender", json!(63)),
            ("echoed", json!(true)),
            ("z", json!(0)),
            ("tlvs", if padded { json!([[0, 1, 8]]) } else { json!([]) }),
        ];
        for (field, value) in expected {
            ensure!(line[field] == value, "{field} is not {value}: {line}");
        }
        for field in ["received_after_ms", "processing_ms"] {
            let ms = line[field].as_f64().context("no number")?;
            ensure!((-0.01..500.0).contains(&ms), "{field}: {line}");
        }
    }
    Ok(())
}

fn our_engine_asks_scapys_reflector(world: &World) -> Result<()> {
    let (_underlay, [client, edge]) = path(world)?;
    for (way, counted) in [("stateless", false), ("stateful", true)] {
        let mut reflector = edge.spawn(script("stamp_reflector.py", &["862", way])?)?;
        eventually(Duration::from_secs(60), || {
            ensure!(reflector.said().contains("ready"), "not ready: {}", reflector.said());
            Ok(())
        })?;
        let measured = probe(&client, [(target(EDGE), ask(&[Method::Stamp], 10, 200))])?;
        measured.whole()?;
        let answers = measured.answers(EDGE, Method::Stamp);
        let numbers: Vec<_> = answers.iter().map(|answer| answer.reflected).collect();
        let expected: Vec<_> = (0..10).map(|number| counted.then_some(number)).collect();
        ensure!(numbers == expected, "{numbers:?}");
        let least = answers.iter().map(|answer| answer.rtt).min().unwrap_or_default();
        // Over emulated hardware python takes its time, but not 20 ms more than it says.
        ensure!(least < MS * 15, "{way}: its own time is taken out: {least:?}");
        reflector.signal(nix::sys::signal::Signal::SIGKILL)?;
        reflector.ended(Duration::from_secs(10))?;
    }
    Ok(())
}
