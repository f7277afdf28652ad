//! The command line as a script sees it: statuses, JSON, and what a verb leaves alone.

use super::tunnels::{AMS, FRA};
use crate::support::greyhound::{POOL, multicast, unicast};
use crate::support::needs::{DUMMY, Need};
use crate::support::scenario::{Scenario, scenario};
use crate::support::{Greyhound, Host, Result, World, ensure, world};
use crate::witness::{Snapshot, foreign, look};
use anyhow::Context as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

pub const SCENARIOS: &[Scenario] = &[
    scenario!(exit_statuses_are_as_documented),
    scenario!(every_verb_prints_json_with_the_documented_keys),
    scenario!(verbs_that_only_look_change_neither_kernel_nor_state),
    scenario!(flush_leaves_nothing_of_ours_and_everything_of_others).needs(&[DUMMY]),
    scenario!(flush_takes_orphans_only_when_told).needs(&[DUMMY]),
    scenario!(two_applies_at_once_end_right),
    scenario!(without_the_capability_the_error_says_so).needs(&[Need::Program("setpriv")]),
    scenario!(a_declaration_that_cannot_be_read_is_named),
    scenario!(completions_and_schema_need_no_declaration),
];

fn declaration() -> String {
    let groups = "groups = [\"239.1.0.0/16\"]";
    POOL.to_owned()
        + &unicast("ams", AMS, 0, "routes = [\"10.20.0.0/16\"]")
        + &multicast("feed", FRA, 1, groups)
}

fn exit_statuses_are_as_documented(world: &World) -> Result<()> {
    let host = world.host("client")?;
    let greyhound = Greyhound::new(world, &host, &declaration())?;
    let expect =
        |status, verbs: &[&str]| verbs.iter().try_for_each(|verb| greyhound.ends(status, verb).map(drop));
    expect(
        2,
        &["", "aply", "apply --force", "plan extra", "tunnel", "pool explain a b", "completions tcsh"],
    )?;
    expect(0, &["check", "plan", "pool list", "pool explain", "lease list", "check --schema", "help"])?;
    expect(5, &["plan --exit-code"])?;
    expect(4, &["status", "tunnel list", "tunnel show ams"])?;
    expect(0, &["apply", "plan", "plan --exit-code", "status", "tunnel list", "tunnel show ams", "apply"])?;
    expect(1, &["tunnel show none", "pool explain none"])?;
    expect(
        1,
        &[
            "reload",
            "events",
            "latency",
            "tunnel hold ams",
            "--socket /nowhere/s status",
            "--socket /nowhere/s apply",
        ],
    )?;

    greyhound.declare(&(declaration() + &unicast("lon", AMS, 2, "vrf = \"none\"\n")))?;
    expect(5, &["plan --exit-code"])?;
    expect(4, &["plan", "apply", "plan --exit-code", "status", "tunnel list", "tunnel show lon"])?;
    expect(0, &["tunnel show ams"])?;
    greyhound.declare(&declaration().replace("unicast", "anycast"))?;
    let all = ["check", "plan", "apply", "flush", "status", "tunnel list", "pool list", "lease list"];
    expect(3, &all)?;
    look::present(&host, "gh-ams")?;
    greyhound.declare("")?;
    expect(5, &["plan --exit-code"])?;
    expect(0, &["flush", "status", "plan --exit-code"])
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().map(|fields| fields.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn has(what: &str, value: &Value, documented: &str) -> Result<()> {
    let mut expected: Vec<_> = documented.split(' ').collect();
    expected.sort_unstable();
    let mut found = keys(value);
    found.sort_unstable();
    ensure!(found == expected, "{what} has {found:?}, not {expected:?}");
    Ok(())
}

fn every_verb_prints_json_with_the_documented_keys(world: &World) -> Result<()> {
    const STEP: &str = "action object tunnel text error";
    const PLAN: &str = "summary steps held refused adopted orphans notes text";
    const TUNNEL: &str = "name kind state reasons link ifindex local pool remote remotes key overlay peer mtu \
                          overhead vrf client routes groups counters up_since last_repair probe";
    const POOLS: &str = "scope name purpose tier total excluded active resting foreign free quota next parts";
    const LEASE: &str = "scope prefix pool holder purpose state since";
    let host = world.host("client")?;
    let greyhound = Greyhound::new(world, &host, &declaration())?;
    let plan = greyhound.json(0, "plan")?;
    has("plan", &plan, PLAN)?;
    has("a step", &plan["steps"][0], STEP)?;
    let outcome = greyhound.json(0, "apply")?;
    has("apply", &outcome, "summary done failed elapsed_ms left")?;
    has("what is left", &outcome["left"], PLAN)?;
    let status = greyhound.json(0, "status")?;
    has("status", &status, "version config tunnels sessions orphans notes filter")?;
    has("a tunnel of status", &status["tunnels"][0], TUNNEL)?;
    has("tunnel list", &greyhound.json(0, "tunnel list")?[1], TUNNEL)?;
    has("tunnel show", &greyhound.json(0, "tunnel show feed")?, TUNNEL)?;
    has("pool list", &greyhound.json(0, "pool list")?[0], POOLS)?;
    let explained = greyhound.json(0, "pool explain")?;
    has("pool explain", &explained, "rule pools strays")?;
    has("a part", &explained["pools"][0]["parts"][0], "range state")?;
    has("lease list", &greyhound.json(0, "lease list")?[0], LEASE)?;
    has("check", &greyhound.json(0, "check")?, "file problems")?;
    has("flush", &greyhound.json(0, "flush")?, "summary done failed elapsed_ms left")?;
    greyhound.declare("[[tunnel]]\n")?;
    for verb in ["check", "plan", "apply", "status", "lease list"] {
        let wrong = greyhound.json(3, verb)?;
        has(verb, &wrong, "file problems")?;
        ensure!(!wrong["problems"].to_string().contains("[]"), "{wrong}");
    }
    Ok(())
}

/// Each file of a directory and what is in it.
fn files(directory: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Ok(BTreeMap::new()) };
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry?;
        Ok((entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?))
    };
    entries.map(read).collect()
}

