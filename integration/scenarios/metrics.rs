//! What Prometheus is told: compared with the kernel and with the status, checked by promtool, scraped by a real one.

use super::daemon_kit::{SOON, kept, status};
use super::moves::{QUICK, remotes};
use super::tunnels::{AMS, FRA, ping, three};
use crate::support::command::Process;
use crate::support::greyhound::{POOL, answer, unicast};
use crate::support::needs::Need;
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Daemon, Greyhound, Host, Result, World, ensure, eventually};
use crate::witness::{Witness, look};
use anyhow::Context as _;
use serde_json::{Value, json};
use std::fs::read_to_string;
use std::path::Path;
use std::time::{Duration, Instant};

const CURL: Need = Need::Program("curl");

pub const SCENARIOS: &[Scenario] = &[
    scenario!(each_tunnel_has_what_the_kernel_counts_and_the_status_shows)
        .needs(&[Need::Program("promtool")]),
    scenario!(moves_and_repairs_are_counted_by_tunnel),
    scenario!(a_pool_that_runs_low_and_an_inventory_that_is_away_are_seen),
    scenario!(the_listener_follows_the_declaration).needs(&[CURL]),
    scenario!(prometheus_scrapes_and_an_alert_fires_when_a_peer_dies)
        .needs(&[Need::Program("prometheus"), CURL])
        .exclusive(),
];

/// Where metrics are served in these scenarios.
const LISTEN: &str = "127.0.0.1:9862";

/// A metric as `greyhound metrics -j` has it: its samples.
fn samples(greyhound: &Greyhound, name: &str) -> Result<Vec<Value>> {
    let families = greyhound.json(0, "metrics")?;
    let found = families.as_array().into_iter().flatten().find(|family| family["name"] == name);
    Ok(found.and_then(|family| family["samples"].as_array()).cloned().unwrap_or_default())
}

/// The one sample of a metric that has these labels among its own; `None`: there is none.
fn sample(greyhound: &Greyhound, name: &str, labels: &[(&str, &str)]) -> Result<Option<Value>> {
    let samples = samples(greyhound, name)?.into_iter();
    let has = |sample: &Value| labels.iter().all(|(label, value)| sample["labels"][label] == *value);
    let found: Vec<Value> = samples.filter(has).collect();
    ensure!(found.len() < 2, "{name} {labels:?}: {found:?}");
    Ok(found.into_iter().next())
}

fn value(greyhound: &Greyhound, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
    let sample = sample(greyhound, name, labels)?.with_context(|| format!("no {name} of {labels:?}"))?;
    sample["value"].as_f64().with_context(|| format!("{sample}"))
}

/// Two tunnels, the other ends of which are plain iproute2.
fn two(world: &World, more: &str) -> Result<(Greyhound, Daemon, [Host; 2], crate::support::Underlay)> {
    let (underlay, [client, ams, fra]) = three(world)?;
    let declaration = [more, POOL, &unicast("ams", AMS, 0, ""), &unicast("fra", FRA, 1, "")].concat();
    let greyhound = Greyhound::new(world, &client, &declaration)?;
    let daemon = Daemon::start(&greyhound)?;
    for (name, edge, remote, pair) in [("ams", &ams, AMS, 0), ("fra", &fra, FRA, 1)] {
        let local = look::gre(&client, &format!("gh-{name}"), "local")?;
        answer(edge, name, &format!("local {remote} remote {local}"), pair)?;
    }
    Ok((greyhound, daemon, [ams, fra], underlay))
}

/// A counter of a link, as `ip -s` has it.
fn counted(host: &Host, link: &str, way: &str, what: &str) -> Result<f64> {
    let shown = host.json(&format!("-s link show {link}"))?;
    shown[0]["stats64"][way][what].as_f64().with_context(|| format!("{shown}"))
}

fn each_tunnel_has_what_the_kernel_counts_and_the_status_shows(world: &World) -> Result<()> {
    let (greyhound, _daemon, _edges, _underlay) = two(world, "")?;
    let host = &greyhound.host;
    host.exec(["ping", "-c20", "-i0.02", "-W10", "-s1000", "169.254.10.1"])?;
    ping(host, "169.254.10.3")?;
    for (metric, way, what) in [
        ("receive_bytes", "rx", "bytes"),
        ("receive_packets", "rx", "packets"),
        ("receive_errors", "rx", "errors"),
        ("transmit_bytes", "tx", "bytes"),
        ("transmit_packets", "tx", "packets"),
        ("transmit_errors", "tx", "errors"),
    ] {
        for tunnel in ["ams", "fra"] {
            // Probes go through all the while.
            let kernel = || counted(host, &format!("gh-{tunnel}"), way, what);
            let (before, name) = (kernel()?, format!("greyhound_tunnel_{metric}_total"));
            let told = value(&greyhound, &name, &[("tunnel", tunnel), ("kind", "unicast")])?;
            ensure!(before <= told && told <= kernel()?, "{tunnel} {metric}: {told}, {before} before");
        }
    }
    let bytes = |tunnel| value(&greyhound, "greyhound_tunnel_transmit_bytes_total", &[("tunnel", tunnel)]);
    let (ams, fra) = (bytes("ams")?, bytes("fra")?);
    ensure!(ams > fra + 10_000.0, "20 kB went through ams: {ams}, {fra}");
    ping(host, "169.254.10.3")?;
    ensure!(bytes("fra")? > fra, "a counter that stands still");
    eventually(SOON * 2, || {
        for (tunnel, remote) in [("ams", AMS), ("fra", FRA)] {
            let of = [("tunnel", tunnel), ("device", tunnel), ("termination", remote)];
            let shown = status(&greyhound, tunnel)?;
            let up = value(&greyhound, "greyhound_tunnel_up", &of)?;
            ensure!((shown["state"] == "up") == (up == 1.0), "{shown}");
            let answers = value(&greyhound, "greyhound_tunnel_answers", &of)?;
            ensure!((shown["probe"]["liveness"] == "up") == (answers == 1.0), "{shown}");
            let uptime = value(&greyhound, "greyhound_tunnel_uptime_seconds", &of)?;
            ensure!((0.0..600.0).contains(&uptime), "{tunnel} has been up for {uptime} s");
        }
        Ok(())
    })?;
    let text = world.file("metrics.txt", &greyhound.ends(0, "metrics")?.stdout)?;
    let checked = host.exec(["sh", "-c", &format!("promtool check metrics < {}", text.display())])?;
    ensure!(checked.stdout.is_empty() && checked.stderr.is_empty(), "{}{}", checked.stdout, checked.stderr);
    Witness::new(&greyhound).holds()
}

fn moves_and_repairs_are_counted_by_tunnel(world: &World) -> Result<()> {
    let (_underlay, [client, _ams, _fra]) = three(world)?;
    let declaration = QUICK.to_owned() + &remotes(AMS, FRA) + &unicast("lon", AMS, 1, "");
    let greyhound = Greyhound::new(world, &client, &declaration)?;
    let _daemon = Daemon::start(&greyhound)?;
    let counts = |tunnel: &str| -> Result<(f64, f64)> {
        let of =
            |what: &str| value(&greyhound, &format!("greyhound_tunnel_{what}_total"), &[("tunnel", tunnel)]);
        Ok((of("moves")?, of("repairs")?))
    };
    ensure!((counts("ams")?, counts("lon")?) == ((0.0, 0.0), (0.0, 0.0)), "it has just begun");
    greyhound.ends(0, &format!("tunnel move ams --to {FRA}"))?;
    greyhound.ends(0, "tunnel hold ams")?;
    ensure!((counts("ams")?, counts("lon")?) == ((1.0, 0.0), (0.0, 0.0)), "{:?}", counts("ams")?);
    let place = sample(&greyhound, "greyhound_tunnel_up", &[("tunnel", "ams")])?.context("no ams")?;
    ensure!(place["labels"]["termination"] == FRA, "{place}");
    client.ip("link delete gh-lon")?;
    eventually(SOON, || {
        let both = (counts("ams")?, counts("lon")?);
        ensure!(both == ((1.0, 0.0), (0.0, 1.0)), "{both:?}");
        Ok(())
    })?;
    // Who is not declared any more is not told of.
    greyhound.declare(&(QUICK.to_owned() + &remotes(AMS, FRA)))?;
    greyhound.ends(0, "reload")?;
    let left = samples(&greyhound, "greyhound_tunnel_up")?;
    ensure!(left.len() == 1 && left[0]["labels"]["tunnel"] == "ams", "{left:?}");
    let repairs = value(&greyhound, "greyhound_events_total", &[("kind", "repair")])?;
    ensure!(repairs >= 1.0, "{repairs}");
    Witness::new(&greyhound).holds()
}