fn verbs_that_only_look_change_neither_kernel_nor_state(world: &World) -> Result<()> {
    const LOOKING: [&str; 9] = [
        "plan",
        "plan -j",
        "plan --exit-code",
        "status",
        "tunnel list",
        "tunnel show ams",
        "pool list",
        "pool explain",
        "lease list",
    ];
    let host = world.host("client")?;
    let greyhound = Greyhound::new(world, &host, &declaration())?;
    let look = |when: &str| {
        let (kernel, state) = (Snapshot::take(&host)?, files(greyhound.state_dir())?);
        for verb in LOOKING {
            greyhound.run(verb)?;
            let now = Snapshot::take(&host)?;
            kernel.expect_unchanged(&now).with_context(|| format!("{verb}, {when}"))?;
            ensure!(kernel.hash() == now.hash(), "{verb}, {when}: another hash");
            ensure!(files(greyhound.state_dir())? == state, "{verb}, {when}: the state differs");
        }
        Ok::<_, anyhow::Error>(())
    };
    look("before anything")?;
    ensure!(!greyhound.state_dir().exists(), "there is a state");
    greyhound.apply()?;
    look("with all applied")?;
    greyhound.declare(&(declaration().replace("10.20", "10.21") + &unicast("new", AMS, 2, "")))?;
    look("with changes to come")
}

fn flush_leaves_nothing_of_ours_and_everything_of_others(world: &World) -> Result<()> {
    let host = world.host("client")?;
    foreign::populate(&host)?;
    let before = Snapshot::take(&host)?;
    let default = unicast("lon", AMS, 2, "routes = [\"0.0.0.0/0\"]\nkey = 1\nclient = \"203.0.113.77\"");
    let greyhound = Greyhound::new(world, &host, &(declaration() + &default))?;
    greyhound.apply()?;
    let leases = greyhound.json(0, "lease list")?;
    greyhound.ends(0, "flush")?;
    before.expect_unchanged(&Snapshot::take(&host)?)?;
    look::nothing_of_ours(&host)?;
    ensure!(greyhound.json(0, "lease list")? == leases, "leases stay with their tunnels");
    let again = greyhound.json(0, "flush")?;
    ensure!(again["done"] == 0, "{again}");
    Ok(())
}

fn flush_takes_orphans_only_when_told(world: &World) -> Result<()> {
    let host = world.host("client")?;
    foreign::populate(&host)?;
    let before = Snapshot::take(&host)?;
    host.ip_batch(
        "link add gh-lost group 26472 type gre local 198.51.100.13 remote 203.0.113.99\n\
         address add 198.51.100.13/32 dev lo label lo:gh\n\
         route add 10.50.0.0/16 dev other0 table 4700 proto 147\n",
    )?;
    let with_orphans = Snapshot::take(&host)?;
    let greyhound = Greyhound::new(world, &host, &declaration())?;
    let shown = greyhound.json(4, "status")?["orphans"].clone();
    ensure!(shown.as_array().is_some_and(|orphans| orphans.len() == 3), "{shown}");
    // Not `apply`, whose witness names orphans.
    greyhound.json(0, "apply")?;
    greyhound.ends(0, "flush")?;
    with_orphans.expect_unchanged(&Snapshot::take(&host)?)?;
    greyhound.ends(0, "flush --orphans")?;
    before.expect_unchanged(&Snapshot::take(&host)?)
}

fn two_applies_at_once_end_right(world: &World) -> Result<()> {
    let host = world.host("client")?;
    let pool = POOL.replace("198.51.100.8-198.51.100.15", "198.51.100.0/25");
    let tunnels: String = (0..60).map(|number| unicast(&format!("t{number}"), AMS, number, "")).collect();
    let greyhound = Greyhound::new(world, &host, &(pool + &tunnels))?;
    let words = || {
        let program = world::greyhound().display().to_string();
        std::iter::once(program).chain(greyhound.words("apply"))
    };
    let mut running = [host.spawn(words())?, host.spawn(words())?, host.spawn(words())?];
    let mut whole = 0;
    for process in &mut running {
        let code = process.ended(Duration::from_secs(60))?.code();
        let said = process.said();
        whole += usize::from(code == Some(0));
        let locked =
            code == Some(1) && said.contains("another greyhound is at work in this network namespace");
        ensure!(code == Some(0) || locked, "{code:?}: {said}");
    }
    ensure!(whole > 0, "none of them did it");
    let outcome = greyhound.apply()?;
    ensure!(outcome["done"] == 0, "all was done: {outcome}");
    Ok(())
}

/// greyhound under `setpriv` with these words.
fn under(host: &Host, greyhound: &Greyhound, setpriv: &[&str], verb: &str) -> Result<String> {
    let program = world::greyhound().display().to_string();
    let before = ["setpriv"].iter().chain(setpriv).map(|word| (*word).to_owned());
    let output = host.try_exec(before.chain([program]).chain(greyhound.words(verb)))?;
    ensure!(output.status.code() == Some(1), "{}: {}{}", output.status, output.stdout, output.stderr);
    Ok(output.stdout + &output.stderr)
}

fn without_the_capability_the_error_says_so(world: &World) -> Result<()> {
    let host = world.host("client")?;
    let greyhound = Greyhound::new(world, &host, &declaration())?;
    let before = Snapshot::take(&host)?;
    let drop_it = ["--bounding-set=-net_admin", "--inh-caps=-net_admin"];
    let said = under(&host, &greyhound, &drop_it, "apply")?;
    ensure!(said.contains("CAP_NET_ADMIN"), "{said}");
    before.expect_unchanged(&Snapshot::take(&host)?)
}

fn a_declaration_that_cannot_be_read_is_named(world: &World) -> Result<()> {
    let host = world.host("client")?;
    let missing = host.greyhound(["--config", "/nowhere/greyhound.toml", "apply"])?;
    ensure!(missing.status.code() == Some(1), "{}", missing.status);
    let said = missing.stderr;
    ensure!(said.contains("cannot read /nowhere/greyhound.toml: No such file"), "{said}");
    let folder = world.folder().display().to_string();
    let said = host.greyhound(["--config", &folder, "plan"])?.stderr;
    ensure!(said.contains(&format!("cannot read {folder}: Is a directory")), "{said}");
    Ok(())
}

fn completions_and_schema_need_no_declaration(world: &World) -> Result<()> {
    let host = world.host("client")?;
    for (shell, words) in [("bash", "complete -F"), ("zsh", "#compdef greyhound"), ("fish", "complete -c")] {
        let script = host.greyhound(["completions", shell])?.success()?.stdout;
        ensure!(script.contains(words) && script.contains("explain"), "{shell}: {script}");
    }
    let schema: Value = serde_json::from_str(&host.greyhound(["check", "--schema"])?.success()?.stdout)?;
    ensure!(schema["title"] == "greyhound.toml", "{schema}");
    ensure!(schema["properties"].as_object().is_some_and(|p| p.contains_key("tunnel")), "{schema}");
    Ok(())
}