fn a_pool_that_runs_low_and_an_inventory_that_is_away_are_seen(world: &World) -> Result<()> {
    let path = world.folder().join("inventory/inventory.db");
    let declaration =
        format!("[inventory]\npath = \"{}\"\n[host]\nname = \"client-1\"\n{POOL}", path.display());
    let host = world.host("client")?;
    let greyhound = Greyhound::new(world, &host, &declaration)?;
    greyhound.ends(0, "pool add clients --purpose client --range 203.0.113.0/29 --low-water 6")?;
    let _daemon = Daemon::start(&greyhound)?;
    let of = [("pool", "clients"), ("scope", "general"), ("purpose", "client")];
    let left = |expected: f64| {
        eventually(SOON * 6, || {
            let left = value(&greyhound, "greyhound_pool_available", &of)?;
            ensure!(left == expected, "{left} are left, not {expected}");
            Ok(())
        })
    };
    left(8.0)?;
    ensure!(value(&greyhound, "greyhound_pool_low_water", &of)? == 6.0, "the low water");
    ensure!(value(&greyhound, "greyhound_inventory_up", &[])? == 1.0, "it is there");
    let own = value(&greyhound, "greyhound_pool_available", &[("pool", "loopbacks"), ("scope", "host")])?;
    ensure!(own > 0.0 && own <= 8.0, "{own}");
    greyhound.ends(0, "lease add web --purpose client --count 3")?;
    left(5.0)?;
    let addresses = [&of[..], &[("state", "active")]].concat();
    ensure!(value(&greyhound, "greyhound_pool_addresses", &addresses)? == 3.0, "three are leased");
    std::fs::rename(&path, path.with_extension("away"))?;
    eventually(SOON * 6, || {
        ensure!(value(&greyhound, "greyhound_inventory_up", &[])? == 0.0, "it is away");
        Ok(())
    })
}

/// What is answered over TCP on this host.
fn get(host: &Host, url: &str) -> Result<String> {
    Ok(host.exec(["curl", "-sS", "-f", "-m", "10", url])?.stdout)
}

fn the_listener_follows_the_declaration(world: &World) -> Result<()> {
    let (greyhound, daemon) = kept(world, POOL)?;
    let host = &greyhound.host;
    let listening = |address: &str| format!("{POOL}[metrics]\nlisten = \"{address}\"\n");
    ensure!(get(host, &format!("http://{LISTEN}/metrics")).is_err(), "nobody asked for it");
    greyhound.declare(&listening(LISTEN))?;
    greyhound.ends(0, "reload")?;
    let page = eventually(SOON, || get(host, &format!("http://{LISTEN}/metrics")))?;
    ensure!(page.contains("\ngreyhound_keeping 1\n"), "{page}");
    for path in ["/", "/v1/status", "/v1/flush"] {
        ensure!(get(host, &format!("http://{LISTEN}{path}")).is_err(), "{path} is served over TCP");
    }
    // An address that this host does not have yet.
    greyhound.declare(&listening("198.18.0.9:9862"))?;
    daemon.reload()?;
    eventually(SOON * 3, || {
        let notes = greyhound.json(0, "status")?["notes"].to_string();
        ensure!(notes.contains("metrics are not served at 198.18.0.9:9862: "), "{notes}");
        Ok(())
    })?;
    ensure!(get(host, &format!("http://{LISTEN}/metrics")).is_err(), "it is still where it was");
    host.ip("address add 198.18.0.9/32 dev lo")?;
    eventually(SOON * 4, || get(host, "http://198.18.0.9:9862/metrics"))?;
    greyhound.declare(POOL)?;
    daemon.reload()?;
    eventually(SOON, || {
        ensure!(get(host, "http://198.18.0.9:9862/metrics").is_err(), "it goes on");
        Ok(())
    })
}

/// A Prometheus on a host that scrapes every other second what is served there, with the rules that are shipped, but patient for
/// two seconds only.
fn prometheus(world: &World, host: &Host) -> Result<Process> {
    let rules = read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("monitoring/greyhound.rules.yml"))?;
    let hasty = |line: &str| {
        let waits = line.trim_start().starts_with("for: ");
        if waits { "        for: 2s\n".to_owned() } else { format!("{line}\n") }
    };
    let rules = world.file("rules.yml", &rules.lines().map(hasty).collect::<String>())?;
    let text = format!(
        "global: {{scrape_interval: 2s, evaluation_interval: 1s, scrape_timeout: 2s}}\n\
         rule_files: [\"{}\"]\n\
         scrape_configs:\n  - job_name: greyhound\n    static_configs: [{{targets: [\"{LISTEN}\"]}}]\n",
        rules.display()
    );
    let config = world.file("prometheus.yml", &text)?;
    let storage = world.folder().join("prometheus");
    host.spawn([
        "prometheus".to_owned(),
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", storage.display()),
        "--web.listen-address=127.0.0.1:9090".to_owned(),
        "--log.level=warn".to_owned(),
    ])
}

/// `data` of an answer of Prometheus' API.
fn asked(host: &Host, path: &str) -> Result<Value> {
    let answer = get(host, &format!("http://127.0.0.1:9090/api/v1/{path}"))?;
    let answer: Value = serde_json::from_str(&answer).with_context(|| answer.clone())?;
    ensure!(answer["status"] == "success", "{answer}");
    Ok(answer["data"].clone())
}

/// The tunnels of which this alert fires.
fn firing(host: &Host, alert: &str) -> Result<Vec<Value>> {
    let alerts = asked(host, "alerts")?;
    let alerts = alerts["alerts"].as_array().context("no list")?.iter();
    let fires = |it: &&Value| it["labels"]["alertname"] == alert && it["state"] == "firing";
    Ok(alerts.filter(fires).map(|it| it["labels"]["tunnel"].clone()).collect())
}

fn prometheus_scrapes_and_an_alert_fires_when_a_peer_dies(world: &World) -> Result<()> {
    let more = format!("[metrics]\nlisten = \"{LISTEN}\"\n");
    let (greyhound, _daemon, [ams, _fra], _underlay) = two(world, &more)?;
    let host = &greyhound.host;
    let begun = Instant::now();
    let mut prometheus = prometheus(world, host)?;
    // It starts slowly under emulation.
    let answering = eventually(SOON * 12, || {
        prometheus.still_runs()?;
        let found = asked(host, "query?query=greyhound_tunnel_answers==1")?;
        ensure!(found["result"].as_array().is_some_and(|series| series.len() == 2), "{found}");
        Ok(found)
    })?;
    println!("after {:.1} s Prometheus knew both tunnels", begun.elapsed().as_secs_f64());
    let labels = &answering["result"][0]["metric"];
    ensure!(labels["instance"] == LISTEN && labels["kind"] == "unicast", "{labels}");
    let targets = asked(host, "targets?state=active")?;
    let target = &targets["activeTargets"][0];
    ensure!(target["health"] == "up" && target["lastError"] == "", "{target}");
    let rules = asked(host, "rules")?;
    let rules: Vec<&Value> = rules["groups"].as_array().into_iter().flatten().collect();
    let rules: Vec<&Value> = rules.iter().filter_map(|group| group["rules"].as_array()).flatten().collect();
    ensure!(rules.len() > 20, "{} rules", rules.len());
    let sick: Vec<_> = rules.iter().filter(|rule| rule["health"] == "err").collect();
    ensure!(sick.is_empty(), "{sick:?}");
    ensure!(firing(host, "GreyhoundTunnelDown")?.is_empty(), "before anything died");
    let died = Instant::now();
    ams.ip("link delete ams")?;
    eventually(Duration::from_secs(30), || {
        let firing = firing(host, "GreyhoundTunnelDown")?;
        ensure!(firing == [json!("ams")], "{firing:?}");
        Ok(())
    })?;
    println!("the alert fired {:.1} s after the peer died", died.elapsed().as_secs_f64());
    let bytes = asked(host, "query?query=greyhound_tunnel_transmit_bytes_total")?;
    let bytes = bytes["result"].as_array().context("no series")?;
    ensure!(bytes.len() == 2, "each tunnel has its own: {bytes:?}");
    Witness::new(&greyhound).holds()
}
